"""Searching the mail that somebody may see (R31): what a search means for them, and its results.

Results are candidates of the index, which `visible_to`'s condition judges, a bounded number at a time. Where many
messages have the words, only the newest of them are taken: as many as the database's own estimate says are enough. So a
word that half of all mail has costs no more than one that hardly any has; how far one look goes depends on that
estimate, what it finds never.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from zoneinfo import ZoneInfo

from django.db.models import Exists, IntegerField, OuterRef, Q, QuerySet
from django.db.models.functions import Cast
from django.db.models.lookups import Exact
from django.utils import timezone

from accounts.among import among
from accounts.models import User
from customers.models import Customer
from mail.cursors import Place
from mail.matching import has_correspondent
from mail.models import Correspondence, Folder, Labelling, Message, MessageQuerySet, SearchBuild, SearchEntry
from mail.search import Unindexed, estimates
from mail.search_query import Filter, Query, Words
from mail.walking import COLUMNS, Row, listed
from mail.words import fold
from sharing.modes import Mode
from sharing.naming import CUSTOMERS, named
from sharing.ranking import Texts, ranked, texts_of
from sharing.visibility import Sight

PAGE = 25
#: Counts stop here; beyond it is said that there are more.
COUNTED = 100
#: So many messages with the words one look expects to take, and so many of them at most it has judged.
TAKEN, JUDGED = 500, 200
#: Looking for words in an entry takes as long as gathering so many from the index of words.
ENTRY = 10
#: Where a larger share of all mail would be looked at, all of it takes no longer than to find where that share ends.
WORTHWHILE = 1 / 3
#: So many with the words it takes at most, where something else that is asked for leaves few of them; where no more have
#: the words they are looked up in all mail.
MOST = 4_000
ANYWHERE = "anywhere"

Narrow = Callable[[MessageQuerySet], MessageQuerySet]


class Scope(StrEnum):
    """In which mail somebody searches."""

    ALL = "all"
    MINE = "mine"
    SHARED = "shared"


class Order(StrEnum):
    """What comes first; `BEST` within what one look finds."""

    NEWEST = "newest"
    BEST = "best"


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for: words, dates, and conditions on messages, which have the dates in them but not the words.

    `is_own` says that only the searcher's own can fulfil them; `problems` are sentences; with one of them nothing is found.
    """

    conditions: tuple[Q, ...]
    words: Words
    since: dt.datetime | None
    before: dt.datetime | None
    is_own: bool
    problems: tuple[str, ...] = ()

    def narrow(self, messages: MessageQuerySet) -> MessageQuerySet:
        """Those of `messages` that are searched for, whatever words they have: `find` asks for these."""
        return messages.filter(*self.conditions) if not self.problems else messages.none()


def search_for(viewer: User, query: Query, *, with_trash: bool = False) -> Search:
    """What a query means for somebody: labels and folders are theirs, dates are days of their time zone.

    What they have put into Trash is left out unless `with_trash`, or the query names a folder.
    """
    reader = _Meaning(viewer, query)
    conditions = [reader.condition(each) for each in query.filters]
    since = _midnight(query.since, viewer) if query.since else None
    before = _midnight(query.before, viewer) if query.before else None
    if since:
        conditions.append(Q(search__date__gte=since))
    if before:
        conditions.append(Q(search__date__lt=before))
    if not with_trash and not any(each.kind == "folder" and not each.is_not for each in query.filters):
        # What others have put there nobody else sees.
        conditions.append(~Q(folder__in=Folder.objects.filter(account__user=viewer, kind=Folder.Kind.TRASH)))
    own = {"folder", "label", "read", "starred"}
    return Search(
        conditions=tuple(conditions),
        words=query.words,
        since=since,
        before=before,
        is_own=any(
            each.kind in own and not (each.is_not and each.kind in {"folder", "label"}) and not _is_anywhere(each)
            for each in query.filters
        ),
        problems=(*query.problems, *reader.problems),
    )


def with_customer(search: Search, customer: Customer) -> Search:
    """The same search in the mail of one lead or contact."""
    return replace(
        search, conditions=(*search.conditions, _with_correspondents(customer.organization_id, [customer.pk]))
    )


def today(viewer: User) -> dt.date:
    """The day it is for somebody."""
    return timezone.localdate(timezone=ZoneInfo(viewer.organization.time_zone))


def _midnight(day: dt.date, viewer: User) -> dt.datetime:
    """When a day begins for somebody; the first and the last days that there are stay within what is a time."""
    edge = dt.timedelta(days=2)
    day = min(max(day, dt.date.min + edge), dt.date.max - edge)
    return dt.datetime.combine(day, dt.time(), ZoneInfo(viewer.organization.time_zone))


def _with_correspondents(organization: int, customers: Collection[int]) -> Q:
    """Condition on messages: one of `customers` (ids) is a correspondent."""
    # Where they have little mail PostgreSQL begins with their links, which it can do with a plain list of messages only.
    links = Correspondence.objects.filter(customer__in=customers).values("message")
    return Q(pk__in=links) & has_correspondent(organization, customer__in=customers)


