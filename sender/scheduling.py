"""Which messages are due and which worker has one: rows, changed by compare-and-set; a Celery message is only a hint (R36).

The one thing that is never done twice is handing the data over. `hand_over` commits the mark *before* the last dot of the
data is sent: a worker that dies before it has sent nothing that a server may deliver, one that dies after it leaves a
message of which nobody can know whether it was accepted. That one is `unknown`, and only its sender can have it sent again.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.leases import Keeper, LeaseLost
from mail.models import Folder, Message
from mail.threads import hold
from sender.models import Outgoing, OutgoingQuerySet, Recipient
from sender.outcome import close, is_out, note_accepted, tell_sender, withdraw

Status = Outgoing.Status
State = Recipient.State

#: After the first failure the next try comes within a minute, later ones after up to an hour.
FIRST_RETRY = timedelta(seconds=30)
LAST_RETRY = timedelta(hours=1)
GIVE_UP = timedelta(days=2)
#: Retries and leases stay well below.
_TOO_FAR = timedelta(hours=3)
#: What is read with a claimed message.
_RELATED = ("message__owner__organization", "message__mailbox__owner", "message__thread", "message__folder")
_GAVE_UP = "The mail servers took it at no try in two days. {}"
_DEACTIVATED = "The account was deactivated before the message was sent."
_IN_TRASH = "The message was put into Trash before it was sent to this address."
_DOUBTFUL = (
    "The connection ended after the message was handed over and before the server said that it has it. It may have "
    "arrived or not: ask a recipient, or look at your provider's folder for sent mail, before you send it again."
)


def due() -> OutgoingQuerySet:
    """The messages whose time has come, the longest overdue first.

    A time further ahead than any is set comes from a clock that was wrong: it counts as come.
    """
    return Outgoing.objects.filter(_has_come("due_at"), status=Status.QUEUED).order_by("due_at")


def claim(pk: int) -> Outgoing | None:
    """Take a due message for this worker, or None: somebody has it, it was taken back, or nobody is to get it any more.

    What its owner has put into Trash is a draft again. What waited when its owner was deactivated has failed, so that it
    does not go out, long outdated, when they are active again (R2): they are asked.
    """
    token = uuid.uuid4()
    with transaction.atomic():
        if (
            not due()
            .filter(pk=pk)
            .update(status=Status.SENDING, lease_token=token, lease_until=_lease_end(), attempts=F("attempts") + 1)
        ):
            return None
        claimed = Outgoing.objects.select_related(*_RELATED).get(pk=pk)
    if claimed.message.owner.is_active and claimed.message.folder.kind != Folder.Kind.TRASH:
        return claimed
    _let_go(claimed)
    return None


def _let_go(claimed: Outgoing) -> None:
    """End what is claimed and must not be sent. A transaction of its own: threads are held before the message is.

    All is read anew once it is locked. Meanwhile what it answers may have been deleted for good, and its owner may have
    taken it out of Trash: then it waits as before.
    """
    with transaction.atomic():
        hold(claimed.message.owner_id)
        if _mine(claimed).select_for_update(of=("self",)).first() is None:
            return
        # A statement of its own, before it is read with its folder: a row that was moved while it was waited for would
        # no longer fit the folder it was read with. Whoever moves it next waits.
        Message.objects.filter(pk=claimed.pk).lock()
        current = Outgoing.objects.select_related(*_RELATED).get(pk=claimed.pk)
        folder = current.message.folder
        is_in_trash = folder.kind == Folder.Kind.TRASH
        if is_in_trash and not is_out(current):
            withdraw(current)
            Message.objects.filter(pk=current.pk).update(folder=folder)
        elif is_in_trash or not current.message.owner.is_active:
            _stop(current, _IN_TRASH if is_in_trash else _DEACTIVATED)
            current.save()
        else:
            postpone(current, 0)


def postpone(claimed: Outgoing, seconds: float) -> None:
    """Give back a message that was not tried; it is due again after `seconds`."""
    _mine(claimed).update(
        status=Status.QUEUED,
        attempts=F("attempts") - 1,
        due_at=timezone.now() + timedelta(seconds=seconds),
        lease_token=None,
        lease_until=None,
    )


def renew(claimed: Outgoing) -> None:
    """Hold the message for another while.

    Raises:
        LeaseLost: somebody else does.
    """
    if not _extend(_mine(claimed)):
        raise LeaseLost(f"message {claimed.pk} is no longer this worker's")


def kept(claimed: Outgoing) -> AbstractContextManager[None]:
    """Hold the message while the block runs, however long a server takes."""
    assert claimed.lease_token is not None  # noqa: S101 - tells mypy what claiming does
    return _keeper.keeping(claimed.lease_token)


def hand_over(claimed: Outgoing, addresses: Collection[str]) -> None:
    """Note that the server gets the end of the data for these recipients next. From here on it may have the message.

    Raises:
        LeaseLost: somebody else holds it: the data must not be ended.
    """
    with transaction.atomic():
        renew(claimed)
        claimed.recipients.filter(address__in=addresses).update(state=State.HANDED_OVER)


def finish(
    claimed: Outgoing,
    *,
    taken: Collection[str] = (),
    refused: Mapping[str, str] | None = None,
    deferred: Mapping[str, str] | None = None,
    words: str = "",
) -> None:
    """End a try: who has the message now, who never will, whom to try later, each with the server's words; and what was wrong.

    Whoever is left is tried again later, for two days. A worker whose lease has ended changes nothing, unless the message
    is still in doubt: it knows what the server answered.
    """
    with transaction.atomic():
        rows = Outgoing.objects.select_for_update(of=("self",))
        held = rows.filter(pk=claimed.pk, lease_token=claimed.lease_token)
        current = held.select_related("message__owner__organization", "answers__owner").first()
        if current is None:
            return
        people = current.recipients
        people.filter(address__in=taken).update(state=State.ACCEPTED, words="")
        people.filter(state=State.HANDED_OVER).update(state=State.OPEN)
        for state, answers in ((State.REFUSED, refused), (State.OPEN, deferred)):
            for address, said in (answers or {}).items():
                people.filter(address=address).update(state=state, words=said)
        current.words = words
        _go_on(current)
        current.save()


def recover() -> None:
    """Messages of workers that died: they go on if nothing was handed over, else they are in doubt."""
    with transaction.atomic():
        dead = Outgoing.objects.filter(_has_come("lease_until"), status=Status.SENDING)
        rows = dead.select_for_update(skip_locked=True, of=("self",)).order_by("pk")
        for current in rows.select_related("message__owner__organization", "answers__owner"):
            if current.recipients.filter(state=State.HANDED_OVER).exists():
                # The token stays: should the worker be alive after all, it may still say what the server answered.
                doubt(current)
            else:
                _go_on(current)
            current.save()


def in_doubt(claimed: Outgoing) -> None:
    """Nobody can know whether the server has what was handed over."""
    with transaction.atomic():
        current = _mine(claimed).select_for_update(of=("self",)).select_related("message__owner").first()
        if current is not None:
            doubt(current)
            current.save()


def doubt(current: Outgoing) -> None:
    """Stop, and ask the sender; the row is held by the caller and not saved."""
    current.status, current.words = Status.UNKNOWN, _DOUBTFUL
    current.due_at = current.lease_until = None
    tell_sender(current)


def _go_on(current: Outgoing) -> None:
    """When to try those who are left, if anybody is and it is worth while; else the message is closed."""
    if is_out(current):
        note_accepted(current)
    now = timezone.now()
    is_left = current.recipients.filter(state=State.OPEN).exists()
    if is_left and (current.queued_at is None or now - current.queued_at <= GIVE_UP):
        current.status, current.due_at = Status.QUEUED, now + _back_off(current.attempts)
        current.lease_token = current.lease_until = None
    else:
        _stop(current, _GAVE_UP)


def _stop(current: Outgoing, reason: str) -> None:
    """Try nobody else: the message is closed, with the `reason` beside everybody who is left."""
    for recipient in current.recipients.filter(state=State.OPEN):
        recipient.state, recipient.words = State.REFUSED, reason.format(recipient.words or current.words).strip()
        recipient.save()
    close(current)


def _back_off(attempts: int) -> timedelta:
    """Doubling, spread a little, at most an hour."""
    spread = random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, protects nothing
    return min(FIRST_RETRY * (2.0 ** min(attempts - 1, 10) * spread), LAST_RETRY)


def _mine(claimed: Outgoing) -> OutgoingQuerySet:
    return Outgoing.objects.filter(pk=claimed.pk, lease_token=claimed.lease_token, status=Status.SENDING)


def _extend(held: OutgoingQuerySet) -> int:
    return held.update(lease_until=_lease_end())


def _extend_all(tokens: Collection[uuid.UUID]) -> None:
    with transaction.atomic():
        held = Outgoing.objects.filter(lease_token__in=tokens, status=Status.SENDING)
        locked = held.select_for_update(of=("self",)).order_by("pk")
        _extend(Outgoing.objects.filter(pk__in=list(locked.values_list("pk", flat=True))))


_keeper = Keeper(_extend_all)


def _has_come(column: str) -> Q:
    now = timezone.now()
    return Q(**{f"{column}__lte": now}) | Q(**{f"{column}__gt": now + _TOO_FAR})


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
