"""Leads and contacts as a CSV file: safe to open, and read back as they were (R28)."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.spreadsheets import as_csv, defused, restored
from customers.exporting import exported
from customers.importing import Import, Table, guess_mapping
from customers.models import Customer
from tests import factories


@given(st.text("'=+-@\t\r\n＝a ", max_size=6))
def test_no_cell_begins_like_a_formula_and_each_can_be_read_back(text: str) -> None:
    """R28: formula characters are escaped."""
    assert not defused(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    assert restored(defused(text)) == text


@pytest.mark.django_db
def test_what_was_exported_changes_nothing_when_it_is_imported() -> None:
    """R28: every field goes out and comes back, whatever is in it."""
    rep = factories.user()
    factories.customer(
        organization=rep.organization,
        kind="lead",
        first_name="=1+1",
        last_name="'@evil",
        company="ACME; Söhne, “Ltd.”",
        phone="+49 30 555",
        notes="- first\n- second",
        owner=rep,
        addresses=["bea@acme.example", "b@home.example"],
    )
    factories.customer(organization=rep.organization, last_name="Nobody", addresses=[])
    factories.customer(organization=factories.organization(domain="rival.example"), last_name="Rival")
    before = list(Customer.objects.values())
    text = "".join(as_csv(exported(Customer.objects.for_organization(rep.organization))))
    assert "Rival" not in text
    file = io.BytesIO(text.encode())
    table = Table.of(file)
    mapping = guess_mapping(table.columns)
    assert "" not in mapping
    work = Import(rep.organization, mapping)
    for batch in work.batches(table.rows(file)):
        work.save(batch)
    assert (work.tally.unchanged, work.tally.rows) == (2, 2)
    assert list(Customer.objects.values()) == before
