"""Completing addresses from customers and colleagues (R35)."""

from __future__ import annotations

import pytest

from sender.recipients import MOST, suggestions
from tests import factories

pytestmark = pytest.mark.django_db


def test_customers_and_colleagues_are_found_by_name_company_and_address() -> None:
    """Each word may fit another of them."""
    me = factories.user()
    factories.user(organization=me.organization, name="Paula Acker", email="paula@our.example")
    factories.customer(
        organization=me.organization,
        first_name="Bea",
        last_name="Stone",
        company="Acme",
        addresses=["bea@acme.example"],
    )
    assert [each.person.address for each in suggestions(me, "bea")] == ["bea@acme.example"]
    assert [str(each.person) for each in suggestions(me, "stone acme")] == ['"Bea Stone" <bea@acme.example>']
    assert [each.person.address for each in suggestions(me, "ac")] == ["bea@acme.example", "paula@our.example"]


def test_every_address_of_a_customer_is_offered_the_primary_one_first() -> None:
    """R27: secondary addresses are for writing, too."""
    me = factories.user()
    factories.customer(organization=me.organization, last_name="Stone", addresses=["a@x.example", "b@x.example"])
    assert [each.person.address for each in suggestions(me, "stone")] == ["a@x.example", "b@x.example"]


def test_nobody_of_another_organisation_and_nobody_inactive_is_offered() -> None:
    """R1: nothing crosses between two organisations."""
    me = factories.user()
    factories.user(organization=me.organization, name="Former Pat", is_active=False)
    stranger = factories.user(organization=factories.organization(domain="else.example"), name="Stranger Pat")
    factories.customer(organization=stranger.organization, last_name="Pat", addresses=["pat@x.example"])
    assert suggestions(me, "pat") == []
    assert suggestions(me, "  ") == []


def test_a_few_are_enough() -> None:
    """However many fit."""
    me = factories.user()
    for number in range(MOST + 3):
        factories.customer(organization=me.organization, last_name="Same", addresses=[f"s{number}@x.example"])
    assert len(suggestions(me, "same")) == MOST
