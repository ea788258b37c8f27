"""How a message is shown, one of the database or one inside it: its body, its frame, its page, its downloads (R32).

What comes from mail is given out under a policy of its own, never under the portal's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.formats import date_format
from django.utils.http import content_disposition_header
from django.utils.timezone import localtime

from accounts.models import User
from mail.content import Content
from mail.documents import frame_document, height_of, page_document, text_as_html
from mail.models import Message, Participant
from mail.reading import wants_images
from mail.rendering import frame_policy
from sharing.audit import record_opening
from sharing.visibility import Sight

#: What is given out under it can neither run nor load anything, nor act as a page of ours.
SANDBOX = "default-src 'none'; sandbox"
#: The frame of a message is no higher, in pixels: what is longer is scrolled in it, or opened on its own.
MOST_HEIGHT = 2_000
LEAST_HEIGHT = 160


class Person(Protocol):
    """Somebody whom a header names."""

    @property
    def role(self) -> str:
        """One of `Participant.Role`."""

    @property
    def name(self) -> str:
        """The display name, perhaps empty."""

    @property
    def address(self) -> str:
        """The address."""


def visible(user: User, pk: int, sight: Sight | None = None) -> Message:
    """The message, if the user may see it; 404 otherwise. It knows whether they always want its sender's images."""
    seen = (sight or Sight(user)).messages().annotate(images_wanted=wants_images(user))  # type: ignore[no-redef]
    found = get_object_or_404(seen.select_related("owner", "mailbox", "thread", "folder", "body"), pk=pk)
    # Nobody sees another organisation's mail.
    found.owner.organization = user.organization
    return found


def opened(user: User, pk: int, sight: Sight | None = None) -> Message:
    """The message, if the user may see it, with its opening noted; 404 otherwise."""
    chosen = visible(user, pk, sight)
    record_opening(user, chosen)
    return chosen


def people_by_role(people: Iterable[Person], *, hidden: bool) -> list[tuple[str, list[str]]]:
    """The people of a header by label; those of Bcc only where they may be seen (`hidden`)."""
    found: dict[str, list[str]] = {}
    for person in people:
        if hidden or person.role != Participant.Role.BCC:
            label = str(Participant.Role(person.role).label)
            found.setdefault(label, []).append(f"{person.name} <{person.address}>" if person.name else person.address)
    return list(found.items())


def written(date: datetime | None) -> str:
    """A date as a header shows it, in the zone of the reader."""
    return date_format(localtime(date), "j F Y, H:i") if date else ""


def body_of(request: HttpRequest, content: Content, *, has_bytes: bool = True) -> dict[str, object]:
    """What `mail/message_body.html` shows: without `has_bytes` nothing is said about what would be missing."""
    images = "images" in request.GET
    rendered = content.rendered(images=images)
    as_text = "text" in request.GET or rendered.html is None
    return {
        "has_html": rendered.html is not None,
        "is_plain": rendered.is_plain,
        "blocked_images": rendered.blocked_images,
        "as_text": as_text,
        "images": images,
        "height": min(max(height_of(rendered.html or ""), LEAST_HEIGHT), MOST_HEIGHT),
        "text": text_as_html(content.text) if as_text else "",
        "sentences": content.notices(rendered) if has_bytes else [],
        "invites": content.invites,
        "reports": content.reports,
        "downloads": content.downloads_beside(None if as_text else rendered),
    }


def frame_of(request: HttpRequest, content: Content) -> HttpResponse:
    """The document of the sandboxed frame."""
    images = "images" in request.GET
    document = frame_document(content.rendered(images=images))
    return under_policy(HttpResponse(document), frame_policy(remote_images=images))


def full_page_of(
    request: HttpRequest,
    content: Content,
    *,
    title: str,
    header: Sequence[tuple[str, str | Sequence[str]]],
    text: str = "",
) -> HttpResponse:
    """The whole message as a document of its own, nothing folded; `text` where its bytes hold none."""
    images = "images" in request.GET
    rendered = content.rendered(images=images, fold=False)
    has_html = rendered.html is not None and "text" not in request.GET
    plain = text_as_html(content.text or text, fold=False)
    files = [download.name for download in content.downloads_beside(rendered if has_html else None)]
    facts = [(label, value if isinstance(value, str) else ", ".join(value)) for label, value in header]
    if files:
        facts.append(("Attachments", ", ".join(files)))
    document = page_document(
        title,
        facts,
        rendered.html or "" if has_html else f'<div class="text">{plain}</div>',
        is_plain=rendered.is_plain or not has_html,
    )
    return under_policy(HttpResponse(document), frame_policy(remote_images=images))


def download(data: bytes, name: str, content_type: str = "application/octet-stream") -> HttpResponse:
    """Bytes to be saved under a name."""
    return as_file(HttpResponse(data, content_type=content_type), name)


def as_file(answer: HttpResponse, name: str, *, inline: bool = False) -> HttpResponse:
    """An answer that is saved under `name` or, `inline`, shown by the browser; under the strictest policy."""
    answer["Content-Disposition"] = content_disposition_header(as_attachment=not inline, filename=name) or "attachment"
    return under_policy(answer, SANDBOX)


def under_policy(answer: HttpResponse, policy: str) -> HttpResponse:
    """Give an answer its own Content-Security-Policy; the portal's is not added where there is one."""
    answer["Content-Security-Policy"] = policy
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Referrer-Policy"] = "no-referrer"
    answer["Cache-Control"] = "private, no-store"
    return answer
