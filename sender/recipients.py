"""Whom one may want to write to: completing what is typed from customers and colleagues (R35)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q

from accounts.models import User
from customers.models import Customer
from sender.addressing import Person, header_text

MOST = 8


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Somebody with one address; `what` says who they are, for people."""

    person: Person
    what: str


def suggestions(user: User, words: str) -> list[Suggestion]:
    """At most `MOST` people of the user's organisation whose name, company or address fits every word.

    Customers with each of their addresses first, then active colleagues with the addresses that they sign in by. Nothing
    is suggested for nothing.
    """
    if not words.strip():
        return []
    found: dict[str, Suggestion] = {}
    for suggestion in (*_customers(user, words), *_colleagues(user, words)):
        found.setdefault(suggestion.person.address, suggestion)
    return list(found.values())[:MOST]


def _customers(user: User, words: str) -> Iterator[Suggestion]:
    known = Customer.objects.search(words, user.organization).exclude(addresses=None)
    for customer in known.prefetch_related("addresses")[:MOST]:
        what = " · ".join(part for part in (customer.get_kind_display(), customer.company) if part)
        for address in customer.addresses.all():
            yield Suggestion(Person(header_text(customer.name), address.address), what)


def _colleagues(user: User, words: str) -> Iterator[Suggestion]:
    known = User.objects.for_organization(user.organization).filter(is_active=True).exclude(pk=user.pk)
    for word in words.split()[:10]:
        known = known.filter(Q(name__icontains=word) | Q(email__icontains=word))
    for colleague in known[:MOST]:
        yield Suggestion(Person(header_text(colleague.name), colleague.email), "Colleague")
