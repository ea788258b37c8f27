"""Email Settings: the CRM Mail account, the list of POP3 accounts, each account's page (R4–R6, R13, R15, R18, R20)."""

from __future__ import annotations

from functools import partial

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.mailboxes import NotPossible, activate, change_mailbox
from accounts.models import Mailbox, User
from fetcher.models import FetchRun
from fetcher.tasks import fetch_now
from mail.accounts import has_mail_account, open_mail_account, suggested_address
from mail.arranging import change_address, change_signature
from portal.mailbox_forms import MailAccountForm, MailboxForm, SharingForm, find_servers
from portal.requests import member
from sharing.audit import changes_of
from sharing.models import SharingPolicy
from sharing.modes import modes_of, standing_of
from sharing.policies import connect_mailbox, policy_of, set_policy
from sharing.preview import colleagues_among_customers, preview

RUNS_SHOWN = 50
CHANGES_SHOWN = 10


@login_required
@require_safe
def email_settings(request: HttpRequest) -> HttpResponse:
    """The CRM Mail account, or the prompt to set one up (R4), and the list of POP3 accounts with their state (R6)."""
    user = member(request)
    mailboxes = (
        Mailbox.objects.owned_by(user).select_related("owner__organization").annotate(message_count=Count("messages"))
    )
    modes = modes_of(user.organization)
    rows = [(mailbox, modes.of(mailbox)) for mailbox in mailboxes]
    return render(request, "settings/overview.html", {"mailboxes": rows, "has_account": has_mail_account(user)})


@login_required
@require_http_methods(["GET", "POST"])
def mail_account(request: HttpRequest) -> HttpResponse:
    """Set up one's CRM Mail account, or change its address and signature (R4)."""
    user = member(request)
    account = getattr(user, "mail_account", None)
    if account is None:
        initial = {"address": suggested_address(user)}
    else:
        initial = {"address": account.mailbox.email_address, "signature": account.signature}
    form = MailAccountForm(request.POST or None, initial=initial)
    if form.is_valid():
        try:
            if account is None:
                open_mail_account(user, form.cleaned_data["address"], form.cleaned_data["signature"])
            else:
                change_address(account, form.cleaned_data["address"])
                change_signature(account, form.cleaned_data["signature"])
        except NotPossible as error:
            form.add_error("address", str(error))
        else:
            notices.success(request, "Your CRM Mail account is saved.")
            return redirect("email-settings" if account else "mailbox-add")
    return render(request, "settings/account.html", {"form": form, "account": account})


@login_required
@require_http_methods(["GET", "POST"])
def mailbox_add(request: HttpRequest) -> HttpResponse:
    """*Add POP3 Account* (R6, R13)."""
    user = member(request)
    if not has_mail_account(user):
        notices.info(request, "Set up your CRM Mail account first: it is where fetched mail is kept.")
        return redirect("mail-account")
    if "find" in request.POST:
        form, found = find_servers(request.POST)
        chosen = {"sharing_mode": request.POST.get("sharing_mode")}
        context = {"form": form, "found": found, "sharing": SharingForm(initial=chosen, owner=user)}
        return render(request, "settings/mailbox_form.html", context)
    form = MailboxForm(request.POST or None)
    sharing = SharingForm(request.POST or None, owner=user)
    if form.is_valid() & sharing.is_valid():
        try:
            mailbox = connect_mailbox(
                user,
                actor=user,
                sharing_mode=sharing.cleaned_data["sharing_mode"],
                excluded_domains=sharing.cleaned_data["excluded_domains"] or (),
                **form.settings,
            )
        except NotPossible as error:
            form.add_error("email_address", str(error))
        else:
            notices.success(request, f"{mailbox.email_address} was added.")
            if mailbox.is_active:
                fetch_now(mailbox)
            return redirect("mailbox", pk=mailbox.pk)
    return render(request, "settings/mailbox_form.html", {"form": form, "sharing": sharing})


@login_required
@require_safe
def mailbox(request: HttpRequest, pk: int) -> HttpResponse:
    """One account: its state in words, its sharing, its last runs (R6, R18)."""
    chosen = _own_mailbox(request, pk)
    context = _progress(chosen) | {
        "policy": policy_of(chosen),
        "standing": standing_of(chosen),
        "active": Mailbox.objects.owned_by(member(request)).filter(is_active=True).first(),
    }
    return render(request, "settings/mailbox.html", context)


@login_required
@require_safe
def mailbox_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The runs of an account as a fragment; while one is going it asks for itself again."""
    return render(request, "settings/runs.html", _progress(_own_mailbox(request, pk)))


@login_required
@require_http_methods(["GET", "POST"])
def mailbox_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a POP3 account; a new password resumes polling (R18)."""
    chosen = _own_mailbox(request, pk)
    if chosen.kind == Mailbox.Kind.CRM_MAIL:
        return redirect("mail-account")
    form = MailboxForm(request.POST or None, mailbox=chosen)
    if form.is_valid():
        try:
            change_mailbox(chosen, **form.settings)
        except NotPossible as error:
            form.add_error("email_address", str(error))
        else:
            notices.success(request, f"{chosen.email_address} was saved.")
            return redirect("mailbox", pk=pk)
    return render(request, "settings/mailbox_form.html", {"form": form, "mailbox": chosen})


