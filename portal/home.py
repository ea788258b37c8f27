"""The home page: what needs my answer, what is unread, how my mailbox is doing, the latest mail with customers (R34).

What may take the database a while is put in by htmx after the page is shown; each part asks for itself again every
minute, so that the page stays true while it is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Mailbox, User
from customers.models import Customer
from fetcher.models import FetchRun
from mail.matching import correspondents
from mail.models import Thread
from portal.requests import member
from sharing.answering import dismiss, take_back, waiting_for
from sharing.feed import COUNTED, UNREAD_DAYS, latest_customer_mail, unread_by_customer
from sharing.notices import notifications_for
from sharing.visibility import Sight

LATEST = 10
#: So much of what waits for an answer, and so many notifications, stand on the home page; the rest has pages of its own.
WAITING = 6
NOTED = 3


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
    sight = Sight(user)
    latest = _latest(sight)
    steps = get_started(user, mailboxes, has_customer_mail=bool(latest["latest"]))
    context = {"steps": steps, "next_step": next((step for step in steps if not step.is_done), None)}
    return render(request, "home/home.html", context | latest | _mailbox(mailboxes, sight))


@login_required
@require_safe
def home_latest(request: HttpRequest) -> HttpResponse:
    """The latest customer mail, for htmx."""
    return render(request, "home/latest.html", _latest(Sight(member(request))))


@login_required
@require_safe
def home_mailbox(request: HttpRequest) -> HttpResponse:
    """The state of one's active mailbox, for htmx."""
    user = member(request)
    mailboxes = Mailbox.objects.owned_by(user).connected().select_related("owner__organization")
    return render(request, "home/mailbox.html", _mailbox(list(mailboxes), Sight(user)))


@login_required
@require_safe
def home_answers(request: HttpRequest) -> HttpResponse:
    """What one should know of, and the latest that waits for one's answer, for htmx."""
    sight = Sight(member(request))
    noted = notifications_for(sight)
    context = {
        "page": waiting_for(sight, most=WAITING),
        "notifications": noted[:NOTED],
        "more_notifications": len(noted[NOTED:]),
    }
    return render(request, "home/answers.html", context)


@login_required
@require_safe
def home_unread(request: HttpRequest) -> HttpResponse:
    """Unread customer mail by customer, for htmx."""
    unread = unread_by_customer(Sight(member(request)))
    return render(request, "home/unread.html", {"unread": unread, "counted": COUNTED, "days": UNREAD_DAYS})


@login_required
@require_safe
def answers(request: HttpRequest) -> HttpResponse:
    """All that waits for one's answer, the latest first."""
    page = waiting_for(Sight(member(request)), request.GET.get("cursor", ""))
    is_fragment = request.htmx  # type: ignore[attr-defined]
    return render(request, "home/waiting.html" if is_fragment else "home/answers_page.html", {"page": page})


@login_required
@require_POST
def answer_dismiss(request: HttpRequest, pk: int) -> HttpResponse:
    """Say that a conversation of one's own needs no answer."""
    user = member(request)
    dismiss(user, get_object_or_404(Thread, owner=user, pk=pk))
    undo = reverse("answer-restore", args=[pk])
    notices.success(request, "It is off the list until the customer writes again.", extra_tags=undo)
    return redirect("answers" if "all" in request.POST else "home")


@login_required
@require_POST
def answer_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Say that it does need one."""
    user = member(request)
    take_back(user, get_object_or_404(Thread, owner=user, pk=pk))
    return redirect("home")


def _latest(sight: Sight) -> dict[str, object]:
    messages = latest_customer_mail(sight, LATEST)
    customers = correspondents(messages)
    return {
        "names": sight.modes.names(),
        "latest": [(message, customers[message.pk]) for message in messages],
    }


def _mailbox(mailboxes: Sequence[Mailbox], sight: Sight) -> dict[str, object]:
    """What `home/mailbox.html` shows: the active mailbox, its mode, and the fetch that is going on."""
    mailbox = next((mailbox for mailbox in mailboxes if mailbox.is_active), None)
    is_held = mailbox is not None and mailbox.lease_token is not None
    return {
        "mailbox": mailbox,
        "mode": sight.modes.of(mailbox) if mailbox else None,
        "going": FetchRun.objects.filter(mailbox=mailbox, finished=None).first() if is_held else None,
    }


def get_started(user: User, mailboxes: Sequence[Mailbox], *, has_customer_mail: bool) -> list[Step]:
    """The steps from a new account to customer mail on a record, each with whether it is done (R4).

    Where there is mail with customers, nobody need be asked whether there are any.
    """
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
            has_customer_mail or Customer.objects.for_organization(user.organization).exists(),
        ),
    ]


urlpatterns = [
    path("", home, name="home"),
    path("home/latest/", home_latest, name="home-latest"),
    path("home/mailbox/", home_mailbox, name="home-mailbox"),
    path("home/answers/", home_answers, name="home-answers"),
    path("home/unread/", home_unread, name="home-unread"),
    path("answers/", answers, name="answers"),
    path("answers/<int:pk>/dismiss/", answer_dismiss, name="answer-dismiss"),
    path("answers/<int:pk>/restore/", answer_restore, name="answer-restore"),
]
