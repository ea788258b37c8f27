"""What is due and who holds it: rows, changed in transactions; a Celery message is only a hint (R15, R17).

A mailbox is claimed by giving it a lease token and an end; the worker that was told the token renews the lease while it
polls and gives it back with the result. A lost message, a doubled one, a dead worker: each ends with its lease.
"""

from __future__ import annotations

import logging
import random
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import Case, DateTimeField, Q, Value, When, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox, MailboxQuerySet
from fetcher.models import FetchRun

log = logging.getLogger(__name__)

RUNS_KEPT = 50
MAX_BACK_OFF = timedelta(hours=1)
_SOON = timedelta(minutes=1)
#: Intervals, back-off and leases stay well below.
_TOO_FAR = timedelta(hours=3)
_ABANDONED = "The worker that ran this stopped before it was done. What it had stored is kept; the next run goes on."


class LeaseLost(Exception):
    """Somebody else holds the mailbox now, or nobody is to poll it any more; whatever was in hand must not be stored."""


def due() -> MailboxQuerySet:
    """The mailboxes whose time has come and that nobody holds, the longest overdue first.

    A time further ahead than any is set comes from a clock that was wrong: it counts as come.
    """
    now = timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lte=now) | Q(lease_until__gt=now + _TOO_FAR)
    has_come = Q(next_fetch_at__lte=now) | Q(next_fetch_at__gt=now + _TOO_FAR)
    return Mailbox.objects.polled().filter(free, has_come).order_by("next_fetch_at")


def claim_due(limit: int) -> list[FetchRun]:
    """Claim due mailboxes until `limit` runs wait for a worker, skipping those that another dispatcher is claiming.

    Organisations take turns, so that one with thousands of mailboxes does not keep another's waiting (R17).
    """
    now = timezone.now()
    waiting = FetchRun.objects.filter(finished=None, state=FetchRun.State.QUEUED, mailbox__lease_until__gt=now)
    turn = Window(RowNumber(), partition_by="owner__organization", order_by="next_fetch_at")
    in_turn = due().annotate(turn=turn).order_by("turn", "next_fetch_at").values_list("pk", flat=True)
    with transaction.atomic():
        chosen = list(in_turn[: max(limit - waiting.count(), 0)])
        locked = due().filter(pk__in=chosen).select_for_update(skip_locked=True, of=("self",)).in_bulk()
        return _claim([locked[pk] for pk in chosen if pk in locked])


def claim(mailbox: Mailbox) -> tuple[FetchRun, bool]:
    """Claim one mailbox now, due or not; the second value says whether the run is new. A run that is going is returned.

    Raises:
        NotPossible: it is not one that is polled; the text says what to do.
    """
    with transaction.atomic():
        locked = Mailbox.objects.select_related("owner").select_for_update(of=("self",)).get(pk=mailbox.pk)
        if locked.kind != Mailbox.Kind.POP3:
            raise NotPossible("The CRM Mail account is not fetched from anywhere.")
        if not locked.is_active or not locked.owner.is_active:
            raise NotPossible("Only an active mailbox is fetched. Activate it first.")
        if locked.state == Mailbox.State.PASSWORD_REJECTED:
            raise NotPossible("The server rejected the password. Save the right one, and fetching goes on.")
        going = locked.runs.filter(finished=None, token=locked.lease_token).first() if locked.lease_token else None
        if going is not None and locked.lease_until is not None and locked.lease_until > timezone.now():
            return going, False
        return _claim([locked])[0], True


def start(mailbox_id: int, token: uuid.UUID) -> FetchRun | None:
    """Begin the run that was claimed with `token`, or None when it was begun before or the claim no longer holds."""
    with transaction.atomic():
        if not _extend(Mailbox.objects.polled().filter(pk=mailbox_id, lease_token=token)):
            return None
        begun = FetchRun.objects.filter(token=token, state=FetchRun.State.QUEUED)
        if not begun.update(state=FetchRun.State.RUNNING, started=timezone.now()):
            return None
    related = ("mailbox__owner__organization", "mailbox__last_listing")
    return FetchRun.objects.select_related(*related).get(token=token)


def postpone(run: FetchRun) -> None:
    """Give a run that has just begun back: it waits again, and its mailbox is due at the next look."""
    with transaction.atomic():
        FetchRun.objects.filter(pk=run.pk).update(state=FetchRun.State.QUEUED)
        Mailbox.objects.filter(pk=run.mailbox_id, lease_token=run.token, is_active=True).update(
            lease_token=None, lease_until=None, next_fetch_at=timezone.now()
        )


