"""How sign-in works here, as far as it differs from django-allauth's defaults (R2)."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.models import Mailbox, User


class Backend(AuthenticationBackend):
    """Signs people in as django-allauth does, and loads them with what every page asks for.

    That is their organisation, and the `trouble` with their mailbox, None if there is none.
    """

    def get_user(self, user_id: Any) -> User | None:
        """The active user of a session."""
        trouble = Mailbox.objects.filter(owner=OuterRef("pk")).troubles()
        users = User.objects.select_related("organization").annotate(trouble=Subquery(trouble))
        user = users.filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None


class AccountAdapter(DefaultAccountAdapter):
    """People get in by invitation only, and are never sent to another site after signing in."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Nobody can sign up: administrators invite."""
        return False

    def is_safe_url(self, url: str) -> bool:
        """Whether `url` stays on the host that was asked; other allowed hosts may be other sites."""
        return url_has_allowed_host_and_scheme(
            url, allowed_hosts={self.request.get_host()}, require_https=self.request.is_secure()
        )
