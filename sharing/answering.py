"""What needs somebody's answer: conversations with a customer whose last word is the customer's (R34).

It is looked for in the mailboxes of the one who is to answer. An answer is any later mail of the conversation that has
to do with a customer: their own, a colleague's that came to them too, and a colleague's that they may see. Who says that
it needs none is not asked again until the customer writes anew.

Candidates are walked along an index, a batch of the latest mail a page, so that it costs the same however much there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from customers.models import Customer
from mail.cursors import Place
from mail.matching import correspondents_by_id
from mail.models import Message, Thread
from sharing.visibility import Sight

#: So much of one's own latest mail with customers is looked at for a page.
BATCH = 200
PAGE = 20


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """The last messages of conversations that wait, the latest first, each with its customers.

    `cursor` asks for more; empty where there can be no more.
    """

    waiting: list[tuple[Message, list[Customer]]]
    cursor: str


def waiting_for(sight: Sight, cursor: str = "", *, most: int = PAGE) -> WaitingPage:
    """A page of what waits for the viewer's answer; a cursor that can't be read counts as none."""
    viewer, place = sight.viewer, Place.read(cursor)
    own = Message.objects.owned_by(viewer).filter(has_customer=True, is_draft=False)
    rows = own.filter(place.after()) if place else own
    columns = ("pk", "date", "thread", "direction")
    found = list(rows.newest_first().values_list(*columns)[:BATCH])
    newest: dict[int, tuple[int, datetime, str]] = {}
    for pk, date, thread, direction in found:
        newest.setdefault(thread, (pk, date, direction))
    if place is not None:
        later = own.filter(place.upto(), thread__in=newest).values_list("thread", flat=True)
        for thread in set(later):
            del newest[thread]
    received = [pk for pk, _, direction in newest.values() if direction == Message.Direction.RECEIVED]
    not_dismissed = Q(thread__dismissed_at=None) | Q(thread__dismissed_at__lt=F("filed_at"))
    judged = sight.customer_mail().owned_by(viewer).filter(not_dismissed, pk__in=received)
    roots = dict(judged.values_list("pk", "thread__root"))
    answered = _answered_by_colleagues(sight, set(roots.values()))
    waiting = [
        (pk, date)
        for pk, date, _ in newest.values()
        if pk in roots and not (roots[pk] in answered and answered[roots[pk]] > date)
    ]
    end = Place(found[-1][1], found[-1][0]) if len(found) == BATCH else None
    if len(waiting) > most:
        waiting = waiting[:most]
        end = Place(waiting[-1][1], waiting[-1][0])
    shown = [pk for pk, _ in waiting]
    customers = correspondents_by_id(shown, viewer.organization_id)
    messages = Message.objects.in_order(shown)
    return WaitingPage([(each, customers[each.pk]) for each in messages], str(end) if end else "")


def dismiss(viewer: User, thread: Thread) -> None:
    """Say that what is in a conversation of one's own by now needs no answer."""
    Thread.objects.filter(owner=viewer, pk=thread.pk).update(dismissed_at=timezone.now())


def take_back(viewer: User, thread: Thread) -> None:
    """Say that it does need one."""
    Thread.objects.filter(owner=viewer, pk=thread.pk).update(dismissed_at=None)


def _answered_by_colleagues(sight: Sight, roots: set[str]) -> dict[str, datetime]:
    """When a colleague last wrote in each conversation, as far as the viewer may see it."""
    sent = sight.of_colleagues(Q(direction=Message.Direction.SENT, thread__root__in=roots)) if roots else None
    answered: dict[str, datetime] = {}
    for root, date in sent.values_list("thread__root", "date") if sent is not None else ():
        answered[root] = max(date, answered.get(root, date))
    return answered
