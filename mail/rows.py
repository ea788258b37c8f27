"""Many new rows at once. Filing spends most of its time on them; making an object of each would double it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence

from django.db import connection
from django.db.models import Model

_BATCH = 500
_PORTION_CHARS = 4 << 20


def insert(model: type[Model], fields: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Insert rows whose values stand for `fields`: all of the model's but a generated key. A relation takes a key.

    Values are text, numbers, booleans, bytes, datetimes with a time zone, or None. Text holds no NUL.
    """
    attnames = [model._meta.get_field(name).attname for name in fields]  # type: ignore[union-attr]
    if connection.vendor == "postgresql":
        _copy(model, fields, rows)
    else:
        objects = (model(**dict(zip(attnames, row, strict=True))) for row in rows)
        model._default_manager.bulk_create(objects, batch_size=_BATCH)


def _copy(model: type[Model], fields: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """PostgreSQL's COPY in its text format (manual, *COPY*, *Text Format*), in portions of bounded size."""
    quote = connection.ops.quote_name
    columns = ", ".join(quote(model._meta.get_field(name).column) for name in fields)  # type: ignore[union-attr]
    statement = f"COPY {quote(model._meta.db_table)} ({columns}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors:
        for lines in _portions("\t".join(map(_text, row)) + "\n" for row in rows):
            cursor.cursor.copy_expert(statement, io.StringIO(lines))


def _portions(lines: Iterable[str]) -> Iterator[str]:
    portion: list[str] = []
    size = 0
    for line in lines:
        portion.append(line)
        size += len(line)
        if size > _PORTION_CHARS:
            yield "".join(portion)
            portion, size = [], 0
    if portion:
        yield "".join(portion)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    return "\\N" if value is None else str(value)
