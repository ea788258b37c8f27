"""What a list of one's own mail holds: a folder, what has a label, or what is starred (R31).

Lists show conversations, the newest first. They are walked along an index, only as far as a page needs, so that a page
of a folder costs the same however much is in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from django.db.models import (
    BooleanField,
    Count,
    Exists,
    ExpressionWrapper,
    IntegerField,
    Max,
    OuterRef,
    Q,
    Subquery,
    Value,
)
from django.db.models.lookups import Exact

from accounts.models import User
from customers.models import Customer
from mail.cursors import Place
from mail.matching import correspondents
from mail.models import IN_TRASH, Folder, Label, Labelling, Message, MessageQuerySet, Participant
from mail.walking import Candidates

PER_PAGE = 30
#: So many messages are looked at first for a page of conversations; of a few each there are then enough.
LOOKED_AT = 3 * PER_PAGE
#: Counts of unread mail stop here; beyond it the exact number helps nobody.
COUNTED = 99


@dataclass(frozen=True, slots=True)
class Box:
    """A folder or a label of its owner's, or with neither all that they starred; of it only what is unread, if asked for.

    What is in Trash is in no other box.
    """

    owner: User
    folder: Folder | None = None
    label: Label | None = None
    unread: bool = False

    def __str__(self) -> str:
        return str(self.folder or self.label or "Starred")

    @property
    def is_trash(self) -> bool:
        """Whether it holds what was discarded."""
        return self.folder is not None and self.folder.kind == Folder.Kind.TRASH

    @property
    def condition(self) -> Q:
        """What is in it, as a condition on its owner's messages."""
        if self.folder is not None:
            within = Q(folder=self.folder)
        elif self.label is not None:
            within = Q(Exists(Labelling.objects.filter(label=self.label, message=OuterRef("pk")))) & ~IN_TRASH
        else:
            within = Q(is_starred=True) & ~IN_TRASH
        return within & Q(is_read=False) if self.unread else within

    def messages(self) -> MessageQuerySet:
        """All that is in it, in no order."""
        # A folder's mail is its owner's. Asked for both, PostgreSQL would meet all of the one with all of the other.
        owned = Message.objects.all() if self.folder is not None else Message.objects.owned_by(self.owner)
        return owned.filter(self.condition)

    def of(self, threads: Sequence[int], upto: int | None = None) -> MessageQuerySet:
        """What of these conversations is in it, without what was filed after the message `upto`."""
        found = self.messages().filter(thread__in=threads)
        return found if upto is None else found.filter(pk__lte=upto)

    def candidates(self, place: Place | None = None, *, first: int | None = None) -> Candidates:
        """The way through it, newest first; what is met may not be in it, nothing in it is missed."""
        if self.label is not None:
            labelled = Labelling.objects.filter(label=self.label, **({"is_read": False} if self.unread else {}))
            return Candidates(labelled, place, pk="message", first=first or LOOKED_AT)
        return Candidates(self.messages(), place, first=first or LOOKED_AT)

    def take(self, candidates: Candidates) -> list[Message]:
        """What is in it among the next candidates, newest first; one query, with a label two."""
        if self.label is None:
            return candidates.take_messages()
        return list(self.messages().filter(pk__in=candidates.take()).newest_first())

    def as_selection(self) -> dict[str, Any]:
        """What `from_selection` makes the box of again."""
        return {
            "folder": self.folder and self.folder.pk,
            "label": self.label and self.label.pk,
            "unread": self.unread,
        }

    @classmethod
    def from_selection(cls, owner: User, selection: dict[str, Any]) -> Self | None:
        """The box of a selection that was stored; None if its folder or label is no longer there."""
        folder = label = None
        if selection["folder"] is not None:
            folder = Folder.objects.filter(account__user=owner, pk=selection["folder"]).first()
        if selection["label"] is not None:
            label = Label.objects.filter(account__user=owner, pk=selection["label"]).first()
        if (folder is None) != (selection["folder"] is None) or (label is None) != (selection["label"] is None):
            return None
        return cls(owner, folder, label, selection["unread"])


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation as a list shows it: by its newest message in the box.

    `count` is the number of its messages, without those in Trash unless that is the box; `people` are who wrote them,
    the latest last. The marks are those of the messages in the box.
    """

    latest: Message
    count: int
    people: list[str]
    is_unread: bool
    is_starred: bool
    has_attachments: bool
    labels: list[Label]
    customers: list[Customer]

    @property
    def thread(self) -> int:
        """The id of the conversation."""
        return self.latest.thread_id


@dataclass(frozen=True, slots=True)
class Page:
    """Some conversations and, if there are more, the cursor that asks for them."""

    rows: list[Row]
    cursor: str


def page_of(box: Box, cursor: str = "") -> Page:
    """A page of the conversations in a box, by their newest message in it.

    `cursor` is that of the page before; one that can't be read counts as none.
    """
    before = end = Place.read(cursor)
    candidates = box.candidates(before)
    heads: dict[int, Message] = {}
    earlier: set[int] = set()
    while candidates.can_go_on:
        found = box.take(candidates)
        if before is not None:
            same = box.of([message.thread_id for message in found]).filter(before.upto())
            earlier |= set(same.order_by().values_list("thread", flat=True).distinct())
        for message in found:
            if message.thread_id not in heads and message.thread_id not in earlier:
                if len(heads) == PER_PAGE:
                    return Page(rows_of(box, list(heads.values())), str(end))
                heads[message.thread_id] = message
            end = Place(message.date, message.pk)
        end = candidates.place
    return Page(rows_of(box, list(heads.values())), "" if candidates.is_last else str(end))


def rows_of(box: Box, heads: Sequence[Message]) -> list[Row]:
    """The conversations whose newest messages in the box are `heads`, in that order; three queries or four."""
    if not heads:
        return []
    threads = [message.thread_id for message in heads]
    counts, marks, people = _summaries(box, threads)
    customers = correspondents(heads)
    labels = _labels(threads)
    written_to = _recipients(heads) if box.folder and box.folder.kind in {"sent", "drafts"} else None
    return [
        Row(
            latest=head,
            count=counts[head.thread_id],
            people=people[head.thread_id] if written_to is None else written_to[head.pk] or ["nobody yet"],
            labels=labels[head.thread_id],
            customers=customers[head.pk],
            **{name: name in marks[head.thread_id] for name in ("is_unread", "is_starred", "has_attachments")},
        )
        for head in heads
    ]


def rows_of_threads(box: Box, threads: Sequence[int]) -> list[Row]:
    """Those of some conversations that are in the box now, the newest first."""
    newest: dict[int, int] = {}
    for pk, thread in box.of(threads).newest_first().values_list("pk", "thread_id"):
        newest.setdefault(thread, pk)
    return rows_of(box, list(Message.objects.filter(pk__in=newest.values()).newest_first()))


def folders_of(user: User) -> list[Folder]:
    """A user's folders, the standard ones first, each with `unread`: how much of it is, up to `COUNTED` + 1; one query."""
    unread = Message.objects.filter(folder=OuterRef("pk"), is_read=False).values("pk")[: COUNTED + 1]
    standard: list[Folder] = []
    own: list[Folder] = []
    for folder in Folder.objects.filter(account__user=user).annotate(unread=_CountOf(unread)):
        (own if folder.kind == Folder.Kind.CUSTOM else standard).append(folder)
    return [*standard, *sorted(own, key=lambda folder: folder.name.casefold())]


