"""`mail-account/` (R4)."""

from __future__ import annotations

import pytest

from accounts.models import User
from tests import factories
from tests.api.clients import ROOT, program

pytestmark = pytest.mark.django_db
ACCOUNT = ROOT + "mail-account/"


@pytest.fixture
def rep() -> User:
    """Somebody without a CRM Mail account."""
    return factories.user(email="rep@our.example")


def test_it_is_404_until_it_is_made(rep: User) -> None:
    client = program(rep)
    assert client.get(ACCOUNT).status_code == 404
    assert client.patch(ACCOUNT, {"signature": "x"}).status_code == 404
    answer = client.post(ACCOUNT, {"address": "Sales@our.example", "signature": "Best,\nRep"})
    assert answer.status_code == 201
    made = client.get(ACCOUNT).json()
    assert made == answer.json()
    assert (made["address"], made["signature"], made["labels"]) == ("sales@our.example", "Best,\nRep", [])
    assert [(folder["name"], folder["kind"]) for folder in made["folders"]] == [
        ("Inbox", "inbox"),
        ("Sent", "sent"),
        ("Drafts", "drafts"),
        ("Trash", "trash"),
    ]


def test_the_address_is_suggested_when_none_is_given(rep: User) -> None:
    assert program(rep).post(ACCOUNT, {}).json()["address"] == "rep@our.example"


def test_there_is_only_one(rep: User) -> None:
    client = program(rep)
    client.post(ACCOUNT, {})
    assert client.post(ACCOUNT, {"address": "other@our.example"}).status_code == 409


@pytest.mark.parametrize("address", ["x@elsewhere.example", "nobody", "taken@our.example"])
def test_an_address_that_is_not_free_is_named(rep: User, address: str) -> None:
    other = factories.user(organization=rep.organization)
    program(other).post(ACCOUNT, {"address": "taken@our.example"})
    answer = program(rep).post(ACCOUNT, {"address": address})
    assert (answer.status_code, set(answer.json())) == (400, {"address"})
    program(rep).post(ACCOUNT, {})
    answer = program(rep).patch(ACCOUNT, {"address": address})
    assert (answer.status_code, set(answer.json())) == (400, {"address"})


def test_address_and_signature_can_be_changed(rep: User) -> None:
    client = program(rep)
    client.post(ACCOUNT, {})
    answer = client.patch(ACCOUNT, {"address": "new@our.example", "signature": "Bye"})
    assert (answer.json()["address"], answer.json()["signature"]) == ("new@our.example", "Bye")
    assert client.get(ROOT + "mailboxes/").json()["results"][0]["email_address"] == "new@our.example"


def test_folders_and_labels_are_arranged_as_whole_lists(rep: User) -> None:
    client = program(rep)
    client.post(ACCOUNT, {})
    made = client.patch(
        ACCOUNT,
        {"folders": [{"name": "Offers"}, {"name": "Old"}], "labels": [{"name": "Hot", "colour": "#ff0000"}]},
    ).json()
    own = {folder["name"]: folder["id"] for folder in made["folders"] if folder["kind"] == "custom"}
    assert set(own) == {"Offers", "Old"}
    assert made["labels"][0]["colour"] == "#ff0000"
    swapped = client.patch(
        ACCOUNT, {"folders": [{"id": own["Offers"], "name": "Old"}, {"id": own["Old"], "name": "Offers"}], "labels": []}
    ).json()
    assert {folder["name"]: folder["id"] for folder in swapped["folders"] if folder["kind"] == "custom"} == {
        "Old": own["Offers"],
        "Offers": own["Old"],
    }
    assert swapped["labels"] == []
    sent_back = client.patch(ACCOUNT, {"folders": swapped["folders"]})
    assert sent_back.status_code == 200
    assert sent_back.json()["folders"] == swapped["folders"]


def test_a_folder_that_holds_mail_is_not_removed(rep: User) -> None:
    mailbox = factories.mailbox(owner=rep)
    client = program(rep)
    made = client.patch(ACCOUNT, {"folders": [{"name": "Offers"}]}).json()
    message = factories.message(mailbox=mailbox)
    client.patch(f"{ROOT}messages/{message.pk}/", {"folder": made["folders"][-1]["id"]})
    answer = client.patch(ACCOUNT, {"folders": []})
    assert (answer.status_code, set(answer.json())) == (400, {"folders"})


def test_somebody_elses_folder_or_label_is_not_taken(rep: User) -> None:
    other = program(factories.user(organization=rep.organization))
    other.post(ACCOUNT, {})
    theirs = other.patch(ACCOUNT, {"folders": [{"name": "F"}], "labels": [{"name": "L"}]}).json()
    client = program(rep)
    client.post(ACCOUNT, {})
    for field, item in (("folders", theirs["folders"][-1]), ("labels", theirs["labels"][0])):
        answer = client.patch(ACCOUNT, {field: [{"id": item["id"], "name": "Mine"}]})
        assert (answer.status_code, set(answer.json())) == (400, {field})
    assert other.get(ACCOUNT).json() == theirs


@pytest.mark.parametrize(
    "body",
    [
        {"folders": [{"name": "Inbox"}]},
        {"folders": [{"name": "A"}, {"name": "A"}]},
        {"labels": [{"name": "A", "colour": "red"}]},
        {"labels": [{"name": ""}]},
        {"user": 1},
    ],
)
def test_what_is_not_usable_is_named(rep: User, body: dict[str, object]) -> None:
    client = program(rep)
    client.post(ACCOUNT, {})
    answer = client.patch(ACCOUNT, body)
    assert (answer.status_code, set(answer.json())) == (400, set(body))
