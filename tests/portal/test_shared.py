"""Shared mail: what colleagues share with somebody, unread first, and the counts of what is unread (R24, R34)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox, User
from mail import walking
from mail.models import Message
from sharing import feed
from sharing.models import CaughtUp
from sharing.policies import tick
from tests import factories
from tests.portal.browsers import browser, queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> Mailbox:
    """Ann's Public mailbox, in an organisation that writes with Bea and Carl."""
    box = factories.mailbox(owner=factories.user(name="Ann"), mode="public")
    for name in ("Bea", "Carl"):
        factories.customer(
            organization=box.owner.organization, addresses=[f"{name.lower()}@acme.example"], last_name=name
        )
    return box


@pytest.fixture
def zoe(ann: Mailbox) -> User:
    """A colleague who joined long ago."""
    user = factories.user(organization=ann.owner.organization, name="Zoe", mail_account=True)
    CaughtUp.objects.create(reader=user, until=datetime(2026, 1, 1, tzinfo=UTC))
    return user


def listed(user: User, **filters: Any) -> tuple[list[str], list[str]]:
    """The subjects of what the page lists as unread and as read."""
    context = browser(user).get(reverse("shared"), filters).context
    return tuple([message.subject for message, _ in context[part]] for part in ("unread", "read"))  # type: ignore[return-value]


def counts(user: User) -> tuple[int, int]:
    """Unread mail of one's own, and shared."""
    context = browser(user).get(reverse("unread")).context
    return context["own"], context["shared"]


def write(mailbox: Mailbox, subject: str, *, days: int = 1, sender: str = "bea@acme.example", **fields: Any) -> Message:
    """A message that somebody wrote so many days ago."""
    date = timezone.now() - timedelta(days=days)
    return factories.message(mailbox=mailbox, subject=subject, sender=sender, date=date, **fields)


def test_unread_mail_comes_first_and_each_part_newest_first(ann: Mailbox, zoe: User) -> None:
    """R34."""
    for number in range(4):
        write(ann, f"m{number}", days=number + 1)
    opened = Message.objects.get(subject="m1")
    browser(zoe).get(reverse("message", args=[opened.pk]))
    assert listed(zoe) == (["m0", "m2", "m3"], ["m1"])
    assert counts(zoe) == (0, 3)


def test_what_was_written_before_somebody_caught_up_is_read(ann: Mailbox, zoe: User) -> None:
    """*Mark all as read*; at first everything before they joined."""
    write(ann, "old", days=2)
    browser(zoe).post(reverse("shared-read"))
    assert listed(zoe) == ([], ["old"])
    assert counts(zoe) == (0, 0)
    newcomer = factories.user(organization=zoe.organization)
    assert listed(newcomer) == ([], ["old"])


def test_only_customer_mail_that_is_shared_is_listed(ann: Mailbox, zoe: User) -> None:
    """sharing.md: by `visible_to`."""
    write(ann, "shared")
    write(ann, "a newsletter", sender="news@letters.example")
    kept = write(ann, "kept private")
    kept.is_private = True
    kept.save()
    write(factories.mailbox(owner=factories.user(organization=zoe.organization), mode="private"), "private mailbox")
    custom = factories.mailbox(owner=factories.user(organization=zoe.organization), mode="custom")
    write(custom, "not ticked", sender="carl@acme.example")
    write(custom, "ticked")
    tick(custom.owner, zoe.organization.customers.get(last_name="Bea"))
    assert set(listed(zoe)[0]) == {"shared", "ticked"}
    assert counts(zoe) == (0, 2)


def test_ones_own_mail_is_not_in_it_and_copies_are_listed_once(ann: Mailbox, zoe: User) -> None:
    """R30: nor what one has oneself; asked for one colleague, what they share is listed all the same."""
    ben = factories.mailbox(owner=factories.user(organization=zoe.organization, name="Ben"), mode="public")
    mine = factories.mailbox(owner=zoe, mode="public")
    date = timezone.now() - timedelta(days=1)
    twice = factories.raw_message(subject="twice", message_id="twice@x", date=date)
    for box in (ann, ben):
        factories.file_raw(box, twice)
    thrice = factories.raw_message(subject="thrice", message_id="thrice@x", date=date)
    for box in (ann, ben, mine):
        factories.file_raw(box, thrice)
    write(mine, "my own")
    assert listed(zoe) == (["twice"], [])
    assert counts(zoe) == (2, 1)
    assert set(listed(zoe, colleague=ben.owner_id)[0]) == {"twice", "thrice"}


