"""One message that one may see: its page, its frame, its parts and its original (R26, R32)."""

from __future__ import annotations

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.cache import patch_vary_headers
from django.utils.http import content_disposition_header
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from mail.deeds import mark_message
from mail.matching import correspondents, unknown_sender
from mail.models import Message, Participant, Thread
from mail.reading import attachment_bytes, download_type, downloads_of, raw_for, rendered, text_of
from mail.rendering import frame_document, frame_policy, text_as_html
from portal.requests import member
from sharing.audit import openings_of, record_opening
from sharing.policies import keep_private
from sharing.visibility import (
    explain,
    explain_to_colleagues,
    listed_once,
    setting_behind,
    viewers_of,
    visible_to,
)

#: As many messages of a conversation, and openings, are listed.
LISTED = 30
#: As many people are named beside a message; the rest is a number.
NAMED = 10
#: As much of an original is shown on a page; the download has all of it.
SOURCE_BYTES = 1 << 20
#: The element of the mail list that one message is loaded into.
PANE = "reading-pane"
_SANDBOX = "default-src 'none'; sandbox"


@login_required
@require_safe
def message(request: HttpRequest, pk: int) -> HttpResponse:
    """One message, with what else of its conversation the reader may see; to htmx for the reading pane without the page around it."""
    user = member(request)
    chosen = _visible(user, pk)
    is_owner = chosen.owner_id == user.pk
    if is_owner and not chosen.is_read:
        mark_message(chosen, is_read=True)
    record_opening(user, chosen)
    conversation = (
        listed_once(visible_to(user).not_discarded().filter(thread__root=chosen.thread.root), user)
        .exclude(fingerprint=chosen.fingerprint)
        .select_related("owner")
        .newest_first()[:LISTED]
    )
    verdict = explain_to_colleagues(chosen) if is_owner else explain(user, chosen)
    viewers = viewers_of(chosen) if is_owner else []
    shown = rendered(chosen, images="images" in request.GET)
    as_text = "text" in request.GET or shown.html is None
    customers = correspondents([chosen])[chosen.pk]
    in_pane = bool(request.htmx) and request.htmx.target == PANE  # type: ignore[attr-defined]
    context = {
        "in_pane": in_pane,
        "message": chosen,
        "is_owner": is_owner,
        "addresses": _addresses(chosen, is_owner),
        "attachments": downloads_of(chosen, shown, as_text=as_text),
        "customers": customers,
        "unknown_sender": unknown_sender(chosen) if is_owner and not customers else None,
        "conversation": conversation,
        "rendered": shown,
        "as_text": as_text,
        "images": "images" in request.GET,
        "text": text_as_html(text_of(chosen)),
        "verdict": verdict,
        "setting": setting_behind(chosen, verdict.line),
        "viewers": viewers[:NAMED],
        "more_viewers": len(viewers[NAMED:]),
        "openings": openings_of(chosen)[:NAMED] if is_owner else [],
    }
    answer = render(request, "mail/message_pane.html" if in_pane else "mail/message.html", context)
    patch_vary_headers(answer, ["HX-Request", "HX-Target"])
    return answer


@login_required
@require_safe
@xframe_options_sameorigin
def message_html(request: HttpRequest, pk: int) -> HttpResponse:
    """The HTML of a message, for the sandboxed frame: sanitised, and under a policy of its own (R32)."""
    user = member(request)
    chosen = _visible(user, pk)
    record_opening(user, chosen, again=False)
    images = "images" in request.GET
    html = rendered(chosen, images=images).html
    return _under_policy(HttpResponse(frame_document(html or "")), frame_policy(remote_images=images))


@login_required
@require_safe
def message_raw(request: HttpRequest, pk: int) -> HttpResponse:
    """The original as a download; to colleagues without the headers that are the owner's own."""
    user = member(request)
    chosen = _opened(user, pk)
    return _download(raw_for(user, chosen), f"message-{chosen.pk}.eml", "application/octet-stream")


