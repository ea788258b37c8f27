"""What a change of sharing would make visible or hide, before anybody decides (R26).

The change is made and undone: what is shown is what the one rule says with the change in place, not a second reckoning.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Count, Q

from accounts.models import Organization, User
from customers.models import CustomerAddress
from mail.matching import effective
from mail.models import Correspondence, Message, MessageText
from sharing.visibility import shared_by

SAMPLE = 5
_BATCH = 5000
#: How mail programs begin what they quote.
_QUOTES = ("\n>", "-----Original Message-----", "-----Ursprüngliche Nachricht-----", " wrote:\n", " schrieb:\n")


@dataclass(frozen=True, slots=True)
class Preview:
    """Messages that colleagues could read after a change and can't now, and the other way round.

    `customers` counts the leads and contacts whose mail they are. The samples, newest first, are for the owner's eyes.
    """

    becomes_visible: int
    becomes_hidden: int
    customers: int
    now_visible: list[int] = field(default_factory=list, repr=False)
    now_hidden: list[int] = field(default_factory=list, repr=False)

    @property
    def changes_something(self) -> bool:
        """Whether any message becomes visible or hidden."""
        return bool(self.becomes_visible or self.becomes_hidden)

    def sample_visible(self) -> list[Message]:
        """The newest messages that would become visible."""
        return _newest(self.now_visible)

    def sample_hidden(self) -> list[Message]:
        """The newest messages that would be hidden."""
        return _newest(self.now_hidden)

    def visible_by_owner(self) -> Counter[int]:
        """How many messages of each owner, by id, would become visible."""
        return _by_owner(self.now_visible)

    def hidden_by_owner(self) -> Counter[int]:
        """How many messages of each owner, by id, would be hidden."""
        return _by_owner(self.now_hidden)

    def quoting(self) -> int:
        """How many of the messages that would become visible quote earlier ones, which can be read with them."""
        quotes = Q(text__startswith=">")
        for sign in _QUOTES:
            quotes |= Q(text__contains=sign)
        chunks = _chunks(self.now_visible)
        return sum(MessageText.objects.filter(quotes, message__in=chunk).count() for chunk in chunks)


def preview(owners: Collection[User], change: Callable[[], object]) -> Preview:
    """What `change` would do to what colleagues see of `owners`' mail. Nothing is changed.

    `change` raises what it raises when it is meant.
    """
    with transaction.atomic():
        before = _shared(owners)
        change()
        after = _shared(owners)
        transaction.set_rollback(True)
    visible = {message for message, _ in after - before} - {message for message, _ in before}
    hidden = {message for message, _ in before - after} - {message for message, _ in after}
    changed = visible | hidden
    return Preview(
        becomes_visible=len(visible),
        becomes_hidden=len(hidden),
        customers=len({customer for message, customer in before | after if message in changed}),
        now_visible=sorted(visible),
        now_hidden=sorted(hidden),
    )


def colleagues_among_customers(organization: Organization) -> list[CustomerAddress]:
    """Addresses on leads and contacts that are colleagues' own: mail with them is never shared, so people are told."""
    addresses = CustomerAddress.objects.with_colleagues_marked(organization).filter(
        organization=organization,
        is_colleagues=True,  # type: ignore[misc]
    )
    return list(addresses.select_related("customer").order_by("id")[:SAMPLE])


def _shared(owners: Collection[User]) -> set[tuple[int, int]]:
    """What colleagues see of `owners`' mail now: each message with each of its correspondent customers."""
    if not owners:
        return set()
    organization = next(iter(owners)).organization_id
    links = Correspondence.objects.filter(message__in=shared_by(owners))
    return set(effective(links, organization).values_list("message_id", "customer_id"))


def _newest(messages: list[int]) -> list[Message]:
    """The newest of the messages filed last, which are nearly always those written last."""
    filed_last = heapq.nlargest(20 * SAMPLE, messages)
    return list(Message.objects.filter(pk__in=filed_last).newest_first()[:SAMPLE])


def _by_owner(messages: list[int]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for chunk in _chunks(messages):
        of_owners = Message.objects.filter(pk__in=chunk).order_by().values_list("owner")
        counts.update(dict(of_owners.annotate(Count("pk"))))
    return counts


def _chunks(messages: list[int]) -> Iterator[list[int]]:
    return (messages[start : start + _BATCH] for start in range(0, len(messages), _BATCH))
