"""The description of the API, and what holds for every operation in it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from rest_framework.test import APIClient

from accounts.models import User
from customers.models import Customer
from mail.arranging import Wanted, arrange_labels
from mail.models import Message
from sender.files import attach
from sharing.policies import tick
from sharing.rules import set_rule
from tests import factories
from tests.api.clients import ROOT, program

OPEN = {("/api/v1/auth/token/", "post")}


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every operation."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return [
        (path, method, operation) for path, methods in schema["paths"].items() for method, operation in methods.items()
    ]


@pytest.fixture
def ids(db: None) -> dict[str, int]:
    """A world with one of everything, and the ids by the place where they stand in an address."""
    rep = factories.user(email="rep@our.example")
    mailbox = factories.mailbox(owner=rep, mode="custom")
    arrange_labels(rep.mail_account, [Wanted(name="Hot")])
    found = {"users": rep.pk, "mailboxes": mailbox.pk}
    for kind, prefix in (("lead", "leads"), ("contact", "contacts")):
        customer = factories.customer(organization=rep.organization, kind=kind, addresses=["bea@acme.example"])
        Customer.objects.filter(pk=customer.pk).update(external_id=str(customer.pk))
        tick(rep, customer)
        found[prefix] = customer.pk
    message = factories.message(
        mailbox=mailbox, sender="bea@acme.example", attachments=[("a.txt", "text/plain", b"Hello")]
    )
    draft = factories.outgoing(mailbox)
    boss = factories.user(organization=rep.organization, role="admin")
    [rule] = set_rule(boss, [rep], mode="custom")
    return found | {
        "sharing-rules": rule.pk,
        "messages": message.pk,
        "threads": message.thread_id,
        "attachment": message.attachments.get().pk,
        "draft": draft.pk,
        "file": attach(draft, "a.txt", b"text").pk,
        "queued": factories.outgoing(mailbox, "queued").pk,
        "refused": factories.outgoing(mailbox, "failed").pk,
        "doubtful": factories.outgoing(mailbox, "unknown").pk,
    }


def addresses(ids: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Every operation with the ids of the world in its address; deleting comes last."""
    for path, method, _ in sorted(operations(), key=lambda operation: operation[1] == "delete"):
        own = ids.get(path.removeprefix(ROOT).partition("/")[0])
        yield path.format_map(ids | {"id": own, "external_id": own}), method


def test_the_schema_is_valid_and_without_warnings() -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=io.StringIO())


@pytest.mark.django_db
def test_the_schema_is_served_as_json_and_as_yaml_on_request() -> None:
    answer = APIClient().get(ROOT + "schema/")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    validate_schema(answer.json())
    yaml = APIClient().get(ROOT + "schema/", headers={"Accept": "application/yaml"})
    assert yaml.content.startswith(b"openapi:")


def test_every_resource_of_the_interface_is_there() -> None:
    here = {(method, path.removeprefix(ROOT)) for path, method, _ in operations()}
    for methods, path in (
        ("post", "auth/token/"),
        ("get post", "users/"),
        ("get patch", "users/{id}/"),
        ("get post patch", "mail-account/"),
        ("get post", "mailboxes/"),
        ("get patch", "mailboxes/{id}/"),
        ("post", "mailboxes/test/"),
        ("post", "mailboxes/{id}/test/"),
        ("post", "mailboxes/{id}/fetch/"),
        ("post", "mailboxes/{id}/activate/"),
        ("get", "mailboxes/{id}/runs/"),
        ("get put", "mailboxes/{id}/sharing/"),
        ("post", "mailboxes/{id}/sharing/preview/"),
        ("get post", "sharing-rules/"),
        ("get patch delete", "sharing-rules/{id}/"),
        ("get post", "leads/"),
        ("get put patch delete", "contacts/{id}/"),
        ("post", "leads/{id}/convert/"),
        ("post", "contacts/{id}/merge/"),
        ("get put delete", "contacts/external/{external_id}/"),
        ("post", "leads/bulk/"),
        ("get", "leads/{id}/emails/"),
        ("get put delete", "contacts/{id}/share-emails/"),
        ("get post", "messages/"),
        ("post", "messages/{id}/reply/"),
        ("post", "messages/{id}/forward/"),
        ("post", "messages/{draft}/send/"),
        ("post", "messages/{queued}/take-back/"),
        ("post", "messages/{refused}/try-again/"),
        ("post", "messages/{doubtful}/settle/"),
        ("get", "sending-limit/"),
        ("get patch delete", "messages/{id}/"),
        ("get", "messages/{id}/raw/"),
        ("get", "messages/{id}/attachments/{attachment}/"),
        ("delete", "messages/{draft}/files/{file}/"),
        ("get", "messages/{id}/visibility/"),
        ("get", "messages/{id}/openings/"),
        ("patch", "threads/{id}/"),
    ):
        assert {(method, path) for method in methods.split()} <= here