def labels_of(user: User) -> list[Label]:
    """A user's labels, each with `unread`: how much with it is, up to `COUNTED` + 1; one query."""
    marked = Labelling.objects.filter(label=OuterRef("pk"), is_read=False)
    # In the order of the index, and each looked at alone, so that a label with very much mail is read only until there
    # are enough.
    kind = Message.objects.filter(pk=OuterRef("message")).values("folder__kind")
    newest = marked.exclude(Exact(Subquery(kind), Value(Folder.Kind.TRASH))).order_by("-date", "-message")
    unread = newest.values("pk")[: COUNTED + 1]
    return list(Label.objects.filter(account__user=user).annotate(unread=_CountOf(unread)))


class _CountOf(Subquery):
    """How many rows a subquery has, which may have a limit."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


def _summaries(box: Box, threads: Sequence[int]) -> tuple[dict[int, int], dict[int, set[str]], dict[int, list[str]]]:
    """Of each conversation how many messages it has, which marks those in the box have, and who wrote them; one query."""
    everything = Message.objects.owned_by(box.owner).filter(thread__in=threads)
    everything = everything.filter(folder=box.folder) if box.is_trash else everything.not_discarded()
    inside = ExpressionWrapper(replace(box, unread=False).condition, output_field=BooleanField())
    grouped = (
        everything.annotate(is_inside=inside)
        .values("thread", "from_address", "from_name", "direction", "is_inside")
        .annotate(
            count=Count("pk"),
            is_unread=Count("pk", filter=Q(is_read=False)),
            is_marked=Count("pk", filter=Q(is_starred=True)),
            with_attachments=Count("pk", filter=Q(has_attachments=True)),
            last=Max("date"),
        )
        .order_by("last")
    )
    counts: dict[int, int] = defaultdict(int)
    marks: dict[int, set[str]] = defaultdict(set)
    people: dict[int, dict[str, None]] = defaultdict(dict)
    for group in grouped:
        thread = group["thread"]
        counts[thread] += group["count"]
        name = "me" if group["direction"] == Message.Direction.SENT else group["from_name"] or group["from_address"]
        people[thread].pop(name, None)
        people[thread][name] = None
        if group["is_inside"]:
            has = {
                "is_unread": group["is_unread"],
                "is_starred": group["is_marked"],
                "has_attachments": group["with_attachments"],
            }
            marks[thread] |= {mark for mark, count in has.items() if count}
    return counts, marks, {thread: [name for name in names if name] for thread, names in people.items()}


def _labels(threads: Sequence[int]) -> dict[int, list[Label]]:
    found: dict[int, list[Label]] = defaultdict(list)
    links = Labelling.objects.filter(message__thread__in=threads).order_by("label__name")
    columns = ("message__thread", "label", "label__name", "label__colour")
    for thread, pk, name, colour in links.values_list(*columns).distinct():
        found[thread].append(Label(pk=pk, name=name, colour=colour))
    return found


def _recipients(heads: Sequence[Message]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    roles = (Participant.Role.TO, Participant.Role.CC, Participant.Role.BCC)
    people = Participant.objects.filter(message__in=[head.pk for head in heads], role__in=roles)
    for message, name, address in people.values_list("message_id", "name", "address"):
        found[message].append(name or address)
    return found
