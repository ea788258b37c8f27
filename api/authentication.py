"""How programs show who they are: `Authorization: Token …`."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import User
from accounts.organizations import user_of_token


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Token …`. A deactivated user's token signs nobody in (R2)."""

    keyword = "Token"

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        """The user whose token the request carries; None when it carries none."""
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != self.keyword.lower().encode():
            return None
        user = user_of_token(token.strip().decode("latin-1"))
        if user is None:
            raise AuthenticationFailed("Invalid token.")
        return user, "token"

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """What a 401 asks for."""
        return self.keyword