def test_every_operation_says_what_it_does_and_how_it_fails() -> None:
    for path, method, operation in operations():
        assert operation.get("description"), (path, method)
        if (path, method) not in OPEN:
            assert "401" in operation["responses"], (path, method)
        if "{" in path:
            assert "404" in operation["responses"], (path, method)


def test_nobody_gets_in_without_signing_in(ids: dict[str, int]) -> None:
    """R2."""
    for path, method in addresses(ids):
        if (path, method) not in OPEN:
            answer = getattr(APIClient(), method)(path, {})
            assert answer.status_code in {401, 403}, (path, method, answer.status_code)
            assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize("role", ["member", "admin"])
def test_another_organisation_finds_nothing(ids: dict[str, int], role: str) -> None:
    """R1: 404 for each thing, and lists without it; a member is refused administration."""
    stranger = factories.user(organization=factories.organization(domain="rival.example"), role=role)
    factories.mailbox(owner=stranger, mode="custom")
    factories.customer(organization=stranger.organization, addresses=["bea@acme.example"])
    before = Message.objects.get(pk=ids["messages"])
    client = program(stranger)
    for path, method in addresses(ids):
        if (path, method) in OPEN:
            continue
        answer = getattr(client, method)(path, {})
        if re.search("/(users|sharing-rules)/", path) and role == "member":
            assert answer.status_code == 403, (path, method)
        elif "/external/" in path and method == "put":
            assert answer.status_code == 400, "it would be a record of their own"
        elif re.search(r"/\d+/", path):
            assert answer.status_code == 404, (path, method, answer.status_code)
        elif method == "get" and "mail-account" not in path:
            text = answer.content.decode()
            assert answer.status_code == 200
            assert "our.example" not in text, path
    after = Message.objects.get(pk=ids["messages"])
    assert (before.folder_id, before.is_private) == (after.folder_id, after.is_private)


def test_every_operation_refuses_fields_that_it_does_not_know(ids: dict[str, int]) -> None:
    """Nothing is assigned by accident."""
    rep = User.objects.get(pk=ids["users"])
    User.objects.filter(pk=rep.pk).update(role="admin")
    client = program(rep)
    bodiless = {"activate", "fetch", "convert", "send", "take-back", "try-again"}
    for path, method in addresses(ids):
        if method not in {"post", "put", "patch"} or path.rstrip("/").rpartition("/")[2] in bodiless:
            continue
        if (path, method) == (f"{ROOT}mail-account/", "post"):
            continue  # 409: it exists
        for field in ("organization", "organization_id", "is_superuser", "lease_token", "id", "pk"):
            answer = getattr(client, method)(path, {field: 1})
            assert answer.status_code == 400, (path, method, answer.content)
            assert field in answer.json(), (path, method)


def test_the_world_itself_answers_every_get(ids: dict[str, int]) -> None:
    """The oracle of the walks above: what they are refused is there."""
    rep = User.objects.get(pk=ids["users"])
    User.objects.filter(pk=rep.pk).update(role="admin")
    client = program(rep)
    for path, method in addresses(ids):
        if method == "get":
            assert client.get(path).status_code == 200, path


@pytest.mark.django_db
def test_an_unknown_address_is_404_in_json_and_a_forgotten_slash_is_offered() -> None:
    answer = APIClient().get(ROOT + "nothing/")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
    assert APIClient().get(ROOT + "messages")["Location"] == ROOT + "messages/"
