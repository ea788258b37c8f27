"""What an owner can do to their own mail, each deed one function with its transaction inside (R31).

A deed to many messages takes a few statements. It is kept for a while with what it changed, so that it can be undone:
undoing puts back what is still as the deed left it, and leaves alone what was changed since. What is too much to wait for is
done by workers, a batch in a transaction: killed between two, they go on where they were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.mailboxes import NotPossible
from accounts.models import User
from mail.boxes import Box
from mail.cursors import Place
from mail.models import Change, Deed, Folder, Label, Labelling, Message, MessageQuerySet
from mail.removal import delete_for_good, lock
from mail.threads import hold

Kind = Deed.Kind
State = Deed.State

#: So many messages are changed, or deleted for good, while their owner waits; of more, so many in a transaction.
AT_ONCE = 1_000
DELETED_AT_ONCE = 200
UNDO_FOR = timedelta(hours=1)

#: The field that a deed sets, and to what.
_MARKS = {
    Kind.READ: ("is_read", True),
    Kind.UNREAD: ("is_read", False),
    Kind.STAR: ("is_starred", True),
    Kind.UNSTAR: ("is_starred", False),
}
_OPPOSITES = {Kind.READ: Kind.UNREAD, Kind.UNREAD: Kind.READ, Kind.STAR: Kind.UNSTAR, Kind.UNSTAR: Kind.STAR}
GOING_ON = (State.WORKING, State.UNDOING)
#: What can't be undone: it asks before.
FINAL = frozenset({Kind.DELETE, Kind.REMOVE})


# --- one message ----------------------------------------------------------------------------------------------------


def move_message(message: Message, folder: Folder) -> None:
    """Put a message into another folder of its owner's; out of Trash this restores it.

    Raises:
        NotPossible: the folder is somebody else's, or is Drafts, which holds only what is being written.
    """
    with transaction.atomic():
        _check(message.owner_id, [message.pk], folder=folder)
        _change(Kind.MOVE, message.owner_id, [message.pk], folder=folder)
    message.folder = folder


def label_message(message: Message, labels: Iterable[Label]) -> None:
    """Give a message exactly these labels of its owner's.

    Raises:
        NotPossible: one is somebody else's.
    """
    wanted = {label.pk: label for label in labels}
    with transaction.atomic():
        for label in wanted.values():
            _check(message.owner_id, [message.pk], label=label)
        for label in Label.objects.filter(labellings__message=message).exclude(pk__in=wanted):
            _change(Kind.UNLABEL, message.owner_id, [message.pk], label=label)
        for label in wanted.values():
            _change(Kind.LABEL, message.owner_id, [message.pk], label=label)


def mark_message(message: Message, *, is_read: bool | None = None, is_starred: bool | None = None) -> None:
    """Mark a message as read or unread, starred or not; None leaves the mark as it is."""
    for kind, (name, value) in _MARKS.items():
        if {"is_read": is_read, "is_starred": is_starred}[name] is value:
            _change(kind, message.owner_id, [message.pk])
            setattr(message, name, value)


def delete_message(message: Message) -> bool:
    """Move a message to Trash; one that is there already is deleted for good, which the return value says.

    What the fetcher remembers of it stays, without a message: that is how *delete when deleted in CRM Mail* knows (R10).
    """
    with transaction.atomic():
        if _change(Kind.DELETE, message.owner_id, [message.pk])[0]:
            return True
        _change(Kind.MOVE, message.owner_id, [message.pk], folder=_trash(message.owner_id))
        return False


# --- many messages --------------------------------------------------------------------------------------------------


def do(
    kind: Deed.Kind,
    box: Box,
    chosen: MessageQuerySet | None,
    *,
    upto: int | None = None,
    folder: Folder | None = None,
    label: Label | None = None,
) -> Deed:
    """Do something to messages in a box: the `chosen` ones of its messages, or with None all that it holds.

    Of all, what was filed after the message `upto`, which its owner has not seen in the list, is left alone. Starring
    marks the newest chosen message of a conversation, taking the star off all. Only what is in Trash is deleted for good.

    Raises:
        NotPossible: the folder or label is somebody else's, or the folder is Drafts.
    """
    owner = box.owner
    if chosen is None:
        return _begin(kind, box, upto, folder, label)
    with transaction.atomic():
        ids = list(chosen.newest_first().values_list("pk", "thread_id"))
        if kind == Kind.STAR:
            newest: dict[int, int] = {}
            for pk, thread in ids:
                newest.setdefault(thread, pk)
            wanted = list(newest.values())
        else:
            wanted = [pk for pk, _ in ids]
        _check(owner.pk, wanted, folder=folder, label=label)
        deed = Deed.objects.create(owner=owner, kind=kind, folder=folder, label=label, total=len(wanted))
        if kind == Kind.DELETE:
            _take(deed, wanted)
        else:
            # In the order in which they are locked.
            wanted.sort()
            for start in range(0, len(wanted), AT_ONCE):
                _take(deed, wanted[start : start + AT_ONCE])
        deed.save(update_fields=["done"])
        return _kept(deed)


def undo(owner: User, pk: int) -> Deed:
    """Put back what a deed changed and is still as it left it; how much that was is the deed's `restored`.

    Done twice it does nothing more. A deed that workers are busy with ends where it is and is undone by them.

    Raises:
        NotPossible: it can't be undone any more.
    """
    with transaction.atomic():
        deed = Deed.objects.select_for_update(of=("self",)).filter(owner=owner, pk=pk).first()
        if deed is None or deed.kind in FINAL or deed.at < timezone.now() - UNDO_FOR:
            raise NotPossible("That can’t be undone any more.")
        if deed.state in {State.DONE, State.WORKING}:
            is_large = deed.done > AT_ONCE
            deed.state = State.UNDOING
            deed.save(update_fields=["state"])
            if not is_large:
                # All at once: one change after the other would lock them in another order.
                changed = {pk for change in deed.changes.all() for pk in change.messages}
                Message.objects.filter(owner=owner, pk__in=changed).lock()
            while not is_large and deed.state == State.UNDOING:
                _undo_change(deed)
    return deed


def work_on(pk: int) -> bool:
    """Do, or undo, the next batch of a deed that is too much for a request; whether there is more."""
    with transaction.atomic():
        deed = Deed.objects.select_for_update(of=("self",)).filter(pk=pk).first()
        if deed is None or not deed.is_going_on:
            return False
        if deed.state == State.UNDOING:
            _undo_change(deed)
            return deed.is_going_on
        box = Box.from_selection(deed.owner, deed.selection)
        candidates = box.candidates(Place.read(deed.place), first=_batch(deed)) if box else None
        taken = candidates.take() if candidates else {}
        if box and candidates and taken:
            wanted = box.messages().filter(pk__in=taken, pk__lte=deed.selection["upto"])
            _take(deed, list(wanted.values_list("pk", flat=True)))
            deed.place = str(candidates.place)
        if candidates is None or candidates.is_last:
            _finish(deed, box)
        deed.save(update_fields=["place", "done", "state"])
        return deed.is_going_on


def forget_old() -> None:
    """Let go of deeds whose time to be undone is over."""
    Deed.objects.filter(at__lt=timezone.now() - UNDO_FOR).exclude(state__in=GOING_ON).delete()


def _begin(kind: Deed.Kind, box: Box, upto: int | None, folder: Folder | None, label: Label | None) -> Deed:
    """A deed to all of a box: its first batch at once, the rest by workers."""
    owner = box.owner
    with transaction.atomic():
        if upto is None:
            upto = Message.objects.owned_by(owner).order_by("-pk").values_list("pk", flat=True).first() or 0
        _check(owner.pk, [], folder=folder, label=label)
        deed = Deed.objects.create(
            owner=owner,
            kind=kind,
            folder=folder,
            label=label,
            selection=box.as_selection() | {"upto": upto},
            total=box.messages().filter(pk__lte=upto).count(),
            state=State.WORKING,
        )
        work_on(deed.pk)
        deed.refresh_from_db()
        return _kept(deed)


def _kept(deed: Deed) -> Deed:
    """The deed, which is forgotten at once if it changed nothing."""
    if not deed.done and not deed.is_going_on:
        deed.delete()
    return deed


def _finish(deed: Deed, box: Box | None) -> None:
    """What is left to do when a worker has seen all of the box. A folder that got more mail meanwhile is walked again."""
    deed.state = State.DONE
    if deed.kind == Kind.REMOVE and box is not None and box.folder is not None:
        newest = box.messages().order_by("-pk").values_list("pk", flat=True).first()
        if newest is None:
            box.folder.delete()
        else:
            deed.state, deed.place, deed.selection = State.WORKING, "", deed.selection | {"upto": newest}
            deed.save(update_fields=["selection"])


def _batch(deed: Deed) -> int:
    return DELETED_AT_ONCE if deed.kind == Kind.DELETE else AT_ONCE


def _take(deed: Deed, ids: Collection[int]) -> None:
    """Do a deed to some messages and note what it changed."""
    kind = Deed.Kind(deed.kind)
    done, changes = _change(kind, deed.owner_id, ids, folder=deed.folder, label=deed.label)
    deed.done += done
    if kind not in FINAL:
        for change in changes:
            change.deed = deed
        Change.objects.bulk_create(changes)


def _undo_change(deed: Deed) -> None:
    """Put back the messages of one of a deed's changes, the last one first."""
    change = deed.changes.order_by("-pk").first()
    if change is None:
        deed.state = State.UNDONE
        deed.save(update_fields=["state", "restored"])
        return
    kind = Deed.Kind(deed.kind)
    locked = Message.objects.filter(owner=deed.owner_id, pk__in=change.messages).lock()
    messages = Message.objects.filter(pk__in=locked)
    if kind in _OPPOSITES:
        restored = _change(_OPPOSITES[kind], deed.owner_id, change.messages)[0]
    elif kind == Kind.LABEL:
        restored = Labelling.objects.filter(label=deed.label, message__in=messages).delete()[0]
    elif kind == Kind.UNLABEL:
        restored = _change(Kind.LABEL, deed.owner_id, change.messages, label=deed.label)[0]
    elif before := Folder.objects.filter(account__user=deed.owner_id, pk__in=[change.before]).first():
        restored = messages.filter(folder__in=[change.after]).update(folder=before)
    else:
        restored = 0
    Deed.objects.filter(pk=deed.pk).update(restored=F("restored") + restored)
    deed.restored += restored
    change.delete()


