"""How somebody gets in for the first time: setting up the installation, accepting an invitation (R2, R3)."""

from __future__ import annotations

import zoneinfo
from itertools import groupby
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.password_validation import (
    MinimumLengthValidator,
    get_default_password_validators,
    validate_password,
)
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.functional import lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.mailboxes import NotPossible
from accounts.models import Organization, User
from accounts.organizations import accept_invitation, find_invitation, is_set_up, set_up_organization
from portal.forms import LinesField, add_errors


def _password_rules() -> str:
    shortest = max(
        (rule.min_length for rule in get_default_password_validators() if isinstance(rule, MinimumLengthValidator)),
        default=1,
    )
    return f"At least {shortest} characters, not only digits, and not one that is easy to guess."


_password_help = lazy(_password_rules, str)


def time_zone_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Every time zone by continent, for a select; those without one come last."""
    named = sorted(
        (("/" not in name, name.partition("/")[0] if "/" in name else "Other"), name)
        for name in zoneinfo.available_timezones()
        if not name.startswith(("Etc/", "posix/", "right/", "SystemV/")) and name not in {"Factory", "localtime"}
    )
    return [
        (continent, [(name, name.replace("_", " ")) for _, name in zones])
        for (_, continent), zones in groupby(named, key=lambda entry: entry[0])
    ]


class PasswordFields(forms.Form):
    """A new password, typed twice."""

    password = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False, help_text=_password_help()
    )
    password_again = forms.CharField(
        label="The password again",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        strip=False,
    )

    def clean_password_again(self) -> str:
        """Both must be the same."""
        again = str(self.cleaned_data["password_again"])
        if "password" in self.cleaned_data and again != self.cleaned_data["password"]:
            raise ValidationError("The two passwords are not the same.")
        return again


class SetupForm(PasswordFields):
    """What a new installation needs to know (R3)."""

    name = forms.CharField(label="Organisation", max_length=200, help_text="The name that your colleagues see.")
    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=time_zone_choices,
        initial="UTC",
        widget=forms.Select(attrs={"data-guess-time-zone": ""}),
    )
    domains = LinesField(
        label="Your own mail domains",
        what="domain",
        help_text="What stands after the @ in your colleagues' addresses, for example our-company.com. "
        "Everybody with an address there counts as a colleague, and mail among colleagues is never shared.",
    )
    admin_name = forms.CharField(
        label="Your name", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    admin_email = forms.EmailField(
        label="Your e-mail address",
        help_text="You sign in with it.",
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )

    field_order = ("name", "time_zone", "domains", "admin_name", "admin_email", "password", "password_again")


class InvitationForm(PasswordFields):
    """What an invited colleague tells."""

    name = forms.CharField(label="Your name", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "name"}))

    field_order = ("name", "password", "password_again")

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._email = email

    def clean_password(self) -> str:
        """Judged as Django judges passwords, with the name and address in view."""
        password = str(self.cleaned_data["password"])
        validate_password(password, User(email=self._email, name=str(self.data.get("name", ""))))
        return password


@never_cache
@require_http_methods(["GET", "POST"])
def set_up(request: HttpRequest) -> HttpResponse:
    """The first page of an empty installation; afterwards it leads home."""
    if is_set_up():
        return redirect("home")
    form = SetupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = {key: value for key, value in form.cleaned_data.items() if key != "password_again"}
        try:
            admin = set_up_organization(**values)
        except ValidationError as error:
            add_errors(form, error.message_dict)
        else:
            _sign_in(request, admin)
            messages.success(request, f"{admin.organization} is set up. Welcome!")
            return redirect("home")
    return render(request, "setup/setup.html", {"form": form})


@never_cache
@require_http_methods(["GET", "POST"])
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """Where the link of an invitation leads: choose a name and password, and you are in. It works once."""
    invitation = find_invitation(token)
    if invitation is None:
        return render(request, "setup/invitation_gone.html", status=404)
    form = InvitationForm(request.POST or None, initial={"name": invitation.name}, email=invitation.email)
    if request.method == "POST" and form.is_valid():
        try:
            user = accept_invitation(invitation, name=form.cleaned_data["name"], password=form.cleaned_data["password"])
        except NotPossible as error:
            form.add_error(None, str(error))
        else:
            _sign_in(request, user)
            messages.success(request, f"Welcome to {invitation.organization}!")
            return redirect("home")
    organization: Organization = invitation.organization
    return render(
        request,
        "setup/invitation.html",
        {"form": form, "invitation": invitation, "organization": organization},
    )


def _sign_in(request: HttpRequest, user: User) -> None:
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])


urlpatterns = [
    path("setup/", set_up, name="setup"),
    path("invitation/<str:token>/", accept, name="invitation"),
]
