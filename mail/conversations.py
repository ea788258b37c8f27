"""Messages as conversations: the copies and answers that share a root, the latest first (R30).

Everything is worked out from the messages that are passed in, so nothing tells of one that is not among them. They are
walked newest first, only as far as a page needs: a record's mail costs the same however much there is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import QuerySet

from accounts.models import User
from mail.cursors import Place
from mail.models import Correspondence, Message, MessageQuerySet
from mail.walking import COLUMNS, Candidates, Row, listed, walk

PAGE = 12
#: The latest messages of a conversation that a page shows; the others are reached from any of them.
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages of one conversation, the latest first; never empty."""

    root: str
    messages: list[Message]
    #: Whether more of it was met than is shown.
    has_more: bool = False

    @property
    def latest(self) -> Message:
        """The newest message."""
        return self.messages[0]


@dataclass(frozen=True, slots=True)
class Page:
    """Some conversations and, if there are more, the cursor that asks for them."""

    conversations: list[Conversation]
    cursor: str


def page_of(
    messages: MessageQuerySet,
    cursor: str = "",
    *,
    links: QuerySet[Correspondence] | None = None,
    reader: User | None = None,
) -> Page:
    """A page of the conversations in `messages`, by their newest message.

    They are looked for among the messages of `links`, where those are given. With `reader` each message is listed
    once, their own copy first. `cursor` is that of the page before; one that can't be read counts as none. The number
    of queries does not depend on how many messages there are.
    """
    before = end = Place.read(cursor)
    candidates = (
        Candidates(messages, before, fingerprint="fingerprint")
        if links is None
        else Candidates(links, before, pk="message", fingerprint="message__fingerprint")
    )
    found: dict[str, list[int]] = {}
    longer: set[str] = set()
    shown_before: set[str] = set()
    for batch in walk(candidates, messages, reader):
        if before is not None:
            shown_before |= _roots_upto(messages, before, {row.root for row in batch.rows})
        for row in batch.rows:
            if row.root in shown_before:
                continue
            if row.root not in found and len(found) == PAGE:
                return Page(_load(found, longer), str(end))
            known = found.setdefault(row.root, [])
            if len(known) < SHOWN:
                known.append(row.pk)
            else:
                longer.add(row.root)
            end = row.place
        if batch.is_last:
            return Page(_load(found, longer), "")
        end = batch.end
    return Page(_load(found, longer), str(end))


def others_in_conversation(
    messages: MessageQuerySet, chosen: Message, reader: User, *, most: int
) -> tuple[list[Message], bool]:
    """The latest `most` of `messages` in the conversation of `chosen`, the oldest first, and whether there are more.

    Without `chosen` itself and its copies; of the others' copies one, the reader's own first. Two queries at most.
    """
    others = messages.filter(thread__root=chosen.thread.root).exclude(fingerprint=chosen.fingerprint)
    judged = [Row(*row) for row in others.values_list(*COLUMNS)]
    rows = listed(judged, {row.pk for row in judged}, reader)
    shown = [row.pk for row in reversed(rows[:most])]
    return Message.objects.in_order(shown), len(rows) > most


def _roots_upto(messages: MessageQuerySet, before: Place, roots: Collection[str]) -> set[str]:
    """Those of `roots` that an earlier page has shown."""
    # Few conversations reach over the end of a page: `messages`, which costs more, is asked about those alone.
    for asked in (Message.objects.all(), messages):
        if roots:
            earlier = asked.filter(before.upto(), thread__root__in=roots).order_by()
            roots = set(earlier.values_list("thread__root", flat=True).distinct())
    return set(roots)


def _load(found: dict[str, list[int]], longer: Collection[str]) -> list[Conversation]:
    of = {pk: root for root, pks in found.items() for pk in pks}
    messages: dict[str, list[Message]] = defaultdict(list)
    for message in Message.objects.in_order(list(of)):
        messages[of[message.pk]].append(message)
    return [Conversation(root, messages[root], root in longer) for root in found if root in messages]