def _is_anywhere(asked: Filter) -> bool:
    """Whether a filter names all folders, and so narrows nothing."""
    return asked.kind == "folder" and not asked.is_not and fold(asked.value).split() == [ANYWHERE]


class _Meaning:
    """What filters mean for somebody."""

    def __init__(self, viewer: User, query: Query) -> None:
        self._viewer = viewer
        self._named = named(viewer, (each for each in query.filters if not _is_anywhere(each)))
        self.problems: list[str] = []

    def condition(self, asked: Filter) -> Q:
        """A filter as a condition on messages."""
        condition: Q = getattr(self, f"_{asked.kind}")(asked)
        return condition

    def _attachment(self, asked: Filter) -> Q:
        return Q(has_attachments=not asked.is_not)

    def _direction(self, asked: Filter) -> Q:
        return ~Q(direction=asked.value) if asked.is_not else Q(direction=asked.value)

    def _read(self, asked: Filter) -> Q:
        return self._mine_and("is_read", (asked.value == "yes") is not asked.is_not)

    def _starred(self, asked: Filter) -> Q:
        return self._mine_and("is_starred", not asked.is_not)

    def _mine_and(self, mark: str, value: bool) -> Q:
        # As a number no index has it: all unread mail of all users would be gathered to meet what one of them searches.
        return Q(owner=self._viewer) & Q(Exact(Cast(mark, IntegerField()), int(value)))

    def _label(self, asked: Filter) -> Q:
        labelled = Labelling.objects.filter(message=OuterRef("pk"), label__in=self._own(asked))
        found = Q(Exists(labelled), owner=self._viewer)
        return ~found if asked.is_not else found

    def _folder(self, asked: Filter) -> Q:
        if _is_anywhere(asked):
            return Q()
        found = Q(folder__in=self._own(asked), owner=self._viewer)
        return ~found if asked.is_not else found

    def _customer(self, asked: Filter) -> Q:
        ids = self._named[asked.kind, asked.value]
        if not ids:
            self.problems.append(f"No lead or contact fits “{asked.value}”.")
        elif len(ids) > CUSTOMERS:
            self.problems.append(f"More than {CUSTOMERS} leads and contacts fit “{asked.value}”. Say more of one.")
        found = _with_correspondents(self._viewer.organization_id, ids)
        return ~found if asked.is_not else found

    def _own(self, asked: Filter) -> list[int]:
        ids = self._named[asked.kind, asked.value]
        if not ids:
            self.problems.append(f"You have no {asked.kind} “{asked.value}”.")
        return ids


@dataclass(frozen=True, slots=True)
class Where:
    """The mailboxes that are looked through, from when and up to when."""

    mailboxes: Collection[int]
    since: dt.datetime | None = None
    before: dt.datetime | None = None

    def entries(self) -> QuerySet[SearchEntry]:
        """All that is there."""
        bounds = {"date__gte": self.since, "date__lt": self.before}
        bounds = {name: value for name, value in bounds.items() if value is not None}
        return SearchEntry.objects.filter(among("mailbox", self.mailboxes), **bounds)


@dataclass(frozen=True, slots=True)
class Found:
    """What one look found, newest first.

    `end` is where it ended, None where there is nothing further; a look from `start` on finds the same again, whatever
    arrives meanwhile.
    """

    rows: list[Row]
    end: Place | None
    start: Place | None


def mailboxes_in(scope: Scope, sight: Sight) -> set[int]:
    """The mailboxes whose mail is searched."""
    mine = {pk for pk, (owner, _) in sight.modes.owners.items() if owner == sight.viewer.pk}
    shared = sight.modes.mailboxes_in(Mode.PUBLIC, Mode.CUSTOM)
    return {Scope.ALL: mine | shared, Scope.MINE: mine, Scope.SHARED: set(shared - mine)}[scope]


def find(
    messages: MessageQuerySet,
    narrow: Narrow,
    sight: Sight,
    where: Where,
    place: Place | None = None,
    *,
    words: Words,
    reader: User | None = None,
) -> Found:
    """The next results after `place`: those of `messages`, all of which `sight` may see, that have `words` and `narrow` leaves.

    They are looked for at `where`. With a `reader` copies are listed once, as `mail.walking.judge` says.
    """
    hits = narrow(Message.objects.filter(among("search__mailbox", where.mailboxes)))
    end, is_small = _window(where.entries(), hits.filter(_having(words)), words, place)
    beyond = place.after("search__date", "search__pk") if place else Q()
    hits = hits.filter(_having(words, is_judged=is_small))
    if end is not None:
        hits = hits.filter(search__date__gte=end.date)
    order = (Unindexed("search__date").desc(), "-search__pk")
    some = hits.filter(beyond, sight.narrowing()).order_by(*order)[:JUDGED]
    taken = {Place(date, pk): mark for pk, date, mark in some.values_list("pk", "search__date", "fingerprint")}
    if len(taken) == JUDGED:
        end = list(taken)[-1]
    elif end is not None:
        taken = {each: mark for each, mark in taken.items() if (each.date, each.pk) >= (end.date, end.pk)}
    start = next((Place(each.date, each.pk + 1) for each in taken), None)
    ids = {each.pk for each in taken}
    # One statement: with the copies of what was taken, which are few, or without.
    which = {"pk__in": ids} if reader is None else {"fingerprint__in": set(taken.values())}
    found = narrow(messages).filter(_having(words, is_judged=True), **which)
    judged = [Row(*row) for row in found.values_list(*COLUMNS)] if ids else []
    return Found(listed(judged, ids, reader), end, start)


