"""`sharing-rules/`: administrators lay down modes for users and roles (R25)."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from sharing.models import AuditEntry, SharingRule
from sharing.modes import standing_of
from tests import factories
from tests.api.clients import ROOT, program, results

pytestmark = pytest.mark.django_db
RULES = f"{ROOT}sharing-rules/"


@pytest.fixture
def admin() -> User:
    """An administrator."""
    return factories.user(role="admin")


def test_a_mode_is_fixed_for_a_user_and_left_to_them_again(admin: User) -> None:
    """R25."""
    mailbox = factories.mailbox(owner=factories.user(organization=admin.organization), mode="public")
    client = program(admin)
    answer = client.post(RULES, {"user": mailbox.owner_id, "mode": "private", "reason": "Mergers."})
    assert answer.status_code == 201
    rule = answer.json()
    assert (rule["user"], rule["role"], rule["mode"], rule["users_choice"], rule["is_fixed"], rule["set_by"]) == (
        mailbox.owner_id, "", "private", False, True, admin.pk,
    )  # fmt: skip
    assert standing_of(mailbox).mode == "private"
    replaced = client.post(RULES, {"user": mailbox.owner_id, "users_choice": True})
    assert replaced.status_code == 200
    again = replaced.json()
    assert (again["id"], again["mode"], again["users_choice"]) == (rule["id"], "", True)
    assert standing_of(mailbox).mode == "public"
    assert client.get(f"{RULES}{rule['id']}/").json() == again
    assert client.delete(f"{RULES}{rule['id']}/").status_code == 204
    assert not SharingRule.objects.exists()
    assert AuditEntry.objects.filter(action=AuditEntry.Action.RULE_CHANGED, actor=admin).count() == 3


def test_a_rule_for_a_role_and_a_recommendation(admin: User) -> None:
    """R25."""
    mailbox = factories.mailbox(owner=factories.user(organization=admin.organization), mode="private")
    client = program(admin)
    client.post(RULES, {"role": "member", "mode": "public", "is_fixed": False})
    assert standing_of(mailbox).mode == "private"
    client.post(RULES, {"role": "member", "mode": "public"})
    assert standing_of(mailbox).mode == "public"
    assert [row["role"] for row in results(client, "sharing-rules/")] == ["member"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mode": "public"}, "user"),
        ({"role": "member", "user": None}, "mode"),
        ({"role": "member"}, "mode"),
        ({"user": "own", "role": "member", "mode": "public"}, "user"),
        ({"role": "member", "mode": "public", "users_choice": True}, "mode"),
        ({"role": "member", "mode": "all"}, "mode"),
        ({"role": "boss", "mode": "public"}, "role"),
        ({"role": "member", "mode": "public", "set_by": 1}, "set_by"),
    ],
)
def test_bad_input_names_its_field_and_changes_nothing(admin: User, body: dict[str, Any], field: str) -> None:
    answer = program(admin).post(RULES, {**body, "user": admin.pk} if body.get("user") == "own" else body)
    assert (answer.status_code, set(answer.json())) == (400, {field})
    assert not SharingRule.objects.exists()


def test_other_organisations_are_unknown_and_members_refused(admin: User) -> None:
    """R1, R25."""
    stranger = factories.user(organization=factories.organization(domain="rival.example"), role="admin")
    answer = program(admin).post(RULES, {"user": stranger.pk, "mode": "public"})
    assert (answer.status_code, set(answer.json())) == (400, {"user"})
    rule = program(admin).post(RULES, {"role": "member", "mode": "public"}).json()["id"]
    for method in ("get", "patch", "delete"):
        assert getattr(program(stranger), method)(f"{RULES}{rule}/").status_code == 404
    member = factories.user(organization=admin.organization)
    assert program(member).get(RULES).status_code == 403
    assert program(member).post(RULES, {"role": "member", "mode": "public"}).status_code == 403
    assert program(member).patch(f"{RULES}{rule}/", {"mode": "private"}).status_code == 403
    assert program(member).delete(f"{RULES}{rule}/").status_code == 403


def test_a_rule_is_changed_in_part_and_stays_for_whom_it_is(admin: User) -> None:
    """R25."""
    client = program(admin)
    made = client.post(RULES, {"role": "member", "mode": "public", "is_fixed": False, "reason": "Team."}).json()
    address = f"{RULES}{made['id']}/"

    def changed(**body: Any) -> tuple[Any, ...]:
        answer = client.patch(address, body)
        assert answer.status_code == 200
        return tuple(answer.json()[name] for name in ("role", "mode", "users_choice", "is_fixed", "reason"))

    assert changed(mode="custom") == ("member", "custom", False, False, "Team.")
    assert changed(is_fixed=True, reason="Audit.") == ("member", "custom", False, True, "Audit.")
    assert changed(users_choice=True) == ("member", "", True, False, "Audit.")
    assert changed(mode="private") == ("member", "private", False, True, "Audit.")
    assert SharingRule.objects.count() == 1
    written = AuditEntry.objects.count()
    changed()
    assert AuditEntry.objects.count() == written


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mode": "public", "users_choice": True}, "mode"),
        ({"users_choice": False}, "mode"),
        ({"mode": "all"}, "mode"),
        ({"mode": ""}, "mode"),
        ({"user": 1, "mode": "public"}, "user"),
        ({"role": "admin", "mode": "public"}, "role"),
    ],
)
def test_a_change_that_can_not_be_names_its_field(admin: User, body: dict[str, Any], field: str) -> None:
    client = program(admin)
    rule = client.post(RULES, {"role": "member", "users_choice": True}).json()
    answer = client.patch(f"{RULES}{rule['id']}/", body)
    assert (answer.status_code, set(answer.json())) == (400, {field})
    assert client.get(f"{RULES}{rule['id']}/").json() == rule


def test_what_programs_do_to_users_is_in_the_audit_log(admin: User) -> None:
    """R26."""
    client = program(admin)
    client.post(f"{ROOT}users/", {"email": "new@our.example"})
    ben = client.post(f"{ROOT}users/", {"email": "ben@our.example", "password": "long enough to hold"}).json()
    client.patch(f"{ROOT}users/{ben['id']}/", {"role": "admin"})
    written = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(written) == ["user_invited", "user_added", "user_changed"]
