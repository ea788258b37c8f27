"""Signing in programs: tokens, lockout, second factor, sessions (R2)."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import ApiToken
from accounts.organizations import deactivate_user
from tests import factories
from tests.api.clients import ROOT, program

pytestmark = pytest.mark.django_db
TOKEN = ROOT + "auth/token/"


def sign_in(email: str, password: str, **more: str):
    """Ask for a token."""
    return APIClient().post(TOKEN, {"email": email, "password": password, **more})


def test_email_and_password_give_a_token_that_signs_in() -> None:
    user = factories.user(mail_account=True)
    token = sign_in(user.email.upper(), factories.PASSWORD).json()["token"]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert client.get(ROOT + "mail-account/").status_code == 200
    assert not ApiToken.objects.filter(token_hash=token).exists()


def test_unknown_address_wrong_password_and_deactivated_account_are_answered_alike() -> None:
    user = factories.user()
    gone = factories.user(is_active=False)
    answers = [
        sign_in("nobody@our.example", factories.PASSWORD),
        sign_in(user.email, "wrong"),
        sign_in(gone.email, factories.PASSWORD),
    ]
    assert {answer.status_code for answer in answers} == {400}
    assert len({answer.content for answer in answers}) == 1


def test_missing_fields_are_named() -> None:
    answer = APIClient().post(TOKEN, {})
    assert answer.status_code == 400
    assert set(answer.json()) == {"email", "password"}


def test_ten_failures_lock_the_account_even_for_the_right_password() -> None:
    user = factories.user()
    for _ in range(10):
        assert sign_in(user.email, "wrong").status_code == 400
    locked = sign_in(user.email, factories.PASSWORD)
    assert locked.status_code == 429
    assert set(locked.json()) == {"detail"}


def test_failures_on_the_sign_in_page_count_for_tokens_too() -> None:
    user = factories.user()
    for _ in range(10):
        Client().post("/accounts/login/", {"login": user.email, "password": "wrong"})
    assert sign_in(user.email, factories.PASSWORD).status_code == 429


def test_signing_in_successfully_does_not_lock() -> None:
    user = factories.user()
    assert {sign_in(user.email, factories.PASSWORD).status_code for _ in range(12)} == {200}


def test_a_second_factor_is_asked_for() -> None:
    user = factories.user()
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    assert Authenticator.objects.filter(user=user).exists()
    missing = sign_in(user.email, factories.PASSWORD)
    assert missing.status_code == 400
    assert set(missing.json()) == {"code"}
    assert sign_in(user.email, factories.PASSWORD, code="000000x").status_code == 400
    code = format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))
    assert sign_in(user.email, factories.PASSWORD, code=code).status_code == 200


@pytest.mark.parametrize("header", ["Token", "Token nonsense", "Token a b", "Token \xff"])
def test_a_token_that_is_none_is_refused(header: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header)
    answer = client.get(ROOT + "messages/")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"
    assert set(answer.json()) == {"detail"}


def test_the_token_of_a_deactivated_user_stops_working() -> None:
    organization = factories.organization()
    factories.user(organization=organization, role="admin")
    user = factories.user(organization=organization)
    client = program(user)
    assert client.get(ROOT + "messages/").status_code == 200
    deactivate_user(user)
    assert client.get(ROOT + "messages/").status_code == 401


def test_a_session_signs_in_but_changes_nothing_without_its_csrf_token() -> None:
    user = factories.user()
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user, backend="portal.adapter.Backend")
    assert client.get(ROOT + "contacts/").status_code == 200
    answer = client.post(ROOT + "contacts/", {"last_name": "Bea"})
    assert answer.status_code == 403
    assert set(answer.json()) == {"detail"}
