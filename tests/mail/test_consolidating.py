"""All customers' mail in a single place: a folder or a label, on arrival and for mail already there (R33)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox
from customers.changes import change_customer
from customers.models import Customer
from mail import consolidating
from mail.arranging import Wanted, arrange_folders, arrange_labels, remove_folder
from mail.consolidating import consolidate, consolidation_of, put_stored, stop_consolidating
from mail.deeds import delete_message, move_message
from mail.filing import Arrival, file_messages
from mail.models import Consolidation, Folder, Message
from mail.tasks import consolidate_stored
from tests import factories

pytestmark = pytest.mark.django_db

BEA = "bea@acme.example"


@pytest.fixture
def mailbox() -> Mailbox:
    """A mailbox whose organisation has Bea as a customer."""
    made = factories.mailbox()
    factories.customer(organization=made.owner.organization, addresses=[BEA])
    return made


def folder_of(message: Message) -> str:
    """The name of the folder a message is in now."""
    return Folder.objects.get(messages=message).name


def labels_of(message: Message) -> list[str]:
    """The names of a message's labels now."""
    return list(message.labels.values_list("name", flat=True))


# --- on arrival -----------------------------------------------------------------------------------------------------


def test_mail_from_customers_goes_into_the_folder_as_it_arrives(mailbox: Mailbox) -> None:
    """What they wrote, not what strangers did."""
    consolidate(mailbox, kind="folder", name="Customers")
    assert folder_of(factories.message(mailbox=mailbox, sender=BEA)) == "Customers"
    assert folder_of(factories.message(mailbox=mailbox, sender="shop@news.example")) == "Inbox"


def test_mail_from_customers_gets_the_label_as_it_arrives(mailbox: Mailbox) -> None:
    """It stays in the Inbox."""
    consolidate(mailbox, kind="label", name="Customers")
    message = factories.message(mailbox=mailbox, sender=BEA)
    assert (folder_of(message), labels_of(message)) == ("Inbox", ["Customers"])
    assert labels_of(factories.message(mailbox=mailbox, sender="shop@news.example")) == []


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"sender": "box@our.example", "to": [BEA]}, "sent mail stays in Sent"),
        ({"sender": "shop@news.example", "cc": [BEA]}, "a customer who is merely copied is no correspondent"),
        ({"sender": "cleo@our.example"}, "a colleague on a record is no correspondent"),
        ({"sender": f'"{BEA}" <evil@lawyers.example>'}, "display names never count"),
    ],
)
def test_only_what_a_correspondent_wrote_is_put_there(headers: dict[str, Any], why: str) -> None:
    """sharing.md, *correspondent customer*."""
    mailbox = factories.mailbox(email_address="box@our.example")
    factories.customer(organization=mailbox.owner.organization, addresses=[BEA, "cleo@our.example"])
    consolidate(mailbox, kind="folder", name="Customers")
    assert folder_of(factories.message(mailbox=mailbox, **headers)) in {"Inbox", "Sent"}, why


def test_it_is_a_setting_of_one_mailbox(mailbox: Mailbox) -> None:
    """The mail of the owner's other mailbox stays in the Inbox."""
    consolidate(mailbox, kind="folder", name="Customers")
    other = factories.mailbox(owner=mailbox.owner, is_active=False)
    assert folder_of(factories.message(mailbox=other, sender=BEA)) == "Inbox"


def test_a_batch_costs_a_few_queries_however_large(mailbox: Mailbox) -> None:
    """And one where nothing is put together."""

    def queries(count: int) -> int:
        arrivals = [Arrival.read(factories.raw_message(sender=BEA, subject=f"{count}")) for _ in range(count)]
        with CaptureQueriesContext(connection) as captured:
            file_messages(mailbox, arrivals)
        return len(captured)

    off, off_twenty = queries(2), queries(20)
    consolidate(mailbox, kind="folder", name="Customers")
    assert (off, queries(2) - off, queries(20) - off_twenty) == (off_twenty, 3, 3)


