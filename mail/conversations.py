"""Messages as conversations: the copies and answers that share a root, the latest first (R30).

Everything is worked out from the messages that are passed in, so nothing tells of one that is not among them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import F, Max, Q, Window
from django.db.models.functions import RowNumber
from django.utils.dateparse import parse_datetime

from mail.models import Message, MessageQuerySet

PAGE = 25
#: The latest messages of a conversation that a page shows; the others are reached from any of them.
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages of one conversation, the latest first; never empty."""

    root: str
    messages: list[Message]

    @property
    def latest(self) -> Message:
        """The newest message."""
        return self.messages[0]


@dataclass(frozen=True, slots=True)
class Page:
    """Some conversations and, if there are more, the cursor that asks for them."""

    conversations: list[Conversation]
    cursor: str


def page_of(messages: MessageQuerySet, cursor: str = "") -> Page:
    """A page of the conversations in `messages`, by their newest message; two queries.

    `cursor` is that of the page before; one that can't be read counts as none.
    """
    roots = messages.order_by().values("thread__root").annotate(last=Max("date")).order_by("-last", "-thread__root")
    after = _read(cursor)
    if after is not None:
        moment, root = after
        roots = roots.filter(Q(last__lt=moment) | Q(last=moment, thread__root__lt=root))
    chosen = list(roots[: PAGE + 1])
    shown = [row["thread__root"] for row in chosen[:PAGE]]
    by_root: dict[str, list[Message]] = defaultdict(list)
    place = Window(RowNumber(), partition_by=F("thread__root"), order_by=(F("date").desc(), F("pk").desc()))
    for message in (
        messages.filter(thread__root__in=shown)
        .annotate(place=place)
        .filter(place__lte=SHOWN)
        .select_related("owner", "mailbox", "thread")
        .newest_first()
    ):
        by_root[message.thread.root].append(message)
    last = chosen[PAGE - 1] if len(chosen) > PAGE else None
    return Page(
        [Conversation(root, by_root[root]) for root in shown if by_root[root]],
        f"{last['last'].isoformat()}|{last['thread__root']}" if last else "",
    )


def _read(cursor: str) -> tuple[datetime, str] | None:
    moment, _, root = cursor.partition("|")
    try:
        date = parse_datetime(moment)
        date = date.astimezone(UTC) if date is not None and date.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
    return (date, root) if date is not None and root and "\0" not in root else None
