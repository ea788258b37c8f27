"""Files that pages hand out."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import StreamingHttpResponse

from accounts.spreadsheets import as_csv


def csv_file(rows: Iterable[Iterable[object]], name: str) -> StreamingHttpResponse:
    """A table as a file called `name`, sent row by row and kept by nobody on the way."""
    return StreamingHttpResponse(
        as_csv(rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"},
    )
