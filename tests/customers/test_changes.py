"""Converting, merging, deleting and undoing records: links, ticks and fields afterwards (R27, R29)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.mailboxes import NotPossible
from accounts.models import User
from customers.changes import (
    MAX_ADDRESSES,
    change_customer,
    create_customer,
    delete_customer,
    forget_deleted,
    merge_customers,
    undo_change,
)
from customers.importing import Import
from customers.models import Customer, CustomerAddress, RecordChange
from customers.syncing import Upsert, upsert
from mail.matching import MATCHED_ROLES
from mail.models import Correspondence, Participant
from sharing import records
from sharing.models import AuditEntry, SharedRecord
from sharing.policies import is_ticked, tick, untick
from tests import factories

pytestmark = pytest.mark.django_db

ADDRESSES = ("a@acme.example", "b@acme.example", "c@acme.example", "d@acme.example")


@pytest.fixture
def ann() -> User:
    """A member with a Custom mailbox."""
    return factories.mailbox(mode="custom", email_address="ann@our.example").owner


def customer_with(user: User, *addresses: str, **fields: str) -> Customer:
    """A contact in the organisation of `user`."""
    return factories.customer(organization=user.organization, addresses=addresses, **fields)


def links() -> set[tuple[int, int, str, str]]:
    """The links between messages and records as they are kept."""
    return set(Correspondence.objects.values_list("message", "customer", "role", "address"))


def recomputed() -> set[tuple[int, int, str, str]]:
    """The links as they follow from addresses and headers alone."""
    people = Participant.objects.filter(role__in=MATCHED_ROLES).values_list("message", "role", "address")
    return {
        (message, customer, role, address)
        for message, role, address in people
        for customer in CustomerAddress.objects.filter(address=address).values_list("customer", flat=True)
    }


class Records:
    """Everything that can be done to records, one deed after another; what is not possible changes nothing."""

    def __init__(self, ann: User) -> None:
        self.ann = ann
        self.mailbox = ann.mailboxes.get(kind="pop3")

    def create(self, first: int, second: int) -> None:
        """A lead with two addresses, one perhaps twice."""
        create_customer(
            organization=self.ann.organization,
            kind="lead",
            last_name="Lead",
            addresses=[ADDRESSES[first % 4], ADDRESSES[second % 4]],
        )

    def mail(self, first: int, second: int) -> None:
        """A message from one to another."""
        factories.message(
            mailbox=self.mailbox, sender=ADDRESSES[first % 4], to=["ann@our.example", ADDRESSES[second % 4]]
        )

    def change(self, first: int, second: int) -> None:
        """Another address, keeping earlier mail or not."""
        if customer := self._one(first):
            change_customer(customer, addresses=[ADDRESSES[second % 4]], keep_earlier_mail=bool(second % 3))

    def merge(self, first: int, second: int) -> None:
        """Two into one."""
        kept, other = self._one(first), self._one(second)
        if kept and other and kept != other:
            merge_customers(kept, other, actor=self.ann, taken=["primary"] if first % 2 else [])

    def convert(self, first: int, _: int) -> None:
        """A lead to a contact."""
        customer = self._one(first)
        if customer and customer.kind == "lead":
            records.convert(self.ann, customer)

    def delete(self, first: int, _: int) -> None:
        """One away."""
        if customer := self._one(first):
            delete_customer(customer, actor=self.ann)

    def upsert(self, first: int, second: int) -> None:
        """One of two records of another CRM, keeping earlier mail or not."""
        sent = Upsert(f"x{first % 2}", {"kind": "lead", "last_name": "Sent"}, [ADDRESSES[second % 4]], bool(second % 3))
        upsert(self.ann.organization, [sent], new={})

    def imported(self, first: int, second: int) -> None:
        """A file of two rows, which may be one record."""
        work = Import(self.ann.organization, ["email"])
        rows = enumerate([[f"{ADDRESSES[first % 4]} {ADDRESSES[second % 4]}"], [ADDRESSES[second % 3]]])
        for batch in work.batches(rows):
            work.save(batch)

    def undo(self, first: int, _: int) -> None:
        """Any earlier deed that can still be undone."""
        changes = list(RecordChange.objects.can_be_undone())
        if changes:
            try:
                undo_change(changes[first % len(changes)])
            except NotPossible as error:
                assert "meanwhile" in str(error)  # noqa: PT017 - one of two outcomes, both right

    def _one(self, number: int) -> Customer | None:
        found = list(Customer.objects.all())
        return found[number % len(found)] if found else None


DEEDS = ("create", "mail", "change", "merge", "convert", "delete", "upsert", "imported", "undo", "undo")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deeds=st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 11), st.integers(0, 11)), min_size=3, max_size=15)
)
def test_links_are_what_addresses_and_headers_say_after_any_deeds(ann: User, deeds: list[tuple[str, int, int]]) -> None:
    """R27, R29: equal to a recomputation from nothing, and each record has one primary address or none at all."""
    with transaction.atomic():
        world = Records(ann)
        for number in (0, 1):
            world.create(number, number + 1)
            world.mail(number, number + 2)
        for deed, first, second in deeds:
            getattr(world, deed)(first, second)
            assert links() == recomputed(), deed
        for customer in Customer.with_deleted.all():
            primary = [address.is_primary for address in customer.addresses.all()]
            assert primary == [True, *[False] * (len(primary) - 1)] if primary else True
            assert not (primary and customer.deleted_at)
        transaction.set_rollback(True)


def test_a_merge_keeps_the_ticks_of_both(ann: User) -> None:
    """R22, R27."""
    ben = factories.mailbox(
        owner=factories.user(organization=ann.organization), mode="custom", email_address="ben@our.example"
    ).owner
    bea, double = customer_with(ann, "a@acme.example"), customer_with(ann, "b@acme.example")
    tick(ann, bea)
    tick(ben, double)
    change = records.merge(ann, bea, double)
    assert is_ticked(ann, bea)
    assert is_ticked(ben, bea)
    records.undo(ann, change)
    assert set(SharedRecord.objects.values_list("owner", "customer")) == {(ann.pk, bea.pk), (ben.pk, double.pk)}


def test_who_unticked_the_merged_record_shares_neither_after_the_undo(ann: User) -> None:
    """R27: the private reading wins."""
    bea, double = customer_with(ann, "a@acme.example"), customer_with(ann, "b@acme.example")
    tick(ann, double)
    change = records.merge(ann, bea, double)
    untick(ann, bea)
    records.undo(ann, change)
    assert not SharedRecord.objects.exists()


def test_an_undone_merge_leaves_later_edits_alone(ann: User) -> None:
    """R27: only what the merge changed and nobody has changed since goes back."""
    bea = customer_with(ann, "a@acme.example", last_name="Stone")
    double = customer_with(ann, "b@acme.example", last_name="Stein", phone="555", company="Acme", notes="Likes tea.")
    change = merge_customers(bea, double, actor=ann, taken=["name", "primary"])
    bea.refresh_from_db()
    assert (bea.last_name, bea.phone, bea.primary_address, bea.notes) == (
        "Stein",
        "555",
        "b@acme.example",
        "Likes tea.",
    )
    change_customer(bea, phone="777", addresses=["c@acme.example", "a@acme.example", "b@acme.example"])
    undo_change(change)
    bea.refresh_from_db()
    assert (bea.last_name, bea.phone, bea.company, bea.notes) == ("Stone", "777", "", "")
    assert [str(address) for address in bea.addresses.all()] == ["c@acme.example", "a@acme.example"]
    double.refresh_from_db()
    assert (double.name, double.primary_address) == ("Stein", "b@acme.example")


def test_a_lead_merged_with_a_contact_is_a_contact(ann: User) -> None:
    """R27."""
    lead, contact = customer_with(ann, kind="lead"), customer_with(ann)
    assert merge_customers(lead, contact, actor=ann).customer.kind == "contact"


def test_too_many_addresses_are_not_merged(ann: User) -> None:
    """R27: nothing changes."""
    first, second = (
        customer_with(ann, *(f"{name}{number}@acme.example" for number in range(MAX_ADDRESSES - 1))) for name in "ab"
    )
    with pytest.raises(Exception, match="at most"):
        merge_customers(first, second, actor=ann)
    assert Customer.objects.count() == 2
    assert first.addresses.count() == second.addresses.count() == MAX_ADDRESSES - 1


def test_what_is_not_there_any_more_is_neither_changed_nor_merged(ann: User) -> None:
    """R27."""
    bea, other = customer_with(ann, "a@acme.example"), customer_with(ann, "b@acme.example")
    delete_customer(bea, actor=ann)
    with pytest.raises(NotPossible, match="meanwhile"):
        change_customer(bea, addresses=["c@acme.example"])
    with pytest.raises(NotPossible, match="meanwhile"):
        merge_customers(other, bea, actor=ann)
    with pytest.raises(NotPossible, match="itself"):
        merge_customers(other, other, actor=ann)
    assert set(CustomerAddress.objects.values_list("address", flat=True)) == {"b@acme.example"}


def test_after_a_day_the_deleted_are_gone_and_the_merged_are_still_found(ann: User) -> None:
    """R27."""
    deleted, kept, merged = (customer_with(ann, address) for address in ADDRESSES[:3])
    changes = [delete_customer(deleted, actor=ann), merge_customers(kept, merged, actor=ann)]
    assert forget_deleted() == 0
    yesterday = timezone.now() - timedelta(days=1, seconds=1)
    Customer.with_deleted.exclude(deleted_at=None).update(deleted_at=yesterday)
    RecordChange.objects.update(done_at=yesterday)
    for change in changes:
        with pytest.raises(NotPossible, match="any more"):
            undo_change(change)
    assert forget_deleted() == 1
    assert Customer.with_deleted.all().moved(merged.pk) == kept
    assert not Customer.with_deleted.filter(pk=deleted.pk).exists()


def test_each_deed_is_in_the_audit_log(ann: User) -> None:
    """R26, R27: and what the log says of a merged record stays."""
    kept, other = customer_with(ann, last_name="Kept"), customer_with(ann, last_name="Other", kind="lead")
    tick(ann, other)
    records.convert(ann, other)
    records.undo(ann, records.merge(ann, kept, other))
    records.delete(ann, kept)
    told = list(AuditEntry.objects.order_by("id").values_list("action", "customer__last_name"))
    assert told[-5:] == [
        ("record_shared", "Other"),
        ("record_converted", "Other"),
        ("records_merged", "Kept"),
        ("change_undone", "Kept"),
        ("record_deleted", "Kept"),
    ]