@login_required
@require_safe
def message_source(request: HttpRequest, pk: int) -> HttpResponse:
    """The original as text on a page."""
    user = member(request)
    chosen = _opened(user, pk)
    raw = raw_for(user, chosen)
    source = raw[:SOURCE_BYTES].decode("utf-8", "replace")
    return render(request, "mail/source.html", {"message": chosen, "source": source, "is_cut": len(raw) > SOURCE_BYTES})


@login_required
@require_safe
def attachment(request: HttpRequest, pk: int, attachment_pk: int) -> HttpResponse:
    """An attachment as a download, with a safe name and type."""
    user = member(request)
    chosen = _visible(user, pk)
    found = get_object_or_404(chosen.attachments, pk=attachment_pk)
    record_opening(user, chosen)
    return _download(attachment_bytes(found), found.name, download_type(found))


@login_required
@require_POST
def message_private(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep one's own message private, or lift that (R26)."""
    user = member(request)
    chosen = get_object_or_404(visible_to(user).owned_by(user), pk=pk)
    keep_private(user, chosen, "private" in request.POST)
    notices.success(request, "Only you can see this message." if chosen.is_private else "No longer kept private.")
    return redirect("message", pk=pk)


@login_required
@require_POST
def thread_private(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep a whole conversation of one's own private, or lift that (R26)."""
    user = member(request)
    thread = get_object_or_404(Thread, owner=user, pk=pk)
    keep_private(user, thread, "private" in request.POST)
    notices.success(request, "Only you can see this conversation." if thread.is_private else "No longer kept private.")
    latest = visible_to(user).owned_by(user).filter(thread=thread).newest_first().first()
    return redirect("message", pk=latest.pk) if latest else redirect("mail")


@login_required
@require_safe
def message_openings(request: HttpRequest, pk: int) -> HttpResponse:
    """*Who has opened this?* For the owner (R26)."""
    user = member(request)
    chosen = get_object_or_404(visible_to(user).owned_by(user), pk=pk)
    return render(request, "mail/openings.html", {"message": chosen, "openings": openings_of(chosen)[:LISTED]})


def _visible(user: User, pk: int) -> Message:
    """The message, if the user may see it; 404 otherwise."""
    seen = visible_to(user).select_related("owner__organization", "mailbox", "thread", "folder", "body")
    return get_object_or_404(seen, pk=pk)


def _opened(user: User, pk: int) -> Message:
    """The message, if the user may see it, with its opening noted; 404 otherwise."""
    chosen = _visible(user, pk)
    record_opening(user, chosen)
    return chosen


def _addresses(chosen: Message, is_owner: bool) -> list[tuple[str, list[Participant]]]:
    """The header's addresses by label; hidden recipients are the owner's to see."""
    shown: dict[str, list[Participant]] = {}
    for participant in chosen.participants.all():
        if participant.role != Participant.Role.BCC or is_owner:
            shown.setdefault(participant.get_role_display(), []).append(participant)
    return list(shown.items())


def _download(data: bytes, name: str, content_type: str) -> HttpResponse:
    response = HttpResponse(data, content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    return _under_policy(response, _SANDBOX)


def _under_policy(response: HttpResponse, policy: str) -> HttpResponse:
    """Give an answer its own Content-Security-Policy; the portal's is not added where there is one."""
    response["Content-Security-Policy"] = policy
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "private, no-store"
    return response


urlpatterns = [
    path("mail/messages/<int:pk>/", message, name="message"),
    path("mail/messages/<int:pk>/html/", message_html, name="message-html"),
    path("mail/messages/<int:pk>/raw/", message_raw, name="message-raw"),
    path("mail/messages/<int:pk>/original/", message_source, name="message-source"),
    path("mail/messages/<int:pk>/attachments/<int:attachment_pk>/", attachment, name="attachment"),
    path("mail/messages/<int:pk>/private/", message_private, name="message-private"),
    path("mail/messages/<int:pk>/openings/", message_openings, name="message-openings"),
    path("mail/threads/<int:pk>/private/", thread_private, name="thread-private"),
]
