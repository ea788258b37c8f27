"""Leads and contacts as rows of a CSV file that a spreadsheet can open without harm and the importer reads back (R28)."""

from __future__ import annotations

from collections.abc import Iterator

from customers.models import Customer, CustomerQuerySet

HEADINGS = [
    "Type",
    "First name",
    "Last name",
    "Company",
    "E-mail",
    "Additional e-mails",
    "Phone",
    "Owner",
    "Notes",
]
_BATCH = 1_000


def exported(customers: CustomerQuerySet) -> Iterator[list[str]]:
    """The rows of an export, the first one with the headings. They are read a thousand at a time."""
    yield HEADINGS
    found = customers.select_related("owner").prefetch_related("addresses")
    for customer in found.iterator(chunk_size=_BATCH):
        yield _cells(customer)


def _cells(customer: Customer) -> list[str]:
    addresses = [row.address for row in customer.addresses.all()]
    return [
        customer.get_kind_display(),
        customer.first_name,
        customer.last_name,
        customer.company,
        addresses[0] if addresses else "",
        " ".join(addresses[1:]),
        customer.phone,
        customer.owner.email if customer.owner and customer.owner.is_active else "",
        customer.notes,
    ]
