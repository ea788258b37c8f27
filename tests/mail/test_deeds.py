"""What an owner does to many messages at once, and undoing it (R31)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox
from fetcher.models import SeenUid
from mail import deeds
from mail.arranging import add_folder, add_label, remove_folder, remove_label, rename_folder
from mail.boxes import COUNTED, LOOKED_AT, Box, labels_of
from mail.deeds import do, undo, work_on
from mail.models import Change, Deed, Folder, Label, Labelling, Message, Thread
from mail.tasks import carry_out_deeds
from tests import factories

pytestmark = pytest.mark.django_db

Kind = Deed.Kind
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def ann() -> Mailbox:
    """Ann's mailbox."""
    return factories.mailbox(email_address="ann@our.example")


def folder(mailbox: Mailbox, kind: str) -> Folder:
    """One of the standard folders of the mailbox's owner."""
    return Folder.objects.get(account__user=mailbox.owner, kind=kind)


def inbox(mailbox: Mailbox) -> Box:
    """The Inbox of the mailbox's owner."""
    return Box(mailbox.owner, folder(mailbox, "inbox"))


def received(mailbox: Mailbox, count: int = 1) -> list[Message]:
    """Messages that are conversations of their own."""
    return [factories.message(mailbox=mailbox, date=START + timedelta(minutes=number)) for number in range(count)]


def to(kind: Deed.Kind, box: Box, threads: list[int] | None, upto: int | None = None, **given: Any) -> Deed:
    """Do something to conversations in a box, or with None to all of it."""
    return do(kind, box, None if threads is None else box.of(threads, upto), upto=upto, **given)


def places(*messages: Message) -> list[str]:
    """The names of the folders that messages are in now."""
    found = dict(Message.objects.filter(pk__in=[each.pk for each in messages]).values_list("pk", "folder__name"))
    return [found[each.pk] for each in messages]


def test_moving_and_undoing_puts_each_message_back_where_it_was(ann: Mailbox) -> None:
    """R31: undo before confirm."""
    offers, old = (add_folder(ann.owner.mail_account, name) for name in ("Offers", "Old"))
    one, other = received(ann, 2)
    deeds.move_message(other, offers)
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    to(Kind.LABEL, inbox(ann), [one.thread_id], label=label)
    to(Kind.LABEL, Box(ann.owner, offers), [other.thread_id], label=label)
    deed = to(Kind.MOVE, Box(ann.owner, label=label), [one.thread_id, other.thread_id], folder=old)
    assert (deed.done, places(one, other)) == (2, ["Old", "Old"])
    assert undo(ann.owner, deed.pk).restored == 2
    assert places(one, other) == ["Inbox", "Offers"]


def test_undoing_leaves_alone_what_was_changed_since(ann: Mailbox) -> None:
    """R31: compare and set; a second undo does nothing more."""
    offers = add_folder(ann.owner.mail_account, "Offers")
    one, other = received(ann, 2)
    deed = to(Kind.MOVE, inbox(ann), [one.thread_id, other.thread_id], folder=folder(ann, "trash"))
    deeds.move_message(other, offers)
    assert undo(ann.owner, deed.pk).restored == 1
    assert places(one, other) == ["Inbox", "Offers"]
    deeds.move_message(one, offers)
    undo(ann.owner, deed.pk)
    assert places(one, other) == ["Offers", "Offers"]


@pytest.mark.parametrize(
    ("kind", "field"), [(Kind.READ, "is_read"), (Kind.UNREAD, "is_read"), (Kind.STAR, "is_starred")]
)
def test_undoing_a_mark_changes_back_only_what_the_deed_changed(ann: Mailbox, kind: Deed.Kind, field: str) -> None:
    """R31: what was read already stays read."""
    value = kind != Kind.UNREAD
    one, other = received(ann, 2)
    Message.objects.filter(pk=one.pk).update(**{field: value})
    Message.objects.filter(pk=other.pk).update(**{field: not value})
    deed = to(kind, inbox(ann), [one.thread_id, other.thread_id])
    assert deed.done == 1
    assert set(Message.objects.values_list(field, flat=True)) == {value}
    undo(ann.owner, deed.pk)
    assert dict(Message.objects.values_list("pk", field)) == {one.pk: value, other.pk: not value}


