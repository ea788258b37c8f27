"""What needs somebody's answer: conversations with a customer whose last word is the customer's (R34)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import Mailbox, Organization
from mail.deeds import delete_message
from mail.models import Message
from sharing import answering
from sharing.answering import dismiss, take_back, waiting_for
from sharing.policies import keep_private
from sharing.visibility import Sight
from tests import factories

pytestmark = pytest.mark.django_db

BEA, CARL = "bea@acme.example", "carl@acme.example"
DAY = datetime(2026, 11, 2, 9, tzinfo=UTC)


@pytest.fixture
def organization() -> Organization:
    """With two customers."""
    made = factories.organization()
    for address in (BEA, CARL):
        factories.customer(organization=made, addresses=[address], last_name=address[:4])
    return made


@pytest.fixture
def mine(organization: Organization) -> Mailbox:
    """A mailbox of somebody who keeps all of it private."""
    return factories.mailbox(owner=factories.user(organization=organization), mode="private")


@pytest.fixture
def theirs(organization: Organization) -> Mailbox:
    """A colleague's, who shares."""
    return factories.mailbox(owner=factories.user(organization=organization), mode="public")


def came(mailbox: Mailbox, hours: int, subject: str = "Question", **fields: Any) -> Message:
    """What a customer wrote, if nobody else is named."""
    return factories.message(
        mailbox=mailbox, subject=subject, date=DAY + timedelta(hours=hours), **{"sender": BEA} | fields
    )


def went(mailbox: Mailbox, hours: int, **fields: Any) -> Message:
    """What the owner of a mailbox wrote to a customer."""
    return came(mailbox, hours, **{"sender": mailbox.email_address, "to": [BEA]} | fields)


def waiting(mailbox: Mailbox, cursor: str = "") -> list[str]:
    """The subjects of what waits for the owner's answer."""
    return [message.subject for message, _ in waiting_for(Sight(mailbox.owner), cursor).waiting]


def test_a_customer_s_last_word_waits_the_latest_first(mine: Mailbox) -> None:
    """Of each conversation its last message, with the customers."""
    came(mine, 0, "first", message_id="a@acme.example")
    came(mine, 2, "first again", references=["a@acme.example"])
    came(mine, 1, "second", sender=CARL)
    assert waiting(mine) == ["first again", "second"]
    [_, (_, customers)] = waiting_for(Sight(mine.owner)).waiting
    assert [customer.last_name for customer in customers] == ["carl"]


def test_what_i_answered_does_not_wait_until_the_customer_writes_again(mine: Mailbox) -> None:
    """My own answer is the last word."""
    came(mine, 0, message_id="a@acme.example")
    went(mine, 1, references=["a@acme.example"], message_id="b@our.example")
    assert waiting(mine) == []
    came(mine, 2, "again", references=["a@acme.example", "b@our.example"])
    assert waiting(mine) == ["again"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"sender": "shop@news.example"}, "no customer"),
        ({"sender": "shop@news.example", "cc": [BEA]}, "a customer is merely copied"),
        ({"sender": "cleo@our.example"}, "a colleague on a record"),
    ],
)
def test_only_customers_wait(mine: Mailbox, fields: dict[str, Any], why: str) -> None:
    """sharing.md, *correspondent customer*."""
    factories.customer(organization=mine.owner.organization, addresses=["cleo@our.example"])
    came(mine, 0, **fields)
    assert waiting(mine) == [], why


def test_what_a_colleague_answered_does_not_wait_if_i_may_see_it(mine: Mailbox, theirs: Mailbox) -> None:
    """R34 by the sharing contract: what I may not see tells me nothing."""
    came(mine, 0, message_id="a@acme.example", to=["all@our.example"])
    came(theirs, 0, message_id="a@acme.example", to=["all@our.example"])
    answer = went(theirs, 1, references=["a@acme.example"])
    assert waiting(mine) == []
    keep_private(theirs.owner, answer, private=True)
    assert waiting(mine) == ["Question"]


