"""What can be done to a customer, each deed one function with its transaction inside (R27, R29)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from accounts.addresses import normalize_address
from accounts.mailboxes import NotPossible
from accounts.models import User
from customers.locks import addresses_change
from customers.models import UNDO_FOR, Customer, CustomerAddress, RecordChange

MAX_ADDRESSES = 20

#: Sent inside the transaction, with `customers` (ids) that lost addresses and the `added` rows: other mail is theirs now.
addresses_changed = Signal()
#: Sent inside the transaction, with the `customers` (ids) of one `organization` (id) and `what` happened to them:
#: created, updated, converted, merged (the one that remains) or deleted.
customers_changed = Signal()


def check_addresses(addresses: Sequence[str]) -> list[str]:
    """`addresses` normalised, in order, each once; the first one is the primary address.

    Raises:
        ValidationError: one is not an address, or there are too many.
    """
    checked: dict[str, None] = {}
    for text in addresses:
        address = normalize_address(text)
        # A quoted @ before the other one is possible in mail; what people enter so is a slip.
        if address is None or address.count("@") > 1:
            raise ValidationError(f"“{text}” is not an e-mail address.")
        checked[address] = None
    if len(checked) > MAX_ADDRESSES:
        raise ValidationError(f"A customer can have at most {MAX_ADDRESSES} addresses.")
    return list(checked)


def create_customer(*, addresses: Sequence[str], **fields: Any) -> Customer:
    """Create a lead or contact; mail already stored from or to its addresses appears on it (R29).

    Raises:
        ValidationError: an address is not usable; nothing was created.
    """
    checked = check_addresses(addresses)
    customer = Customer(**fields)
    create_customers([(customer, checked)])
    return customer


def create_customers(made: Iterable[tuple[Customer, Sequence[str]]]) -> None:
    """Save new records of one organisation with their addresses, which were checked, in a few statements however many."""
    made = list(made)
    if not made:
        return
    with transaction.atomic():
        addresses_change(made[0][0].organization_id)
        Customer.objects.bulk_create(customer for customer, _ in made)
        added = CustomerAddress.objects.bulk_create(
            row for customer, addresses in made for row in _address_rows(customer, addresses)
        )
        if added:
            addresses_changed.send(sender=Customer, customers=[], added=added)
        _tell("created", [customer for customer, _ in made])


def change_customer(
    customer: Customer,
    *,
    addresses: Sequence[str] | None = None,
    keep_earlier_mail: bool = True,
    **fields: Any,
) -> Customer:
    """Save changed fields and, where given, the whole new list of addresses.

    With `keep_earlier_mail` an address that is no longer in the list stays as a secondary one, and with it the mail;
    without, that mail leaves the record (R29).

    Raises:
        NotPossible: it was deleted meanwhile.
        ValidationError: an address is not usable; nothing was changed.
    """
    checked = None if addresses is None else check_addresses(addresses)
    with transaction.atomic():
        addresses_change(customer.organization_id)
        _lock(customer.pk)
        _assign(customer, fields)
        if checked is not None:
            if keep_earlier_mail:
                kept = customer.addresses.values_list("address", flat=True)
                checked = check_addresses([*checked, *kept])
            _replace_addresses(customer, checked)
        _tell("updated", [customer])
    return customer


def convert_lead(lead: Customer, *, actor: User) -> RecordChange:
    """Make a contact of a lead; it stays the same record, with its mail, shares and history (R27).

    Raises:
        NotPossible: it is a contact already, or no longer there.
    """
    with transaction.atomic():
        (customer,) = _lock(lead.pk)
        if customer.kind != Customer.Kind.LEAD:
            raise NotPossible(f"{customer} is a contact already.")
        _tell("converted", [customer])
        return _change(customer, {"kind": Customer.Kind.CONTACT}, RecordChange.Kind.CONVERTED, actor)


def delete_customer(customer: Customer, *, actor: User) -> RecordChange:
    """Delete a record. Its mail leaves it at once; for a day it can be brought back.

    Raises:
        NotPossible: it is no longer there.
    """
    with transaction.atomic():
        addresses_change(customer.organization_id)
        (gone,) = _lock(customer.pk)
        addresses = _addresses(gone)
        _take_away(gone)
        _tell("deleted", [gone])
        return _note(gone, RecordChange.Kind.DELETED, actor, gone=gone, gone_addresses=addresses)


def merge_customers(kept: Customer, other: Customer, *, actor: User, taken: Collection[str] = ()) -> RecordChange:
    """Make one record of two: `kept` gets the addresses of `other`, and with them its mail; `other` is gone (R27).

    `taken` names what `other` knows better: `name`, `company`, `phone`, `owner`, `primary` (its primary address). What
    `kept` lacks is filled in anyway, notes are joined, and a lead merged with a contact is a contact.

    Raises:
        NotPossible: they are one record, or not both there.
        ValidationError: together they have too many addresses; nothing was changed.
    """
    if kept.pk == other.pk:
        raise NotPossible("A record can't be merged with itself.")
    with transaction.atomic():
        addresses_change(kept.organization_id)
        kept, other = _lock(kept.pk, other.pk)
        fields = {name: getattr(other, name) for name in ("first_name", "last_name") if "name" in taken}
        for choice, name in (("company", "company"), ("phone", "phone"), ("owner", "owner_id")):
            if choice in taken or not getattr(kept, name):
                fields[name] = getattr(other, name)
        if Customer.Kind.CONTACT in (kept.kind, other.kind):
            fields["kind"] = Customer.Kind.CONTACT
        fields["external_id"] = kept.external_id or other.external_id
        fields["notes"] = "\n\n".join(dict.fromkeys(filter(None, (kept.notes, other.notes))))
        ours, theirs = _addresses(kept), _addresses(other)
        both = [*theirs[:1], *ours, *theirs] if "primary" in taken else [*ours, *theirs]
        checked = check_addresses(both)
        _take_away(other, merged_into=kept)
        _replace_addresses(kept, checked)
        brought = [address for address in theirs if address not in ours]
        _tell("merged", [kept])
        _tell("deleted", [other])
        return _change(
            kept, fields, RecordChange.Kind.MERGED, actor, gone=other, gone_addresses=theirs, brought=brought
        )


def undo_change(change: RecordChange) -> Customer:
    """Undo a conversion, deletion or merge; what was edited since stays as it was edited. The record that it was done to.

    Raises:
        NotPossible: it was undone before, its day is over, or the record was deleted or merged since.
    """
    with transaction.atomic():
        addresses_change(change.organization_id)
        found = RecordChange.objects.can_be_undone().select_for_update().filter(pk=change.pk).first()
        if found is None:
            raise NotPossible("This can't be undone any more.")
        change = found
        change.undone_at = timezone.now()
        change.save(update_fields=["undone_at"])
        if change.gone_id != change.customer_id:
            (kept,) = _lock(change.customer_id)
            unedited = {name: was for name, was in change.before.items() if getattr(kept, name) == change.after[name]}
            _assign(kept, unedited)
            _replace_addresses(kept, [address for address in _addresses(kept) if address not in change.brought])
        if change.gone_id:
            gone = Customer.with_deleted.select_for_update().get(pk=change.gone_id)
            same = Customer.objects.filter(organization=gone.organization_id, external_id=gone.external_id)
            external_id = "" if same.exists() else gone.external_id
            _assign(gone, {"deleted_at": None, "merged_into": None, "external_id": external_id})
            _replace_addresses(gone, change.gone_addresses)
            _tell("created", [gone])
        customer = Customer.objects.get(pk=change.customer_id)
        if change.gone_id != change.customer_id:
            _tell("updated", [customer])
        return customer


def forget_deleted() -> int:
    """Delete for good what can't be brought back any more. How many records.

    A merged one keeps its row, by which the audit log and old links find the record that it became part of.
    """
    over = timezone.now() - UNDO_FOR
    gone = Customer.with_deleted.filter(deleted_at__lte=over, merged_into=None)
    count = gone.count()
    gone.delete()
    RecordChange.objects.filter(done_at__lte=over).delete()
    return count


def _tell(what: str, customers: Sequence[Customer]) -> None:
    ids = [customer.pk for customer in customers]
    customers_changed.send(sender=Customer, organization=customers[0].organization_id, customers=ids, what=what)


def _lock(*ids: int) -> list[Customer]:
    """The records, locked until the transaction ends: mail being filed for them meanwhile waits, or is waited for."""
    found = {
        customer.pk: customer for customer in Customer.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    }
    if len(found) < len(ids):
        raise NotPossible("This record was deleted or merged meanwhile.")
    return [found[pk] for pk in ids]


def _change(
    customer: Customer, fields: dict[str, Any], kind: RecordChange.Kind, actor: User, **details: Any
) -> RecordChange:
    changed = {name: value for name, value in fields.items() if getattr(customer, name) != value}
    before = {name: getattr(customer, name) for name in changed}
    _assign(customer, changed)
    return _note(customer, kind, actor, before=before, after=changed, **details)


def _note(customer: Customer, kind: RecordChange.Kind, actor: User, **details: Any) -> RecordChange:
    return RecordChange.objects.create(
        organization_id=customer.organization_id, actor=actor, kind=kind, customer=customer, **details
    )


def _assign(customer: Customer, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        setattr(customer, name, value)
    customer.save(update_fields=list(fields))


def _take_away(customer: Customer, **fields: Any) -> None:
    _replace_addresses(customer, [])
    _assign(customer, {"deleted_at": timezone.now(), **fields})


def _addresses(customer: Customer) -> list[str]:
    return list(customer.addresses.values_list("address", flat=True))


def _address_rows(customer: Customer, addresses: Iterable[str]) -> list[CustomerAddress]:
    return [
        CustomerAddress(
            customer=customer, organization_id=customer.organization_id, address=address, is_primary=number == 0
        )
        for number, address in enumerate(addresses)
    ]


def _replace_addresses(customer: Customer, addresses: Iterable[str]) -> None:
    before = dict(customer.addresses.values_list("address", "is_primary"))
    rows = _address_rows(customer, addresses)
    if list(before.items()) == [(row.address, row.is_primary) for row in rows]:
        return
    customer.addresses.all().delete()
    CustomerAddress.objects.bulk_create(rows)
    lost = [customer.pk] if before.keys() - {row.address for row in rows} else []
    added = [row for row in rows if row.address not in before]
    addresses_changed.send(sender=Customer, customers=lost, added=added)
