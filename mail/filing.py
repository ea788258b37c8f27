"""Filing: a batch of fetched messages becomes rows, in one transaction (R16, R19)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import transaction
from django.utils import timezone

from accounts.internal import own_addresses
from accounts.models import ADDRESS_LENGTH, Mailbox
from customers.locks import addresses_stay
from mail import blobs, matching, rows
from mail.consolidating import put_filed
from mail.indexing import index_filed, words_of
from mail.mime import Raw
from mail.models import Attachment, Folder, MailAccount, Message, MessageText, Participant
from mail.parsing import UNREAD, ParsedMessage, parse
from mail.threads import assign_threads, id_key

TEXT_LIMIT = 256 * 1024
_FUTURE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message to file: what was read in it, and its bytes as they are stored. Made by `read`, away from the database.

    `words` are those by which it is found (`mail.indexing.words_of`). `digest` is that of the bytes, `size` theirs on
    the server; `note`, if any, says why they are the headers alone. The `chunks` of a large message, which lies in a
    file, are made anew each time they are stored.
    """

    parsed: ParsedMessage
    words: str | bytes
    chunks: Iterable[bytes]
    digest: str
    size: int
    note: str = ""

    @classmethod
    def read(cls, raw: Raw, *, size: int | None = None, note: str = "") -> Self:
        """Everything about a message that its bytes tell; by its size if `size` is not given."""
        chunks = blobs.Compressed(raw)
        parsed = parse(raw)
        return cls(
            parsed=parsed,
            words=words_of(parsed),
            chunks=tuple(chunks) if isinstance(raw, bytes) else chunks,
            digest=hashlib.sha256(raw).hexdigest(),
            size=len(raw) if size is None else size,
            note=note,
        )

    def unread(self) -> Self:
        """The same bytes with nothing read in them, for what no database would take of them."""
        parsed = ParsedMessage(notes=(UNREAD,), fingerprint=self.parsed.fingerprint)
        return replace(self, parsed=parsed, words=words_of(parsed))


def file_messages(mailbox: Mailbox, arrivals: Sequence[Arrival]) -> list[Message]:
    """Store a batch: rows, threads, participants, attachments, customer links, search entries and raw bytes, all or nothing.

    Received mail goes to the owner's Inbox, or where they put all their customers' mail together (R33); mail from one
    of the owner's own addresses to Sent (R19: some servers hand sent mail back). The messages are returned in order.

    Raises:
        DataError, InternalError: the database does not take what was read in one of them.
    """
    if not arrivals:
        return []
    owner = mailbox.owner
    own = own_addresses(owner)
    parsed = [arrival.parsed for arrival in arrivals]
    with transaction.atomic():
        # Mail may come in by several ways at once; its threads are joined by one after the other.
        account = MailAccount.objects.select_for_update(no_key=True).get(user=owner)
        folders = {folder.kind: folder for folder in account.folders.exclude(kind=Folder.Kind.CUSTOM)}
        addresses_stay(owner.organization_id)
        met = matching.customers_met(owner.organization, [each.participants for each in parsed])
        messages = []
        for arrival, thread, customers in zip(arrivals, assign_threads(owner, parsed), met, strict=True):
            content = columns(arrival)
            sent = content["from_address"] in own
            messages.append(
                Message(
                    organization_id=owner.organization_id,
                    mailbox=mailbox,
                    owner=owner,
                    thread=thread,
                    folder=folders[Folder.Kind.SENT if sent else Folder.Kind.INBOX],
                    direction=Message.Direction.SENT if sent else Message.Direction.RECEIVED,
                    has_customer=bool(customers),
                    is_read=sent,
                    **content,
                )
            )
        rows.create(messages)
        store_parts(list(zip(messages, arrivals, strict=True)))
        matching.link(zip(messages, met, strict=True))
        put_filed(mailbox, messages)
        blobs.store((message, arrival.chunks) for message, arrival in zip(messages, arrivals, strict=True))
    return messages


def columns(arrival: Arrival) -> dict[str, Any]:
    """What a message's own row says of its content, as every database takes it."""
    parsed = arrival.parsed
    sender = next((person for person in parsed.participants if person.role == Participant.Role.FROM), None)
    return {
        "message_id": storable(id_key(parsed.message_id)),
        "subject": storable(parsed.subject, 998),
        "from_name": storable(sender.name, ADDRESS_LENGTH) if sender else "",
        "from_address": sender.address if sender else "",
        "date": _date(parsed),
        "snippet": storable(parsed.snippet, 200),
        "fingerprint": parsed.fingerprint,
        "size": arrival.size,
        "has_attachments": any(not part.is_inline for part in parsed.attachments),
        "is_complete": not arrival.note,
        "has_all_participants": parsed.has_all_participants,
        "note": storable("\n".join([*filter(None, [arrival.note]), *parsed.notes])),
    }


def store_parts(messages: Sequence[tuple[Message, Arrival]]) -> None:
    """The rows below freshly saved messages: who takes part, the text, the attachments, the entry for search."""
    filed = [(message, arrival.parsed) for message, arrival in messages]
    rows.insert(
        Participant,
        ("message", "role", "name", "address", "domain"),
        (
            (message.pk, person.role, storable(person.name, ADDRESS_LENGTH), person.address, person.domain)
            for message, parsed in filed
            for person in parsed.participants
        ),
    )
    rows.insert(
        MessageText,
        ("message", "text"),
        ((message.pk, storable(parsed.text, TEXT_LIMIT)) for message, parsed in filed),
    )
    rows.insert(
        Attachment,
        ("message", "part", "name", "content_type", "content_id", "size", "is_inline"),
        (
            (
                message.pk,
                part.number,
                storable(part.name, 200),
                storable(part.content_type, 127),
                storable(part.content_id, 255),
                part.size,
                part.is_inline,
            )
            for message, parsed in filed
            for part in parsed.attachments
        ),
    )
    index_filed((message, arrival.words) for message, arrival in messages)


def storable(text: str, limit: int | None = None) -> str:
    """`text` as every database takes it: no NUL, no lone surrogate, at most `limit` characters."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "")[:limit]


def _date(parsed: ParsedMessage) -> datetime:
    """When the message was written, unless its own word is missing or lies in the future; then when it came."""
    now = timezone.now()
    for date in (parsed.date, parsed.received_date):
        if date is not None and date < now + _FUTURE:
            return date
    return now