def renew(run: FetchRun, **fields: object) -> None:
    """Hold the mailbox for another while, and change its `fields`. Inside the transaction that stores a batch it is what
    keeps a late worker out.

    Raises:
        LeaseLost: the lease is somebody else's.
    """
    if not _extend(Mailbox.objects.filter(pk=run.mailbox_id, lease_token=run.token), **fields):
        raise LeaseLost(f"mailbox {run.mailbox_id} is no longer held by run {run.pk}")


@contextmanager
def kept(run: FetchRun) -> Iterator[None]:
    """Renew the lease in the background while the block runs, however long a server takes for one message."""
    ended = threading.Event()

    def keep() -> None:
        try:
            while not ended.wait(settings.LEASE_SECONDS / 4):
                renew(run)
        except (LeaseLost, Error) as error:
            log.warning("run %s stops renewing its lease: %s", run.pk, error)
        finally:
            connection.close()

    keeper = threading.Thread(target=keep, name=f"lease-{run.mailbox_id}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def finish(
    run: FetchRun, outcome: FetchRun.State, error: str, *, next_fetch_at: datetime | None = None, **fields: object
) -> None:
    """End a run and give the lease back; the next poll and other `fields` of the mailbox only if the lease was held.

    A mailbox that was deactivated meanwhile gets no next poll.
    """
    run.state, run.error, run.finished = outcome, error, timezone.now()
    with transaction.atomic():
        FetchRun.objects.filter(pk=run.pk).update(
            state=outcome, error=error, finished=run.finished, new=run.new, deleted=run.deleted, total=run.total
        )
        Mailbox.objects.filter(pk=run.mailbox_id, lease_token=run.token).update(
            lease_token=None,
            lease_until=None,
            next_fetch_at=next_fetch_at and Case(When(is_active=True, then=Value(next_fetch_at, DateTimeField()))),
            **fields,
        )
        older = FetchRun.objects.filter(mailbox=run.mailbox_id).values("pk")[RUNS_KEPT:]
        FetchRun.objects.filter(pk__in=older).delete()


def after_success(mailbox: Mailbox, login_delay: timedelta = timedelta(0)) -> datetime:
    """When to poll again after a poll that worked: one interval from now, give or take a twentieth.

    Never before the `login_delay` that the server asks for between two sign-ins (RFC 2449 section 6.5), up to an hour.
    """
    return timezone.now() + max(_jittered(timedelta(minutes=mailbox.interval_minutes)), min(login_delay, MAX_BACK_OFF))


def after_failure(mailbox: Mailbox, failures: int, kind: str = "", login_delay: timedelta = timedelta(0)) -> datetime:
    """When to try again after the `failures`-th temporary error in a row: doubling, jittered, at most an hour (R18).

    What the server says of an error decides where that begins: a mailbox in use is free again soon, and what will not go
    away by itself is not asked for every few minutes.
    """
    first = {"in_use": _SOON, "pipelining": _SOON, "sys_perm": MAX_BACK_OFF}.get(
        kind, timedelta(minutes=mailbox.interval_minutes)
    )
    back_off = max(_jittered(first * 2 ** min(failures - 1, 10)), login_delay)
    return timezone.now() + min(back_off, MAX_BACK_OFF)


def _jittered(span: timedelta) -> timedelta:
    return span * random.uniform(0.95, 1.05)  # noqa: S311 - spreads load, protects nothing


def _extend(held: MailboxQuerySet, **fields: object) -> int:
    return held.update(lease_until=timezone.now() + timedelta(seconds=settings.LEASE_SECONDS), **fields)


def _claim(mailboxes: Sequence[Mailbox]) -> list[FetchRun]:
    """Give mailboxes, locked by the caller, new leases. A run that nobody began is told again; one that died is ended."""
    now = timezone.now()
    open_runs = FetchRun.objects.filter(mailbox__in=mailboxes, finished=None)
    waiting = {run.mailbox_id: run for run in open_runs.filter(state=FetchRun.State.QUEUED)}
    open_runs.exclude(pk__in=[run.pk for run in waiting.values()]).update(
        state=FetchRun.State.FAILED, finished=now, error=_ABANDONED
    )
    fresh = [FetchRun(mailbox=each, token=uuid.uuid4()) for each in mailboxes if each.pk not in waiting]
    FetchRun.objects.bulk_create(fresh)
    runs = {run.mailbox_id: run for run in [*waiting.values(), *fresh]}
    for mailbox in mailboxes:
        mailbox.lease_token = runs[mailbox.pk].token
        mailbox.lease_until = now + timedelta(seconds=settings.LEASE_SECONDS)
    Mailbox.objects.bulk_update(mailboxes, ["lease_token", "lease_until"])
    return [runs[mailbox.pk] for mailbox in mailboxes]