def test_labels_are_put_on_taken_off_and_both_undone(ann: Mailbox) -> None:
    """R31."""
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    one, other = received(ann, 2)
    deeds.label_message(one, [label])
    on = to(Kind.LABEL, inbox(ann), [one.thread_id, other.thread_id], label=label)
    assert on.done == 1
    assert set(Labelling.objects.values_list("message", "date")) == {(each.pk, each.date) for each in (one, other)}
    undo(ann.owner, on.pk)
    assert list(label.messages.all()) == [one]
    off = to(Kind.UNLABEL, inbox(ann), [one.thread_id, other.thread_id], label=label)
    assert not label.messages.exists()
    undo(ann.owner, off.pk)
    assert list(label.messages.all()) == [one]


def test_what_was_read_is_known_with_its_labels(ann: Mailbox) -> None:
    """R31: however a message came to be read or unread, before it got the label or after."""
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    one, other = received(ann, 2)

    def unread() -> set[Message]:
        known = set(Message.objects.filter(labellings__is_read=False))
        assert known == set(label.messages.filter(is_read=False)) == set(Box(ann.owner, None, label, True).messages())
        return known

    deeds.mark_message(one, is_read=True)
    to(Kind.LABEL, inbox(ann), [one.thread_id, other.thread_id], label=label)
    assert unread() == {other}
    read = to(Kind.READ, inbox(ann), None)
    assert unread() == set()
    undo(ann.owner, read.pk)
    assert unread() == {other}
    deeds.mark_message(one, is_read=False)
    assert unread() == {one, other}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="EXPLAIN is read as PostgreSQL writes it")