def test_what_is_filed_is_returned_where_it_is(mailbox: Mailbox) -> None:
    """Callers go on with the messages that they are given."""
    consolidate(mailbox, kind="folder", name="Customers")
    (message,) = file_messages(mailbox, [Arrival.read(factories.raw_message(sender=BEA))])
    assert message.folder.name == "Customers"


# --- the setting ----------------------------------------------------------------------------------------------------


def test_an_existing_folder_is_used_and_a_new_one_made(mailbox: Mailbox) -> None:
    """By name."""
    arrange_folders(mailbox.owner.mail_account, [Wanted("Mine")])
    mine = mailbox.owner.mail_account.folders.get(name="Mine")
    assert consolidate(mailbox, kind="folder", name="  mine ").folder == mine
    assert consolidate(mailbox, kind="folder", name="New").folder.kind == Folder.Kind.CUSTOM
    assert mailbox.owner.mail_account.folders.count() == 6


@pytest.mark.parametrize("name", ["", "  \n", "x" * 101, "Inbox", "Trash"])
def test_a_name_that_can_t_be_is_refused(mailbox: Mailbox, name: str) -> None:
    """Nothing changes."""
    with pytest.raises(NotPossible):
        consolidate(mailbox, kind="folder", name=name)
    assert consolidation_of(mailbox) is None


def test_it_needs_a_crm_mail_account(mailbox: Mailbox) -> None:
    """R33: offered only with one."""
    mailbox.owner.mail_account.folders.all().delete()
    mailbox.owner.mail_account.delete()
    owner = type(mailbox.owner).objects.get(pk=mailbox.owner_id)
    with pytest.raises(NotPossible, match="CRM Mail account"):
        consolidate(owner.mailboxes.get(pk=mailbox.pk), kind="label", name="Customers")


def test_turning_it_off_leaves_mail_where_it_is(mailbox: Mailbox) -> None:
    """R33."""
    consolidate(mailbox, kind="folder", name="Customers")
    before = factories.message(mailbox=mailbox, sender=BEA)
    stop_consolidating(mailbox)
    assert folder_of(before) == "Customers"
    assert folder_of(factories.message(mailbox=mailbox, sender=BEA)) == "Inbox"


def test_a_renamed_folder_is_still_the_place(mailbox: Mailbox) -> None:
    """Its owner renames it under Folders."""
    folder = consolidate(mailbox, kind="folder", name="Customers").folder
    assert folder is not None
    arrange_folders(mailbox.owner.mail_account, [Wanted("Clients", folder.pk)])
    assert folder_of(factories.message(mailbox=mailbox, sender=BEA)) == "Clients"
    assert str(consolidation_of(mailbox)) == "Clients"


def test_deleting_the_label_or_folder_turns_it_off(mailbox: Mailbox) -> None:
    """New mail is in the Inbox again."""
    consolidate(mailbox, kind="label", name="Customers")
    arrange_labels(mailbox.owner.mail_account, [])
    assert consolidation_of(mailbox) is None
    consolidate(mailbox, kind="folder", name="Customers")
    inbox = mailbox.owner.mail_account.folders.get(kind="inbox")
    remove_folder(mailbox.owner.mail_account.folders.get(name="Customers"), inbox)
    assert consolidation_of(mailbox) is None
    assert folder_of(factories.message(mailbox=mailbox, sender=BEA)) == "Inbox"


# --- mail that is already there -------------------------------------------------------------------------------------


def ask(mailbox: Mailbox, **place: str) -> Consolidation:
    """Have stored mail put together, and the workers do it."""
    made = consolidate(mailbox, **place)
    put_stored(made)
    consolidate_stored()
    made.refresh_from_db()
    return made


