"""Which mail belongs to which lead or contact: by address, never by name (R19, R29; sharing.md *correspondent customer*)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

from django.db.models import CharField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet

from accounts.addresses import domain_of
from accounts.internal import is_internal, own_addresses
from accounts.models import Organization, User
from customers.models import Customer, CustomerAddress
from mail import rows
from mail.models import Correspondence, Message, MessageQuerySet, Participant

#: The headers in which a customer's address can make a correspondent; Bcc, Sender and Reply-To never do.
MATCHED_ROLES = (Participant.Role.FROM, Participant.Role.TO, Participant.Role.CC)

_BATCH = 500


class Person(Protocol):
    """An address in a header."""

    @property
    def role(self) -> str:
        """The header."""

    @property
    def address(self) -> str:
        """Normalised."""

    @property
    def domain(self) -> str:
        """Of the address."""


def customers_met(organization: Organization, headers: Iterable[Iterable[Person]]) -> list[list[tuple[int, Person]]]:
    """For the header of each message the customers, by id, whose addresses stand in From (the first one), To or Cc."""
    met = [list(_who_can_be_met(people)) for people in headers]
    customers: dict[str, list[int]] = defaultdict(list)
    addresses = sorted({person.address for people in met for person in people})
    for start in range(0, len(addresses), _BATCH):
        for address, customer in CustomerAddress.objects.filter(
            organization=organization, address__in=addresses[start : start + _BATCH]
        ).values_list("address", "customer_id"):
            customers[address].append(customer)
    return [[(pk, person) for person in people for pk in customers.get(person.address, ())] for people in met]


def _who_can_be_met(people: Iterable[Person]) -> Iterator[Person]:
    sender = None
    for person in people:
        if person.role == Participant.Role.FROM:
            sender = sender or person.address
            if person.address != sender:
                continue
        if person.role in MATCHED_ROLES:
            yield person


def link(met: Iterable[tuple[Message, Iterable[tuple[int, Person]]]]) -> None:
    """Note the customers that freshly saved messages, marked `has_customer`, met."""
    rows.insert(
        Correspondence,
        ("message", "customer", "role", "address", "domain", "date", "owner"),
        (
            (message.pk, customer, person.role, person.address, person.domain, message.date, message.owner_id)
            for message, customers in met
            for customer, person in customers
        ),
    )


def relink(customer: Customer) -> None:
    """Make a customer's links what its addresses say now: mail already stored joins, mail of addresses gone leaves (R29)."""
    addresses = list(customer.addresses.values_list("address", flat=True))
    customer.correspondences.exclude(address__in=addresses).delete()
    known = set(customer.correspondences.values_list("message_id", "role", "address"))
    found = (
        Participant.objects.filter(
            address__in=addresses,
            role__in=MATCHED_ROLES,
            message__owner__organization=customer.organization_id,
        )
        .filter(~Q(role=Participant.Role.FROM) | Q(address=F("message__from_address")))
        .values_list("message_id", "role", "address", "message__date", "message__owner")
        .distinct()
    )
    Correspondence.objects.bulk_create(
        (
            Correspondence(
                message_id=message,
                customer=customer,
                role=role,
                address=address,
                domain=domain_of(address),
                date=date,
                owner_id=owner,
            )
            for message, role, address, date, owner in found.iterator()
            if (message, role, address) not in known
        ),
        batch_size=_BATCH,
    )
    linked = customer.correspondences.values("message")
    Message.objects.filter(pk__in=linked, has_customer=False).update(has_customer=True)


def redirect(user: User) -> None:
    """Make *sent* and *received* of a user's messages what their own addresses say now (sharing.md)."""
    own = own_addresses(user)
    for direction, wrong in (
        (Message.Direction.SENT, Q(from_address__in=own)),
        (Message.Direction.RECEIVED, ~Q(from_address__in=own)),
    ):
        Message.objects.owned_by(user).filter(wrong).exclude(direction=direction).update(direction=direction)


def effective(
    links: QuerySet[Correspondence], organization: int, *, direction: str = "message__direction"
) -> QuerySet[Correspondence]:
    """Those of an organisation's `links` that make a correspondent now.

    From of a received message, To or Cc of a sent one; never a colleague (sharing.md). `direction` names the column
    that holds the message's.
    """
    return links.filter(
        Q(**{direction: Message.Direction.RECEIVED, "role": Participant.Role.FROM})
        | Q(**{direction: Message.Direction.SENT, "role__in": (Participant.Role.TO, Participant.Role.CC)})
    ).exclude(is_internal(organization))


@lru_cache(maxsize=256)
def links_here(organization: int) -> QuerySet[Correspondence]:
    """In a subquery of messages: the links that make a correspondent of the outer message."""
    direction = ExpressionWrapper(OuterRef("direction"), output_field=CharField())
    links = Correspondence.objects.filter(message=OuterRef("pk")).annotate(direction=direction)
    return effective(links, organization, direction="direction")


def has_correspondent(organization: int, **conditions: Any) -> Q:
    """Condition on an organisation's messages: they have a correspondent customer now; `conditions` narrow which link counts."""
    return Q(has_customer=True) & Q(Exists(links_here(organization).filter(**conditions)))


def with_customer(messages: MessageQuerySet, customer: Customer) -> MessageQuerySet:
    """Those of `messages` whose correspondent is `customer`: what the related list holds (interface.md)."""
    return messages.filter(has_correspondent(customer.organization_id, customer=customer))


def correspondents(messages: Sequence[Message]) -> dict[int, list[Customer]]:
    """The correspondent customers of each message of one organisation, by message id; one query."""
    if not messages:
        return {}
    return correspondents_by_id([message.pk for message in messages], messages[0].organization_id)


def correspondents_by_id(messages: Sequence[int], organization: int) -> dict[int, list[Customer]]:
    """The correspondent customers of the messages with these ids, in an organisation; one query."""
    found: dict[int, list[Customer]] = {pk: [] for pk in messages}
    links = Correspondence.objects.filter(message__in=messages).select_related("customer").order_by("id")
    for link in effective(links, organization):
        if link.customer not in found[link.message_id]:
            found[link.message_id].append(link.customer)
    return found
