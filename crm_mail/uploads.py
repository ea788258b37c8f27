"""What is too large is cut off while it comes in, before it fills memory or disk."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler


class BoundedUploadHandler(FileUploadHandler):
    """Lets `settings.MAX_UPLOAD_BYTES` of each file through; whoever takes the file sees that it is too large."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        """The piece, for the next handler, or nothing."""
        return raw_data if start < settings.MAX_UPLOAD_BYTES else None

    def file_complete(self, file_size: int) -> Any:  # noqa: ARG002
        """The file is another handler's to hand over."""
        return None