def test_it_is_narrowed_to_a_colleague_and_to_a_customer(ann: Mailbox, zoe: User) -> None:
    """By customer, by colleague."""
    ben = factories.mailbox(owner=factories.user(organization=zoe.organization), mode="public")
    write(ann, "bea to ann")
    write(ann, "carl to ann", sender="carl@acme.example", days=2)
    write(ben, "bea to ben", days=3)
    bea = zoe.organization.customers.get(last_name="Bea")
    assert listed(zoe, colleague=ann.owner_id)[0] == ["bea to ann", "carl to ann"]
    assert listed(zoe, customer=bea.pk)[0] == ["bea to ann", "bea to ben"]
    assert listed(zoe, customer=bea.pk, colleague=ben.owner_id)[0] == ["bea to ben"]
    assert listed(zoe, find="carl")[0] == ["carl to ann"]
    page = browser(zoe).get(reverse("shared"))
    assert [(customer.last_name, count) for customer, count in page.context["by_customer"]] == [("Bea", 2), ("Carl", 1)]


@pytest.mark.parametrize("value", ["0", "x", "99999999999999999999", "-1", "²"])
def test_who_is_nobody_shares_nothing(ann: Mailbox, zoe: User, value: str) -> None:
    """R1: an unknown id, another organisation's, and a colleague who shares nothing look the same."""
    write(ann, "shared")
    stranger = factories.mailbox(owner=factories.user(organization=factories.organization(domain="rival.example")))
    for given in (value, str(stranger.owner_id), str(zoe.pk)):
        assert listed(zoe, colleague=given) == ([], [])
    assert listed(zoe, customer=value) == ([], [])


def test_it_goes_on_page_by_page_through_unread_and_read(
    ann: Mailbox, zoe: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No message is missing and none comes twice."""
    monkeypatch.setattr(feed, "PAGE", 4)
    monkeypatch.setattr(walking, "FIRST", 3)
    for number in range(11):
        message = write(ann, f"m{number:02}", days=number + 1)
        if number % 3 == 0:
            browser(zoe).get(reverse("message", args=[message.pk]))
    client, cursor, unread, read = browser(zoe), "", [], []
    for _ in range(10):
        context = client.get(reverse("shared"), {"cursor": cursor}, headers={"HX-Request": "true"}).context
        unread += [message.subject for message, _ in context["unread"]]
        read += [message.subject for message, _ in context["read"]]
        cursor = context["cursor"]
        if not cursor:
            break
    assert unread == [f"m{number:02}" for number in range(11) if number % 3]
    assert read == [f"m{number:02}" for number in range(11) if not number % 3]


@pytest.mark.parametrize(
    "cursor", ["x", "unread|", "read|x|y", "unread|9999-99-99|1", "read|2026-01-01T00:00:00+00:00|0"]
)
def test_a_cursor_that_nobody_gave_is_the_beginning(ann: Mailbox, zoe: User, cursor: str) -> None:
    write(ann, "shared")
    assert browser(zoe).get(reverse("shared"), {"cursor": cursor}).status_code == 200


def test_neither_list_nor_count_takes_more_queries_for_more_mail(ann: Mailbox, zoe: User) -> None:
    write(ann, "m")
    few = {name: queries_of(zoe, name) for name in ("shared", "unread")}
    for number in range(30):
        write(ann, f"m{number}", days=number + 1)
    assert {name: queries_of(zoe, name) for name in few} == few


def test_the_mail_of_a_colleague_who_shares_nothing_is_not_gone_through(ann: Mailbox, zoe: User) -> None:
    """However much there is, nothing of it is asked for."""
    write(ann, "m")
    shared = queries_of(zoe, "shared", colleague=str(ann.owner_id))
    factories.share(ann, "private")
    with CaptureQueriesContext(connection) as asked:
        browser(zoe).get(reverse("shared"), {"colleague": ann.owner_id})
    assert queries_of(zoe, "shared", colleague=str(ann.owner_id)) < shared
    assert not any("mail_message" in query["sql"] for query in asked)


def test_turning_private_empties_it_at_the_next_request(ann: Mailbox, zoe: User) -> None:
    """R20, R23."""
    write(ann, "shared")
    assert listed(zoe)[0] == ["shared"]
    factories.share(ann, "private")
    assert listed(zoe) == ([], [])
    assert counts(zoe) == (0, 0)