@login_required
@require_http_methods(["GET", "POST"])
def mailbox_sharing(request: HttpRequest, pk: int) -> HttpResponse:
    """Email Sharing Permissions of an account, for its owner and administrators (R20–R23, R25).

    What was chosen is first shown with what it would do, and saved when that is confirmed (R26).
    """
    user = member(request)
    chosen = _configurable_mailbox(user, pk)
    is_owner = chosen.owner_id == user.pk
    policy = policy_of(chosen)
    initial = {}
    if policy is not None:
        domains = [domain.domain for domain in policy.excluded_domains.all()]
        initial = {"sharing_mode": policy.mode, "excluded_domains": domains}
    form = SharingForm(request.POST or None, initial=initial, owner=chosen.owner)
    context = {"form": form, "mailbox": chosen, "is_owner": is_owner, "changes": changes_of(chosen)[:CHANGES_SHOWN]}
    if "back" in request.POST or not form.is_valid():
        return render(request, "settings/sharing.html", context)
    change = partial(
        set_policy,
        chosen,
        actor=user,
        mode=form.cleaned_data["sharing_mode"],
        excluded_domains=form.cleaned_data["excluded_domains"],
    )
    if "confirmed" not in request.POST:
        context |= {
            "preview": preview([chosen.owner], change),
            "mode": SharingPolicy.Mode(form.cleaned_data["sharing_mode"]),
            "excluded": form.cleaned_data["excluded_domains"] or [],
            "ticks": chosen.owner.shared_records.count(),
            "colleagues": colleagues_among_customers(user.organization),
        }
        return render(request, "settings/sharing_preview.html", context)
    change()
    mode = SharingPolicy.Mode(form.cleaned_data["sharing_mode"]).label
    notices.success(request, f"Saved: {chosen.email_address} is {mode}. It acts at once.")
    return redirect("mailbox", pk=pk) if is_owner else redirect("sharing-overview")


@login_required
@require_POST
def mailbox_activate(request: HttpRequest, pk: int) -> HttpResponse:
    """Poll and send from this account; the one that was active stops (R5)."""
    chosen = _own_mailbox(request, pk)
    stopped = Mailbox.objects.owned_by(member(request)).filter(is_active=True).exclude(pk=pk).first()
    activate(chosen)
    notices.success(
        request,
        f"{chosen.email_address} is now your active account."
        + (f" {stopped.email_address} is no longer fetched or sent from." if stopped else ""),
    )
    return redirect("email-settings")


@login_required
@require_POST
def mailbox_fetch(request: HttpRequest, pk: int) -> HttpResponse:
    """*Fetch now* (R15)."""
    chosen = _own_mailbox(request, pk)
    try:
        fetch_now(chosen)
    except NotPossible as error:
        notices.error(request, str(error))
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "settings/runs.html", _progress(chosen))
    return redirect("mailbox", pk=pk)


def _configurable_mailbox(user: User, pk: int) -> Mailbox:
    """A mailbox whose sharing `user` may set: their own, or for an administrator anybody's in the organisation (R25)."""
    mailboxes = Mailbox.objects.owned_by(user)
    if user.is_admin:
        mailboxes = Mailbox.objects.for_organization(user.organization)
    return get_object_or_404(mailboxes.select_related("owner__organization"), pk=pk)


def _own_mailbox(request: HttpRequest, pk: int) -> Mailbox:
    owned = Mailbox.objects.owned_by(member(request)).select_related("owner__organization")
    return get_object_or_404(owned, pk=pk)


def _progress(chosen: Mailbox) -> dict[str, object]:
    runs = list(FetchRun.objects.filter(mailbox=chosen)[:RUNS_SHOWN])
    going = runs[0] if runs and runs[0].is_open else None
    return {"mailbox": chosen, "runs": runs, "going": going, "message_count": chosen.messages.count()}


urlpatterns = [
    path("settings/email/", email_settings, name="email-settings"),
    path("settings/email/crm-mail/", mail_account, name="mail-account"),
    path("settings/email/pop3/add/", mailbox_add, name="mailbox-add"),
    path("settings/email/<int:pk>/", mailbox, name="mailbox"),
    path("settings/email/<int:pk>/edit/", mailbox_edit, name="mailbox-edit"),
    path("settings/email/<int:pk>/sharing/", mailbox_sharing, name="mailbox-sharing"),
    path("settings/email/<int:pk>/activate/", mailbox_activate, name="mailbox-activate"),
    path("settings/email/<int:pk>/fetch/", mailbox_fetch, name="mailbox-fetch"),
    path("settings/email/<int:pk>/progress/", mailbox_progress, name="mailbox-progress"),
]
