"""The world of the contract's examples, and every way in which somebody could see a message of it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.urls import reverse

from accounts.models import Mailbox, Organization, User
from customers.models import Customer
from mail.models import Message
from sharing.policies import tick
from sharing.visibility import explain, visible_to
from tests import factories
from tests.portal.browsers import browser


@dataclass
class World:
    """John (Public, excludes lawyers.example), Ana (Custom, ticked Bea), Cleo (Private), Adam; customers Bea and Carl."""

    organization: Organization
    john: Mailbox
    ana: Mailbox
    cleo: Mailbox
    adam: User
    bea: Customer
    carl: Customer


@pytest.fixture
def world(db: None) -> World:
    """The people of sharing.md's examples."""
    organization = factories.organization(domain="our.example")

    def colleague(name: str) -> User:
        return factories.user(organization=organization, email=f"{name}@our.example", name=name.capitalize())

    john, ana, cleo = (colleague(name) for name in ("john", "ana", "cleo"))
    world = World(
        organization=organization,
        john=factories.mailbox(owner=john, mode="public", excluded_domains=["lawyers.example"]),
        ana=factories.mailbox(owner=ana, mode="custom"),
        cleo=factories.mailbox(owner=cleo, mode="private"),
        adam=colleague("adam"),
        bea=factories.customer(organization=organization, addresses=["bea@acme.example"], last_name="Bea"),
        carl=factories.customer(organization=organization, addresses=["carl@lawyers.example"], last_name="Carl"),
    )
    tick(ana, world.bea)
    return world


def sees(viewer: User, message: Message) -> bool:
    """Whether `viewer` can see `message`: by the queryset, the rule, the pages and the API, which must agree."""
    answers = {
        "queryset": visible_to(viewer).filter(pk=message.pk).exists(),
        "rule": explain(viewer, message).visible,
    }
    client = browser(viewer)
    for name, url in {
        "page": reverse("message", args=[message.pk]),
        "page's frame": reverse("message-html", args=[message.pk]),
        "page's download": reverse("message-raw", args=[message.pk]),
        "API": f"/api/v1/messages/{message.pk}/",
        "API's download": f"/api/v1/messages/{message.pk}/raw/",
    }.items():
        status = client.get(url).status_code
        assert status in {200, 404}, f"{name}: {status}"
        answers[name] = status == 200
    listed = client.get("/api/v1/messages/").json()["results"]
    answers["API's list"] = message.pk in [row["id"] for row in listed]
    assert len(set(answers.values())) == 1, answers
    return answers["queryset"]
