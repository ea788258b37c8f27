"""What every page shows around its content: navigation and warnings about the user's own mailboxes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from django.http import HttpRequest
from django.urls import reverse

from accounts.models import Mailbox
from portal.requests import member

#: Which part of the portal a page belongs to, by the name of its URL up to the first hyphen or as a whole.
_SECTIONS = {
    "home": "home",
    "answers": "home",
    "answer": "home",
    "notifications": "notifications",
    "notification": "notifications",
    "mail": "mail",
    "message": "mail",
    "draft": "mail",
    "compose": "mail",
    "thread": "mail",
    "shared": "shared",
    "search": "search",
    "attached": "mail",
    "attachment": "mail",
    "attachments": "mail",
    "image": "settings",
    "email": "settings",
    "mailbox": "settings",
    "mailboxes": "administration",
    "mail-account": "settings",
    "mail-accounts": "settings",
    "send-mail-as": "settings",
    "outgoing": "settings",
    "password": "settings",
    "users": "administration",
    "user": "administration",
    "invitation": "administration",
    "organization": "administration",
    "sharing": "administration",
    "audit": "administration",
    "help": "help",
    "mfa": "security",
    "account": "security",
}


_COUNTED = ("mail", "shared")


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the main navigation."""

    label: str
    icon: str
    url: str
    is_current: bool
    #: What of it is counted as unread, if anything: the fragment `unread` fills it in.
    counted: str


class Portal:
    """The template variable `portal`. Everything is worked out when a template asks, so fragments cost nothing."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def section(self) -> str:
        """The part of the portal that the page belongs to, or nothing."""
        match = getattr(self._request, "resolver_match", None)
        if match is None or not match.url_name:
            return ""
        if "kind" in match.kwargs:
            return str(match.kwargs["kind"])
        name = match.url_name.replace("_", "-")
        return _SECTIONS.get(name) or _SECTIONS.get(name.partition("-")[0], "")

    @cached_property
    def navigation(self) -> list[Item]:
        """The main navigation as this user has it."""
        entries = [
            ("home", "Home", "home", reverse("home")),
            ("mail", "Mail", "mail", reverse("mail")),
            ("shared", "Shared", "share", reverse("shared")),
            ("leads", "Leads", "leads", reverse("customer-list", args=["leads"])),
            ("contacts", "Contacts", "contacts", reverse("customer-list", args=["contacts"])),
            ("settings", "Settings", "settings", reverse("email-settings")),
        ]
        if member(self._request).is_admin:
            entries.append(("administration", "Administration", "shield", reverse("users")))
        return [
            Item(label, icon, url, section == self.section, section if section in _COUNTED else "")
            for section, label, icon, url in entries
        ]

    @cached_property
    def trouble(self) -> dict[str, Any] | None:
        """The user's own mailbox that pages warn of, if there is one: see `MailboxQuerySet.troubles`."""
        user = member(self._request)
        if hasattr(user, "trouble"):
            return cast("dict[str, Any] | None", user.trouble)
        # Who signs in with this very request was not loaded by the session.
        return Mailbox.objects.filter(owner=user).troubles().first()


def portal(request: HttpRequest) -> dict[str, Portal]:
    """Context processor: the variable `portal`."""
    return {"portal": Portal(request)}
