"""The list of customer mail that colleagues share with somebody, and which of it they have not read (R24, R34)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from customers.models import Customer
from mail.cursors import Place
from mail.matching import correspondents_by_id, has_correspondent
from mail.models import IN_TRASH, Correspondence, Folder, Message
from mail.walking import Candidates, Row, judge, walk
from sharing.models import CaughtUp, ReadMark
from sharing.visibility import Sight

#: Counts of unread mail stop here; beyond it the exact number helps nobody.
COUNTED = 99
PAGE = 20
FACETS = 8
#: Mail that was left unread for longer is not counted by customer.
UNREAD_DAYS = 30


@dataclass(frozen=True, slots=True)
class FeedPage:
    """A page of shared mail: first what is unread, then the rest, each newest first, and the cursor of the next page.

    `customers` are the correspondents of each message.
    """

    unread: list[Message]
    read: list[Message]
    cursor: str
    customers: dict[int, list[Customer]]

    def unread_by_colleague(self) -> list[tuple[int, int]]:
        """How much of the page's unread mail each colleague (an id) shares, most first."""
        return Counter(message.owner_id for message in self.unread).most_common(FACETS)

    def unread_by_customer(self) -> list[tuple[Customer, int]]:
        """How much of the page's unread mail is with each customer, most first."""
        found = (customer for message in self.unread for customer in self.customers[message.pk])
        return Counter(found).most_common(FACETS)


def page_of(
    sight: Sight,
    cursor: str = "",
    *,
    colleague: int | None = None,
    customers: QuerySet[Customer] | None = None,
) -> FeedPage:
    """A page of the customer mail that colleagues share with a viewer, each message once.

    What the viewer has a copy of is not listed, unless `colleague` (an id) asks for what one of them shares.
    `customers` narrows the list to mail with them. `cursor` is that of the page before; one that can't be read counts
    as none.
    """
    part, _, rest = cursor.partition("|")
    place = Place.read(rest) if part in {"unread", "read"} else None
    feed = _Feed(sight, colleague, customers)
    fresh = feed.candidates(True, place if part == "unread" else None)
    known = feed.candidates(False, place if part == "read" else None)
    unread: list[Row] = []
    read: list[Row] = []
    while True:
        taken = fresh.take() if part != "read" and fresh.can_go_on else {}
        unread_is_done = part == "read" or fresh.is_last
        rest_taken = known.take() if unread_is_done and known.can_go_on else {}
        rows = feed.judge(taken | rest_taken)
        unread += [row for row in rows if row.pk in taken]
        read += [row for row in rows if row.pk in rest_taken]
        enough = len(unread) > PAGE or (unread_is_done and len(unread) + len(read) > PAGE)
        if enough or not ((fresh.can_go_on and part != "read") or (unread_is_done and known.can_go_on)):
            break
    if not unread_is_done or len(unread) > PAGE:
        unread, read = unread[:PAGE], []
        cursor = f"unread|{unread[-1].place if len(unread) == PAGE else fresh.place}"
    elif len(unread) + len(read) > PAGE:
        read = read[: PAGE - len(unread)]
        # A page that unread mail fills to the brim is followed by one that begins with the first of the rest.
        cursor = f"read|{read[-1].place if read else ''}"
    else:
        cursor = "" if known.is_last else f"read|{known.place}"
    shown = [row.pk for row in [*unread, *read]]
    messages = Message.objects.in_order(shown)
    read_ids = {row.pk for row in read}
    return FeedPage(
        unread=[message for message in messages if message.pk not in read_ids],
        read=[message for message in messages if message.pk in read_ids],
        cursor=cursor,
        customers=correspondents_by_id(shown, sight.viewer.organization_id),
    )