# --- what is done to each -------------------------------------------------------------------------------------------


def _check(owner: int, ids: Collection[int], *, folder: Folder | None = None, label: Label | None = None) -> None:
    if folder is not None:
        if folder.account.user_id != owner:
            raise NotPossible("That folder is not in the account that holds this message.")
        others = Message.objects.filter(pk__in=ids, is_draft=False)
        if folder.kind == Folder.Kind.DRAFTS and (not ids or others.exists()):
            raise NotPossible("Drafts holds only messages that are being written.")
    if label is not None and label.account.user_id != owner:
        raise NotPossible("That label is not in the account that holds this message.")


def _change(
    kind: Deed.Kind,
    owner: int,
    ids: Collection[int],
    *,
    folder: Folder | None = None,
    label: Label | None = None,
) -> tuple[int, list[Change]]:
    """Do something to those of an owner's messages to which it is not done yet; how many those are, and the changes."""
    with transaction.atomic():
        chosen = Message.objects.filter(owner=owner, pk__in=ids)
        if kind == Kind.DELETE:
            hold(owner)
            return delete_for_good(lock(chosen.filter(folder__kind=Folder.Kind.TRASH))), []
        # Locked in one order, so that two deeds to the same messages wait for each other instead of failing.
        messages = chosen.select_for_update(of=("self",), no_key=True).order_by("pk")
        if kind in _MARKS:
            name, value = _MARKS[kind]
            found = list(messages.filter(**{name: not value}).values_list("pk", flat=True))
            Message.objects.filter(pk__in=found).update(**{name: value})
            if name == "is_read":
                Labelling.objects.filter(message__in=found).update(is_read=value)
            return len(found), [Change(messages=found)] if found else []
        if label is not None:
            return _relabel(kind, list(messages), label)
        return _move(list(messages.values_list("pk", "folder_id", "direction", "is_draft")), owner, folder)


