"""Messages as conversations: by root, the latest first, a page at a time, telling of nothing that was not passed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Mailbox
from mail import conversations
from mail.conversations import Page, others_in_conversation, page_of
from mail.models import Message
from sharing.visibility import listed_once, visible_to
from tests import factories

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def written(mailbox: Mailbox, minute: int, message_id: str, *references: str) -> Message:
    """A message of that minute."""
    return factories.message(
        mailbox=mailbox,
        message_id=message_id,
        references=references,
        date=START + timedelta(minutes=minute),
        text=f"{message_id} at {minute}",
    )


def roots(page: Page) -> list[str]:
    """The conversations of a page."""
    return [conversation.root for conversation in page.conversations]


def test_answers_stand_with_what_they_answer_and_the_latest_comes_first() -> None:
    """R30."""
    mailbox = factories.mailbox()
    first = written(mailbox, 1, "a@x")
    other = written(mailbox, 2, "b@x")
    answer = written(mailbox, 3, "c@x", "a@x")
    page = page_of(Message.objects.all())
    assert [conversation.messages for conversation in page.conversations] == [[answer, first], [other]]
    assert page.conversations[0].latest == answer
    assert page.cursor == ""


def test_colleagues_copies_of_one_conversation_are_one_conversation() -> None:
    """R30."""
    organization = factories.organization()
    ann, ben = (factories.mailbox(owner=factories.user(organization=organization)) for _ in range(2))
    written(ann, 1, "a@x")
    written(ben, 2, "b@x", "a@x")
    assert len(page_of(Message.objects.all()).conversations) == 1


def test_a_message_that_was_not_passed_in_leaves_no_trace() -> None:
    """sharing.md: no other message of the thread that fails the rule, and no count that includes one."""
    organization = factories.organization()
    ann = factories.mailbox(owner=factories.user(organization=organization))
    cleo = factories.mailbox(owner=factories.user(organization=organization), mode="private")
    seen = written(ann, 1, "a@x")
    written(cleo, 2, "b@x", "a@x")
    written(cleo, 9, "z@x")
    page = page_of(visible_to(ann.owner))
    assert [conversation.messages for conversation in page.conversations] == [[seen]]


def test_the_pages_together_hold_every_conversation_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """R30: the cursor goes on where the page ended, also among messages of the same moment."""
    monkeypatch.setattr(conversations, "PAGE", 3)
    mailbox = factories.mailbox()
    for number in range(8):
        written(mailbox, number // 4, f"m{number}@x")
    found: list[str] = []
    cursor = ""
    for expected in (3, 3, 2):
        page = page_of(listed_once(Message.objects.all(), mailbox.owner), cursor)
        assert len(page.conversations) == expected
        found += roots(page)
        cursor = page.cursor
    assert cursor == ""
    assert len(set(found)) == len(found) == 8


def test_mail_that_arrives_between_two_pages_moves_nothing_on_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor, not a page number."""
    monkeypatch.setattr(conversations, "PAGE", 2)
    mailbox = factories.mailbox()
    for number in range(4):
        written(mailbox, number, f"m{number}@x")
    first = page_of(Message.objects.all())
    written(mailbox, 9, "late@x")
    assert roots(page_of(Message.objects.all(), first.cursor)) == ["m1@x", "m0@x"]


@pytest.mark.parametrize(
    "cursor",
    [
        "|",
        "nonsense",
        "2026-11-02|a@x",
        "2026-11-02T09:00:00|a@x",
        "2026-13-45T99:00:00+00:00|a@x",
        "0001-01-01T00:00:00+14:00|a@x",
        "9999-12-31T23:59:59-14:00|a@x",
        "2026-11-02T09:00:00+00:00|",
        "2026-11-02T09:00:00+00:00|\0",
    ],
)
def test_a_cursor_that_cannot_be_read_counts_as_none(cursor: str) -> None:
    """It comes from an address bar."""
    written(factories.mailbox(), 1, "a@x")
    assert roots(page_of(Message.objects.all(), cursor)) == ["a@x"]


def test_a_conversation_without_end_shows_its_latest_messages_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page stays bounded whatever it holds."""
    monkeypatch.setattr(conversations, "SHOWN", 2)
    mailbox = factories.mailbox()
    written(mailbox, 0, "old@x")
    written(mailbox, 1, "a@x")
    answers = [written(mailbox, minute, f"a{minute}@x", "a@x") for minute in range(2, 7)]
    page = page_of(listed_once(Message.objects.all(), mailbox.owner))
    assert roots(page) == ["a@x", "old@x"]
    assert page.conversations[0].messages == [answers[-1], answers[-2]]
    assert [conversation.has_more for conversation in page.conversations] == [True, False]


@pytest.mark.parametrize("count", [1, 6, 60])
def test_a_page_takes_as_many_queries_for_much_mail_as_for_little(count: int) -> None:
    """No query a row; R30."""
    mailbox = factories.mailbox()
    for number in range(count):
        written(mailbox, number, f"m{number}@x")
    messages = visible_to(mailbox.owner)
    with CaptureQueriesContext(connection) as queries:
        page = page_of(messages, reader=mailbox.owner)
        assert {conversation.latest.subject for conversation in page.conversations}
    assert len(queries) == 3


def test_of_several_copies_one_is_listed_the_readers_own_first() -> None:
    """R30."""
    organization = factories.organization()
    ann, ben = (factories.mailbox(owner=factories.user(organization=organization)) for _ in range(2))
    raw = factories.raw_message(sender="bea@acme.example", message_id="same@x")
    factories.customer(organization=organization, addresses=["bea@acme.example"])
    first, second = factories.file_raw(ann, raw), factories.file_raw(ben, raw)
    for reader, listed in ((ann.owner, first), (ben.owner, second), (factories.user(organization=organization), first)):
        page = page_of(visible_to(reader), reader=reader)
        assert [conversation.messages for conversation in page.conversations] == [[listed]]
    factories.share(ann, "private")
    page = page_of(visible_to(reader), reader=reader)
    assert [conversation.messages for conversation in page.conversations] == [[second]]


def test_the_others_of_a_conversation_are_listed_once_and_the_latest_of_many() -> None:
    """R30: one's own copy of an answer, not a colleague's; no copy of the message itself."""
    organization = factories.organization()
    ann, ben = (factories.mailbox(owner=factories.user(organization=organization)) for _ in range(2))
    chosen, _ = (written(each, 1, "a@x") for each in (ann, ben))
    _, mine = (written(each, 2, "b@x", "a@x") for each in (ben, ann))
    theirs = written(ben, 3, "c@x", "a@x")
    everything = Message.objects.all()
    assert others_in_conversation(everything, chosen, ann.owner, most=9) == ([mine, theirs], False)
    assert others_in_conversation(everything, chosen, ann.owner, most=1) == ([theirs], True)
    assert others_in_conversation(everything.filter(pk=chosen.pk), chosen, ann.owner, most=9) == ([], False)


def test_what_is_deleted_while_a_page_is_made_is_left_out() -> None:
    """R30: found in one statement, gone in the next."""
    mailbox = factories.mailbox()
    first, gone, last = (factories.message(mailbox=mailbox) for _ in range(3))
    number = gone.pk
    gone.delete()
    assert Message.objects.in_order([last.pk, number, first.pk]) == [last, first]
    assert Message.objects.in_order([]) == []
