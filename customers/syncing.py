"""Keeping records in step with another CRM: each is named by its id there, and sending it again changes nothing (R28)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.mailboxes import NotPossible
from accounts.models import Organization
from customers.changes import change_customer, check_addresses, create_customers
from customers.locks import addresses_change
from customers.models import Customer, CustomerAddress

#: How many records are kept in step at once.
MOST = 1_000
_TRIES = 3


@dataclass
class Upsert:
    """What another CRM knows of one of its records; `fields` that it doesn't name stay as they are."""

    external_id: str
    fields: dict[str, Any]
    addresses: Sequence[str] | None = None
    keep_earlier_mail: bool = True


@dataclass
class Outcome:
    """What became of it. Where it was refused, `errors` says why and there is no record."""

    status: Literal["created", "updated", "unchanged", "error"]
    customer: Customer | None = None
    errors: dict[str, list[str]] = field(default_factory=dict)


def upsert(organization: Organization, given: Sequence[Upsert], *, new: dict[str, Any]) -> list[Outcome]:
    """Create the records that are not known yet and change those that are; one outcome for each, in their order.

    A record is known by its external id, or else, having none yet, as the only one with one of the addresses. One
    that was merged is the record that it became part of; one that was deleted is created again. `new` holds the fields
    of new records that are not given. What is refused changes nothing; the others are saved in one transaction.

    Raises:
        ValidationError: an external id occurs twice.
    """
    ids = [each.external_id for each in given]
    twice = next((each for each in ids if ids.count(each) > 1), None) if len(set(ids)) < len(ids) else None
    if twice is not None:
        raise ValidationError(f"The external id “{twice}” occurs twice.")
    for _ in range(_TRIES - 1):
        try:
            return _upsert(organization, given, new)
        except IntegrityError:
            # Another request created the same record since it was looked for. Now it is known.
            continue
    return _upsert(organization, given, new)


def _upsert(organization: Organization, given: Sequence[Upsert], new: dict[str, Any]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    fresh: list[tuple[Customer, Sequence[str]]] = []
    checked = [_checked(each) for each in given]
    with transaction.atomic():
        addresses_change(organization.pk)
        known = _Known(organization, given, [addresses for addresses, _ in checked])
        for each, (addresses, error) in zip(given, checked, strict=True):
            customer = known.record(each, addresses)
            if error is not None:
                outcomes.append(error)
            elif customer is not None:
                outcomes.append(_changed(customer, each, addresses))
            else:
                fields = new | each.fields
                customer = Customer(organization=organization, external_id=each.external_id, **fields)
                fresh.append((customer, addresses))
                outcomes.append(Outcome("created", customer))
        create_customers(fresh)
    return outcomes


def _checked(each: Upsert) -> tuple[list[str], Outcome | None]:
    try:
        return check_addresses(each.addresses or ()), None
    except ValidationError as error:
        return [], Outcome("error", errors={"emails": error.messages})


def _changed(customer: Customer, each: Upsert, addresses: list[str]) -> Outcome:
    given = each.fields | {"external_id": customer.external_id or each.external_id}
    if customer.kind == Customer.Kind.CONTACT:
        given.pop("kind", None)
    fields = {name: value for name, value in given.items() if getattr(customer, name) != value}
    have = [row.address for row in customer.addresses.all()]
    kept = [address for address in have if address not in addresses] if each.keep_earlier_mail else []
    is_same = each.addresses is None or [*addresses, *kept] == have
    if not fields and is_same:
        return Outcome("unchanged", customer)
    try:
        wanted = None if is_same else addresses
        changed = change_customer(customer, addresses=wanted, keep_earlier_mail=each.keep_earlier_mail, **fields)
    except ValidationError as error:
        return Outcome("error", errors={"emails": error.messages})
    except NotPossible as error:
        return Outcome("error", errors={"external_id": [str(error)]})
    return Outcome("updated", changed)


class _Known:
    """The records that are there for what was given, looked up in a few queries."""

    def __init__(self, organization: Organization, given: Sequence[Upsert], addresses: Sequence[Sequence[str]]) -> None:
        everybody = Customer.with_deleted.for_organization(organization).prefetch_related("addresses")
        self._by_id: dict[str, Customer] = {}
        # A record that is there counts before those with its id that were merged, of these the last one.
        named = everybody.filter(external_id__in=[each.external_id for each in given])
        for customer in named.order_by(F("deleted_at").asc(nulls_last=True), "id"):
            there = everybody.moved(customer.pk) if customer.merged_into_id else customer
            if there is not None and there.deleted_at is None:
                self._by_id[customer.external_id] = there
        self._by_address: dict[str, set[int]] = {}
        held = CustomerAddress.objects.filter(
            organization=organization,
            address__in={each for some in addresses for each in some},
            customer__external_id="",
        )
        for address, pk in held.values_list("address", "customer_id"):
            self._by_address.setdefault(address, set()).add(pk)
        self._unnamed = everybody.in_bulk({pk for found in self._by_address.values() for pk in found})

    def record(self, each: Upsert, addresses: Sequence[str]) -> Customer | None:
        """The record that is meant, if it is there; one found by an address is found once."""
        if each.external_id in self._by_id:
            return self._by_id[each.external_id]
        found = {pk for address in addresses for pk in self._by_address.get(address, ()) if pk in self._unnamed}
        return self._unnamed.pop(found.pop()) if len(found) == 1 else None
