"""Help, short and in plain words: one page a topic (R39)."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_safe

from accounts.organizations import INVITATION_DAYS
from portal.requests import member
from sender.files import MAX_FILES, MAX_FILES_BYTES
from sender.limits import allowance
from sender.sending import MAX_RECIPIENTS, UNDO_SECONDS
from sharing.models import MAX_EXCLUDED_DOMAINS


@dataclass(frozen=True, slots=True)
class Topic:
    """A page of help; its text is `templates/help/<name>.html`."""

    name: str
    title: str
    summary: str
    icon: str


TOPICS = (
    Topic("home", "The home page", "What waits for your answer, what is unread, notifications.", "home"),
    Topic(
        "mailboxes", "Connecting a mailbox", "Your CRM Mail account, POP3 servers, passwords, what is deleted.", "inbox"
    ),
    Topic(
        "reading",
        "Reading your mail",
        "Messages, pictures, attachments, folders, labels, undo, Trash, and the keyboard.",
        "mail",
    ),
    Topic("sharing", "The three sharing modes", "Public, Custom and Private, and what to choose.", "share"),
    Topic("colleagues", "What colleagues see", "Which messages, which parts of them, and who opened them.", "eye"),
    Topic("writing", "Writing and sending", "Drafts, replies, delivery, undo, and what mail is sent from.", "send"),
    Topic("search", "Searching", "Words, phrases, and what you can ask for: senders, dates, attachments.", "search"),
    Topic("customers", "Leads and contacts", "Records, addresses, and the mail that belongs to them.", "contacts"),
    Topic("administration", "Administration", "Inviting people, roles, own mail domains.", "shield"),
    Topic(
        "questions", "Questions and answers", "Sharing all customer mail, changed addresses, limits on sending.", "help"
    ),
)
_BY_NAME = {topic.name: topic for topic in TOPICS}


@login_required
@require_safe
def contents(request: HttpRequest) -> HttpResponse:
    """All topics."""
    return render(request, "help/contents.html", {"topics": TOPICS})


@login_required
@require_safe
def topic(request: HttpRequest, topic: str) -> HttpResponse:
    """One topic."""
    shown = _BY_NAME.get(topic)
    if shown is None:
        raise Http404
    words = {
        "topic": shown,
        "topics": TOPICS,
        "max_domains": MAX_EXCLUDED_DOMAINS,
        "invitation_days": INVITATION_DAYS,
        "max_files": MAX_FILES,
        "max_files_bytes": MAX_FILES_BYTES,
        "max_recipients": MAX_RECIPIENTS,
        "undo_seconds": UNDO_SECONDS,
        "allowance": SimpleLazyObject(lambda: allowance(member(request).organization)),
    }
    return render(request, f"help/{shown.name}.html", words)


urlpatterns = [
    path("help/", contents, name="help"),
    path("help/<slug:topic>/", topic, name="help-topic"),
]
