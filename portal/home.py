"""The home page: what is left to do, how my mailbox is doing, and the latest mail with customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from accounts.models import Mailbox, User
from customers.models import Customer
from mail.matching import correspondents
from portal.requests import member
from sharing.feed import latest_customer_mail
from sharing.visibility import Sight

LATEST = 10


@dataclass(frozen=True, slots=True)
class Step:
    """One step of getting started."""

    title: str
    text: str
    url: str
    label: str
    is_done: bool


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The page after signing in."""
    user = member(request)
    mailboxes = list(Mailbox.objects.owned_by(user).connected().select_related("owner__organization"))
    steps = get_started(user, mailboxes)
    sight = Sight(user)
    messages = latest_customer_mail(sight, LATEST)
    customers = correspondents(messages)
    mailbox = next((mailbox for mailbox in mailboxes if mailbox.is_active), None)
    return render(
        request,
        "home/home.html",
        {
            "steps": steps,
            "next_step": next((step for step in steps if not step.is_done), None),
            "mailbox": mailbox,
            "mode": sight.modes.of(mailbox) if mailbox else None,
            "names": sight.modes.names(),
            "latest": [(message, customers[message.pk]) for message in messages],
        },
    )


def get_started(user: User, mailboxes: Sequence[Mailbox]) -> list[Step]:
    """The steps from a new account to customer mail on a record, each with whether it is done (R4)."""
    kinds = {mailbox.kind for mailbox in mailboxes}
    has_account = Mailbox.Kind.CRM_MAIL in kinds
    return [
        Step(
            "Set up your CRM Mail account",
            "The place where your mail is kept and displayed: Inbox, Sent, your folders and labels.",
            reverse("mail-account"),
            "Set up",
            has_account,
        ),
        Step(
            "Connect a POP3 mailbox",
            "CRM Mail fetches it every few minutes. You choose how far colleagues can read along.",
            reverse("mailbox-add" if has_account else "email-settings"),
            "Connect",
            Mailbox.Kind.POP3 in kinds,
        ),
        Step(
            "Add a lead or contact",
            "Their mail is found by their addresses and listed on their record.",
            reverse("customer-add", args=["contacts"]),
            "Add a contact",
            Customer.objects.for_organization(user.organization).exists(),
        ),
    ]


urlpatterns = [path("", home, name="home")]
