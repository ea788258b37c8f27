"""Queryset and rule say the same of any world: random people, policies, customers and messages (sharing.md)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mail.models import Folder, Message
from sharing.policies import tick
from sharing.visibility import explain, listed_once, viewers_of, visible_to
from tests import factories

DOMAINS = ["our.example", "acme.example", "sub.acme.example", "lawyers.example"]
ADDRESSES = [f"{name}@{domain}" for name in ("a", "b") for domain in DOMAINS]
MODES = ["public", "custom", "private", None]

addresses = st.sampled_from(ADDRESSES)
some = st.lists(addresses, max_size=2, unique=True)
messages = st.fixed_dictionaries(
    {
        "owner": st.integers(0, 1),
        "sender": st.none() | addresses | st.just("own"),
        "to": st.lists(addresses, min_size=1, max_size=2, unique=True),
        "cc": some,
        "bcc": some,
        "kept": st.sampled_from(["", "", "", "message", "thread", "trash"]),
    }
)
worlds = st.fixed_dictionaries(
    {
        "modes": st.tuples(st.sampled_from(MODES), st.sampled_from(MODES)),
        "excluded": st.lists(st.sampled_from(DOMAINS), max_size=2, unique=True),
        "customers": st.lists(st.lists(addresses, min_size=1, max_size=2, unique=True), max_size=3),
        "ticked": st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), max_size=3),
        "messages": st.lists(messages, min_size=1, max_size=4),
        "colleague": st.booleans(),
    }
)


@pytest.mark.django_db
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(world=worlds)
def test_queryset_and_rule_agree(world: dict[str, Any]) -> None:
    """R20–R26: for owner, colleague, administrator, stranger and somebody who was deactivated."""
    with transaction.atomic():
        organization = factories.organization()
        owners = [factories.user(organization=organization, email=f"owner{n}@our.example") for n in range(2)]
        boxes = []
        for owner, mode in zip(owners, world["modes"], strict=True):
            box = factories.mailbox(owner=owner, mode=mode or "public", excluded_domains=world["excluded"])
            if mode is None:
                box.policy.delete()
            boxes.append(box)
        if world["colleague"]:
            factories.user(organization=organization, email="a@acme.example")
        customers = [factories.customer(organization=organization, addresses=each) for each in world["customers"]]
        for owner, place in world["ticked"]:
            if place < len(customers) and world["modes"][owner] == "custom":
                tick(owners[owner], customers[place])
        for each in world["messages"]:
            _file(boxes[each["owner"]], each)
        people = [
            *owners,
            factories.user(organization=organization),
            factories.user(organization=organization, role="admin"),
            factories.user(organization=organization, is_active=False),
            factories.user(organization=factories.organization(domain="rival.example")),
        ]
        for message in Message.objects.all():
            seers = set()
            for person in people:
                visible = visible_to(person).filter(pk=message.pk).exists()
                assert explain(person, message).visible is visible
                assert set(listed_once(visible_to(person), person)) <= set(visible_to(person))
                if visible and person != message.owner:
                    seers.add(person)
            assert seers == set(viewers_of(message)) & set(people)
        transaction.set_rollback(True)


def _file(mailbox: Any, wanted: dict[str, Any]) -> None:
    """Put a message of the world into a mailbox, as its owner then keeps it."""
    sender = mailbox.email_address if wanted["sender"] == "own" else wanted["sender"]
    message = factories.message(mailbox=mailbox, sender=sender, to=wanted["to"], cc=wanted["cc"], bcc=wanted["bcc"])
    if wanted["kept"] == "message":
        message.is_private = True
    elif wanted["kept"] == "thread":
        message.thread.is_private = True
        message.thread.save()
    elif wanted["kept"] == "trash":
        message.folder = Folder.objects.get(account__user=mailbox.owner, kind=Folder.Kind.TRASH)
    message.save()
