"""`leads/` and `contacts/` (R22, R27–R30)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import User
from customers.models import Customer
from sharing.models import AuditEntry
from tests import factories
from tests.api.clients import ROOT, program, results

pytestmark = pytest.mark.django_db
CONTACTS = ROOT + "contacts/"


@pytest.fixture
def rep() -> User:
    """A member."""
    return factories.user(email="rep@our.example", mail_account=True)


def bea(rep: User, *addresses: str, **fields: Any) -> Customer:
    """A contact of the organisation."""
    made = addresses or ("bea@acme.example",)
    return factories.customer(organization=rep.organization, addresses=made, last_name="Bea", **fields)


def test_a_contact_is_added_with_its_addresses(rep: User) -> None:
    """R27."""
    body = {
        "first_name": "Bea",
        "last_name": "Acme",
        "company": "Acme",
        "phone": "123",
        "emails": [{"address": "Old@Acme.Example"}, {"address": "bea@acme.example", "is_primary": True}],
    }
    answer = program(rep).post(CONTACTS, body)
    assert answer.status_code == 201
    made = answer.json()
    assert made == {
        "id": made["id"],
        "first_name": "Bea",
        "last_name": "Acme",
        "company": "Acme",
        "phone": "123",
        "notes": "",
        "external_id": "",
        "owner": rep.pk,
        "emails": [
            {"address": "bea@acme.example", "is_primary": True},
            {"address": "old@acme.example", "is_primary": False},
        ],
    }
    assert program(rep).get(f"{CONTACTS}{made['id']}/").json() == made
    assert Customer.objects.get(pk=made["id"]).organization == rep.organization


def test_leads_and_contacts_are_apart(rep: User) -> None:
    contact = bea(rep)
    assert program(rep).get(f"{ROOT}leads/{contact.pk}/").status_code == 404
    made = program(rep).post(f"{ROOT}leads/", {"last_name": "Lea"}).json()
    assert [row["id"] for row in results(program(rep), "leads/")] == [made["id"]]
    assert [row["id"] for row in results(program(rep), "contacts/")] == [contact.pk]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"last_name"}),
        ({"last_name": "B", "emails": [{"address": "nobody"}]}, {"emails"}),
        ({"last_name": "B", "emails": [{"address": "a@b.example", "verified": True}]}, {"emails"}),
        ({"last_name": "B", "emails": ["a@b.example"]}, {"emails"}),
        (
            {
                "last_name": "B",
                "emails": [{"address": f"{name}@b.example", "is_primary": True} for name in "ab"],
            },
            {"emails"},
        ),
        ({"last_name": "B", "emails": [{"address": f"{number}@b.example"} for number in range(21)]}, {"emails"}),
        ({"last_name": "B", "owner": 10**30}, {"owner"}),
        ({"last_name": "B", "owner": True}, {"owner"}),
        ({"last_name": "B", "organization": 1, "kind": "lead", "id": 7}, {"organization", "kind", "id"}),
        ({"last_name": "B\x00"}, {"last_name"}),
        ([], {"non_field_errors"}),
        ("text", {"non_field_errors"}),
    ],
)
def test_what_is_not_usable_is_named(rep: User, body: Any, fields: set[str]) -> None:
    for answer in (program(rep).post(CONTACTS, body), program(rep).put(f"{CONTACTS}{bea(rep).pk}/", body)):
        assert (answer.status_code, set(answer.json())) == (400, fields)
        assert all(isinstance(message, str) for messages in answer.json().values() for message in messages)


def test_a_body_that_is_no_json_is_400(rep: User) -> None:
    answer = program(rep).post(CONTACTS, "{", content_type="application/json")
    assert (answer.status_code, set(answer.json())) == (400, {"non_field_errors"})
    assert program(rep).post(CONTACTS, "<a/>", content_type="application/xml").status_code == 415


def test_half_a_character_is_refused(rep: User) -> None:
    body = r'{"last_name": "B\ud800"}'
    answer = program(rep).post(CONTACTS, body, content_type="application/json")
    assert (answer.status_code, set(answer.json())) == (400, {"last_name"})


def test_a_stranger_cannot_be_the_owner(rep: User) -> None:
    """R1."""
    stranger, colleague = factories.user(), factories.user(organization=rep.organization)
    client = program(rep)
    one = f"{CONTACTS}{bea(rep).pk}/"
    answer = client.patch(one, {"owner": stranger.pk})
    assert (answer.status_code, set(answer.json())) == (400, {"owner"})
    assert client.patch(one, {"owner": colleague.pk}).json()["owner"] == colleague.pk
    assert client.patch(one, {"owner": None}).json()["owner"] is None


def test_patch_changes_what_is_given_and_put_empties_the_rest(rep: User) -> None:
    contact = bea(rep, company="Acme", phone="1")
    one = f"{CONTACTS}{contact.pk}/"
    client = program(rep)
    answer = client.patch(one, {"phone": "2", "notes": "Likes tea."}).json()
    assert (answer["last_name"], answer["company"], answer["phone"]) == ("Bea", "Acme", "2")
    answer = client.put(one, {"last_name": "Beatrice"}).json()
    assert (answer["last_name"], answer["company"], answer["phone"]) == ("Beatrice", "", "")
    assert answer["notes"] == "Likes tea.", "nor does what programs may not know of"
    assert answer["emails"] == [{"address": "bea@acme.example", "is_primary": True}]
    assert client.put(one, {"company": "Acme"}).status_code == 400


@pytest.mark.parametrize(("keep", "addresses"), [(None, 2), (True, 2), (False, 1)])
def test_a_changed_address_keeps_earlier_mail_unless_told_not_to(rep: User, keep: bool | None, addresses: int) -> None:
    """R29."""
    mailbox = factories.mailbox(owner=rep)
    contact = bea(rep)
    message = factories.message(mailbox=mailbox, sender="bea@acme.example")
    body: dict[str, Any] = {"emails": [{"address": "bea@new.example"}]}
    if keep is not None:
        body["keep_earlier_mail"] = keep
    client = program(rep)
    answer = client.patch(f"{CONTACTS}{contact.pk}/", body).json()
    assert answer["emails"][0] == {"address": "bea@new.example", "is_primary": True}
    assert len(answer["emails"]) == addresses
    listed = [row["id"] for row in results(client, f"contacts/{contact.pk}/emails/")]
    assert listed == ([message.pk] if keep is not False else [])


def test_deleting_leaves_the_mail_with_its_owner(rep: User) -> None:
    mailbox = factories.mailbox(owner=rep)
    contact = bea(rep)
    message = factories.message(mailbox=mailbox, sender="bea@acme.example")
    client = program(rep)
    assert client.delete(f"{CONTACTS}{contact.pk}/").status_code == 204
    assert client.get(f"{CONTACTS}{contact.pk}/").status_code == 404
    assert client.get(f"{ROOT}messages/{message.pk}/").json()["customers"] == []


def test_a_lead_is_converted_once(rep: User) -> None:
    """R27: it keeps its id and is found among the contacts."""
    lead = bea(rep, kind="lead")
    answer = program(rep).post(f"{ROOT}leads/{lead.pk}/convert/")
    assert answer.status_code == 200
    assert answer.json() == program(rep).get(f"{CONTACTS}{lead.pk}/").json()
    assert program(rep).post(f"{ROOT}leads/{lead.pk}/convert/").status_code == 404


def test_two_records_are_merged(rep: User) -> None:
    """R27: what this one lacks comes from the other, of either kind."""
    kept, other = bea(rep), bea(rep, "b@home.example", kind="lead", phone="555")
    answer = program(rep).post(f"{CONTACTS}{kept.pk}/merge/", {"other": other.pk})
    assert answer.status_code == 200
    assert answer.json()["phone"] == "555"
    assert [email["address"] for email in answer.json()["emails"]] == ["bea@acme.example", "b@home.example"]
    assert program(rep).get(f"{ROOT}leads/{other.pk}/").status_code == 404


@pytest.mark.parametrize("other", [0, 10**12, "x", None, "itself", "a stranger's"])
def test_a_merge_with_what_is_not_there_names_the_field(rep: User, other: Any) -> None:
    """R1, R27."""
    kept = bea(rep)
    strange = factories.customer(organization=factories.organization(domain="theirs.example"))
    number = {"itself": kept.pk, "a stranger's": strange.pk}.get(other, other)
    answer = program(rep).post(f"{CONTACTS}{kept.pk}/merge/", {"other": number})
    assert (answer.status_code, set(answer.json())) == (400, {"other"})
    assert Customer.objects.count() == 2


def test_search_email_and_owner_find_customers(rep: User) -> None:
    contact = bea(rep, "bea@acme.example", "b@second.example", company="Acme", owner=rep)
    other = factories.customer(organization=rep.organization, addresses=["x@other.example"], company="Other")
    client = program(rep)
    for parameters, found in (
        ({"search": "acme bea"}, [contact.pk]),
        ({"search": "second"}, [contact.pk]),
        ({"search": "acme other"}, []),
        ({"email": "B@Second.Example"}, [contact.pk]),
        ({"email": "second.example"}, []),
        ({"email": "x@other.example"}, [other.pk]),
        ({"owner": str(rep.pk)}, [contact.pk]),
        ({"owner": str(factories.user().pk)}, []),
    ):
        assert [row["id"] for row in results(client, "contacts/", **parameters)] == found


def test_pages_follow_one_another_in_order_and_back(rep: User) -> None:
    for number in range(7):
        factories.customer(organization=rep.organization, last_name="Same" if number < 5 else f"Name {number}")
    client = program(rep)
    first = client.get(CONTACTS, {"page_size": 3}).json()
    assert first["previous"] is None
    second = client.get(first["next"]).json()
    third = client.get(second["next"]).json()
    assert third["next"] is None
    rows = [*first["results"], *second["results"], *third["results"]]
    assert rows == results(client, "contacts/")
    assert len({row["id"] for row in rows}) == 7
    assert client.get(third["previous"]).json()["results"] == second["results"]
    back = client.get(second["previous"]).json()
    assert back["results"] == first["results"]
    assert (back["previous"], client.get(back["next"]).json()["results"]) == (None, second["results"])


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "\x00"}, "cursor"),
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "-1"}, "page_size"),
        ({"page_size": "x"}, "page_size"),
        ({"search": "\x00"}, "search"),
    ],
)
def test_a_parameter_that_is_not_usable_is_named(rep: User, parameters: dict[str, str], field: str) -> None:
    answer = program(rep).get(CONTACTS, parameters)
    assert (answer.status_code, set(answer.json())) == (400, {field})


def test_a_cursor_of_another_list_is_refused(rep: User) -> None:
    for _ in range(2):
        bea(rep)
        factories.message(mailbox=factories.mailbox(owner=rep))
    client = program(rep)
    cursor = client.get(CONTACTS, {"page_size": 1}).json()["next"].partition("cursor=")[2].partition("&")[0]
    assert client.get(f"{ROOT}messages/?cursor={cursor}").status_code == 400


def test_the_related_list_holds_each_message_once_and_only_what_is_visible(rep: User) -> None:
    """R30; sharing.md, example 13."""
    organization = rep.organization
    contact = bea(rep)
    john, cleo = (factories.user(organization=organization, name=name) for name in ("John", "Cleo"))
    public, private = factories.mailbox(owner=john), factories.mailbox(owner=cleo, mode="private")
    own = factories.mailbox(owner=rep)
    raw = factories.raw_message(sender="bea@acme.example", message_id="same@acme.example")
    hidden, shared = factories.file_raw(private, raw), factories.file_raw(public, raw)
    newer = factories.message(
        mailbox=public, sender="bea@acme.example", date=datetime(2026, 11, 5, tzinfo=UTC), subject="Newer"
    )
    copied = factories.message(mailbox=own, sender="dan@nobody.example", cc=["bea@acme.example"])
    client = program(rep)
    listed = results(client, f"contacts/{contact.pk}/emails/")
    assert [row["id"] for row in listed] == [newer.pk, shared.pk]
    mine = factories.file_raw(own, raw)
    assert [row["id"] for row in results(client, f"contacts/{contact.pk}/emails/")] == [newer.pk, mine.pk]
    assert hidden.pk != copied.pk
    assert listed[0]["customers"] == [{"id": contact.pk, "kind": "contact", "name": "Bea"}]


def test_the_tick_is_the_callers_own_and_works_in_custom_only(rep: User) -> None:
    """R21, R22."""
    contact = bea(rep)
    mailbox = factories.mailbox(owner=rep, mode="custom")
    adam = program(factories.user(organization=rep.organization))
    message = factories.message(mailbox=mailbox, sender="bea@acme.example")
    url = f"{CONTACTS}{contact.pk}/share-emails/"
    client = program(rep)
    assert client.get(url).json() == {"shared": False}
    assert adam.get(f"{ROOT}messages/{message.pk}/").status_code == 404
    assert client.put(url, {}).json() == {"shared": True}
    assert client.put(url, {}).status_code == 200
    assert client.get(url).json() == {"shared": True}
    assert adam.get(f"{ROOT}messages/{message.pk}/").status_code == 200
    assert client.delete(url).status_code == 204
    assert adam.get(f"{ROOT}messages/{message.pk}/").status_code == 404
    assert AuditEntry.objects.filter(action__in=["record_shared", "record_unshared"]).count() == 2
    assert client.put(url, {"owner": 1}).status_code == 400
    factories.share(mailbox, "public")
    for answer in (client.get(url), client.put(url, {}), client.delete(url), adam.put(url, {})):
        assert (answer.status_code, set(answer.json())) == (409, {"detail"})