def _relabel(kind: Deed.Kind, messages: Sequence[Message], label: Label) -> tuple[int, list[Change]]:
    labellings = Labelling.objects.filter(label=label, message__in=messages)
    labelled = set(labellings.values_list("message_id", flat=True))
    if kind == Kind.UNLABEL:
        labellings.delete()
        found = sorted(labelled)
    else:
        fresh = [message for message in messages if message.pk not in labelled]
        Labelling.objects.bulk_create(
            (Labelling(message=message, label=label, date=message.date, is_read=message.is_read) for message in fresh),
            ignore_conflicts=True,
        )
        found = [message.pk for message in fresh]
    return len(found), [Change(messages=found)] if found else []


def _move(rows: Sequence[tuple[int, int, str, bool]], owner: int, folder: Folder | None) -> tuple[int, list[Change]]:
    """Put messages into a folder; without one those in Trash are restored to where such mail is filed."""
    moves: dict[tuple[int, int], list[int]] = defaultdict(list)
    folders = dict(
        Folder.objects.filter(account__user=owner).exclude(kind=Folder.Kind.CUSTOM).values_list("kind", "pk")
    )
    for pk, before, direction, is_draft in rows:
        if folder is not None:
            after = folder.pk
        elif before != folders[Folder.Kind.TRASH]:
            continue
        elif is_draft:
            after = folders[Folder.Kind.DRAFTS]
        else:
            after = folders[Folder.Kind.SENT if direction == Message.Direction.SENT else Folder.Kind.INBOX]
        if before != after:
            moves[before, after].append(pk)
    for (_, after), ids in moves.items():
        Message.objects.filter(pk__in=ids).update(folder=after)
    changes = [Change(messages=ids, before=before, after=after) for (before, after), ids in moves.items()]
    return sum(map(len, moves.values())), changes


def _trash(owner: int) -> Folder:
    return Folder.objects.select_related("account").get(account__user=owner, kind=Folder.Kind.TRASH)
