"""Reading mail on screen: one's own by folder (R4, R31)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.urls import reverse

from accounts.models import Mailbox, User
from customers.models import Customer
from mail.models import Folder, Message
from portal import reading
from tests import factories
from tests.portal.browsers import browser, page, queries_of

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32


@pytest.fixture
def ann() -> Mailbox:
    """Ann's Public mailbox."""
    owner = factories.user(name="Ann", email="ann@our.example")
    return factories.mailbox(owner=owner, mode="public", email_address="ann@our.example", name="Ann's POP3")


@pytest.fixture
def ben(ann: Mailbox) -> User:
    """Ann's colleague."""
    return factories.user(organization=ann.owner.organization, name="Ben", email="ben@our.example", mail_account=True)


@pytest.fixture
def bea(ann: Mailbox) -> Customer:
    """A contact of theirs."""
    return factories.customer(
        organization=ann.owner.organization, first_name="Bea", last_name="Stone", addresses=["bea@acme.example"]
    )


# --- folders --------------------------------------------------------------------------------------------------------


def test_without_a_crm_mail_account_the_mail_page_prompts_to_set_one_up() -> None:
    """R4."""
    assert reverse("mail-account") in page(factories.user(), "mail").split("<main")[1]


def test_the_inbox_lists_ones_own_mail_newest_first_with_the_customers_name(ann: Mailbox, bea: Customer) -> None:
    """R31."""
    factories.message(mailbox=ann, sender="Bea <bea@acme.example>", subject="Older", date=START)
    factories.message(mailbox=ann, sender="x@y.example", subject="Newer", date=START + timedelta(hours=1))
    shown = page(ann.owner, "mail")
    assert shown.index("Newer") < shown.index("Older")
    assert "Bea Stone" in shown


def test_unread_mail_stands_out_until_its_owner_opens_it(ann: Mailbox) -> None:
    """R31."""
    message = factories.message(mailbox=ann)
    assert "is-unread" in page(ann.owner, "mail")
    page(ann.owner, "message", message.pk)
    assert "is-unread" not in page(ann.owner, "mail")


def test_a_colleagues_opening_marks_nothing_as_read(ann: Mailbox, ben: User, bea: Customer) -> None:
    """sharing.md: the read state is the owner's."""
    message = factories.message(mailbox=ann, sender="bea@acme.example")
    page(ben, "message", message.pk)
    message.refresh_from_db()
    assert not message.is_read


def test_each_folder_has_its_page_and_mail_of_others_is_in_none(ann: Mailbox, ben: User, bea: Customer) -> None:
    """R4, R31."""
    received = factories.message(mailbox=ann, sender="bea@acme.example", subject="Received")
    factories.message(mailbox=ann, sender="ann@our.example", to=["bea@acme.example"], subject="Sent by me")
    folders = {folder.kind: folder for folder in Folder.objects.filter(account__user=ann.owner)}
    Message.objects.filter(pk=received.pk).update(folder=folders["trash"])
    assert "Received" in page(ann.owner, "mail-folder", folders["trash"].pk)
    assert "Sent by me" in page(ann.owner, "mail-folder", folders["sent"].pk)
    assert "Received" not in page(ann.owner, "mail")
    assert "Sent by me" not in page(ben, "mail")


def test_a_long_folder_goes_on_by_a_cursor_with_and_without_javascript(
    ann: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R31: each message once, the newest first, however many there are."""
    monkeypatch.setattr(reading, "PER_PAGE", 2)
    for number in range(5):
        factories.message(mailbox=ann, subject=f"Number {number}", date=START + timedelta(hours=number // 2))
    client, address, found = browser(ann.owner), reverse("mail"), []
    while address:
        shown = client.get(address).content.decode()
        assert "<main" in shown
        fragment = client.get(address, headers={"HX-Request": "true"}).content.decode()
        assert "<main" not in fragment
        assert re.findall(r"Number \d", fragment) == re.findall(r"Number \d", shown)
        found += re.findall(r"Number \d", shown)
        more = re.search(r'href="\?([^"]*cursor=[^"]*)"', shown)
        address = f"{reverse('mail')}?{unescape(more[1])}" if more else ""
    assert found == [f"Number {number}" for number in (4, 3, 2, 1, 0)]
    assert re.findall(r"Number \d", client.get(reverse("mail"), {"cursor": "nonsense"}).content.decode()) == found[:2]


def test_somebody_elses_folder_does_not_exist(ann: Mailbox, ben: User) -> None:
    """R1."""
    for folder in Folder.objects.filter(account__user=ann.owner):
        page(ben, "mail-folder", folder.pk, status=404)


def test_a_folder_takes_as_many_queries_for_thirty_messages_as_for_one(ann: Mailbox, bea: Customer) -> None:
    """No query a row."""
    factories.message(mailbox=ann, sender="bea@acme.example")
    one = queries_of(ann.owner, "mail")
    for _ in range(29):
        factories.message(mailbox=ann, sender="bea@acme.example")
    assert queries_of(ann.owner, "mail") == one <= 12
