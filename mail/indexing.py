"""Entries for search: written with each message in the transaction that files it, and for stored mail in batches (R31)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from django.db import transaction
from django.db.models import Max

from accounts.models import ADDRESS_LENGTH
from mail import rows
from mail.models import Attachment, Message, MessageText, Participant, SearchBuild, SearchEntry
from mail.parsing import ParsedMessage
from mail.search import TEXT_CHARS, is_indexed_at_once, sequence, stored

#: Messages that are indexed in one transaction.
BATCH = 200
#: Entries that are put into the index of words in one transaction.
WAITING_BATCH = 1_000
_FIELDS: dict[str, str] = {Participant.Role.FROM: "from", Participant.Role.TO: "to", Participant.Role.CC: "cc"}


def words_of(parsed: ParsedMessage) -> str | bytes:
    """The words by which a message is found, as an entry has them. It does not use the database."""
    return _words(
        parsed.subject,
        ((person.role, person.name[:ADDRESS_LENGTH], person.address) for person in parsed.participants),
        (part.name[:200] for part in parsed.attachments),
        parsed.text,
    )


def index_filed(messages: Iterable[tuple[Message, str | bytes]]) -> None:
    """Write the entries of messages that have none, with what `words_of` says of each.

    They are found from now on; the index of words has them when `index_waiting` has put them there.
    """
    is_indexed = is_indexed_at_once()
    rows.insert(
        SearchEntry,
        ("message", "mailbox", "date", "words", "is_indexed"),
        ((message.pk, message.mailbox_id, message.date, words, is_indexed) for message, words in messages),
    )


def index_stored(messages: Collection[int]) -> None:
    """Write the entries of stored messages (ids) anew from their rows: after an upgrade, or when a draft has changed."""
    with transaction.atomic():
        # Who deletes one waits, or was first.
        found = list(Message.objects.select_for_update(no_key=True).filter(pk__in=messages).order_by("pk"))
        people: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
        for person in Participant.objects.filter(message__in=found, role__in=_FIELDS):
            people[person.message_id].append((person.role, person.name, person.address))
        names: dict[int, list[str]] = defaultdict(list)
        for part in Attachment.objects.filter(message__in=found):
            names[part.message_id].append(part.name)
        texts = {each.pk: each.text for each in MessageText.objects.filter(message__in=found)}
        SearchEntry.objects.filter(message__in=found).delete()
        index_filed(
            (
                message,
                _words(message.subject, people[message.pk], names[message.pk], texts.get(message.pk, "")),
            )
            for message in found
        )


def start_indexing() -> None:
    """Have all stored mail indexed anew, the newest first; `index_further` does it."""
    newest = Message.objects.aggregate(newest=Max("pk"))["newest"]
    with transaction.atomic():
        SearchBuild.objects.all().delete()
        if newest is not None:
            SearchBuild.objects.create(before=newest + 1)


def index_further() -> SearchBuild | None:
    """Index the next batch of stored mail; where that has come to, None when all is done.

    Stopped anywhere, it goes on after the last batch that was committed.
    """
    with transaction.atomic():
        build = SearchBuild.objects.select_for_update().first()
        if build is None:
            return None
        waiting = Message.objects.filter(pk__lt=build.before).order_by("-pk")
        batch = list(waiting.values_list("pk", flat=True)[:BATCH])
        if not batch:
            build.delete()
            return None
        index_stored(batch)
        build.before = batch[-1]
        build.done += len(batch)
        build.save(update_fields=["before", "done"])
    return build


def index_waiting() -> int:
    """Put the next batch of entries that were written since into the index of words; how many, 0 when none wait."""
    with transaction.atomic():
        waiting = SearchEntry.objects.select_for_update(skip_locked=True, no_key=True).filter(is_indexed=False)
        batch = list(waiting.order_by("pk").values_list("pk", flat=True)[:WAITING_BATCH])
        SearchEntry.objects.filter(pk__in=batch).update(is_indexed=True)
    return len(batch)


def _words(subject: str, people: Iterable[tuple[str, str, str]], names: Iterable[str], text: str) -> str | bytes:
    """The words of a message, as an entry has them. Who is in Bcc, Sender and Reply-To is not looked for."""
    fields: dict[str, list[str]] = {"subject": [subject], "from": [], "to": [], "cc": [], "name": list(names)}
    for role, name, address in people:
        if role in _FIELDS:
            fields[_FIELDS[role]].append(f"{name} {address}")
    return stored(sequence(fields, text[:TEXT_CHARS]))