def test_a_colleague_s_answer_before_the_last_word_is_none(mine: Mailbox, theirs: Mailbox) -> None:
    """The customer wrote again."""
    came(theirs, 0, message_id="a@acme.example")
    went(theirs, 1, references=["a@acme.example"])
    came(mine, 2, references=["a@acme.example"])
    assert waiting(mine) == ["Question"]


def test_a_colleague_s_answer_that_came_to_me_is_one(mine: Mailbox) -> None:
    """Even where the colleague keeps their mailbox private: I have it myself."""
    came(mine, 0, message_id="a@acme.example")
    came(mine, 1, sender="cleo@our.example", to=[BEA, mine.email_address], references=["a@acme.example"])
    assert waiting(mine) == []


def test_what_came_to_a_colleague_only_waits_for_them(mine: Mailbox, theirs: Mailbox) -> None:
    """Shared mail is theirs to answer."""
    came(theirs, 0)
    assert waiting(mine) == []
    assert waiting(theirs) == ["Question"]


def test_what_was_deleted_does_not_wait_and_nothing_waits_in_its_place(mine: Mailbox) -> None:
    """Who deletes a customer's last word has dealt with the conversation."""
    came(mine, 0, message_id="a@acme.example")
    delete_message(came(mine, 1, references=["a@acme.example"]))
    assert waiting(mine) == []


def test_a_draft_is_no_answer(mine: Mailbox) -> None:
    """It has not been sent."""
    came(mine, 0, message_id="a@acme.example")
    draft = went(mine, 1, references=["a@acme.example"])
    Message.objects.filter(pk=draft.pk).update(is_draft=True)
    assert waiting(mine) == ["Question"]


def test_dismissed_until_the_customer_writes_again(mine: Mailbox) -> None:
    """And taken back when that was a mistake. Somebody else's conversations are not dismissed."""
    message = came(mine, 0, message_id="a@acme.example")
    dismiss(factories.user(), message.thread)
    assert waiting(mine) == ["Question"]
    dismiss(mine.owner, message.thread)
    assert waiting(mine) == []
    take_back(mine.owner, message.thread)
    assert waiting(mine) == ["Question"]
    dismiss(mine.owner, message.thread)
    came(mine, 1, "again", references=["a@acme.example"])
    assert waiting(mine) == ["again"]


def test_who_is_deactivated_is_shown_nothing(mine: Mailbox) -> None:
    """sharing.md, line 1."""
    came(mine, 0)
    mine.owner.is_active = False
    assert waiting(mine) == []


@pytest.mark.parametrize(("batch", "most"), [(200, 2), (3, 20), (3, 1), (1, 1)])
def test_pages_miss_nothing_and_repeat_nothing(
    mine: Mailbox, monkeypatch: pytest.MonkeyPatch, batch: int, most: int
) -> None:
    """However far the answers and earlier messages of a conversation lie behind each other."""
    monkeypatch.setattr(answering, "BATCH", batch)
    expected = []
    for number in range(5):
        root = f"{number}@acme.example"
        came(mine, number, f"old {number}", message_id=root)
        came(mine, 10 + number, f"new {number}", references=[root])
        if number % 2:
            went(mine, 20 + number, references=[root])
        else:
            expected.insert(0, f"new {number}")
    found, cursor, pages = [], "", 0
    while pages == 0 or cursor:
        page = waiting_for(Sight(mine.owner), cursor, most=most)
        found += [message.subject for message, _ in page.waiting]
        cursor, pages = page.cursor, pages + 1
        assert pages < 20
    assert found == expected


def test_a_cursor_that_can_t_be_read_counts_as_none(mine: Mailbox) -> None:
    """Whatever a link was cut to."""
    came(mine, 0)
    assert waiting(mine, "2026-99-99|x") == ["Question"]
