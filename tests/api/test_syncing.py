"""Keeping customers in step with another CRM: `…/external/{id}/` and `…/bulk/` (R28)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import User
from customers.changes import undo_change
from customers.models import Customer
from mail.models import Correspondence
from sharing import records
from tests import factories
from tests.api.clients import ROOT, program

pytestmark = pytest.mark.django_db
CONTACTS = ROOT + "contacts/"
BEA = {"first_name": "Bea", "last_name": "Stone", "emails": [{"address": "bea@acme.example"}]}


@pytest.fixture
def rep() -> User:
    """A member."""
    return factories.user(email="rep@our.example", mail_account=True)


@pytest.fixture
def client(rep: User) -> APIClient:
    """Their program."""
    return program(rep)


def put(
    client: APIClient, external_id: str, body: dict[str, Any], status: int, kind: str = "contacts"
) -> dict[str, Any]:
    """The answer to a PUT by external id, which must have this status."""
    answer = client.put(f"{ROOT}{kind}/external/{external_id}/", body)
    assert answer.status_code == status, answer.content
    return dict(answer.json())


def bulk(client: APIClient, *sent: dict[str, Any], kind: str = "contacts") -> list[tuple[str, int | None]]:
    """What became of each."""
    answer = client.post(f"{ROOT}{kind}/bulk/", {"records": list(sent)})
    assert answer.status_code == 200, answer.content
    return [(each["status"], each["id"]) for each in answer.json()]


def test_a_record_is_created_once_and_then_changed(client: APIClient, rep: User) -> None:
    """Idempotent."""
    made = put(client, "hub-1", BEA, 201)
    assert (made["external_id"], made["owner"]) == ("hub-1", rep.pk)
    assert put(client, "hub-1", BEA, 200) == made
    changed = put(client, "hub-1", BEA | {"company": "Acme"}, 200)
    assert (changed["id"], changed["company"]) == (made["id"], "Acme")
    assert put(client, "hub-1", {"last_name": "Stone"}, 200) == changed, "what is not given stays"
    assert client.get(f"{CONTACTS}external/hub-1/").json() == changed
    assert client.delete(f"{CONTACTS}external/hub-1/").status_code == 204
    assert client.get(f"{CONTACTS}external/hub-1/").status_code == 404
    assert put(client, "hub-1", BEA, 201)["id"] != made["id"]


def test_a_record_that_is_there_by_address_is_taken_for_it(client: APIClient, rep: User) -> None:
    """The first time another CRM is connected, its people may have been imported from a file before."""
    known = factories.customer(organization=rep.organization, addresses=["bea@acme.example"], last_name="Bea")
    assert put(client, "hub-1", BEA, 200)["id"] == known.pk
    other = put(client, "hub-2", BEA, 201)
    assert other["id"] != known.pk, "a record has one external id"
    for _ in range(2):
        factories.customer(organization=rep.organization, addresses=["carl@acme.example"])
    put(client, "hub-3", {"last_name": "Carl", "emails": [{"address": "carl@acme.example"}]}, 201)


def test_addresses_are_the_whole_list_and_earlier_mail_stays_unless_told(client: APIClient, rep: User) -> None:
    """R29."""
    mailbox = factories.mailbox(owner=rep)
    factories.message(mailbox=mailbox, sender="bea@acme.example")
    put(client, "hub-1", BEA, 201)
    new = {"last_name": "Stone", "emails": [{"address": "bea@new.example"}]}
    assert [each["address"] for each in put(client, "hub-1", new, 200)["emails"]] == [
        "bea@new.example",
        "bea@acme.example",
    ]
    assert Correspondence.objects.count() == 1
    kept = put(client, "hub-1", new | {"keep_earlier_mail": False}, 200)
    assert [each["address"] for each in kept["emails"]] == ["bea@new.example"]
    assert not Correspondence.objects.exists()


def test_a_lead_sent_as_a_contact_becomes_one_and_never_the_other_way(client: APIClient) -> None:
    """R27."""
    made = put(client, "hub-1", BEA, 201, "leads")
    assert put(client, "hub-1", BEA, 200)["id"] == made["id"]
    put(client, "hub-1", BEA, 200, "leads")
    assert Customer.objects.get().kind == "contact"


def test_a_merged_record_is_the_one_that_it_became_part_of(client: APIClient, rep: User) -> None:
    """R27: and after an undo each has its id again."""
    first, second = (
        Customer.objects.get(pk=put(client, f"hub-{n}", {"last_name": f"P{n}"}, 201)["id"]) for n in (1, 2)
    )
    change = records.merge(rep, first, second)
    assert put(client, "hub-2", {"last_name": "P1"}, 200)["id"] == first.pk
    undo_change(change)
    assert put(client, "hub-2", {"last_name": "P2"}, 200)["id"] == second.pk


def test_a_deleted_record_that_comes_back_leaves_the_id_to_its_successor(client: APIClient, rep: User) -> None:
    """R27: undo never fails for it."""
    first = Customer.objects.get(pk=put(client, "hub-1", BEA, 201)["id"])
    change = records.delete(rep, first)
    second = put(client, "hub-1", BEA, 201)["id"]
    undo_change(change)
    assert put(client, "hub-1", BEA, 200)["id"] == second


def test_who_has_an_id_goes_before_who_had_it_and_was_merged(client: APIClient, rep: User) -> None:
    """R27: the record that came back is not taken for what its other half was."""
    older = factories.customer(organization=rep.organization, addresses=["bea@acme.example"])
    kept, gone = (Customer.objects.get(pk=put(client, f"hub-{n}", {"last_name": f"P{n}"}, 201)["id"]) for n in (1, 2))
    records.merge(rep, kept, gone)
    change = records.delete(rep, kept)
    assert put(client, "hub-2", BEA, 200)["id"] == older.pk
    undo_change(change)
    assert put(client, "hub-2", BEA, 200)["id"] == older.pk


def test_many_records_are_kept_in_step_at_once(client: APIClient, rep: User) -> None:
    """Each says what became of it; what is refused changes nothing and holds up nobody."""
    sent = [BEA | {"external_id": "1"}, {"external_id": "2", "last_name": "Carl"}]
    assert [status for status, _ in bulk(client, *sent)] == ["created", "created"]
    assert [status for status, _ in bulk(client, *sent)] == ["unchanged", "unchanged"]
    wrong = [
        {"external_id": "3", "last_name": "X", "emails": [{"address": "nonsense"}]},
        {"external_id": "4"},
        {"last_name": "nameless"},
        {"external_id": "5", "last_name": "X", "organization": 1},
        {
            "external_id": "6",
            "last_name": "X",
            "owner": factories.user(organization=factories.organization(domain="r.example")).pk,
        },
    ]
    answer = client.post(CONTACTS + "bulk/", {"records": [*wrong, sent[1] | {"phone": "1"}]}).json()
    assert [each["status"] for each in answer] == ["error"] * 5 + ["updated"]
    assert [list(each["errors"]) for each in answer] == [
        ["emails"],
        ["last_name"],
        ["external_id"],
        ["organization"],
        ["owner"],
        [],
    ]
    assert Customer.objects.count() == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"records": []},
        {"records": "x"},
        {"records": [1]},
        {"records": [{"external_id": "1", "last_name": "a"}] * 2},
        {"records": [{"external_id": str(n), "last_name": "a"} for n in range(1001)]},
    ],
)
def test_a_bulk_that_makes_no_sense_is_refused_whole(client: APIClient, body: dict[str, Any]) -> None:
    """400 naming the field."""
    answer = client.post(CONTACTS + "bulk/", body)
    assert (answer.status_code, list(answer.json())) == (400, ["records"])
    assert not Customer.objects.exists()


def test_an_id_that_is_too_long_is_refused(client: APIClient) -> None:
    """400 naming the field."""
    assert list(put(client, "x" * 201, BEA, 400)) == ["external_id"]


def test_another_organisation_has_ids_of_its_own(client: APIClient) -> None:
    """R1."""
    made = put(client, "hub-1", BEA, 201)
    rival = program(factories.user(organization=factories.organization(domain="rival.example")))
    assert rival.get(f"{CONTACTS}external/hub-1/").status_code == 404
    assert rival.delete(f"{CONTACTS}external/hub-1/").status_code == 404
    assert put(rival, "hub-1", BEA, 201)["id"] != made["id"]


def test_many_records_take_few_queries(client: APIClient) -> None:
    """New and unchanged ones are looked up and saved together."""

    def asked(count: int) -> int:
        sent = [
            {"external_id": f"{count}-{n}", "last_name": "P", "emails": [{"address": f"p{count}-{n}@acme.example"}]}
            for n in range(count)
        ]
        with CaptureQueriesContext(connection) as queries:
            bulk(client, *sent)
            bulk(client, *sent)
        return len(queries)

    asked(1)
    assert asked(2) == asked(20)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client: APIClient, settings: Settings) -> None:
    """413; what comes from outside is bounded."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    answer = client.post(CONTACTS + "bulk/", {"records": [{"external_id": "1", "last_name": "x" * 1_000}]})
    assert (answer.status_code, list(answer.json())) == (413, ["detail"])
