"""What workers do for stored mail."""

from __future__ import annotations

import logging

from celery import shared_task

from accounts import queue
from mail.matching import link_further
from mail.models import Backfill
from mail.removal import delete_mail_of_removed

log = logging.getLogger(__name__)
_TURN = 100


@shared_task(name="mail.tasks.delete_removed")
def delete_removed() -> None:
    """Delete the mail of accounts that were removed with it."""
    gone = delete_mail_of_removed()
    if gone:
        log.info("%d messages of removed accounts are gone", gone)


@shared_task(name="mail.tasks.link_stored_mail")
def link_stored_mail() -> None:
    """Go on linking the stored mail of addresses that were added, each a batch in turn, until there is no more."""
    while left := list(Backfill.objects.order_by("id")[:_TURN]):
        for backfill in left:
            link_further(backfill)


def hint_backfill() -> None:
    """Tell the workers, once the addition is committed."""
    queue.hint(link_stored_mail, expires=60)


def hint_removed() -> None:
    """Tell the workers, once the removal is committed."""
    queue.hint(delete_removed, expires=3600)
