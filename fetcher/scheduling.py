"""What is due and who holds it: rows, changed in transactions; a Celery message is only a hint (R15, R17).

A mailbox is claimed by giving it a lease token and an end; the worker that was told the token renews the lease while it
polls and gives it back with the result. A lost message, a doubled one, a dead worker: each ends with its lease.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.db import transaction
from django.db.models import (
    BigIntegerField,
    BooleanField,
    Case,
    DateTimeField,
    Field,
    Model,
    OuterRef,
    Q,
    Subquery,
    UUIDField,
    When,
    Window,
)
from django.db.models.functions import RowNumber
from django.utils import timezone

from accounts.leases import Keeper, LeaseLost
from accounts.mailboxes import NotPossible
from accounts.models import Mailbox, MailboxQuerySet, User
from fetcher.models import FetchRun
from fetcher.prepared import Bound, Select, Update, together

RUNS_KEPT = 50
MAX_BACK_OFF = timedelta(hours=1)
_SOON = timedelta(minutes=1)
#: Intervals, back-off and leases stay well below.
_TOO_FAR = timedelta(hours=3)
_ABANDONED = "The worker that ran this stopped before it was done. What it had stored is kept; the next run goes on."


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


_mailbox_id = Bound("mailbox_id", BigIntegerField())
_token = Bound("token", UUIDField())
_begin = Update(
    FetchRun.objects.filter(
        token=_token,
        state=FetchRun.State.QUEUED,
        mailbox__in=Mailbox.objects.polled().filter(pk=_mailbox_id, lease_token=_token),
    ),
    state=FetchRun.State.RUNNING,
    started=Bound("now", DateTimeField()),
)
#: What polling and filing ask of a mailbox's owner.
_OF_OWNER = {"id", "email", "organization"}
_begun = Select(
    FetchRun.objects.filter(token=_token)
    .select_related("mailbox__owner__organization", "mailbox__last_listing")
    .defer(*(f"mailbox__owner__{field.name}" for field in User._meta.concrete_fields if field.name not in _OF_OWNER))
)


def start(mailbox_id: int, token: uuid.UUID) -> FetchRun | None:
    """Begin the run that was claimed with `token`, or None when it was begun before or the claim no longer holds."""
    if not _begin(mailbox_id=mailbox_id, token=token, now=timezone.now()):
        return None
    return next(_begun(token=token), None)


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
    """Renew the lease in the background while the block runs, however long a server takes for one message.

    Raises:
        LeaseLost: it is lost already.
    """
    if run.mailbox.lease_until is None or run.mailbox.lease_until < timezone.now() + _lease() / 2:
        # It waited long for a worker.
        renew(run)
    with _keeper.keeping(run.token):
        yield


_keeper = Keeper(lambda tokens: _extend(Mailbox.objects.filter(lease_token__in=tokens)))


def _bound(model: type[Model], *names: str) -> dict[str, Bound]:
    return {name: Bound(name, cast("Field[Any, Any]", model._meta.get_field(name))) for name in names}


_OF_RUN = ("state", "error", "finished", "new", "deleted", "total")
_OF_MAILBOX = ("state", "last_error", "error_kind", "failures", "one_by_one_until", "last_fetched_at")
_end_run = Update(FetchRun.objects.filter(token=_token), **_bound(FetchRun, *_OF_RUN))
_end_lease = Update(
    Mailbox.objects.filter(pk=_mailbox_id, lease_token=_token),
    lease_token=None,
    lease_until=None,
    next_fetch_at=Case(
        When(Q(is_active=True) & Q(Bound("is_polled", BooleanField())), then=Bound("next_fetch_at", DateTimeField()))
    ),
    **_bound(Mailbox, *_OF_MAILBOX),
)


def finish(
    run: FetchRun, outcome: FetchRun.State, error: str, *, next_fetch_at: datetime | None = None, **fields: object
) -> None:
    """End a run and give the lease back; the next poll and other `fields` of the mailbox only if the lease was held.

    The `fields` are among those that say how fetching goes. A mailbox that was deactivated meanwhile gets no next poll.
    """
    run.state, run.error, run.finished = outcome, error, timezone.now()
    mailbox = run.mailbox
    for name, value in fields.items():
        setattr(mailbox, name, value)
    together(
        (_end_run, {"token": run.token, **{name: getattr(run, name) for name in _OF_RUN}}),
        (
            _end_lease,
            {
                "mailbox_id": mailbox.pk,
                "token": run.token,
                "is_polled": next_fetch_at is not None,
                "next_fetch_at": next_fetch_at or run.finished,
                **{name: getattr(mailbox, name) for name in _OF_MAILBOX},
            },
        ),
    )


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
    return held.update(lease_until=timezone.now() + _lease(), **fields)


def _lease() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


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
    _forget_old_runs(mailboxes)
    runs = {run.mailbox_id: run for run in [*waiting.values(), *fresh]}
    of_mailbox = FetchRun.objects.filter(pk__in=[run.pk for run in runs.values()], mailbox=OuterRef("pk"))
    held = Mailbox.objects.filter(pk__in=list(runs))
    held.update(lease_token=Subquery(of_mailbox.values("token")), lease_until=now + _lease())
    return [runs[mailbox.pk] for mailbox in mailboxes]


def _forget_old_runs(mailboxes: Sequence[Mailbox]) -> None:
    """Keep the last runs of each mailbox (R18); here, because many are claimed at once and polls end one by one."""
    place = Window(RowNumber(), partition_by="mailbox", order_by=["-started", "-id"])
    runs = FetchRun.objects.filter(mailbox__in=mailboxes).annotate(place=place)
    FetchRun.objects.filter(pk__in=runs.filter(place__gt=RUNS_KEPT).values("pk")).delete()
