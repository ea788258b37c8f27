"""`users/`: for administrators (R2)."""

from __future__ import annotations

import pytest
from django.core import mail

from accounts.models import Invitation, User
from accounts.organizations import find_invitation
from tests import factories
from tests.api.clients import ROOT, program, results

pytestmark = pytest.mark.django_db
USERS = ROOT + "users/"


@pytest.fixture
def admin() -> User:
    """An administrator."""
    return factories.user(role="admin", name="Ada")


def test_a_member_is_refused_openly(admin: User) -> None:
    member = program(factories.user(organization=admin.organization))
    assert member.get(USERS).status_code == 403
    assert member.get(f"{USERS}{admin.pk}/").status_code == 403
    assert member.post(USERS, {"email": "x@our.example"}).status_code == 403
    assert member.patch(f"{USERS}{admin.pk}/", {"role": "member"}).status_code == 403


def test_the_list_holds_the_organisation_and_nobody_else(admin: User) -> None:
    bob = factories.user(organization=admin.organization, name="Bob", is_active=False)
    factories.user()
    assert results(program(admin), "users/") == [
        {"id": admin.pk, "email": admin.email, "name": "Ada", "role": "admin", "is_active": True},
        {"id": bob.pk, "email": bob.email, "name": "Bob", "role": "member", "is_active": False},
    ]


def test_inviting_is_the_default(admin: User) -> None:
    answer = program(admin).post(USERS, {"email": "New@Our.Example", "name": "New", "role": "admin"})
    assert answer.status_code == 201
    assert answer.json() == {
        "id": None,
        "email": "new@our.example",
        "name": "New",
        "role": "admin",
        "is_active": False,
    }
    assert not User.objects.filter(email="new@our.example").exists()
    token = mail.outbox[0].body.partition("/invitation/")[2].partition("/")[0]
    invitation = find_invitation(token)
    assert invitation is not None
    assert (invitation.email, invitation.role) == ("new@our.example", "admin")


def test_a_name_with_a_line_end_injects_no_header(admin: User) -> None:
    admin.name = "Ada\r\nBcc: evil@evil.example"
    admin.save()
    assert program(admin).post(USERS, {"email": "new@our.example"}).status_code == 201
    assert mail.outbox[0].recipients() == ["new@our.example"]
    assert "\n" not in mail.outbox[0].subject


def test_a_program_adds_somebody_with_a_password(admin: User) -> None:
    answer = program(admin).post(
        USERS, {"email": "new@our.example", "name": "New", "role": "member", "password": "long enough to hold"}
    )
    assert answer.status_code == 201
    assert "password" not in answer.json()
    new = User.objects.get(pk=answer.json()["id"])
    assert new.check_password("long enough to hold")
    assert (new.organization, new.role, new.is_active) == (admin.organization, "member", True)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"email"}),
        ({"email": "nobody"}, {"email"}),
        ({"email": "nobody", "password": "short"}, {"email", "password"}),
        ({"email": "x@our.example", "role": "owner"}, {"role"}),
        ({"email": "x@our.example", "organization": 1, "id": 3}, {"organization", "id"}),
        ({"email": "x@our.example", "is_active": False}, {"is_active"}),
    ],
)
def test_what_is_not_usable_is_named(admin: User, body: dict[str, object], fields: set[str]) -> None:
    answer = program(admin).post(USERS, body)
    assert answer.status_code == 400
    assert set(answer.json()) == fields
    assert not Invitation.objects.exists()


def test_an_address_that_is_taken_is_named(admin: User) -> None:
    for body in ({"email": admin.email}, {"email": admin.email, "password": "long enough to hold"}):
        answer = program(admin).post(USERS, body)
        assert (answer.status_code, set(answer.json())) == (400, {"email"})


def test_role_name_and_activity_can_be_changed(admin: User) -> None:
    bob = factories.user(organization=admin.organization)
    client = program(admin)
    answer = client.patch(f"{USERS}{bob.pk}/", {"name": "Robert", "role": "admin", "is_active": False})
    assert answer.status_code == 200
    assert answer.json() == {
        "id": bob.pk,
        "email": bob.email,
        "name": "Robert",
        "role": "admin",
        "is_active": False,
    }
    assert client.patch(f"{USERS}{bob.pk}/", {"is_active": True}).json()["is_active"]


@pytest.mark.parametrize("body", [{"role": "member"}, {"is_active": False}])
def test_the_last_administrator_stays_one(admin: User, body: dict[str, object]) -> None:
    answer = program(admin).patch(f"{USERS}{admin.pk}/", body)
    assert answer.status_code == 409
    assert set(answer.json()) == {"detail"}
    admin.refresh_from_db()
    assert admin.is_admin
    assert admin.is_active


def test_a_refused_change_changes_nothing_else(admin: User) -> None:
    program(admin).patch(f"{USERS}{admin.pk}/", {"name": "Other", "role": "member"})
    admin.refresh_from_db()
    assert admin.name == "Ada"


def test_address_password_and_organisation_are_not_assigned(admin: User) -> None:
    bob = factories.user(organization=admin.organization)
    for field, value in {"email": "x@our.example", "password": "x" * 20, "organization": 1, "id": 1}.items():
        answer = program(admin).patch(f"{USERS}{bob.pk}/", {field: value})
        assert (answer.status_code, set(answer.json())) == (400, {field})


def test_users_are_not_deleted(admin: User) -> None:
    assert program(admin).delete(f"{USERS}{admin.pk}/").status_code == 405
