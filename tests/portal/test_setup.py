"""Getting in for the first time: set-up of an empty installation and invitations (R2, R3)."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from accounts.organizations import invite
from tests import factories

pytestmark = pytest.mark.django_db

ANSWERS = {
    "name": "Acme Trading",
    "time_zone": "Europe/Berlin",
    "domains": "acme-trading.example\nacme.example",
    "admin_name": "Ada Admin",
    "admin_email": "Ada@Acme-Trading.example",
    "password": factories.PASSWORD,
    "password_again": factories.PASSWORD,
}


@pytest.mark.parametrize("page", ["/", "/accounts/login/", "/help/", "/settings/email/", "/administration/users/"])
def test_every_page_of_an_empty_installation_leads_to_the_set_up_page(client: Client, page: str) -> None:
    """R3."""
    assert client.get(page).headers["Location"] == reverse("setup")


@pytest.mark.parametrize("address", ["/health/live", "/metrics", "/api/v1/users/"])
def test_what_programs_ask_is_answered_before_the_set_up(client: Client, address: str) -> None:
    """A probe must not be sent to a page for people."""
    assert client.get(address).status_code in {200, 401, 403}


def test_the_set_up_page_makes_the_organisation_and_signs_its_administrator_in(client: Client) -> None:
    """R3."""
    assert client.get(reverse("setup")).status_code == 200
    answer = client.post(reverse("setup"), ANSWERS, follow=True)
    assert answer.redirect_chain == [(reverse("home"), 302)]
    admin = User.objects.get()
    assert answer.wsgi_request.user == admin
    assert (admin.email, admin.name, admin.role) == ("ada@acme-trading.example", "Ada Admin", "admin")
    organization = Organization.objects.get()
    assert (organization.name, organization.time_zone) == ("Acme Trading", "Europe/Berlin")
    assert [str(domain) for domain in organization.mail_domains.all()] == ["acme-trading.example", "acme.example"]


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("domains", "gmail.com", "belongs to a public mail provider"),
        ("domains", "nonsense", "is not a mail domain"),
        ("domains", "", "This field is required."),
        ("time_zone", "Mars/Olympus", "Select a valid choice."),
        ("admin_email", "not an address", "Enter a valid email address."),
        ("password", "short", "This password is too short."),
        ("password_again", "something else", "The two passwords are not the same."),
        ("name", " ", "This field is required."),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_made(
    client: Client, field: str, value: str, complaint: str
) -> None:
    """R3: a public provider's domain is refused with the reason."""
    values = ANSWERS | {field: value} | ({"password_again": value} if field == "password" else {})
    answer = client.post(reverse("setup"), values)
    assert answer.status_code == 200
    assert any(complaint in error for error in answer.context["form"].errors[field])
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert 'aria-invalid="true"' in answer.content.decode()
    assert not Organization.objects.exists()
    assert not User.objects.exists()


def test_a_password_is_never_sent_back(client: Client) -> None:
    """R14 for people's own passwords: a form with errors comes back with empty password fields."""
    answer = client.post(reverse("setup"), ANSWERS | {"domains": "gmail.com"})
    assert factories.PASSWORD not in answer.content.decode()


def test_once_set_up_the_page_leads_home_and_makes_nothing(client: Client) -> None:
    """R3."""
    factories.user()
    assert client.get(reverse("setup")).headers["Location"] == reverse("home")
    assert client.post(reverse("setup"), ANSWERS).headers["Location"] == reverse("home")
    assert Organization.objects.count() == 1


def test_an_invitation_lets_its_guest_in_once(client: Client) -> None:
    """R2."""
    admin = factories.user(role="admin")
    _, token = invite(admin, email="guest@our.example", name="Gail", role="member")
    page = reverse("invitation", args=[token])
    assert "guest@our.example" in client.get(page).content.decode()
    answer = client.post(
        page,
        {"name": "Gail Guest", "password": factories.PASSWORD, "password_again": factories.PASSWORD},
        follow=True,
    )
    guest = User.objects.get(email="guest@our.example")
    assert answer.wsgi_request.user == guest
    assert (guest.name, guest.role, guest.organization) == ("Gail Guest", "member", admin.organization)
    gone = Client().get(page)
    assert gone.status_code == 404
    assert "no longer works" in gone.content.decode()


def test_an_invitation_asks_for_a_decent_password(client: Client) -> None:
    """R2: the address itself is no password."""
    _, token = invite(factories.user(role="admin"), email="guesthouse@our.example")
    values = {"name": "Gail", "password": "guesthouse@our.example", "password_again": "guesthouse@our.example"}
    answer = client.post(reverse("invitation", args=[token]), values)
    assert "too similar" in answer.context["form"].errors["password"][0]
    assert not User.objects.filter(email="guesthouse@our.example").exists()


def test_a_made_up_invitation_is_not_found(client: Client) -> None:
    """R2."""
    factories.user()
    assert client.get(reverse("invitation", args=["made-up"])).status_code == 404