class _Feed:
    """What colleagues share with a viewer, one of them and with some customers if asked for."""

    def __init__(self, sight: Sight, colleague: int | None = None, customers: QuerySet[Customer] | None = None) -> None:
        self.viewer = sight.viewer
        # One's own copies stand for others, too, unless a colleague's are asked for; `judge` leaves them out.
        self.messages = sight.messages(~IN_TRASH) if colleague is None else sight.of_colleagues(Q(owner=colleague))
        self._rows: QuerySet[Any] = sight.candidates(colleague).exclude(owner=sight.viewer)
        self._pk, self._fingerprint = "pk", "fingerprint"
        if customers is not None:
            with_them = has_correspondent(sight.viewer.organization_id, customer__in=customers.values("pk"))
            self.messages = self.messages.filter(with_them)
            self._rows = Correspondence.objects.filter(customer__in=customers.values("pk"))
            self._pk, self._fingerprint = "message", "message__fingerprint"

    def candidates(self, is_unread: bool, place: Place | None = None, *, first: int = 2 * PAGE) -> Candidates:
        """What may be unread, or read, after `place`."""
        condition = self._is_unread if is_unread else ~self._is_unread
        rows = self._rows.filter(condition)
        return Candidates(rows, place, pk=self._pk, fingerprint=self._fingerprint, first=first)

    def judge(self, candidates: Mapping[int, str]) -> list[Row]:
        """Those of `candidates` that are in the feed, newest first."""
        return [row for row in judge(candidates, self.messages, self.viewer) if row.owner != self.viewer.pk]

    @cached_property
    def _is_unread(self) -> Q:
        marks = ReadMark.objects.filter(reader=self.viewer, message=OuterRef(self._pk))
        return Q(date__gt=caught_up_until(self.viewer)) & ~Q(Exists(marks))


def latest_customer_mail(sight: Sight, count: int) -> list[Message]:
    """The newest mail with leads and contacts that somebody may see, own and shared; copies once, nothing discarded."""
    newest: list[int] = []
    candidates = Candidates(sight.candidates(), fingerprint="fingerprint", first=3 * count)
    for batch in walk(candidates, sight.customer_mail(), sight.viewer):
        newest += [row.pk for row in batch.rows]
        if len(newest) >= count:
            break
    return Message.objects.in_order(newest[:count])


def caught_up_until(viewer: User) -> datetime:
    """Up to when all shared mail counts as read: when they last said so, else when they joined."""
    mark = CaughtUp.objects.filter(reader=viewer).first()
    return mark.until if mark else viewer.date_joined


def catch_up(viewer: User) -> None:
    """Count all mail shared up to now as read."""
    CaughtUp.objects.update_or_create(reader=viewer, defaults={"until": timezone.now()})


def count_unread_shared(sight: Sight) -> int:
    """How much of what colleagues share is unread, counted up to `COUNTED` + 1."""
    feed = _Feed(sight)
    candidates, count = feed.candidates(True, first=COUNTED + PAGE), 0
    while candidates.can_go_on and count <= COUNTED:
        count += len(feed.judge(candidates.take()))
    return min(count, COUNTED + 1)


def count_unread_own(viewer: User) -> int:
    """How much of the viewer's Inbox, and of where they put customers' mail together, is unread, up to `COUNTED` + 1."""
    inbox = Q(kind=Folder.Kind.INBOX) | ~Q(consolidations=None)
    folders = Folder.objects.filter(inbox, account__user=viewer)
    unread = Message.objects.filter(folder__in=folders, is_read=False)
    return unread[: COUNTED + 1].count()


@dataclass(frozen=True, slots=True)
class UnreadOf:
    """How much unread mail there is with a customer: one's own and what colleagues share."""

    customer: Customer
    own: int
    shared: int


def unread_by_customer(sight: Sight) -> list[UnreadOf]:
    """Unread customer mail of the last `UNREAD_DAYS` days by customer, most first; counted up to `COUNTED` + 1 each."""
    viewer = sight.viewer
    received = {"has_customer": True, "is_read": False, "is_draft": False, "direction": Message.Direction.RECEIVED}
    lately = timezone.now() - timedelta(days=UNREAD_DAYS)
    own = Message.objects.owned_by(viewer).not_discarded().filter(**received, date__gt=lately).newest_first()
    mine = list(own.values_list("pk", flat=True)[: COUNTED + 1])
    feed = _Feed(sight)
    shared = [row.pk for row in feed.judge(feed.candidates(True, first=COUNTED + 1).take()) if row.date > lately]
    customers = correspondents_by_id([*mine, *shared], viewer.organization_id)
    of_mine, of_shared = (Counter(each for pk in pks for each in customers[pk]) for pks in (mine, shared))
    return [UnreadOf(each, of_mine[each], of_shared[each]) for each, _ in (of_mine + of_shared).most_common(FACETS)]
