"""Settings › Mail › Mail Accounts, and the two passwords of an account (R38).

A new password is tested before it is saved; once it is, polling goes on at once (R18).
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.mailboxes import password_fields
from accounts.models import Mailbox
from portal.account_tests import live, review_before_saving
from portal.requests import configurable_mailbox, member
from sharing.administering import change_mailbox

_TABS = {"incoming": ("accounts", "mail-accounts"), "outgoing": ("send", "send-mail-as")}


class PasswordForm(forms.Form):
    """A new password for the incoming or the outgoing server of an account, or for both."""

    password = forms.CharField(
        label="New password",
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "autofocus": True}),
        help_text="As your mail provider knows it. With two-factor authentication that is an app password.",
        error_messages={"required": "Enter the new password."},
    )
    both = forms.BooleanField(
        label="Use it for incoming and outgoing mail",
        required=False,
        initial=True,
        help_text="The two are linked. Unticked, each has its own password from now on.",
    )

    def __init__(self, *args: Any, mailbox: Mailbox, side: str, by_owner: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mailbox = mailbox
        self.side = side
        self.by_owner = by_owner
        self.settings: dict[str, Any] = {}
        if not mailbox.use_same_credentials:
            del self.fields["both"]

    @property
    def sides(self) -> tuple[str, ...]:
        """Which servers get the password, and are tested with it."""
        return ("incoming", "outgoing") if self.cleaned_data.get("both") else (self.side,)

    def clean(self) -> dict[str, Any]:
        """The fields to save."""
        given = super().clean() or {}
        if "password" in given:
            self.settings = password_fields(self.side, given["password"], both=bool(given.get("both")))
        return given


@login_required
@require_safe
def mail_accounts(request: HttpRequest) -> HttpResponse:
    """The user's POP3 accounts with their incoming servers."""
    mailboxes = Mailbox.objects.owned_by(member(request)).connected().filter(kind=Mailbox.Kind.POP3)
    context = {"mailboxes": mailboxes.select_related("owner"), "tab": "accounts"}
    return render(request, "settings/mail_accounts.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def password(request: HttpRequest, pk: int, side: str) -> HttpResponse:
    """Change the password of one side: tested, saved, and polling resumes (R38)."""
    mailbox = _pop3_mailbox(request, pk)
    form = _form(request.POST or None, request, mailbox, side)
    tab, listed = _TABS[side]
    context = {
        "mailbox": mailbox,
        "owner": mailbox.owner,
        "is_owner": form.by_owner,
        "side": side,
        "tab": tab,
        "listed": listed,
    }
    if form.is_valid():
        review = review_before_saving(form, request.POST)
        if review is None:
            change_mailbox(member(request), mailbox, **form.settings)
            resumed = " Mail is fetched again." if mailbox.is_active and "incoming" in form.sides else ""
            notices.success(request, f"The password of {mailbox.email_address} was saved.{resumed}")
            return redirect(listed) if form.by_owner else redirect("mailbox", pk=pk)
        context["review"] = review
    return render(request, "settings/password.html", context | {"form": form})


@login_required
@require_POST
def password_test(request: HttpRequest, pk: int, side: str) -> HttpResponseBase:
    """The test of a new password, live (R12, R38)."""
    return live(request, _form(request.POST, request, _pop3_mailbox(request, pk), side))


def _form(posted: QueryDict | None, request: HttpRequest, mailbox: Mailbox, side: str) -> PasswordForm:
    is_owner = mailbox.owner_id == member(request).pk
    return PasswordForm(posted, mailbox=mailbox, side=side, by_owner=is_owner)


def _pop3_mailbox(request: HttpRequest, pk: int) -> Mailbox:
    mailbox = configurable_mailbox(request, pk)
    if mailbox.kind != Mailbox.Kind.POP3:
        raise Http404
    return mailbox


urlpatterns = [
    path("settings/mail/accounts/", mail_accounts, name="mail-accounts"),
    path("settings/mail/accounts/<int:pk>/", password, {"side": "incoming"}, name="password-incoming"),
    path("settings/mail/accounts/<int:pk>/test/", password_test, {"side": "incoming"}, name="password-incoming-test"),
    path("settings/mail/send-as/<int:pk>/", password, {"side": "outgoing"}, name="password-outgoing"),
    path("settings/mail/send-as/<int:pk>/test/", password_test, {"side": "outgoing"}, name="password-outgoing-test"),
]
