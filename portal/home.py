"""The home page: what is left to do, how my mailbox is doing, and the latest mail with customers."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from accounts.models import Mailbox, User
from customers.models import Customer
from mail.accounts import has_mail_account
from mail.matching import correspondents, has_correspondent
from mail.models import MessageQuerySet
from portal.requests import member
from sharing.visibility import listed_once, visible_to

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
    steps = get_started(user)
    messages = list(latest_customer_mail(user).select_related("owner", "mailbox")[:LATEST])
    customers = correspondents(messages)
    return render(
        request,
        "home/home.html",
        {
            "steps": steps,
            "next_step": next((step for step in steps if not step.is_done), None),
            "mailbox": Mailbox.objects.owned_by(user)
            .filter(is_active=True)
            .select_related("policy", "owner__organization")
            .first(),
            "latest": [(message, customers[message.pk]) for message in messages],
        },
    )


def get_started(user: User) -> list[Step]:
    """The steps from a new account to customer mail on a record, each with whether it is done (R4)."""
    has_account = has_mail_account(user)
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
            Mailbox.objects.owned_by(user).filter(kind=Mailbox.Kind.POP3).exists(),
        ),
        Step(
            "Add a lead or contact",
            "Their mail is found by their addresses and listed on their record.",
            reverse("customer-add", args=["contacts"]),
            "Add a contact",
            Customer.objects.for_organization(user.organization).exists(),
        ),
    ]


def latest_customer_mail(user: User) -> MessageQuerySet:
    """Mail with leads and contacts that `user` may see, newest first; copies once, nothing from Trash or Drafts."""
    messages = visible_to(user).filter(has_correspondent(), is_draft=False)
    return listed_once(messages.not_discarded(), user).newest_first()


urlpatterns = [path("", home, name="home")]
