"""Many new rows at once. Filing spends most of its time on them; making an object of each would double it."""

from __future__ import annotations

import io
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from django.db import connection
from django.db.models import Field, Model

_BATCH = 500
_PORTION_BYTES = 1 << 20


def insert(model: type[Model], fields: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Insert rows whose values stand for `fields`: all of the model's but a generated key. A relation takes a key.

    Values are text, numbers, booleans, bytes, datetimes with a time zone, or None. Text holds no NUL.
    """
    columns = [cast("Field[Any, Any]", model._meta.get_field(name)) for name in fields]
    if connection.vendor == "postgresql":
        _copy(model, columns, rows)
    else:
        names = [column.attname for column in columns]
        objects = (model(**dict(zip(names, row, strict=True))) for row in rows)
        model._default_manager.bulk_create(objects, batch_size=_BATCH)


def create(objects: Sequence[Model]) -> None:
    """Insert new objects of one model, whose key the database generates; they have it afterwards."""
    if not objects:
        return
    model = type(objects[0])
    if connection.vendor != "postgresql":
        model._default_manager.bulk_create(objects, batch_size=_BATCH)
        return
    with connection.cursor() as cursor:
        sequence = [connection.ops.quote_name(model._meta.db_table), model._meta.pk.column, len(objects)]
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)", sequence)
        for made, (key,) in zip(objects, cursor.fetchall(), strict=True):
            made.pk = key
            made._state.adding = False
            made._state.db = connection.alias
    columns = model._meta.concrete_fields
    _copy(model, columns, map(operator.attrgetter(*(column.attname for column in columns)), objects))


def _copy(model: type[Model], columns: Sequence[Field[Any, Any]], rows: Iterable[Sequence[object]]) -> None:
    """PostgreSQL's COPY in its text format (manual, *COPY*, *Text Format*), in portions of bounded size."""
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(column.column)) for column in columns)
    statement = f"COPY {quote(model._meta.db_table)} ({names}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors:
        # Line by line: a single sign makes the whole of a longer text that is put together four times as wide.
        for lines in _portions(("\t".join(map(_text, row)) + "\n").encode() for row in rows):
            cursor.cursor.copy_expert(statement, io.BytesIO(lines))


def _portions(lines: Iterable[bytes]) -> Iterator[bytes]:
    portion: list[bytes] = []
    size = 0
    for line in lines:
        portion.append(line)
        size += len(line)
        if size > _PORTION_BYTES:
            yield b"".join(portion)
            portion, size = [], 0
    if portion:
        yield b"".join(portion)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    return "\\N" if value is None else str(value)
