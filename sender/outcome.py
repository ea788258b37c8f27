"""What becomes of a message once somebody has it, or nobody is left to try (R24, R36). Callers hold its row.

Rows are locked in the order that docs/contributing.md tells (*Order of locks*).
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q

from mail import drafts, notifying
from sender.composing import refile
from sender.limits import give_back
from sender.models import Outgoing, Recipient

Status = Outgoing.Status
State = Recipient.State


def is_out(current: Outgoing) -> bool:
    """Whether somebody has the message, or may have it."""
    return current.recipients.filter(state__in=(State.ACCEPTED, State.HANDED_OVER)).exists()


def note_accepted(current: Outgoing) -> None:
    """Somebody has the message now: it is no draft any more, and whose message it answers is told (R24)."""
    if not current.message.is_draft:
        return
    drafts.publish(current.message)
    answered, writer = current.answers, current.message.owner
    if answered is not None and answered.owner_id != writer.pk and current.how != Outgoing.How.FORWARD:
        notifying.note(answered.owner, notifying.Kind.ANSWERED, actor=writer, message=current.message)


def withdraw(current: Outgoing) -> None:
    """Make a draft of what nobody has got again; it no longer counts on the limit (R37).

    Callers hold the threads of its owner, too (`mail.threads.hold`).
    """
    look_no_more(current)
    day, recipients = current.counted_on, current.recipients.count()
    current.recipients.all().delete()
    current.status = Status.DRAFT
    current.revision += 1
    current.attempts = 0
    current.due_at = current.queued_at = current.lease_token = current.lease_until = current.counted_on = None
    current.words = ""
    current.save()
    refile(current, current.message.mailbox, current.message.subject)
    # Last, as sending takes it last: two messages of one sender would else wait for each other.
    if day is not None:
        give_back(current.message.owner.organization, day, recipients)


def lock_with(messages: Collection[int]) -> None:
    """These messages may be deleted for good next, in the caller's transaction: lock what is changed then, before they are.

    That is what was written of them, and what answers them: that forgets what it answers.
    """
    changed = Outgoing.objects.filter(Q(pk__in=messages) | Q(answers__in=messages))
    list(changed.select_for_update(of=("self",)).order_by("pk").values_list("pk"))


def forget(messages: Collection[int]) -> None:
    """These messages are deleted for good next, in the caller's transaction: what nobody has got of them no longer counts
    on the limit (R37). A worker that has one in hand has noted by then that somebody may have it, or ends without sending.

    Callers have had `lock_with` lock them.
    """
    counted = Outgoing.objects.filter(pk__in=messages, counted_on__isnull=False).exclude(status=Status.SENT)
    # Day by day: two who delete at once wait for each other instead of failing.
    for current in counted.select_related("message__owner__organization").order_by("counted_on"):
        if current.counted_on is not None and not is_out(current):
            give_back(current.message.owner.organization, current.counted_on, current.recipients.count())


def close(current: Outgoing) -> None:
    """Nobody is left to try: it is `sent` if somebody has it, else `failed`; its sender is told of whom it did not reach."""
    current.status = Status.SENT if is_out(current) else Status.FAILED
    current.due_at = current.lease_token = current.lease_until = None
    if current.status == Status.SENT:
        # The message itself holds all of it now.
        current.files.all().delete()
        current.text = current.html = ""
    if current.recipients.filter(state=State.REFUSED).exists():
        tell_sender(current)


def look_no_more(current: Outgoing) -> None:
    """Whoever wrote it has looked, and decided; what they were told of is over."""
    notifying.clear(current.message.owner, kind=notifying.Kind.SENDING_FAILED, message=current.message)


def tell_sender(current: Outgoing) -> None:
    """Have whoever wrote it look at what became of it."""
    notifying.note(current.message.owner, notifying.Kind.SENDING_FAILED, message=current.message)
