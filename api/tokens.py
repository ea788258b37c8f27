"""`auth/token/`: a token for e-mail and password."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.mfa.adapter import get_adapter as get_mfa_adapter
from allauth.mfa.base.forms import AuthenticateForm
from django.core.exceptions import ValidationError as Refused
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.organizations import issue_token
from api.base import ApiView, StrictSerializer

_WRONG = "The e-mail address or the password is wrong."


class CredentialsSerializer(StrictSerializer):
    """What signs a person in; `code` is needed only of people who use a second factor (R2)."""

    email = serializers.CharField(write_only=True, max_length=320)
    password = serializers.CharField(
        write_only=True, max_length=4096, trim_whitespace=False, style={"input_type": "password"}
    )
    code = serializers.CharField(
        write_only=True,
        required=False,
        max_length=100,
        help_text="of the second factor, for those who have one",
    )
    token = serializers.CharField(read_only=True)


class TokenView(ApiView):
    """A token for e-mail and password. Failed tries count together with those on the sign-in page."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    serializer_class = CredentialsSerializer

    @extend_schema(responses={200: CredentialsSerializer})
    def post(self, request: Request) -> Response:
        """Sign in; the token is shown this once."""
        given = self.checked(request)
        return Response({"token": issue_token(sign_in(request, **given))})


def sign_in(request: Request, *, email: str, password: str, code: str = "") -> User:
    """The active user with these credentials.

    An unknown address, a wrong password and a deactivated account are answered alike, so that nobody learns who has
    an account.

    Raises:
        ValidationError: something is wrong, or the code of the second factor is missing.
        Throttled: too many tries failed (R2).
    """
    try:
        user = get_adapter().authenticate(request._request, email=email, password=password)
    except Refused as error:
        raise Throttled(detail=" ".join(error.messages)) from None
    if user is None or not user.is_active:
        raise ValidationError({"non_field_errors": [_WRONG]})
    if get_mfa_adapter().is_mfa_enabled(user):
        if not code:
            raise ValidationError({"code": ["Enter the code of your second factor."]})
        form = AuthenticateForm(data={"code": code}, user=user)
        if not form.is_valid():
            raise ValidationError({"code": [str(message) for message in form.errors["code"]]})
        form.authenticator.record_usage()
    assert isinstance(user, User)  # noqa: S101 - tells mypy what AUTH_USER_MODEL says
    return user
