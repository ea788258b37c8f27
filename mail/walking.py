"""Reading messages newest first, as far as somebody wants: candidates along an index, then those of them that count.

A database asked for both at once tends to judge everything before it sorts; in two steps the cost is that of a page,
however much mail there is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet

from accounts.models import User
from mail.cursors import Place
from mail.models import Message, MessageQuerySet

#: Candidates that are looked at first; each further step takes so many times more. After the last, the reader may go on
#: from where it ended.
FIRST, GROWTH, STEPS = 60, 5, 4


class Row(NamedTuple):
    """What lists need to know of a message before they show it."""

    pk: int
    date: datetime
    root: str
    fingerprint: str
    owner: int

    @property
    def place(self) -> Place:
        """Where it stands in the list."""
        return Place(self.date, self.pk)


class Candidates:
    """Rows with a `date` and the id of a message in the column named `pk`, which an index holds in the order of both.

    With the column `fingerprint`, too, copies of what is taken can be found.
    """

    def __init__(
        self,
        rows: QuerySet[Any],
        place: Place | None = None,
        *,
        pk: str = "pk",
        fingerprint: str | None = None,
        first: int = FIRST,
    ) -> None:
        self._rows = rows
        self._pk = pk
        self._fingerprint = fingerprint
        self._size = first
        self._steps = STEPS
        #: Where the candidates that were taken end, and whether there are no more to take.
        self.place = place
        self.is_last = False

    @property
    def can_go_on(self) -> bool:
        """Whether there may be more, and they may still be taken."""
        return not self.is_last and self._steps > 0

    def take(self) -> dict[int, str]:
        """The ids of the next ones with their fingerprints, which are empty where no column was named; one query."""
        columns = (self._pk, "date") if self._fingerprint is None else (self._pk, "date", self._fingerprint)
        found = list(self._next().values_list(*columns))
        self._went_to(len(found), Place(found[-1][1], found[-1][0]) if found else None)
        return {pk: mark[0] if mark else "" for pk, _, *mark in found}

    def take_messages(self) -> list[Message]:
        """The next ones themselves, where the rows are messages; one query."""
        found: list[Message] = list(self._next())
        self._went_to(len(found), Place(found[-1].date, found[-1].pk) if found else None)
        return found

    def _next(self) -> QuerySet[Any]:
        rows = self._rows if self.place is None else self._rows.filter(self.place.after(pk=self._pk))
        return rows.order_by("-date", f"-{self._pk}")[: self._size]

    def _went_to(self, count: int, place: Place | None) -> None:
        self.is_last = count < self._size
        self._steps -= 1
        self._size *= GROWTH
        self.place = place or self.place


#: The columns of messages that make a `Row`.
COLUMNS = ("pk", "date", "thread__root", "fingerprint", "owner")


def judge(candidates: Mapping[int, str], messages: MessageQuerySet, reader: User | None = None) -> list[Row]:
    """Those of `messages` that are among `candidates` (fingerprints by id), newest first; one query.

    `messages` come in no order of their own. Of several copies of a message only one is listed: the reader's own, else
    the first stored, among all that are in `messages` (R30). Without a reader copies are messages like any others.
    """
    if not candidates:
        return []
    which = {"pk__in": set(candidates)} if reader is None else {"fingerprint__in": set(candidates.values())}
    judged = [Row(*row) for row in messages.filter(**which).values_list(*COLUMNS)]
    return listed(judged, candidates, reader)


def listed(judged: Iterable[Row], candidates: Collection[int], reader: User | None = None) -> list[Row]:
    """Those of `judged` that are among `candidates`, newest first, and of copies one, as said at `judge`."""
    if reader is not None:
        judged = list(judged)
        best = {row.fingerprint: row.pk for row in sorted(judged, key=lambda row: (row.owner == reader.pk, -row.pk))}
        judged = [row for row in judged if best[row.fingerprint] == row.pk]
    return sorted((row for row in judged if row.pk in candidates), key=lambda row: (row.date, row.pk), reverse=True)


@dataclass(frozen=True, slots=True)
class Batch:
    """The messages that count among some candidates, newest first; `end` is where those candidates ended."""

    rows: list[Row]
    end: Place | None
    is_last: bool


def walk(candidates: Candidates, messages: MessageQuerySet, reader: User | None = None) -> Iterator[Batch]:
    """Those of `messages` that are among `candidates`, in batches; see `judge`."""
    while candidates.can_go_on:
        rows = judge(candidates.take(), messages, reader)
        yield Batch(rows, candidates.place, candidates.is_last)
