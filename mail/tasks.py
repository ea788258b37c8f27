"""What workers do for stored mail."""

from __future__ import annotations

import logging

from celery import shared_task

from accounts import queue
from mail import consolidating, deeds, delivering, notifying
from mail.indexing import index_further, index_waiting
from mail.matching import link_further
from mail.models import Backfill, Deed
from mail.removal import delete_mail_of_removed
from mail.retention import delete_expired

log = logging.getLogger(__name__)
_TURN = 100
_BATCHES = 100


@shared_task(name="mail.tasks.delete_removed")
def delete_removed() -> None:
    """Delete the mail of accounts that were removed with it."""
    gone = delete_mail_of_removed()
    if gone:
        log.info("%d messages of removed accounts are gone", gone)


@shared_task(name="mail.tasks.forget_receipts")
def forget_receipts() -> None:
    """Forget of deliveries that no mail server repeats any more that they were."""
    delivering.forget_receipts()


@shared_task(name="mail.tasks.delete_too_old")
def delete_too_old() -> None:
    """Delete mail that its organisation does not want to keep any longer."""
    gone = delete_expired()
    if gone:
        log.info("retention: %d messages that were too old are gone", gone)


@shared_task(name="mail.tasks.link_stored_mail")
def link_stored_mail() -> None:
    """Go on linking the stored mail of addresses that were added, each a batch in turn, until there is no more."""
    while left := list(Backfill.objects.order_by("id")[:_TURN]):
        for backfill in left:
            link_further(backfill)


@shared_task(name="mail.tasks.consolidate_stored")
def consolidate_stored() -> None:
    """Go on putting stored mail of customers together where that was asked for, each a batch in turn."""
    while going := consolidating.going_on():
        for each in going:
            consolidating.put_further(each)


@shared_task(name="mail.tasks.forget_notifications")
def forget_notifications() -> None:
    """Take away notifications that nobody has cleared for long."""
    notifying.forget_old()


def hint_consolidating() -> None:
    """Tell the workers, once the request is committed."""
    queue.hint(consolidate_stored, expires=60)


@shared_task(name="mail.tasks.carry_out_deeds")
def carry_out_deeds() -> None:
    """Go on with what owners did to very many messages, each a batch in turn, and forget what is over."""
    while left := list(
        Deed.objects.filter(state__in=deeds.GOING_ON).order_by("id").values_list("pk", flat=True)[:_TURN]
    ):
        for pk in left:
            deeds.work_on(pk)
    deeds.forget_old()


def hint_deeds() -> None:
    """Tell the workers, once the deed is committed."""
    queue.hint(carry_out_deeds, expires=60)


@shared_task(name="mail.tasks.index_stored_mail")
def index_stored_mail() -> None:
    """Put new mail into the index of words, and go on indexing stored mail after an upgrade, for a while.

    The rest is left to the next time.
    """
    for _ in range(_BATCHES):
        if not index_waiting() and index_further() is None:
            break


def hint_indexing() -> None:
    """Tell the workers of much new mail."""
    queue.hint(index_stored_mail, expires=60)


def hint_backfill() -> None:
    """Tell the workers, once the addition is committed."""
    queue.hint(link_stored_mail, expires=60)


def hint_removed() -> None:
    """Tell the workers, once the removal is committed."""
    queue.hint(delete_removed, expires=3600)
