"""One message that one may see: its page, its frame, its parts and its original (R26, R32)."""

from __future__ import annotations

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from mail.content import Content
from mail.conversations import others_in_conversation
from mail.deeds import mark_message
from mail.documents import text_as_html
from mail.matching import correspondents, unknown_sender
from mail.models import IN_TRASH, Message, Thread
from mail.reading import always_show_images, content_of, raw_for, text_of
from portal.composing import delivery_of, go_to
from portal.displaying import body_of, download, frame_of, full_page_of, opened, people_by_role, visible, written
from portal.requests import ids_in, member
from sender.models import Outgoing
from sharing.audit import openings_of, record_opening
from sharing.policies import keep_private
from sharing.visibility import (
    Sight,
    explain,
    explain_to_colleagues,
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


@login_required
@require_safe
def message(request: HttpRequest, pk: int) -> HttpResponse:
    """One message, with what else of its conversation the reader may see.

    htmx gets parts of the page: the reading pane of the list everything but the page around it, a line of a
    conversation the message alone. A draft opens in its editor.
    """
    user = member(request)
    sight = Sight(user)
    chosen = opened(user, pk, sight)
    outgoing = Outgoing.objects.owned_by(user).filter(pk=pk).first() if chosen.is_written_here else None
    if outgoing is not None and outgoing.status == Outgoing.Status.DRAFT:
        return go_to(request, "draft", pk)
    if chosen.owner_id == user.pk and not chosen.is_read:
        mark_message(chosen, is_read=True)
    target = request.htmx.target if request.htmx else ""  # type: ignore[attr-defined]
    context = _shown(request, user, chosen) | delivery_of(outgoing)
    if target == f"message-{pk}":
        template = "mail/message_card.html"
    else:
        template = "mail/message_pane.html" if target == PANE else "mail/message.html"
        context |= _around(user, chosen, sight) | {"in_pane": target == PANE}
    answer = render(request, template, context)
    patch_vary_headers(answer, ["HX-Request", "HX-Target"])
    return answer


def _shown(request: HttpRequest, user: User, chosen: Message) -> dict[str, object]:
    """The message itself."""
    content = content_of(chosen)
    is_owner = chosen.owner_id == user.pk
    shown = body_of(request, content, has_bytes=chosen.is_complete)
    always = bool(shown["blocked_images"]) and chosen.images_wanted
    images = "images" in request.GET or always
    query = "?images" if images else ""
    return shown | {
        "message": chosen,
        "is_owner": is_owner,
        "people": _people(chosen, content, hidden=is_owner),
        "text": shown["text"] or (text_as_html(text_of(chosen)) if shown["as_text"] else ""),
        "images": images,
        "always_images": always,
        "page": reverse("message", args=[chosen.pk]),
        "frame": reverse("message-html", args=[chosen.pk]) + query,
        "full": reverse("message-full", args=[chosen.pk]) + query,
    }


def _people(chosen: Message, content: Content, *, hidden: bool) -> list[tuple[str, list[str]]]:
    """Who is in its header. What is written here goes out without its Bcc, which its owner sees all the same."""
    read = () if chosen.is_written_here else content.header.participants
    return people_by_role(read or chosen.participants.all(), hidden=hidden)


def _around(user: User, chosen: Message, sight: Sight) -> dict[str, object]:
    """What stands beside the message: its conversation and its customers."""
    others, has_more = others_in_conversation(sight.messages(~IN_TRASH), chosen, user, most=LISTED)
    place = (chosen.date, chosen.pk)
    customers = correspondents([chosen])[chosen.pk]
    is_owner = chosen.owner_id == user.pk
    return {
        "earlier": [other for other in others if (other.date, other.pk) < place],
        "later": [other for other in others if (other.date, other.pk) > place],
        "has_more": has_more,
        "listed": LISTED,
        "customers": customers,
        "unknown_sender": unknown_sender(chosen) if is_owner and not customers else None,
    }


@login_required
@require_safe
@xframe_options_sameorigin
def message_html(request: HttpRequest, pk: int) -> HttpResponse:
    """The HTML of a message, for the sandboxed frame: sanitised, and under a policy of its own (R32)."""
    user = member(request)
    chosen = visible(user, pk)
    record_opening(user, chosen, again=False)
    return frame_of(request, content_of(chosen))


@login_required
@require_safe
def message_full(request: HttpRequest, pk: int) -> HttpResponse:
    """A whole message as a page of its own, without the portal around it: to read at full height, and to print (R32)."""
    user = member(request)
    chosen = opened(user, pk)
    content = content_of(chosen)
    return full_page_of(
        request,
        content,
        title=str(chosen),
        header=[*_people(chosen, content, hidden=chosen.owner_id == user.pk), ("Date", written(chosen.date))],
        text=text_of(chosen),
    )


@login_required
@require_safe
def message_sharing(request: HttpRequest, pk: int) -> HttpResponse:
    """*Why can I see this?*, and for its owner *who can see this?* (R26); to htmx without the page around it."""
    user = member(request)
    chosen = visible(user, pk)
    is_owner = chosen.owner_id == user.pk
    verdict = explain_to_colleagues(chosen) if is_owner else explain(user, chosen)
    viewers = viewers_of(chosen) if is_owner else []
    context = {
        "message": chosen,
        "is_owner": is_owner,
        "verdict": verdict,
        "setting": setting_behind(chosen, verdict.line),
        "viewers": viewers[:NAMED],
        "more_viewers": len(viewers[NAMED:]),
    }
    return render(request, "mail/sharing_reason.html" if request.htmx else "mail/sharing.html", context)  # type: ignore[attr-defined]


@login_required
@require_POST
def message_images(request: HttpRequest, pk: int) -> HttpResponse:
    """Always show this reader the remote images of this message's sender, or no longer (R32)."""
    user = member(request)
    chosen = visible(user, pk)
    if "stop" in request.POST:
        user.image_senders.filter(address=chosen.from_address).delete()
        notices.success(request, f"Remote images of {chosen.from_address} are shown only when you ask.")
    else:
        always_show_images(user, chosen)
        notices.success(request, f"Remote images of {chosen.from_address} are always shown to you.")
    return redirect("message", pk=pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def image_senders(request: HttpRequest) -> HttpResponse:
    """The senders whose remote images one always sees, to be taken back (R32)."""
    user = member(request)
    if request.method == "POST":
        user.image_senders.filter(pk__in=ids_in(request.POST.getlist("sender"))).delete()
        notices.success(request, "Their remote images are shown only when you ask.")
        return redirect("image-senders")
    return render(request, "mail/image_senders.html", {"senders": user.image_senders.all()})


@login_required
@require_safe
def message_raw(request: HttpRequest, pk: int) -> HttpResponse:
    """The original as a download; to colleagues without the headers that are the owner's own."""
    user = member(request)
    chosen = opened(user, pk)
    return download(raw_for(user, chosen), f"message-{chosen.pk}.eml")


@login_required
@require_safe
def message_source(request: HttpRequest, pk: int) -> HttpResponse:
    """The original as text on a page."""
    user = member(request)
    chosen = opened(user, pk)
    raw = raw_for(user, chosen)
    source = raw[:SOURCE_BYTES].decode("utf-8", "replace")
    return render(request, "mail/source.html", {"message": chosen, "source": source, "is_cut": len(raw) > SOURCE_BYTES})


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
    template = "mail/openings_list.html" if request.htmx else "mail/openings.html"  # type: ignore[attr-defined]
    return render(request, template, {"message": chosen, "openings": openings_of(chosen)[:LISTED]})


urlpatterns = [
    path("mail/messages/<int:pk>/", message, name="message"),
    path("mail/messages/<int:pk>/html/", message_html, name="message-html"),
    path("mail/messages/<int:pk>/full/", message_full, name="message-full"),
    path("mail/messages/<int:pk>/raw/", message_raw, name="message-raw"),
    path("mail/messages/<int:pk>/original/", message_source, name="message-source"),
    path("mail/messages/<int:pk>/sharing/", message_sharing, name="message-sharing"),
    path("mail/messages/<int:pk>/images/", message_images, name="message-images"),
    path("mail/messages/<int:pk>/private/", message_private, name="message-private"),
    path("mail/messages/<int:pk>/openings/", message_openings, name="message-openings"),
    path("mail/threads/<int:pk>/private/", thread_private, name="thread-private"),
    path("settings/images/", image_senders, name="image-senders"),
]
