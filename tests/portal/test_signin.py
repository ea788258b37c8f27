"""Signing in and out, as django-allauth does it with this house's rules (R2)."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.organizations import deactivate_user, issue_token, user_of_token
from tests import factories
from tests.portal.browsers import browser

pytestmark = pytest.mark.django_db


@pytest.fixture
def member() -> User:
    """Somebody who can sign in."""
    return factories.user(email="mia@our.example")


def sign_in(client: Client, email: str, password: str = factories.PASSWORD, next_page: str = "") -> Any:
    """The answer to the sign-in form."""
    values = {"login": email, "password": password} | ({"next": next_page} if next_page else {})
    return client.post(reverse("account_login"), values)


def is_signed_in(client: Client) -> bool:
    """Whether the browser is signed in."""
    return "_auth_user_id" in client.session


def test_somebody_signs_in_by_address_and_password_however_the_address_is_spelled(client: Client, member: User) -> None:
    """R2."""
    assert sign_in(client, "Mia@OUR.example").headers["Location"] == reverse("home")
    assert is_signed_in(client)
    assert client.post(reverse("account_logout")).status_code == 302
    assert not is_signed_in(client)


def test_signing_out_needs_a_form(client: Client, member: User) -> None:
    """A link in a mail must not sign anybody out."""
    client.force_login(member)
    client.get(reverse("account_logout"))
    assert is_signed_in(client)


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(client: Client, member: User) -> None:
    """Nobody learns who has an account."""
    wrong = sign_in(client, member.email, "wrong").context["form"].non_field_errors()
    unknown = sign_in(client, "nobody@our.example", "wrong").context["form"].non_field_errors()
    assert list(wrong) == list(unknown)
    assert wrong


def test_ten_failures_lock_the_account_even_for_the_right_password(client: Client, member: User) -> None:
    """R2, interface.md: ten failed sign-ins in a quarter of an hour lock."""
    for _ in range(10):
        sign_in(client, member.email, "wrong")
    answer = sign_in(client, member.email)
    assert not is_signed_in(client)
    assert "Too many failed login attempts" in str(answer.context["form"].non_field_errors())
    other = factories.user(organization=member.organization)
    sign_in(client, other.email)
    assert is_signed_in(client)


def test_nine_failures_do_not(client: Client, member: User) -> None:
    """R2."""
    for _ in range(9):
        sign_in(client, member.email, "wrong")
    sign_in(client, member.email)
    assert is_signed_in(client)


def test_failures_with_many_accounts_lock_the_address_they_come_from(client: Client, member: User) -> None:
    """R2: lockout per address too. The attempts are ten seconds apart, too slow for any limit but this one."""
    with time_machine.travel(datetime(2026, 11, 2, 9, 0, tzinfo=UTC), tick=False) as clock:
        for number in range(49):
            sign_in(client, f"guess{number}@our.example", "wrong")
            clock.shift(10)
        sign_in(client, member.email)
        assert is_signed_in(client)
        client.logout()
        sign_in(client, "guess@our.example", "wrong")
        clock.shift(10)
        sign_in(client, member.email)
        assert not is_signed_in(client)


def test_a_deactivated_user_is_kept_out_and_told_why(client: Client, member: User) -> None:
    """R2."""
    factories.user(organization=member.organization, role="admin")
    deactivate_user(member)
    answer = sign_in(client, member.email)
    assert answer.headers["Location"] == reverse("account_inactive")
    assert "deactivated" in client.get(reverse("account_inactive")).content.decode()
    assert not is_signed_in(client)


def test_deactivating_ends_the_sessions_that_are_open(client: Client, member: User) -> None:
    """R2."""
    factories.user(organization=member.organization, role="admin")
    client.force_login(member)
    assert client.get(reverse("home")).status_code == 200
    deactivate_user(member)
    assert client.get(reverse("home")).status_code == 302


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", "https:evil.example", "javascript:alert(1)", "/\\evil.example"],
)
def test_signing_in_never_leads_to_another_site(client: Client, member: User, elsewhere: str) -> None:
    """An open redirect would lend our name to somebody's fake page."""
    assert sign_in(client, member.email, next_page=elsewhere).headers["Location"] == reverse("home")


