"""Linking mail with customers where there is very much of it, and where two do it at once (R29)."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.urls import reverse

from accounts.models import Mailbox
from customers.changes import change_customer, create_customer
from customers.models import Customer
from mail import matching
from mail.models import Backfill, Correspondence, Message
from mail.tasks import link_stored_mail
from tests import factories
from tests.portal.browsers import browser

pytestmark = pytest.mark.django_db


def aside(deed: Callable[[], object]) -> threading.Thread:
    """Have something done at the same time, on a connection of its own."""

    def run() -> None:
        try:
            deed()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def is_waiting() -> bool:
    """Whether somebody waits for the lock on addresses."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_an_address_that_is_added_while_mail_from_it_is_filed_finds_the_mail() -> None:
    """R29: each would look before the other has committed. SQLite has only one writer at a time."""
    if connection.vendor != "postgresql":
        pytest.skip("two transactions at once")
    mailbox = factories.mailbox()
    organization = mailbox.owner.organization
    with transaction.atomic():
        factories.message(mailbox=mailbox, sender="bea@acme.example")
        adding = aside(
            lambda: create_customer(
                organization=organization, kind="lead", last_name="Bea", addresses=["bea@acme.example"]
            )
        )
        while adding.is_alive() and not is_waiting():
            adding.join(0.01)
    adding.join(30)
    assert Correspondence.objects.count() == 1


@pytest.fixture
def long_history(monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    """A mailbox with more mail of one address than is linked at once."""
    monkeypatch.setattr(matching, "LINKED_AT_ONCE", 4)
    mailbox = factories.mailbox()
    for number in range(11):
        factories.message(mailbox=mailbox, sender="bea@acme.example", subject=str(number))
    return mailbox


def linked(customer: Customer) -> list[str]:
    """The subjects of a customer's mail, the oldest first."""
    return list(
        Message.objects.filter(correspondences__customer=customer).order_by("pk").values_list("subject", flat=True)
    )


def test_very_much_stored_mail_is_linked_by_and_by_the_newest_first(long_history: Mailbox) -> None:
    """R29: whoever adds the address does not wait for all of it."""
    bea = factories.customer(organization=long_history.owner.organization, addresses=["bea@acme.example"])
    assert linked(bea) == ["7", "8", "9", "10"]
    backfill = Backfill.objects.get()
    assert matching.link_further(backfill)
    assert linked(bea) == [str(number) for number in range(3, 11)]
    factories.message(mailbox=long_history, sender="bea@acme.example", subject="11")
    link_stored_mail()
    assert linked(bea) == [str(number) for number in range(12)]
    assert not Backfill.objects.exists()
    assert not Message.objects.filter(has_customer=False).exists()


def test_an_address_that_is_taken_away_meanwhile_gets_no_more_links(long_history: Mailbox) -> None:
    """R29: the private side wins."""
    bea = factories.customer(organization=long_history.owner.organization, addresses=["bea@acme.example"])
    change_customer(bea, addresses=[], keep_earlier_mail=False)
    link_stored_mail()
    assert (linked(bea), Backfill.objects.count()) == ([], 0)


def test_the_record_says_that_mail_is_still_being_added(long_history: Mailbox) -> None:
    """R29: with progress, and the page comes anew when all is there."""
    owner = long_history.owner
    bea = factories.customer(organization=owner.organization, addresses=["bea@acme.example"])
    where = reverse("customer-backfill", args=["contacts", bea.pk])
    client = browser(owner)
    assert where in client.get(bea.get_absolute_url()).content.decode()
    assert "HX-Refresh" not in client.get(where)
    link_stored_mail()
    assert client.get(where)["HX-Refresh"] == "true"
    assert where not in client.get(bea.get_absolute_url()).content.decode()
