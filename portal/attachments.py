"""What is attached to a message that one may see: downloads, previews, and messages inside it (R32).

An attachment is named by its place, the numbers of the parts that lead to it: `4`, or `4.2` inside an attached message.
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.urls import path, register_converter, reverse
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from mail.charsets import decode_text
from mail.content import Content, Download, NotThere
from mail.files import download_type
from mail.images import read_picture
from mail.models import Message
from mail.reading import archive, content_of
from portal.displaying import (
    as_file,
    body_of,
    download,
    frame_of,
    full_page_of,
    opened,
    people_by_role,
    visible,
    written,
)
from portal.requests import member
from sharing.audit import record_opening

#: As many bytes of a text are shown, and a picture or PDF of at most so many; downloads have all.
TEXT_BYTES = 1 << 20
PREVIEW_BYTES = 32 << 20


class PlaceConverter:
    """The place of a part: numbers with dots between them."""

    regex = r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,5}"

    def to_python(self, value: str) -> str:
        """As it stands."""
        return value

    def to_url(self, value: str) -> str:
        """As it stands."""
        return value


register_converter(PlaceConverter, "part")


@login_required
@require_safe
def attachment(request: HttpRequest, pk: int, place: str) -> HttpResponse:
    """An attachment as a download, with a safe name and type."""
    found, data = _file(request, pk, place)
    return download(data, found.name, download_type(found.content_type))


@login_required
@require_safe
def attachment_preview(request: HttpRequest, pk: int, place: str) -> HttpResponse:
    """A picture, a PDF or a text, shown by the browser under the strictest policy; 404 for what is none by its bytes."""
    found, data = _file(request, pk, place)
    if found.preview == "text":
        # Without their tags being read, whatever they are.
        text = decode_text(data[:TEXT_BYTES], found.charset)
        return as_file(HttpResponse(text, content_type="text/plain; charset=utf-8"), found.name, inline=True)
    if found.preview == "image" and len(data) <= PREVIEW_BYTES:
        picture = read_picture(data)
        if picture is not None:
            return as_file(HttpResponse(data, content_type=picture.content_type), found.name, inline=True)
    if found.preview == "pdf" and len(data) <= PREVIEW_BYTES and b"%PDF-" in data[:1024]:
        return as_file(HttpResponse(data, content_type="application/pdf"), found.name, inline=True)
    raise Http404


@login_required
@require_safe
def all_attachments(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Everything attached as one archive, sent while it is packed."""
    chosen = opened(member(request), pk)
    content = content_of(chosen)
    if not content.downloads:
        raise Http404
    answer = StreamingHttpResponse(archive(content), content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="attachments-{chosen.pk}.zip"'
    answer["Cache-Control"] = "private, no-store"
    return answer


@login_required
@require_safe
def attached_message(request: HttpRequest, pk: int, place: str) -> HttpResponse:
    """A message inside a message, shown as one: with everything it has, for whoever may see the outer one."""
    user = member(request)
    chosen = opened(user, pk)
    content = _inside(chosen, place)
    query = "?images" if "images" in request.GET else ""
    outer = place.rpartition(".")[0]
    context = body_of(request, content) | {
        "message": chosen,
        "place": place,
        "outer": reverse("attached-message", args=[pk, outer]) if outer else reverse("message", args=[pk]),
        "subject": content.header.subject,
        "date": content.header.date,
        "people": people_by_role(content.header.participants, hidden=True),
        "page": reverse("attached-message", args=[pk, place]),
        "frame": reverse("attached-message-html", args=[pk, place]) + query,
        "full": reverse("attached-message-full", args=[pk, place]) + query,
    }
    return render(request, "mail/message_attached.html", context)


@login_required
@require_safe
@xframe_options_sameorigin
def attached_message_html(request: HttpRequest, pk: int, place: str) -> HttpResponse:
    """The HTML of a message inside a message, for its frame."""
    user = member(request)
    chosen = visible(user, pk)
    record_opening(user, chosen, again=False)
    return frame_of(request, _inside(chosen, place))


@login_required
@require_safe
def attached_message_full(request: HttpRequest, pk: int, place: str) -> HttpResponse:
    """A message inside a message as a page of its own."""
    content = _inside(opened(member(request), pk), place)
    header = [*people_by_role(content.header.participants, hidden=True), ("Date", written(content.header.date))]
    return full_page_of(request, content, title=content.header.subject or "(no subject)", header=header)


def _file(request: HttpRequest, pk: int, place: str) -> tuple[Download, bytes]:
    """An attachment and its bytes, with the opening noted; 404 where the reader may not see it or there is none."""
    user = member(request)
    chosen = visible(user, pk)
    try:
        found = content_of(chosen).file(place)
    except NotThere as error:
        raise Http404 from error
    record_opening(user, chosen)
    return found


def _inside(chosen: Message, place: str) -> Content:
    try:
        return content_of(chosen).inside(place)
    except NotThere as error:
        raise Http404 from error


urlpatterns = [
    path("mail/messages/<int:pk>/attachments/", all_attachments, name="attachments"),
    path("mail/messages/<int:pk>/attachments/<part:place>/", attachment, name="attachment"),
    path("mail/messages/<int:pk>/attachments/<part:place>/preview/", attachment_preview, name="attachment-preview"),
    path("mail/messages/<int:pk>/inside/<part:place>/", attached_message, name="attached-message"),
    path("mail/messages/<int:pk>/inside/<part:place>/html/", attached_message_html, name="attached-message-html"),
    path("mail/messages/<int:pk>/inside/<part:place>/full/", attached_message_full, name="attached-message-full"),
]