def test_stored_mail_moves_out_of_the_inbox_on_request_only(mailbox: Mailbox) -> None:
    """What the owner filed elsewhere or deleted stays where it is."""
    stored, filed, deleted = (factories.message(mailbox=mailbox, sender=BEA) for _ in range(3))
    stranger = factories.message(mailbox=mailbox, sender="shop@news.example")
    arrange_folders(mailbox.owner.mail_account, [Wanted("Mine")])
    move_message(filed, mailbox.owner.mail_account.folders.get(name="Mine"))
    delete_message(deleted)
    consolidate(mailbox, kind="folder", name="Customers")
    assert folder_of(stored) == "Inbox"
    done = ask(mailbox, kind="folder", name="Customers")
    assert [folder_of(each) for each in (stored, filed, deleted, stranger)] == ["Customers", "Mine", "Trash", "Inbox"]
    assert (done.state, done.put, done.looked_at, done.total) == ("done", 1, 4, 4)


def test_stored_mail_gets_the_label_wherever_it_is_but_in_trash(mailbox: Mailbox) -> None:
    """Labels move nothing."""
    stored, filed, deleted = (factories.message(mailbox=mailbox, sender=BEA) for _ in range(3))
    arrange_folders(mailbox.owner.mail_account, [Wanted("Mine")])
    move_message(filed, mailbox.owner.mail_account.folders.get(name="Mine"))
    delete_message(deleted)
    done = ask(mailbox, kind="label", name="Customers")
    assert [labels_of(each) for each in (stored, filed, deleted)] == [["Customers"], ["Customers"], []]
    assert done.put == 2
    assert ask(mailbox, kind="label", name="Customers").put == 0


def test_mail_of_an_address_that_becomes_a_customer_s_later_waits_for_the_request(mailbox: Mailbox) -> None:
    """Only new mail is put there by itself."""
    consolidate(mailbox, kind="folder", name="Customers")
    early = factories.message(mailbox=mailbox, sender="carl@acme.example")
    change_customer(Customer.objects.get(), addresses=[BEA, "carl@acme.example"])
    assert folder_of(early) == "Inbox"
    assert folder_of(factories.message(mailbox=mailbox, sender="carl@acme.example")) == "Customers"
    ask(mailbox, kind="folder", name="Customers")
    assert folder_of(early) == "Customers"


@pytest.fixture
def many(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Seven messages, of which two are looked at in a batch; two of them of the same second."""
    monkeypatch.setattr(consolidating, "BATCH", 2)
    day = datetime(2026, 11, 2, tzinfo=UTC)
    return [
        factories.message(mailbox=mailbox, sender=BEA, date=day + timedelta(hours=hours))
        for hours in (0, 1, 1, 2, 3, 4, 5)
    ]


def test_a_worker_that_dies_loses_and_repeats_nothing(mailbox: Mailbox, many: list[Message]) -> None:
    """R33: each batch is a transaction of its own, and another worker goes on behind it."""
    work = consolidate(mailbox, kind="folder", name="Customers")
    put_stored(work)
    consolidating.put_further(work)
    work.refresh_from_db()
    assert (work.looked_at, work.put, work.state) == (2, 2, "going")
    consolidate_stored()
    work.refresh_from_db()
    assert (work.looked_at, work.put, work.state) == (7, 7, "done")
    assert {folder_of(message) for message in many} == {"Customers"}


def test_a_cancelled_request_does_not_go_on(mailbox: Mailbox, many: list[Message]) -> None:
    """What was put there by then stays there."""
    work = consolidate(mailbox, kind="folder", name="Customers")
    put_stored(work)
    consolidating.put_further(work)
    consolidating.cancel_stored(work)
    consolidate_stored()
    work.refresh_from_db()
    assert (work.looked_at, work.put, work.state) == (2, 2, "cancelled")


def test_another_place_ends_what_is_going_on(mailbox: Mailbox, many: list[Message]) -> None:
    """A worker that still holds the old row changes nothing."""
    old = consolidate(mailbox, kind="folder", name="Customers")
    put_stored(old)
    old.refresh_from_db()
    consolidate(mailbox, kind="folder", name="Others")
    consolidating.put_further(old)
    consolidate_stored()
    assert {folder_of(message) for message in many} == {"Inbox"}
    assert consolidation_of(mailbox).state == "not_asked"
