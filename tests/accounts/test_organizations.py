"""Setting up, inviting, deactivating (R1–R3)."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.mailboxes import NotPossible
from accounts.models import Invitation, Organization, User
from accounts.organizations import (
    accept_invitation,
    change_role,
    deactivate_user,
    find_invitation,
    invite,
    issue_token,
    set_up_organization,
    user_of_token,
)
from tests import factories

pytestmark = pytest.mark.django_db

GOOD = {
    "name": "Our Company",
    "domains": ["our.example"],
    "time_zone": "Europe/Berlin",
    "admin_email": "Boss@Our.Example",
    "admin_name": "The Boss",
    "password": "a long enough phrase",
}


def test_setting_up_creates_the_organisation_and_its_administrator() -> None:
    """R3."""
    admin = set_up_organization(**GOOD)
    assert (admin.email, admin.is_admin, admin.organization.name) == (
        "boss@our.example",
        True,
        "Our Company",
    )
    assert [domain.domain for domain in admin.organization.mail_domains.all()] == ["our.example"]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", " ", "Enter the organisation's name"),
        ("domains", ["gmail.com"], "public mail provider"),
        ("domains", ["mail.GMX.de"], "public mail provider"),
        ("domains", ["our"], "not a mail domain"),
        ("domains", [], "at least one"),
        ("time_zone", "Europe/Nowhere", "time zone"),
        ("admin_email", "boss", "valid e-mail address"),
        ("password", "short", "too short"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_created(field: str, value: object, says: str) -> None:
    """R3."""
    with pytest.raises(ValidationError) as caught:
        set_up_organization(**GOOD | {field: value})
    assert says in " ".join(caught.value.message_dict[field])
    assert not Organization.objects.exists()


def test_the_command_sets_up_and_run_again_adds_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """R3, interface.md."""
    monkeypatch.setenv("CRM_MAIL_ADMIN_PASSWORD", GOOD["password"])
    for name, domain in (("One", "one.example"), ("Two", "two.example")):
        call_command(
            "setup_organization",
            name=name,
            domain=[domain],
            timezone="UTC",
            admin_email=f"a@{domain}",
            stdout=io.StringIO(),
        )
    assert Organization.objects.count() == 2
    with pytest.raises(CommandError, match=r"--domain: gmail\.com"):
        call_command(
            "setup_organization",
            name="X",
            domain=["gmail.com"],
            timezone="UTC",
            admin_email="b@x.example",
        )


def test_an_invitation_works_once_and_for_a_week() -> None:
    """R2."""
    admin = factories.user(role="admin")
    invitation, token = invite(admin, email="New@Our.Example", role=User.Role.ADMIN)
    assert token not in str(Invitation.objects.values())
    found = find_invitation(token)
    joined = accept_invitation(found, name="New", password=factories.PASSWORD)
    assert (joined.organization, joined.role, joined.email) == (
        admin.organization,
        "admin",
        "new@our.example",
    )
    assert find_invitation(token) is None
    with pytest.raises(NotPossible):
        accept_invitation(invitation, name="Again", password=factories.PASSWORD)
    late, late_token = invite(admin, email="late@our.example")
    Invitation.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert find_invitation(late_token) is None


def test_the_only_administrator_stays_one() -> None:
    """R2."""
    admin = factories.user(role="admin")
    with pytest.raises(NotPossible):
        deactivate_user(admin)
    with pytest.raises(NotPossible):
        change_role(admin, User.Role.MEMBER)
    deputy = factories.user(organization=admin.organization, role="admin")
    deactivate_user(admin)
    with pytest.raises(NotPossible):
        change_role(deputy, User.Role.MEMBER)


def test_a_token_of_a_deactivated_user_signs_nobody_in() -> None:
    """R2."""
    admin = factories.user(role="admin")
    member = factories.user(organization=admin.organization)
    token = issue_token(member)
    assert user_of_token(token) == member
    deactivate_user(member)
    assert user_of_token(token) is None
