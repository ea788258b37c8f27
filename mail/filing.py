"""Filing: a batch of fetched messages becomes rows, in one transaction (R16, R19)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts.internal import own_addresses
from accounts.models import ADDRESS_LENGTH, Mailbox
from mail import blobs, matching
from mail.models import Attachment, Folder, Message, MessageText, Participant
from mail.parsing import ParsedMessage
from mail.threads import assign_threads, id_key

TEXT_LIMIT = 256 * 1024
_FUTURE = timedelta(days=1)
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message to file: its bytes as fetched and what was read in them.

    `size` is in bytes, on the server; `note`, if any, says why `raw` holds the headers alone.
    """

    raw: bytes
    parsed: ParsedMessage
    size: int
    note: str = ""


def file_messages(mailbox: Mailbox, arrivals: Sequence[Arrival]) -> list[Message]:
    """Store a batch: rows, threads, participants, attachments, customer links and raw bytes, all or nothing.

    Received mail goes to the owner's Inbox, mail from one of the owner's own addresses to Sent (R19: some servers
    hand sent mail back). The messages are returned in order.
    """
    if not arrivals:
        return []
    owner = mailbox.owner
    own = own_addresses(owner)
    with transaction.atomic():
        folders = {folder.kind: folder for folder in owner.mail_account.folders.exclude(kind=Folder.Kind.CUSTOM)}
        threads = assign_threads(owner, [arrival.parsed for arrival in arrivals])
        messages = []
        for arrival, thread in zip(arrivals, threads, strict=True):
            sender = next((p for p in arrival.parsed.participants if p.role == Participant.Role.FROM), None)
            sent = sender is not None and sender.address in own
            messages.append(
                Message(
                    organization_id=owner.organization_id,
                    mailbox=mailbox,
                    owner=owner,
                    thread=thread,
                    folder=folders[Folder.Kind.SENT if sent else Folder.Kind.INBOX],
                    direction=Message.Direction.SENT if sent else Message.Direction.RECEIVED,
                    message_id=storable(id_key(arrival.parsed.message_id)),
                    subject=storable(arrival.parsed.subject, 998),
                    from_name=storable(sender.name, ADDRESS_LENGTH) if sender else "",
                    from_address=sender.address if sender else "",
                    date=_date(arrival.parsed),
                    snippet=storable(arrival.parsed.snippet, 200),
                    fingerprint=arrival.parsed.fingerprint,
                    size=arrival.size,
                    has_attachments=any(not part.is_inline for part in arrival.parsed.attachments),
                    is_complete=not arrival.note,
                    has_all_participants=arrival.parsed.has_all_participants,
                    note=storable("\n".join([*filter(None, [arrival.note]), *arrival.parsed.notes])),
                    is_read=sent,
                )
            )
        Message.objects.bulk_create(messages, batch_size=_BATCH)
        participants = [
            (message, _participants(message, arrival.parsed))
            for message, arrival in zip(messages, arrivals, strict=True)
        ]
        Participant.objects.bulk_create((p for _, rows in participants for p in rows), batch_size=_BATCH)
        MessageText.objects.bulk_create(
            (
                MessageText(message=message, text=storable(arrival.parsed.text, TEXT_LIMIT))
                for message, arrival in zip(messages, arrivals, strict=True)
            ),
            batch_size=_BATCH,
        )
        Attachment.objects.bulk_create(
            (
                Attachment(
                    message=message,
                    part=part.number,
                    name=storable(part.name, 200),
                    content_type=storable(part.content_type, 127),
                    content_id=storable(part.content_id, 255),
                    size=part.size,
                    is_inline=part.is_inline,
                )
                for message, arrival in zip(messages, arrivals, strict=True)
                for part in arrival.parsed.attachments
            ),
            batch_size=_BATCH,
        )
        blobs.store((message, arrival.raw) for message, arrival in zip(messages, arrivals, strict=True))
        matching.match(owner.organization, participants)
    return messages


def storable(text: str, limit: int | None = None) -> str:
    """`text` as every database takes it: no NUL, no lone surrogate, at most `limit` characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:limit]


def _participants(message: Message, parsed: ParsedMessage) -> list[Participant]:
    return [
        Participant(
            message=message,
            role=participant.role,
            name=storable(participant.name, ADDRESS_LENGTH),
            address=participant.address,
            domain=participant.domain,
        )
        for participant in parsed.participants
    ]


def _date(parsed: ParsedMessage) -> datetime:
    """When the message was written, unless its own word is missing or lies in the future; then when it came."""
    now = timezone.now()
    for date in (parsed.date, parsed.received_date):
        if date is not None and date < now + _FUTURE:
            return date
    return now
