"""What happens around every request of the portal: set-up first, then times in the organisation's zone."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from accounts.models import User
from accounts.organizations import is_set_up

GetResponse = Callable[[HttpRequest], HttpResponse]

#: Addresses that answer before the installation is set up: programs ask them, not people.
_FOR_PROGRAMS = ("api/", "health/", "metrics")


class SetupMiddleware:
    """Sends every page to the set-up page until the installation has an organisation (R3).

    Once that is so it stays so; each process asks the database until then and never again.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_set_up = False

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; the decision needs the resolved view."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """A redirect to the set-up page, or None to go on."""
        match = request.resolver_match
        if self._is_set_up or match is None or match.url_name == "setup" or match.route.startswith(_FOR_PROGRAMS):
            return None
        self._is_set_up = is_set_up()
        return None if self._is_set_up else redirect("setup")


class TimeZoneMiddleware:
    """Shows times in the time zone of the user's organisation."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Activate the zone for this request only: threads are used again."""
        user = request.user
        if isinstance(user, User):
            with timezone.override(zoneinfo.ZoneInfo(user.organization.time_zone)):
                return self.get_response(request)
        return self.get_response(request)
