"""What somebody who may see a message gets of it (R32; sharing.md, *What a viewer who is not the owner gets*).

Whether they may see it at all is `sharing.visibility.visible_to`'s to say, before anything here is asked.
"""

from __future__ import annotations

from accounts.models import User
from mail import blobs
from mail.models import Attachment, Message
from mail.parsing import cut_part, read_html, without_hidden_headers
from mail.rendering import Rendered, sanitize

#: Attachments are downloads; only types that no browser runs keep theirs.
HARMLESS_TYPES = frozenset(
    "application/pdf application/zip audio/mpeg image/gif image/jpeg image/png image/webp text/calendar text/csv "
    "text/plain video/mp4".split()
)


def raw_for(viewer: User, message: Message) -> bytes:
    """The bytes of a message: to its owner as received, to others without the headers that tell of hidden recipients."""
    raw = blobs.read(message)
    return raw if viewer.pk == message.owner_id else without_hidden_headers(raw)


def rendered(message: Message, *, images: bool) -> Rendered:
    """The HTML of a message made safe, with its inline images; None where it has none. Remote images only if asked for."""
    raw = blobs.read(message)
    html = read_html(raw)
    if not html:
        return Rendered(None)
    inline = {
        attachment.content_id: (attachment.content_type, cut_part(raw, attachment.part)[0])
        for attachment in message.attachments.filter(is_inline=True).exclude(content_id="")
    }
    return sanitize(html, inline=inline, remote_images=images)


def downloads_of(message: Message, shown: Rendered, *, as_text: bool) -> list[Attachment]:
    """The attachments to offer below a message: all but the images that its HTML, where that is shown, has inside."""
    inside = frozenset[str]() if as_text else shown.inline
    return [part for part in message.attachments.all() if not (part.is_inline and part.content_id in inside)]


def html_of(message: Message, *, images: bool) -> str:
    """The HTML of a message made safe, empty where it has none that can be shown."""
    return rendered(message, images=images).html or ""


def text_of(message: Message) -> str:
    """The readable text of a message."""
    return message.body.text if hasattr(message, "body") else ""


def attachment_bytes(attachment: Attachment) -> bytes:
    """The decoded bytes of an attachment."""
    return cut_part(blobs.read(attachment.message), attachment.part)[0]


def download_type(attachment: Attachment) -> str:
    """The content type to download an attachment with: its own if harmless, else plain bytes."""
    return attachment.content_type if attachment.content_type in HARMLESS_TYPES else "application/octet-stream"
