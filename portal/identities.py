"""Settings › Mail › Send Mail As: what the user sends from, and the outgoing server of the CRM Mail account (R35)."""

from __future__ import annotations

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.connecting import complete
from accounts.models import Mailbox
from mail.accounts import has_mail_account
from portal.account_tests import live, review_before_saving
from portal.mailbox_forms import OutgoingForm
from portal.requests import configurable_mailbox, member
from sharing.administering import change_mailbox
from sharing.modes import modes_of

_SERVER = ("outgoing_host", "outgoing_port", "outgoing_security")


@login_required
@require_safe
def send_mail_as(request: HttpRequest) -> HttpResponse:
    """Every account of the user, the one that is sent from if nothing else is chosen, and what is missing to send."""
    user = member(request)
    modes = modes_of(user.organization)
    mailboxes = Mailbox.objects.owned_by(user).connected().select_related("owner")
    context = {
        "mailboxes": [(mailbox, modes.of(mailbox)) for mailbox in mailboxes],
        "active": any(mailbox.is_active for mailbox in mailboxes),
        "has_account": has_mail_account(user),
        "tab": "send",
    }
    return render(request, "settings/send_as.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def outgoing_server(request: HttpRequest, pk: int) -> HttpResponse:
    """Enter the outgoing server of a CRM Mail account, change it or take it away; tested before it is saved (R12)."""
    mailbox = _mail_account(request, pk)
    is_owner = mailbox.owner_id == member(request).pk
    if "remove" in request.POST:
        change_mailbox(member(request), mailbox, **complete({"outgoing_host": ""}, mailbox))
        notices.success(request, f"Nothing is sent from {mailbox.email_address} any more.")
        return _back(mailbox, is_owner=is_owner)
    initial = {} if mailbox.outgoing_host else _suggested(mailbox)
    form = OutgoingForm(request.POST or None, initial=initial, mailbox=mailbox, by_owner=is_owner)
    context = {
        "form": form,
        "mailbox": mailbox,
        "owner": mailbox.owner,
        "is_owner": is_owner,
        "suggested": "outgoing_host" in initial and not form.is_bound,
    }
    if form.is_valid():
        context["review"] = review_before_saving(form, request.POST)
        if context["review"] is None:
            change_mailbox(member(request), mailbox, **form.settings)
            notices.success(request, f"{mailbox.email_address} can be sent from.")
            return _back(mailbox, is_owner=is_owner)
    return render(request, "settings/outgoing.html", context)


@login_required
@require_POST
def outgoing_server_test(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The test of an outgoing server, live (R12)."""
    mailbox = _mail_account(request, pk)
    is_owner = mailbox.owner_id == member(request).pk
    return live(request, OutgoingForm(request.POST, mailbox=mailbox, by_owner=is_owner))


def _mail_account(request: HttpRequest, pk: int) -> Mailbox:
    mailbox = configurable_mailbox(request, pk)
    if mailbox.kind != Mailbox.Kind.CRM_MAIL:
        raise Http404
    return mailbox


def _suggested(mailbox: Mailbox) -> dict[str, object]:
    """What is likely: the server that the CRM Mail account of a colleague has, the address as user name."""
    accounts = Mailbox.objects.for_organization(mailbox.owner.organization).filter(kind=Mailbox.Kind.CRM_MAIL)
    known = accounts.exclude(outgoing_host="").order_by("-id").values(*_SERVER).first() or {}
    return known | {"outgoing_username": mailbox.email_address}


def _back(mailbox: Mailbox, *, is_owner: bool) -> HttpResponse:
    return redirect("send-mail-as") if is_owner else redirect("mailbox", pk=mailbox.pk)


urlpatterns = [
    path("settings/mail/send-as/", send_mail_as, name="send-mail-as"),
    path("settings/mail/send-as/crm-mail/<int:pk>/", outgoing_server, name="outgoing-server"),
    path("settings/mail/send-as/crm-mail/<int:pk>/test/", outgoing_server_test, name="outgoing-server-test"),
]
