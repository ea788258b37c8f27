"""Email Settings: the CRM Mail account, the list of POP3 accounts, each account's page (R4–R6, R15, R18, R20).

Administrators reach the pages of everybody's accounts in the organisation; they see settings and state there, and
nothing of the mail, not even how much there is (R25).
"""

from __future__ import annotations

from functools import partial

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox
from fetcher.models import FetchRun
from fetcher.tasks import fetch_now
from mail.accounts import has_mail_account, suggested_address
from mail.arranging import change_address, change_signature
from portal.charts import run_chart
from portal.consolidating import advanced
from portal.mailbox_forms import MailAccountForm, SharingForm
from portal.requests import configurable_mailbox, for_colleague, member, owner_of_new
from sharing.administering import open_mail_account, switch_mailbox
from sharing.audit import changes_of
from sharing.models import SharingPolicy
from sharing.modes import modes_of, standing_of
from sharing.policies import policy_of, set_policy
from sharing.preview import colleagues_among_customers, preview

RUNS_SHOWN = 50
CHANGES_SHOWN = 10


@login_required
@require_safe
def email_settings(request: HttpRequest) -> HttpResponse:
    """The CRM Mail account, or the prompt to set one up (R4), and the list of POP3 accounts with their state (R6)."""
    user = member(request)
    mailboxes = (
        Mailbox.objects.owned_by(user)
        .connected()
        .select_related("owner__organization")
        .annotate(message_count=Count("messages"))
    )
    modes = modes_of(user.organization)
    rows = [(mailbox, modes.of(mailbox)) for mailbox in mailboxes]
    context = {
        "mailboxes": rows,
        "removed": user.mailboxes.removed().annotate(message_count=Count("messages")).order_by("id"),
        "active": next((mailbox for mailbox, _ in rows if mailbox.is_active), None),
        "has_account": has_mail_account(user),
    }
    return render(request, "settings/overview.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def mail_account(request: HttpRequest) -> HttpResponse:
    """Set up a CRM Mail account, one's own or as an administrator a colleague's; change one's own (R4)."""
    owner = owner_of_new(request)
    is_owner = owner == member(request)
    account = getattr(owner, "mail_account", None)
    if account is not None and not is_owner:
        return redirect("mailbox", pk=account.mailbox_id)
    if account is None:
        initial = {"address": suggested_address(owner)}
    else:
        initial = {"address": account.mailbox.email_address, "signature": account.signature}
    form = MailAccountForm(request.POST or None, initial=initial)
    if form.is_valid():
        try:
            if account is None:
                open_mail_account(member(request), owner, form.cleaned_data["address"], form.cleaned_data["signature"])
            else:
                change_address(account, form.cleaned_data["address"])
                change_signature(account, form.cleaned_data["signature"])
        except NotPossible as error:
            form.add_error("address", str(error))
        else:
            notices.success(request, "The CRM Mail account is saved.")
            return redirect("email-settings" if account else reverse("mailbox-add") + for_colleague(owner, request))
    context = {"form": form, "account": account, "owner": owner, "is_owner": is_owner}
    return render(request, "settings/account.html", context)


@login_required
@require_safe
def mailbox(request: HttpRequest, pk: int) -> HttpResponse:
    """One account: its state in words, its sharing, its last runs (R6, R18)."""
    chosen = configurable_mailbox(request, pk, or_removed=True)
    context = _progress(request, chosen) | {
        "policy": policy_of(chosen),
        "standing": standing_of(chosen),
        "active": Mailbox.objects.owned_by(chosen.owner).filter(is_active=True).first(),
    }
    return render(request, "settings/mailbox.html", context)


@login_required
@require_safe
def mailbox_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The runs of an account as a fragment; while one is going it asks for itself again."""
    return render(request, "settings/runs.html", _progress(request, configurable_mailbox(request, pk)))


@login_required
@require_http_methods(["GET", "POST"])
def mailbox_sharing(request: HttpRequest, pk: int) -> HttpResponse:
    """Email Sharing Permissions of an account, for its owner and administrators (R20–R23, R25).

    What was chosen is first shown with what it would do, and saved when that is confirmed (R26).
    """
    user = member(request)
    chosen = configurable_mailbox(request, pk, or_removed=True)
    is_owner = chosen.owner_id == user.pk
    policy = policy_of(chosen)
    initial = {}
    if policy is not None:
        domains = [domain.domain for domain in policy.excluded_domains.all()]
        initial = {"sharing_mode": policy.mode, "excluded_domains": domains}
    form = SharingForm(request.POST or None, initial=initial, owner=chosen.owner)
    context = {"form": form, "mailbox": chosen, "is_owner": is_owner, "changes": changes_of(chosen)[:CHANGES_SHOWN]}
    if "back" in request.POST or not form.is_valid():
        context |= advanced(chosen) if is_owner else {}
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
            "ticks": chosen.owner.shared_records.filter(customer__deleted_at=None).count(),
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
    chosen = configurable_mailbox(request, pk)
    stopped = Mailbox.objects.owned_by(chosen.owner).filter(is_active=True).exclude(pk=pk).first()
    switch_mailbox(member(request), chosen, is_active=True)
    notices.success(
        request,
        f"{chosen.email_address} is now the active account."
        + (f" {stopped.email_address} is no longer fetched or sent from. Its mail stays." if stopped else ""),
    )
    return _back(request, chosen)


@login_required
@require_POST
def mailbox_deactivate(request: HttpRequest, pk: int) -> HttpResponse:
    """Neither poll nor send from this account any more; its mail stays (R5)."""
    chosen = configurable_mailbox(request, pk)
    switch_mailbox(member(request), chosen, is_active=False)
    notices.success(
        request, f"{chosen.email_address} is no longer fetched or sent from. Its mail stays. No account is active now."
    )
    return _back(request, chosen)


@login_required
@require_POST
def mailbox_fetch(request: HttpRequest, pk: int) -> HttpResponse:
    """*Fetch now* (R15)."""
    chosen = configurable_mailbox(request, pk)
    try:
        fetch_now(chosen)
    except NotPossible as error:
        notices.error(request, str(error))
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "settings/runs.html", _progress(request, chosen))
    return redirect("mailbox", pk=pk)


def _back(request: HttpRequest, chosen: Mailbox) -> HttpResponse:
    return redirect("email-settings" if chosen.owner_id == member(request).pk else "mailboxes")


def _progress(request: HttpRequest, chosen: Mailbox) -> dict[str, object]:
    runs = list(FetchRun.objects.filter(mailbox=chosen)[:RUNS_SHOWN])
    going = runs[0] if runs and runs[0].is_open else None
    is_owner = chosen.owner_id == member(request).pk
    return {
        "mailbox": chosen,
        "owner": chosen.owner,
        "is_owner": is_owner,
        "runs": runs,
        "chart": run_chart(runs, counts=is_owner),
        "going": going,
        "message_count": chosen.messages.count() if is_owner else None,
    }


urlpatterns = [
    path("settings/email/", email_settings, name="email-settings"),
    path("settings/email/crm-mail/", mail_account, name="mail-account"),
    path("settings/email/<int:pk>/", mailbox, name="mailbox"),
    path("settings/email/<int:pk>/sharing/", mailbox_sharing, name="mailbox-sharing"),
    path("settings/email/<int:pk>/activate/", mailbox_activate, name="mailbox-activate"),
    path("settings/email/<int:pk>/deactivate/", mailbox_deactivate, name="mailbox-deactivate"),
    path("settings/email/<int:pk>/fetch/", mailbox_fetch, name="mailbox-fetch"),
    path("settings/email/<int:pk>/progress/", mailbox_progress, name="mailbox-progress"),
]
