"""Administration: who belongs to the organisation, and what holds for all of it (R2, R3). For administrators only."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.mailboxes import NotPossible
from accounts.members import invitation_link, mail_invitation
from accounts.models import Mailbox, Organization, User
from accounts.organizations import INVITATION_DAYS
from portal.requests import administrators_only, member
from portal.setup import time_zone_choices
from sharing import administering
from sharing.modes import modes_of

MAILBOXES_A_PAGE = 50


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(label="E-mail address")
    name = forms.CharField(max_length=200, required=False, help_text="They can change it when they accept.")
    role = forms.ChoiceField(choices=User.Role.choices, initial=User.Role.MEMBER)


class OrganizationForm(forms.ModelForm):
    """What holds for the whole organisation."""

    time_zone = forms.ChoiceField(label="Time zone", choices=time_zone_choices, help_text="All times are shown in it.")
    poll_interval_minutes = forms.IntegerField(
        label="Fetch mail every (minutes)",
        min_value=3,
        max_value=60,
        help_text="From 3 to 60. A mailbox may have its own interval.",
    )

    class Meta:
        model = Organization
        fields = ("name", "time_zone", "poll_interval_minutes", "delivers_locally")
        labels = {"name": "Organisation"}


class MailDomainForm(forms.Form):
    """One more mail domain of the organisation's own."""

    domain = forms.CharField(max_length=253, label="Domain")


@administrators_only
@require_safe
def users(request: HttpRequest) -> HttpResponse:
    """Everybody in the organisation, with their state, role and mailboxes, and the invitations that are open."""
    organization = member(request).organization
    pop3 = (
        Mailbox.objects.connected().filter(kind=Mailbox.Kind.POP3).select_related("owner").order_by("-is_active", "id")
    )
    return render(
        request,
        "administration/users.html",
        {
            "people": User.objects.for_organization(organization)
            .prefetch_related(Prefetch("mailboxes", queryset=pop3, to_attr="pop3_mailboxes"))
            .order_by("-is_active", "name", "id"),
            "invitations": organization.invitations.filter(
                accepted_at=None, expires_at__gt=timezone.now()
            ).select_related("invited_by"),
        },
    )


class MailboxFilterForm(forms.Form):
    """Which accounts are listed."""

    find = forms.CharField(required=False, max_length=200)
    state = forms.ChoiceField(required=False, choices=[("", "Every state"), *Mailbox.State.choices])


@administrators_only
@require_safe
def mailboxes(request: HttpRequest) -> HttpResponse:
    """The POP3 accounts of everybody in the organisation, with their state; no word of their mail (R25)."""
    organization = member(request).organization
    everybodys = Mailbox.objects.for_organization(organization).connected().filter(kind=Mailbox.Kind.POP3)
    form = MailboxFilterForm(request.GET)
    listed = everybodys
    if form.is_valid():
        listed = listed.found_by(form.cleaned_data["find"])
        if form.cleaned_data["state"]:
            listed = listed.shown_as(form.cleaned_data["state"])
    page = Paginator(listed.select_related("owner").order_by("owner__name", "owner_id", "id"), MAILBOXES_A_PAGE)
    colleagues = User.objects.for_organization(organization).filter(is_active=True)
    shown = page.get_page(request.GET.get("page"))
    modes = modes_of(organization)
    context = {
        "form": form,
        "page": shown,
        "rows": [(mailbox, modes.of(mailbox)) for mailbox in shown],
        "states": [(state, everybodys.shown_as(state).count()) for state in Mailbox.State],
        "colleagues": colleagues,
        "is_filtered": bool(request.GET.get("find") or request.GET.get("state")),
    }
    return render(request, "administration/mailboxes.html", context)


@administrators_only
@never_cache
@require_http_methods(["GET", "POST"])
def user_invite(request: HttpRequest) -> HttpResponse:
    """Invite a colleague. The answer to the form shows the link: it can't be shown again, only its hash is kept."""
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            invitation, token = administering.invite(member(request), **form.cleaned_data)
        except NotPossible as error:
            form.add_error("email", str(error))
        else:
            link = invitation_link(token)
            return render(
                request,
                "administration/invited.html",
                {"invitation": invitation, "link": link, "is_mailed": mail_invitation(invitation, link)},
            )
    return render(request, "administration/invite.html", {"form": form, "days": INVITATION_DAYS})


