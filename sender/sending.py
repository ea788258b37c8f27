"""What becomes of a draft: sent, taken back, tried again; each deed one function with its transaction inside (R35–R37)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from accounts.addresses import domain_of
from accounts.mailboxes import NotPossible
from mail import drafts
from mail.filing import Arrival
from mail.models import Folder
from mail.parsing import ParsedParticipant
from mail.threads import hold
from sender import composing, limits
from sender.addressing import Person, is_plain, read_people
from sender.building import File, Letter, build, new_message_id
from sender.files import read_file, require_draft, used_images
from sender.models import Outgoing, Recipient
from sender.outcome import close, is_out, look_no_more, note_accepted, withdraw
from sender.tasks import hint_delivery

#: So long after *Send* a message waits, so that it can be taken back (R35).
UNDO_SECONDS = 10
MAX_RECIPIENTS = 100

Status = Outgoing.Status
State = Recipient.State


def send(draft: Outgoing, *, revision: int | None = None, undo_seconds: int = UNDO_SECONDS) -> Outgoing:
    """Queue a draft: it is built, put into Sent and counts on today's limit. Until it is sent nobody else sees it.

    Delivery begins after `undo_seconds`; till then `take_back` makes it a draft again. With `revision` only what the
    caller has seen is sent.

    Raises:
        ValidationError: by field: what is no address, no recipient at all, too many, a mailbox that can't be sent from.
        DraftChanged: it was saved elsewhere since `revision`.
        NotPossible: it is no draft any more.
        LimitReached: the organisation has sent enough for today.
    """
    with transaction.atomic():
        current = _locked(draft)
        require_draft(current)
        if revision is not None and revision != current.revision:
            raise composing.DraftChanged(current)
        people = _people(current)
        mailbox = current.message.mailbox
        is_own = composing.identities(mailbox.owner).filter(pk=mailbox.pk).exists()
        if not is_own or not is_plain(mailbox.email_address):
            raise ValidationError({"mailbox": [f"{mailbox.email_address} can't be sent from. Choose another mailbox."]})
        raw = build(_letter(current, people))
        if len(raw) > settings.MAX_MESSAGE_BYTES:
            limit = filesizeformat(settings.MAX_MESSAGE_BYTES)
            raise ValidationError({"attachments": [f"This message is larger than {limit}, the most that can be sent."]})
        arrival = Arrival.read(raw)
        hidden = (ParsedParticipant("bcc", one.name, one.address, domain_of(one.address)) for one in people["bcc"])
        parsed = replace(arrival.parsed, participants=(*arrival.parsed.participants, *hidden))
        drafts.rewrite(current.message, mailbox, replace(arrival, parsed=parsed), Folder.Kind.SENT)
        recipients: dict[str, str] = {}
        for role, found in people.items():
            for one in found:
                recipients.setdefault(one.address, role)
        current.recipients.all().delete()
        Recipient.objects.bulk_create(
            Recipient(outgoing=current, role=role, address=address) for address, role in recipients.items()
        )
        _queue(current, undo_seconds)
        current.attempts = 0
        current.counted_on = limits.take(mailbox.owner.organization, len(recipients))
        current.save()
    return current


def take_back(outgoing: Outgoing) -> Outgoing:
    """Make a message that nobody has got a draft again; it no longer counts on the limit.

    Raises:
        NotPossible: it is being sent just now, or somebody has it already.
    """
    with transaction.atomic():
        current = _locked(outgoing)
        if current.status not in {Status.QUEUED, Status.FAILED} or is_out(current):
            raise NotPossible("It is too late to take this message back.")
        withdraw(current)
    return current


def try_again(outgoing: Outgoing) -> Outgoing:
    """Try to reach everybody who has not got the message: at once, whatever was answered before.

    Raises:
        NotPossible: there is nobody left to try, or it is going on.
    """
    with transaction.atomic():
        current = _locked(outgoing)
        refused = current.recipients.filter(state=State.REFUSED)
        is_waiting = current.status == Status.QUEUED
        if not is_waiting and not (current.status in {Status.FAILED, Status.SENT} and refused.exists()):
            raise NotPossible("There is nothing to try again: nobody was refused, or it is being sent.")
        look_no_more(current)
        refused.update(state=State.OPEN, words="")
        _queue(current)
        current.save()
    return current


def settle_unknown(outgoing: Outgoing, *, arrived: bool) -> Outgoing:
    """What the sender says of a message whose delivery is doubtful: it arrived, or else it is sent once more.

    Raises:
        NotPossible: it is not doubtful (any more).
    """
    with transaction.atomic():
        current = _locked(outgoing)
        if current.status != Status.UNKNOWN:
            raise NotPossible("This message is not in doubt any more.")
        look_no_more(current)
        handed_over = current.recipients.filter(state=State.HANDED_OVER)
        handed_over.update(state=State.ACCEPTED if arrived else State.OPEN)
        if arrived:
            note_accepted(current)
        if current.recipients.filter(state=State.OPEN).exists():
            _queue(current)
        else:
            close(current)
        current.save()
    return current


def _locked(outgoing: Outgoing) -> Outgoing:
    hold(outgoing.message.owner_id)
    rows = Outgoing.objects.owned_by(outgoing.message.owner).select_for_update(of=("self",))
    return rows.get(pk=outgoing.pk)


def _queue(current: Outgoing, seconds: int = 0) -> None:
    now = timezone.now()
    current.status, current.queued_at, current.due_at = Status.QUEUED, now, now + timedelta(seconds=seconds)
    current.lease_token = current.lease_until = None
    current.words = ""
    hint_delivery(current.pk, seconds)


def _people(draft: Outgoing) -> dict[str, list[Person]]:
    """Who is in To, Cc and Bcc; `ValidationError` by field."""
    people: dict[str, list[Person]] = {}
    errors: dict[str, list[str]] = {}
    for field in ("to", "cc", "bcc"):
        people[field], unread = read_people(getattr(draft, field))
        if unread:
            errors[field] = [f"“{entry[:100]}” is not an e-mail address." for entry in unread[:5]]
    count = len({person.address for found in people.values() for person in found})
    if not errors and not count:
        errors["to"] = ["Enter at least one recipient."]
    if not errors and count > MAX_RECIPIENTS:
        errors["to"] = [f"A message can have at most {MAX_RECIPIENTS} recipients; this one has {count}."]
    if errors:
        raise ValidationError(errors)
    return people


def _letter(draft: Outgoing, people: dict[str, list[Person]]) -> Letter:
    mailbox = draft.message.mailbox
    return Letter(
        message_id=new_message_id(mailbox.email_address),
        date=timezone.now().astimezone(ZoneInfo(mailbox.owner.organization.time_zone)),
        sender=composing.sender_of(mailbox),
        to=people["to"],
        cc=people["cc"],
        subject=draft.message.subject,
        text=draft.text,
        html=draft.html,
        in_reply_to=draft.in_reply_to,
        references=draft.references,
        files=list(_files(draft)),
    )


def _files(draft: Outgoing) -> Iterator[File]:
    """The files that go out: attachments, and of the images those that stand in the HTML."""
    used = used_images(draft)
    for file in draft.files.all():
        if not file.is_inline or file.content_id in used:
            yield File(file.name, file.content_type, file.content_id, file.is_inline, read_file(file))