def test_another_allowed_host_is_another_site(client: Client, member: User, settings: Any) -> None:
    """Hosts may be allowed by a pattern that covers sites which are not ours."""
    settings.ALLOWED_HOSTS = ["testserver", ".our.example"]
    answer = sign_in(client, member.email, next_page="http://blog.our.example/")
    assert answer.headers["Location"] == reverse("home")


def test_signing_in_leads_to_the_page_that_was_asked_for(client: Client, member: User) -> None:
    """R2."""
    assert sign_in(client, member.email, next_page="/help/").headers["Location"] == "/help/"


def test_nobody_signs_up_by_themselves(client: Client, member: User) -> None:
    """R2: administrators invite."""
    values = {"email": "me@our.example", "password1": factories.PASSWORD}
    for answer in (client.get(reverse("account_signup")), client.post(reverse("account_signup"), values)):
        assert "invitation" in answer.content.decode()
    assert User.objects.count() == 1


@pytest.mark.parametrize("page", ["/accounts/email/", "/accounts/confirm-email/", "/accounts/confirm-email/abc/"])
def test_nobody_changes_their_own_sign_in_address(client: Client, member: User, page: str) -> None:
    """Sign-in addresses say who is a colleague; a customer's address among them would hide that customer's mail."""
    client.force_login(member)
    assert client.get(page).status_code == 404
    assert client.post(page, {"email": "bea@acme.example", "action_add": "", "action_primary": ""}).status_code == 404


def test_a_forgotten_password_is_replaced_by_mail(client: Client, member: User) -> None:
    """R2."""
    client.post(reverse("account_reset_password"), {"email": member.email})
    link = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", mail.outbox[0].body)
    assert link is not None
    form = client.get(link[1], follow=True)
    values = {"password1": "another good passphrase", "password2": "another good passphrase"}
    client.post(form.redirect_chain[-1][0], values)
    sign_in(Client(), member.email)
    fresh = Client()
    sign_in(fresh, member.email, "another good passphrase")
    assert is_signed_in(fresh)


def test_asking_for_an_unknown_address_says_no_more_than_for_a_known_one(client: Client, member: User) -> None:
    """Nobody learns who has an account."""
    known = client.post(reverse("account_reset_password"), {"email": member.email}, follow=True)
    unknown = client.post(reverse("account_reset_password"), {"email": "nobody@our.example"}, follow=True)
    assert known.redirect_chain == unknown.redirect_chain
    assert [message.to for message in mail.outbox] == [[member.email]]


def test_the_pages_of_sign_in_look_like_the_portal(client: Client, member: User) -> None:
    """R2: a second factor is offered, and every page has our frame."""
    client.force_login(member)
    for name in ("account_change_password", "mfa_index", "account_reauthenticate"):
        page = client.get(reverse(name)).content.decode()
        assert "app.css" in page
        assert "CRM Mail" in page
    assert "Authenticator app" in client.get(reverse("mfa_index")).content.decode()


def test_with_a_second_factor_the_password_alone_is_not_enough(client: Client, member: User) -> None:
    """R2."""
    secret = generate_totp_secret()
    TOTP.activate(member, secret)
    page = sign_in(client, member.email).headers["Location"]
    assert page == reverse("mfa_authenticate")
    assert "app.css" in client.get(page).content.decode()
    assert client.get(reverse("home")).status_code == 302
    code = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    assert client.post(page, {"code": code}).headers["Location"] == reverse("home")
    assert is_signed_in(client)


def test_a_changed_password_signs_out_every_program(db: None) -> None:
    """R2: whoever changes a password wants the old ways in closed."""
    user = factories.user()
    token = issue_token(user)
    new = "another long phrase"
    answer = browser(user).post(
        "/accounts/password/change/", {"oldpassword": factories.PASSWORD, "password1": new, "password2": new}
    )
    assert answer.status_code == 302
    assert user_of_token(token) is None