@administrators_only
@require_POST
def invitation_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the link of an invitation worthless."""
    invitation = get_object_or_404(member(request).organization.invitations.filter(accepted_at=None), pk=pk)
    administering.withdraw(member(request), invitation)
    messages.success(request, f"The invitation of {invitation.email} is withdrawn; its link no longer works.")
    return redirect("users")


@administrators_only
@require_POST
def user_deactivate(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep somebody out."""
    user = _colleague(request, pk)
    try:
        administering.change_user(member(request), user, is_active=False)
    except NotPossible as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request,
            f"{user} can no longer sign in and their mailboxes are no longer fetched. What they shared stays shared.",
        )
    return redirect("users")


@administrators_only
@require_POST
def user_reactivate(request: HttpRequest, pk: int) -> HttpResponse:
    """Let somebody in again."""
    user = _colleague(request, pk)
    administering.change_user(member(request), user, is_active=True)
    messages.success(request, f"{user} can sign in again, and their active mailbox is fetched again.")
    return redirect("users")


@administrators_only
@require_POST
def user_role(request: HttpRequest, pk: int) -> HttpResponse:
    """Make somebody administrator or member."""
    user = _colleague(request, pk)
    role = request.POST.get("role", "")
    if role not in User.Role.values:
        messages.error(request, "Choose administrator or member.")
        return redirect("users")
    try:
        administering.change_user(member(request), user, role=role)
    except NotPossible as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{user} is now {user.get_role_display().lower()}.")
    return redirect("home" if user == member(request) and not user.is_admin else "users")


@administrators_only
@require_http_methods(["GET", "POST"])
def organization(request: HttpRequest) -> HttpResponse:
    """Name, time zone, interval and own mail domains."""
    mine = member(request).organization
    form = OrganizationForm(request.POST or None, instance=Organization.objects.get(pk=mine.pk))
    if request.method == "POST" and form.is_valid():
        administering.change_organization(member(request), mine, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("organization")
    return _organization_page(request, form, MailDomainForm())


@administrators_only
@require_POST
def mail_domain_add(request: HttpRequest) -> HttpResponse:
    """Add a mail domain of the organisation's own; its addresses are colleagues' from the next request on."""
    mine = member(request).organization
    form = MailDomainForm(request.POST)
    if form.is_valid():
        try:
            added = administering.add_mail_domain(member(request), form.cleaned_data["domain"])
        except ValidationError as error:
            form.add_error("domain", error)
        else:
            messages.success(request, f"Addresses at {added} are colleagues' now.")
            return redirect("organization")
    return _organization_page(request, OrganizationForm(instance=mine), form)


@administrators_only
@require_POST
def mail_domain_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a mail domain; the last one stays."""
    domain = get_object_or_404(member(request).organization.mail_domains.all(), pk=pk)
    try:
        administering.remove_mail_domain(member(request), domain)
    except NotPossible as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Addresses at {domain} no longer count as colleagues'.")
    return redirect("organization")


def _colleague(request: HttpRequest, pk: int) -> User:
    """The only door to a user here: one of the administrator's own organisation, else 404 (R1)."""
    return get_object_or_404(User.objects.for_organization(member(request).organization), pk=pk)


def _organization_page(request: HttpRequest, form: OrganizationForm, domain_form: MailDomainForm) -> HttpResponse:
    domains = member(request).organization.mail_domains.all()
    return render(
        request,
        "administration/organization.html",
        {"form": form, "domain_form": domain_form, "domains": domains},
    )


urlpatterns = [
    path("administration/mailboxes/", mailboxes, name="mailboxes"),
    path("administration/users/", users, name="users"),
    path("administration/users/invite/", user_invite, name="user-invite"),
    path("administration/users/<int:pk>/deactivate/", user_deactivate, name="user-deactivate"),
    path("administration/users/<int:pk>/reactivate/", user_reactivate, name="user-reactivate"),
    path("administration/users/<int:pk>/role/", user_role, name="user-role"),
    path("administration/invitations/<int:pk>/revoke/", invitation_revoke, name="invitation-revoke"),
    path("administration/organization/", organization, name="organization"),
    path("administration/organization/domains/add/", mail_domain_add, name="mail-domain-add"),
    path("administration/organization/domains/<int:pk>/remove/", mail_domain_remove, name="mail-domain-remove"),
]