def _having(words: Words, *, is_judged: bool = False) -> Q:
    """Condition on messages: they have the words; `is_judged` if something else finds them."""
    return Q(**{f"search__words__{'holds' if is_judged else 'match'}": words}) if words else Q()


def _window(
    entries: QuerySet[SearchEntry], hits: MessageQuerySet, words: Words, place: Place | None
) -> tuple[Place | None, bool]:
    """Where the newest messages end among which enough of `hits` are to be expected; None if all there are should be taken.

    And whether these are so few that it is quicker to look for the words in each.
    """
    having = entries.filter(words__match=words) if words else entries
    expected = estimates(hits, having, entries)
    if expected is None or expected[1] <= MOST:
        return None, False
    # Enough to have enough, unless that is too much work.
    size = min(expected[2] * TAKEN // max(expected[0], 1), expected[2] * MOST // expected[1])
    if size > expected[2] * WORTHWHILE:
        return None, False
    rows = entries.filter(place.after() if place else Q()).order_by("-date", "-pk").values_list("date", "pk")
    return next((Place(*row) for row in rows[size : size + 1]), None), size * ENTRY < expected[1]


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a page of results begins: behind `place`, the newest of all if it is None, and `skipped` results of that look."""

    place: Place | None = None
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.place}|{self.skipped}"

    @classmethod
    def read(cls, text: str) -> Turn:
        """What `str()` of a turn gave; the first page for anything else."""
        place, _, number = text.rpartition("|")
        is_number = number.isascii() and number.isdigit() and len(number) < 5
        read = Place.read(place) if is_number else None
        return cls(read, int(number)) if read else cls()

    def page(self, found: Found, size: int, words: Words, texts: Texts | None = None) -> tuple[list[Row], Turn | None]:
        """The results of a page that begins here, of what the look from here `found`; where the next page begins.

        The best match comes first if `texts` of the results are given, else the newest.
        """
        rows = found.rows if texts is None else ranked(found.rows, words, texts)
        following = self.skipped + size
        if len(rows) <= following:
            turn = Turn(found.end) if found.end else None
        elif texts is None:
            turn = Turn(rows[following - 1].place)
        else:
            turn = Turn(found.start, following)
        return rows[self.skipped : following], turn


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A page of results and the cursor of the next one.

    `count` is how many the look found that it is of, without those on earlier pages; `is_all` whether there are no more;
    `is_first` whether it is the first page of that look. `names` are those of attachments by message, where they are
    known already. `is_indexing` says that stored mail is still being indexed, so that older mail may not be found yet.
    """

    messages: list[Message]
    cursor: str
    count: int
    is_all: bool
    is_first: bool = True
    is_indexing: bool = False
    names: Mapping[int, Sequence[str]] | None = None


def page_of(
    sight: Sight, search: Search, scope: Scope = Scope.ALL, cursor: str = "", order: Order = Order.NEWEST
) -> SearchPage:
    """A page of what `search` finds for a viewer; copies once. It may be short, or empty, while there are further ones.

    `cursor` is that of the page before; one that can't be read counts as none.
    """
    if search.problems:
        return SearchPage([], "", 0, is_all=True)
    messages = {Scope.ALL: sight.messages, Scope.MINE: sight.messages, Scope.SHARED: sight.of_colleagues}[scope]()
    mailboxes = mailboxes_in(Scope.MINE if search.is_own else scope, sight)
    where = Where(mailboxes, search.since, search.before)
    if scope == Scope.MINE:
        messages = messages.owned_by(sight.viewer)
    turn = Turn.read(cursor)
    found = find(messages, search.narrow, sight, where, turn.place, words=search.words, reader=sight.viewer)
    texts = texts_of(found.rows, search.words) if order == Order.BEST else None
    rows, following = turn.page(found, PAGE, search.words, texts)
    # Known with any of the messages.
    loaded = Message.objects.select_related("body").annotate(is_indexing=Exists(SearchBuild.objects.all()))
    shown = loaded.in_order([row.pk for row in rows])
    return SearchPage(
        messages=shown,
        cursor=str(following or ""),
        count=max(len(found.rows) - turn.skipped, 0),
        is_all=found.end is None,
        is_first=not turn.skipped,
        is_indexing=shown[0].is_indexing if shown else SearchBuild.objects.exists(),  # type: ignore[attr-defined]
        names=None if texts is None else {row.pk: texts[row.pk].get("name", []) for row in rows},
    )