def test_unread_mail_with_a_label_is_walked_along_an_index_of_its_own(ann: Mailbox) -> None:
    """speed.md: a label on very much mail, of which the newest is read."""
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    message = factories.message(mailbox=ann)
    copies = (
        Message(**{f.attname: getattr(message, f.attname) for f in Message._meta.concrete_fields if not f.primary_key})
        for _ in range(6_000)
    )
    labelled = Message.objects.bulk_create(copies)
    Labelling.objects.bulk_create(
        Labelling(message=each, label=label, date=START + timedelta(minutes=number), is_read=number > 100)
        for number, each in enumerate(labelled)
    )
    Message.objects.filter(labellings__is_read=True).update(is_read=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE mail_labelling, mail_message")
    with CaptureQueriesContext(connection) as asked:
        assert [each.unread for each in labels_of(ann.owner)] == [COUNTED + 1]  # type: ignore[attr-defined]
        assert len(Box(ann.owner, None, label, True).candidates().take()) == LOOKED_AT
    for query in asked:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN ANALYZE {query['sql']}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "labelling_unread_by_date" in plan
        assert "Seq Scan on mail_labelling" not in plan
        assert "Seq Scan on mail_message" not in plan


def test_starring_marks_the_newest_message_and_unstarring_all(ann: Mailbox) -> None:
    """R31."""
    first = factories.message(mailbox=ann, message_id="first@x", date=START)
    second = factories.message(mailbox=ann, references=["first@x"], date=START + timedelta(hours=1))
    to(Kind.STAR, inbox(ann), [first.thread_id])
    assert list(Message.objects.filter(is_starred=True)) == [second]
    deeds.mark_message(first, is_starred=True)
    to(Kind.UNSTAR, inbox(ann), [first.thread_id])
    assert not Message.objects.filter(is_starred=True).exists()


def test_restoring_puts_mail_where_such_mail_is_filed(ann: Mailbox) -> None:
    """R31: received mail to the Inbox, sent mail to Sent."""
    got = factories.message(mailbox=ann)
    sent = factories.message(mailbox=ann, sender="ann@our.example", to=["bea@acme.example"])
    trash = folder(ann, "trash")
    for message in (got, sent):
        deeds.move_message(message, trash)
    deed = to(Kind.RESTORE, Box(ann.owner, trash), [got.thread_id, sent.thread_id])
    assert places(got, sent) == ["Inbox", "Sent"]
    undo(ann.owner, deed.pk)
    assert places(got, sent) == ["Trash", "Trash"]


def test_only_what_is_in_trash_is_deleted_for_good_and_that_is_final(ann: Mailbox) -> None:
    """R31, R10: the fetcher keeps its memory of the message, without it."""
    kept, gone = received(ann, 2)
    deeds.move_message(gone, folder(ann, "trash"))
    assert to(Kind.DELETE, inbox(ann), [kept.thread_id]).done == 0
    deed = to(Kind.DELETE, Box(ann.owner, folder(ann, "trash")), [gone.thread_id])
    assert deed.done == 1
    assert list(Message.objects.all()) == [kept]
    assert SeenUid.objects.filter(message=None).count() == 1
    assert not Thread.objects.filter(pk=gone.thread_id).exists()
    with pytest.raises(NotPossible):
        undo(ann.owner, deed.pk)


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_comes_while_its_conversation_is_deleted_is_kept(ann: Mailbox) -> None:
    """Nothing is lost: it waits, and is filed then. SQLite writes one transaction after the other anyway."""
    if connection.vendor != "postgresql":
        pytest.skip("transactions at the same time need PostgreSQL")
    gone = factories.message(mailbox=ann, message_id="first@x")
    deeds.move_message(gone, folder(ann, "trash"))
    waited = []

    def answer() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '200ms'")
                factories.message(mailbox=ann, references=["first@x"])
        except OperationalError as error:
            waited.append(error)
        finally:
            connection.close()

    def answers_then(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        found = execute(sql, params, many, context)
        if not waited and sql.startswith("SELECT") and 'FROM "mail_thread"' in sql:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(answer).result()
        return found

    with connection.execute_wrapper(answers_then):
        deeds.delete_message(gone)
    assert waited or Message.objects.exists()


def test_nobody_touches_or_undoes_the_mail_of_others(ann: Mailbox) -> None:
    """R1, R23: nor do others' folders and labels take it."""
    ben = factories.mailbox(owner=factories.user(organization=ann.owner.organization))
    message = factories.message(mailbox=ann)
    assert to(Kind.READ, inbox(ben), [message.thread_id]).total == 0
    assert to(Kind.READ, Box(ben.owner), [message.thread_id]).total == 0
    theirs = add_folder(ben.owner.mail_account, "Mine"), add_label(ben.owner.mail_account, "Mine", "#c2413b")
    with pytest.raises(NotPossible):
        to(Kind.MOVE, inbox(ann), [message.thread_id], folder=theirs[0])
    with pytest.raises(NotPossible):
        to(Kind.LABEL, inbox(ann), [message.thread_id], label=theirs[1])
    deed = to(Kind.READ, inbox(ann), [message.thread_id])
    with pytest.raises(NotPossible):
        undo(ben.owner, deed.pk)
    assert Message.objects.get().is_read


def test_drafts_takes_nothing_that_is_not_being_written(ann: Mailbox) -> None:
    """interface.md: Drafts."""
    message = factories.message(mailbox=ann)
    for threads in ([message.thread_id], None):
        with pytest.raises(NotPossible):
            to(Kind.MOVE, inbox(ann), threads, folder=folder(ann, "drafts"))


def test_what_arrived_after_the_list_was_shown_is_left_alone(ann: Mailbox) -> None:
    """R31: nobody deletes what they have not seen."""
    seen = factories.message(mailbox=ann, message_id="first@x")
    unseen = factories.message(mailbox=ann, references=["first@x"])
    trash = folder(ann, "trash")
    to(Kind.MOVE, inbox(ann), [seen.thread_id], upto=seen.pk, folder=trash)
    assert places(seen, unseen) == ["Trash", "Inbox"]
    deeds.move_message(seen, folder(ann, "inbox"))
    do(Kind.MOVE, inbox(ann), None, upto=seen.pk, folder=trash)
    assert places(seen, unseen) == ["Trash", "Inbox"]


def test_undo_is_for_a_while_and_what_is_over_is_forgotten(ann: Mailbox) -> None:
    """R31."""
    message = factories.message(mailbox=ann)
    deed = to(Kind.READ, inbox(ann), [message.thread_id])
    Deed.objects.update(at=timezone.now() - deeds.UNDO_FOR - timedelta(seconds=1))
    with pytest.raises(NotPossible):
        undo(ann.owner, deed.pk)
    fresh = to(Kind.UNREAD, inbox(ann), [message.thread_id])
    carry_out_deeds()
    assert list(Deed.objects.all()) == [fresh]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two messages are much."""
    monkeypatch.setattr(deeds, "AT_ONCE", 2)
    monkeypatch.setattr(deeds, "DELETED_AT_ONCE", 2)
    return


def test_a_whole_folder_is_done_by_workers_batch_by_batch_and_undone(ann: Mailbox, small_batches: None) -> None:
    """R31: the first batch at once, each in a transaction of its own, the rest by whoever comes."""
    messages = received(ann, 7)
    deed = do(Kind.MOVE, inbox(ann), None, folder=folder(ann, "trash"))
    assert (deed.state, deed.done, deed.total) == ("working", 2, 7)
    carry_out_deeds()
    deed.refresh_from_db()
    assert (deed.state, deed.done) == ("done", 7)
    assert set(places(*messages)) == {"Trash"}
    assert undo(ann.owner, deed.pk).state == "undoing"
    carry_out_deeds()
    deed.refresh_from_db()
    assert (deed.state, deed.restored, set(places(*messages))) == ("undone", 7, {"Inbox"})
    assert not Change.objects.exists()


def test_undoing_what_workers_are_busy_with_stops_it(ann: Mailbox, small_batches: None) -> None:
    """R31."""
    messages = received(ann, 7)
    deed = do(Kind.READ, inbox(ann), None)
    work_on(deed.pk)
    undo(ann.owner, deed.pk)
    carry_out_deeds()
    assert Message.objects.filter(is_read=False).count() == len(messages)


def test_trash_is_emptied_in_batches_of_what_was_there(ann: Mailbox, small_batches: None) -> None:
    """R31: what is moved there meanwhile stays."""
    messages = received(ann, 6)
    trash = folder(ann, "trash")
    for message in messages[:5]:
        deeds.move_message(message, trash)
    late = factories.message(mailbox=ann)
    deed = do(Kind.DELETE, Box(ann.owner, trash), None, upto=messages[-1].pk)
    deeds.move_message(late, trash)
    carry_out_deeds()
    deed.refresh_from_db()
    assert (deed.state, deed.done) == ("done", 5)
    assert set(Message.objects.all()) == {messages[5], late}


def test_a_deed_to_a_label_reaches_all_of_it_and_nothing_in_trash(ann: Mailbox, small_batches: None) -> None:
    """R31."""
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    messages = received(ann, 5)
    for message in messages:
        deeds.label_message(message, [label])
    deeds.move_message(messages[0], folder(ann, "trash"))
    do(Kind.READ, Box(ann.owner, label=label, unread=True), None)
    carry_out_deeds()
    assert list(Message.objects.filter(is_read=False)) == [messages[0]]


def test_a_deed_ends_when_its_folder_is_gone(ann: Mailbox, small_batches: None) -> None:
    """R31."""
    offers = add_folder(ann.owner.mail_account, "Offers")
    for message in received(ann, 5):
        deeds.move_message(message, offers)
    deed = do(Kind.READ, Box(ann.owner, offers), None)
    Message.objects.update(folder=folder(ann, "inbox"))
    offers.delete()
    carry_out_deeds()
    deed.refresh_from_db()
    assert deed.state == "done"


def test_a_thousand_messages_take_a_few_statements(ann: Mailbox) -> None:
    """R31: however many, at most a dozen."""
    message = received(ann)[0]
    values = {field.attname: getattr(message, field.attname) for field in Message._meta.concrete_fields[1:]}
    Message.objects.bulk_create(Message(**values) for _ in range(999))
    for kind in (Kind.READ, Kind.MOVE):
        with CaptureQueriesContext(connection) as queries:
            target = folder(ann, "trash") if kind == Kind.MOVE else None
            assert to(kind, inbox(ann), [message.thread_id], folder=target).done == 1000
        assert len(queries) <= 18, [query["sql"][:80] for query in queries]


# --- folders and labels ---------------------------------------------------------------------------------------------


def test_a_folder_that_is_removed_gives_its_mail_to_another(ann: Mailbox, small_batches: None) -> None:
    """R31: with much mail workers finish it; more that comes meanwhile goes along."""
    offers = add_folder(ann.owner.mail_account, "Offers")
    messages = received(ann, 5)
    for message in messages[:4]:
        deeds.move_message(message, offers)
    remove_folder(offers, folder(ann, "trash"))
    assert Folder.objects.filter(pk=offers.pk).exists()
    deeds.move_message(messages[4], offers)
    carry_out_deeds()
    assert not Folder.objects.filter(pk=offers.pk).exists()
    assert set(places(*messages)) == {"Trash"}


def test_standard_folders_stay_and_names_differ(ann: Mailbox) -> None:
    """R4, R31: also in upper and lower case."""
    account = ann.owner.mail_account
    offers = add_folder(account, "Offers")
    for name in ("offers", "INBOX"):
        with pytest.raises(NotPossible):
            add_folder(account, name)
    with pytest.raises(NotPossible):
        rename_folder(offers, "sent")
    rename_folder(offers, "OFFERS")
    with pytest.raises(NotPossible):
        rename_folder(folder(ann, "trash"), "Bin")
    with pytest.raises(NotPossible):
        remove_folder(folder(ann, "sent"), folder(ann, "trash"))
    with pytest.raises(NotPossible):
        remove_folder(offers, offers)


def test_a_label_that_is_removed_leaves_its_messages(ann: Mailbox) -> None:
    """R31."""
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    message = factories.message(mailbox=ann)
    deeds.label_message(message, [label])
    remove_label(label)
    assert not Label.objects.exists()
    assert Message.objects.filter(pk=message.pk).exists()
