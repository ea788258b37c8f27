"""Which mail belongs to which lead or contact: by address, never by name (R19, R29; sharing.md *correspondent customer*)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol

from django.db import transaction
from django.db.models import CharField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet
from django.dispatch import Signal

from accounts.addresses import domain_of
from accounts.internal import is_internal, own_addresses
from accounts.models import Organization, User
from customers.models import Customer, CustomerAddress, CustomerQuerySet
from mail import rows
from mail.models import Backfill, Correspondence, Message, MessageQuerySet, Participant

#: The headers in which a customer's address can make a correspondent; Bcc, Sender and Reply-To never do.
MATCHED_ROLES = (Participant.Role.FROM, Participant.Role.TO, Participant.Role.CC)

_BATCH = 500
#: So much stored mail of added addresses is linked while whoever added them waits: half a second's work.
LINKED_AT_ONCE = 2_000
#: Sent inside the transaction, with the `messages` that were just filed and met a customer, of one owner.
customers_met_now = Signal()


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
    """Note the customers that freshly saved messages, marked `has_customer`, met.

    A customer whose addresses changed since they were looked up is not met: the insertion waited for that change, or
    the change waits for this transaction and then finds these links.
    """
    met = list(met)
    rows.insert(
        Correspondence,
        ("message", "customer", "role", "address", "domain", "date", "owner"),
        (
            (message.pk, customer, person.role, person.address, person.domain, message.date, message.owner_id)
            for message, customers in met
            for customer, person in customers
        ),
    )
    linked = [message.pk for message, customers in met if customers]
    for start in range(0, len(linked), _BATCH):
        unlink_outdated(Correspondence.objects.filter(message__in=linked[start : start + _BATCH]))
    if linked:
        customers_met_now.send(sender=Message, messages=[message for message, customers in met if customers])


def unlink_outdated(links: QuerySet[Correspondence]) -> None:
    """Take away those of `links` whose address is no longer one of the customer's: that mail leaves the record (R29)."""
    theirs = CustomerAddress.objects.filter(customer=OuterRef("customer"), address=OuterRef("address"))
    links.filter(~Exists(theirs)).delete()


def link_stored(added: Sequence[CustomerAddress]) -> bool:
    """Mail already stored from or to addresses that customers of one organisation were just given joins their records (R29).

    The newest comes first and at once; where there is very much of it, the rest is left to `link_further`. Whether any is.
    """
    is_left = False
    customers: dict[str, list[int]] = defaultdict(list)
    for row in added:
        customers[row.address].append(row.customer_id)
    addresses = list(customers)
    for start in range(0, len(addresses), _BATCH):
        some = addresses[start : start + _BATCH]
        found = _stored(added[0].organization_id, some).order_by("-message_id")
        rows = list(found[: LINKED_AT_ONCE + 1])
        _link_stored(rows[:LINKED_AT_ONCE], customers)
        if len(rows) > LINKED_AT_ONCE:
            Backfill.objects.bulk_create(
                Backfill(customer_id=customer, address=address, before=rows[-1][0] + 1)
                for address in some
                for customer in customers[address]
            )
            is_left = True
    return is_left


def link_further(backfill: Backfill) -> bool:
    """Link the next batch of stored mail; whether there is more. Nothing, if the address is no longer the customer's."""
    with transaction.atomic():
        # Who takes the address away waits, or was first: no link comes after that.
        held = Customer.objects.select_for_update().filter(pk=backfill.customer_id, addresses__address=backfill.address)
        customer = held.first()
        current = Backfill.objects.select_for_update().filter(pk=backfill.pk).first()
        if customer is None or current is None:
            Backfill.objects.filter(pk=backfill.pk).delete()
            return False
        found = _stored(customer.organization_id, [current.address]).filter(message_id__lt=current.before)
        rows = list(found.order_by("-message_id")[: LINKED_AT_ONCE + 1])
        _link_stored(rows[:LINKED_AT_ONCE], {current.address: [customer.pk]})
        if len(rows) <= LINKED_AT_ONCE:
            current.delete()
            return False
        current.before, current.done = rows[-1][0] + 1, current.done + LINKED_AT_ONCE
        current.save(update_fields=["before", "done"])
        return True


def _stored(organization: int, addresses: Sequence[str]) -> Any:
    return (
        Participant.objects.filter(
            address__in=addresses, role__in=MATCHED_ROLES, message__owner__organization=organization
        )
        .filter(~Q(role=Participant.Role.FROM) | Q(address=F("message__from_address")))
        .values_list("message_id", "role", "address", "message__date", "message__owner")
        .distinct()
    )


def _link_stored(found: Sequence[tuple[int, str, str, Any, int]], customers: Mapping[str, Sequence[int]]) -> None:
    links = (
        Correspondence(
            message_id=message,
            customer_id=customer,
            role=role,
            address=address,
            domain=domain_of(address),
            date=date,
            owner_id=owner,
        )
        for message, role, address, date, owner in found
        for customer in customers[address]
    )
    while some := list(islice(links, _BATCH)):
        Correspondence.objects.bulk_create(some, ignore_conflicts=True)
        Message.objects.filter(pk__in={link.message_id for link in some}, has_customer=False).update(has_customer=True)


def redirect(user: User) -> None:
    """Make *sent* and *received* of a user's messages what their own addresses say now (sharing.md). In a transaction."""
    sent, received = Message.Direction.SENT, Message.Direction.RECEIVED
    is_own = Q(from_address__in=own_addresses(user))
    messages = Message.objects.owned_by(user)
    taken_in = messages.filter(is_own).exclude(direction=sent)
    let_go = messages.filter(~is_own).exclude(direction=received)
    # Both at once: one after the other would lock them in another order.
    if (taken_in | let_go).lock():
        taken_in.update(direction=sent)
        let_go.update(direction=received)


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


def unknown_sender(message: Message) -> str | None:
    """The address of who wrote a received message, if it could be a customer's and is on no record."""
    address = message.from_address
    if not address or message.direction != Message.Direction.RECEIVED:
        return None
    organization = message.owner.organization
    if message.has_customer and Customer.objects.for_organization(organization).with_address(address).exists():
        return None
    outside = message.participants.filter(address=address).exclude(is_internal(organization.pk))
    return address if outside.exists() else None


def with_unread(customers: CustomerQuerySet, user: User) -> CustomerQuerySet:
    """Those of `customers` from whom or to whom there is mail in the user's own mailboxes that they have not read."""
    unread = Message.objects.owned_by(user).not_discarded().filter(is_read=False, is_draft=False, has_customer=True)
    links = effective(Correspondence.objects.filter(message__in=unread), user.organization_id)
    # Their ids first: a database asked for both at once may read all mail of every customer.
    return customers.filter(pk__in=set(links.values_list("customer", flat=True)))


def correspondents(messages: Sequence[Message]) -> dict[int, list[Customer]]:
    """The correspondent customers of each message of one organisation, by message id; one query at most."""
    found: dict[int, list[Customer]] = {message.pk: [] for message in messages}
    met = [message.pk for message in messages if message.has_customer]
    return found | correspondents_by_id(met, messages[0].organization_id) if met else found


def correspondents_by_id(messages: Sequence[int], organization: int) -> dict[int, list[Customer]]:
    """The correspondent customers of the messages with these ids, in an organisation; one query."""
    found: dict[int, list[Customer]] = {pk: [] for pk in messages}
    links = Correspondence.objects.filter(message__in=messages).select_related("customer").order_by("id")
    for link in effective(links, organization):
        if link.customer not in found[link.message_id]:
            found[link.message_id].append(link.customer)
    return found
