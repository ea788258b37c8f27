"""Files in drafts: uploaded once, kept compressed beside the draft, so that saving it never sends them again (R35)."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import transaction
from django.template.defaultfilters import filesizeformat

from accounts.mailboxes import NotPossible
from mail import blobs
from mail.filing import storable
from mail.models import Message
from mail.rendering import INLINE_TYPES, clean_written
from sender.addressing import header_text
from sender.building import File, new_content_id
from sender.models import DraftChunk, DraftFile, Outgoing

MAX_FILES = 50
#: What most mail servers take, once it is encoded for the way.
MAX_FILES_BYTES = 25 << 20

_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,60}")


def attach(draft: Outgoing, name: str, data: bytes, content_type: str = "", *, is_inline: bool = False) -> DraftFile:
    """Put a file into a draft; its revision stays. An inline image is one that the HTML names by `cid:` and `content_id`.

    Raises:
        NotPossible: it is no draft any more.
        ValidationError: of `attachments`: too many, too much, or an inline file that is no image.
    """
    kind = content_type.lower().partition(";")[0].strip()
    if not _CONTENT_TYPE.fullmatch(kind):
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if is_inline and kind not in INLINE_TYPES:
        raise ValidationError({"attachments": ["Only PNG, JPEG, GIF and WebP images can stand in the text."]})
    content_id = new_content_id(draft.message.mailbox.email_address)
    with transaction.atomic():
        require_draft(Outgoing.objects.select_for_update().get(pk=draft.pk))
        Outgoing.objects.filter(pk=draft.pk).update(is_touched=True)
        return keep(draft, [File(name, kind, content_id, is_inline, data)])[0]


def detach(file: DraftFile) -> None:
    """Take a file out of its draft.

    Raises:
        NotPossible: it is no draft any more.
    """
    with transaction.atomic():
        require_draft(Outgoing.objects.select_for_update().get(pk=file.outgoing_id))
        file.delete()
        _note_attachments(file.outgoing)


def read_file(file: DraftFile) -> bytes:
    """The bytes of a file in a draft."""
    return b"".join(blobs.restored(file.chunks.order_by("number").values_list("data", flat=True)))


def used_images(draft: Outgoing) -> frozenset[str]:
    """The `content_id`s of the images that stand in the HTML of a draft."""
    if not draft.html:
        return frozenset()
    ids = draft.files.filter(is_inline=True).values_list("content_id", flat=True)
    return clean_written(draft.html, {one: one for one in ids}, remote_images=True)[1]


def require_draft(draft: Outgoing) -> None:
    """`NotPossible` unless `draft`, which the caller has locked, is one still."""
    if draft.status != Outgoing.Status.DRAFT:
        raise NotPossible("This message is no draft any more. To change it, take it back first.")


def keep(draft: Outgoing, files: Sequence[File]) -> list[DraftFile]:
    """Keep files with a draft, compressed.

    Raises:
        ValidationError: there would be too many, or too much.
    """
    sizes = [*draft.files.values_list("size", flat=True), *(len(file.data) for file in files)]
    if len(sizes) > MAX_FILES:
        raise ValidationError({"attachments": [f"A message can have at most {MAX_FILES} files."]})
    if sum(sizes) > MAX_FILES_BYTES:
        limit = filesizeformat(MAX_FILES_BYTES)
        raise ValidationError({"attachments": [f"All files of a message together can be at most {limit}."]})
    stored = []
    for file in files:
        name = header_text(storable(file.name).replace("\\", "/").rpartition("/")[2])[:200] or "file"
        row = DraftFile.objects.create(
            outgoing=draft,
            name=name,
            content_type=file.content_type,
            size=len(file.data),
            content_id=file.content_id,
            is_inline=file.is_inline,
        )
        DraftChunk.objects.bulk_create(
            DraftChunk(file=row, number=number, data=data) for number, data in enumerate(blobs.Compressed(file.data))
        )
        stored.append(row)
    if files:
        _note_attachments(draft)
    return stored


def _note_attachments(draft: Outgoing) -> None:
    has = draft.files.filter(is_inline=False).exists()
    Message.objects.filter(pk=draft.pk).update(has_attachments=has)
