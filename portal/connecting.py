"""Email Settings: adding a POP3 account, changing it, testing it before either (R6–R13)."""

from __future__ import annotations

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods, require_POST

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox, User
from fetcher.tasks import fetch_now
from mail.accounts import has_mail_account
from portal.account_tests import Review, live, review_before_saving, test_now
from portal.mailbox_forms import MailboxForm, SharingForm, as_entered, fill_in_outgoing, find_servers
from portal.requests import configurable_mailbox, for_colleague, member, owner_of_new
from sharing.administering import change_mailbox
from sharing.policies import connect_mailbox


@login_required
@require_http_methods(["GET", "POST"])
def mailbox_add(request: HttpRequest) -> HttpResponse:
    """*Add POP3 Account*, one's own or as an administrator for a colleague, `?owner=id` (R6, R13)."""
    owner = owner_of_new(request)
    is_owner = owner == member(request)
    if not has_mail_account(owner):
        who = "your" if is_owner else f"{owner}’s"
        notices.info(request, f"Set up {who} CRM Mail account first: it is where fetched mail is kept.")
        return redirect(reverse("mail-account") + for_colleague(owner, request))
    context = {"owner": owner, "is_owner": is_owner}
    if "find" in request.POST:
        return _filled_in(request, context | {"sharing": _chosen_sharing(request, owner)})
    if "test" in request.POST:
        context["sharing"] = _chosen_sharing(request, owner)
        return _tested(request, MailboxForm(request.POST, is_test=True), context)
    form = MailboxForm(request.POST or None)
    sharing = SharingForm(request.POST or None, owner=owner)
    context["sharing"] = sharing
    if form.is_valid() & sharing.is_valid():
        review = review_before_saving(form, request.POST)
        if review is not None:
            return _form_again(request, MailboxForm(initial=as_entered(request.POST)), context | {"review": review})
        try:
            mailbox = connect_mailbox(
                owner,
                actor=member(request),
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
    return _form_again(request, form, context)


@login_required
@require_http_methods(["GET", "POST"])
def mailbox_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a POP3 account; a new password resumes polling (R18)."""
    mailbox = configurable_mailbox(request, pk)
    is_owner = mailbox.owner_id == member(request).pk
    if mailbox.kind == Mailbox.Kind.CRM_MAIL:
        return redirect(reverse("mail-account") + for_colleague(mailbox.owner, request))
    context = {"mailbox": mailbox, "owner": mailbox.owner, "is_owner": is_owner}
    if "find" in request.POST:
        return _filled_in(request, context, mailbox)
    if "test" in request.POST:
        return _tested(request, MailboxForm(request.POST, mailbox=mailbox, by_owner=is_owner, is_test=True), context)
    form = MailboxForm(request.POST or None, mailbox=mailbox, by_owner=is_owner)
    if form.is_valid():
        review = review_before_saving(form, request.POST)
        if review is not None:
            again = MailboxForm(initial=as_entered(request.POST), mailbox=mailbox)
            return _form_again(request, again, context | {"review": review})
        try:
            change_mailbox(member(request), mailbox, **form.settings)
        except NotPossible as error:
            form.add_error("email_address", str(error))
        else:
            notices.success(request, f"{mailbox.email_address} was saved.")
            return redirect("mailbox", pk=pk)
    return _form_again(request, form, context)


@login_required
@require_POST
def mailbox_test_new(request: HttpRequest) -> HttpResponseBase:
    """*Test account* before it is added, live (R12). With `saving`, as the last step before it is."""
    if "saving" not in request.POST:
        return live(request, MailboxForm(request.POST, is_test=True))
    return live(request, MailboxForm(request.POST), SharingForm(request.POST, owner=owner_of_new(request)))


@login_required
@require_POST
def mailbox_test(request: HttpRequest, pk: int) -> HttpResponseBase:
    """*Test account* of a saved account with what the form changes, live (R12)."""
    mailbox = configurable_mailbox(request, pk)
    if mailbox.kind == Mailbox.Kind.CRM_MAIL:
        raise Http404
    is_owner = mailbox.owner_id == member(request).pk
    is_test = "saving" not in request.POST
    return live(request, MailboxForm(request.POST, mailbox=mailbox, by_owner=is_owner, is_test=is_test))


def _filled_in(request: HttpRequest, context: dict[str, object], mailbox: Mailbox | None = None) -> HttpResponse:
    """The form with the servers that go with the address, or with `find=outgoing` with the incoming server (R7, R9)."""
    if request.POST["find"] == "outgoing":
        return _form_again(request, fill_in_outgoing(request.POST, mailbox), context)
    form, found = find_servers(request.POST, mailbox)
    return _form_again(request, form, context | {"found": found, "asked": True})


def _tested(request: HttpRequest, form: MailboxForm, context: dict[str, object]) -> HttpResponse:
    """The form as it was filled in, with what a test found; beside the fields, what is missing for one."""
    if not form.is_valid():
        whole = MailboxForm(request.POST, mailbox=form.mailbox, by_owner=form.by_owner)
        return _form_again(request, whole, context)
    review: Review = test_now(form)
    again = MailboxForm(initial=as_entered(request.POST), mailbox=form.mailbox)
    return _form_again(request, again, context | {"review": review})


def _form_again(request: HttpRequest, form: MailboxForm, context: dict[str, object]) -> HttpResponse:
    return render(request, "settings/mailbox_form.html", {"form": form, **context})


def _chosen_sharing(request: HttpRequest, owner: User) -> SharingForm:
    chosen = {name: request.POST.get(name, "") for name in ("sharing_mode", "excluded_domains")}
    return SharingForm(initial=chosen, owner=owner)


urlpatterns = [
    path("settings/email/pop3/add/", mailbox_add, name="mailbox-add"),
    path("settings/email/pop3/test/", mailbox_test_new, name="mailbox-test-new"),
    path("settings/email/<int:pk>/edit/", mailbox_edit, name="mailbox-edit"),
    path("settings/email/<int:pk>/test/", mailbox_test, name="mailbox-test"),
]
