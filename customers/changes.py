"""What can be done to a customer, each deed one function with its transaction inside (R27, R29)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.dispatch import Signal

from accounts.addresses import normalize_address
from customers.models import Customer, CustomerAddress

MAX_ADDRESSES = 20

#: Sent inside the transaction, with `customer`: its addresses are others now, so other mail is its correspondence.
addresses_changed = Signal()


def check_addresses(addresses: Sequence[str]) -> list[str]:
    """`addresses` normalised, in order, each once; the first one is the primary address.

    Raises:
        ValidationError: one is not an address, or there are too many.
    """
    checked: dict[str, None] = {}
    for text in addresses:
        address = normalize_address(text)
        if address is None:
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
    with transaction.atomic():
        customer = Customer.objects.create(**fields)
        _replace_addresses(customer, checked)
    return customer


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
        ValidationError: an address is not usable; nothing was changed.
    """
    checked = None if addresses is None else check_addresses(addresses)
    with transaction.atomic():
        for name, value in fields.items():
            setattr(customer, name, value)
        customer.save()
        if checked is not None:
            if keep_earlier_mail:
                kept = customer.addresses.values_list("address", flat=True)
                checked = check_addresses([*checked, *kept])
            _replace_addresses(customer, checked)
    return customer


def _replace_addresses(customer: Customer, addresses: Sequence[str]) -> None:
    before = list(customer.addresses.values_list("address", "is_primary"))
    after = [(address, number == 0) for number, address in enumerate(addresses)]
    if before == after:
        return
    customer.addresses.all().delete()
    CustomerAddress.objects.bulk_create(
        CustomerAddress(
            customer=customer,
            organization_id=customer.organization_id,
            address=address,
            is_primary=is_primary,
        )
        for address, is_primary in after
    )
    addresses_changed.send(sender=Customer, customer=customer)
