"""What somebody who may see a message gets of it (R32; sharing.md, *What a viewer who is not the owner gets*).

Whether they may see it at all is `sharing.visibility.visible_to`'s to say, before anything here is asked.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, OuterRef

from accounts.models import User
from mail import blobs
from mail.content import Content
from mail.files import storable_names
from mail.models import Attachment, ImageSender, Message
from mail.parsing import cut_part, without_hidden_headers

_CHUNK = 1 << 16


def raw_for(viewer: User, message: Message) -> bytes:
    """The bytes of a message: to its owner as received, to others without the headers that tell of hidden recipients."""
    raw = blobs.read(message)
    return raw if viewer.pk == message.owner_id else without_hidden_headers(raw)


def content_of(message: Message) -> Content:
    """What a message holds."""
    return Content(blobs.read(message))


def html_of(message: Message, *, images: bool) -> str:
    """The HTML of a message made safe, empty where it has none that can be shown."""
    return content_of(message).rendered(images=images, fold=False).html or ""


def text_of(message: Message) -> str:
    """The readable text of a message."""
    return message.body.text if hasattr(message, "body") else ""


def attachment_bytes(attachment: Attachment) -> bytes:
    """The decoded bytes of an attachment."""
    return cut_part(blobs.read(attachment.message), attachment.part)[0]


def archive(content: Content) -> Iterator[bytes]:
    """Everything attached to a message as a ZIP archive, piece by piece: one attachment at a time is decoded."""
    sink = _Sink()
    names = storable_names(download.name for download in content.downloads)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as zipped:
        for name, (_, data) in zip(names, content.files(), strict=True):
            with zipped.open(name, "w") as entry:
                for start in range(0, len(data), _CHUNK):
                    entry.write(data[start : start + _CHUNK])
                    yield sink.taken()
        yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """A file that `zipfile` writes and somebody else takes away, piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """It is for nothing else."""
        return True

    def write(self, data: Any) -> int:
        """Keep `data` until it is taken."""
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def wants_images(viewer: User) -> Exists:
    """Condition on messages: `viewer` wants to see the remote images of their sender without asking."""
    return Exists(ImageSender.objects.filter(viewer=viewer, address=OuterRef("from_address")))


def always_show_images(viewer: User, message: Message) -> None:
    """Show `viewer` the remote images of this message's sender from now on; a sender without an address is nobody."""
    if message.from_address:
        ImageSender.objects.get_or_create(viewer=viewer, address=message.from_address)
