"""Many new rows at once. Filing spends most of its time on them; making an object of each would double it."""

from __future__ import annotations

import io
import operator
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django.db import DataError, connection
from django.db.models import Field, Model

_BATCH = 500
_PORTION_BYTES = 1 << 20

# PostgreSQL's binary format: numbers are big-endian, moments are microseconds since 2000.
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_TRUE, _FALSE = b"\0\0\0\1\1", b"\0\0\0\1\0"
_SIZE = struct.Struct(">i").pack
_INTEGER = struct.Struct(">ii").pack
_BIGINT = struct.Struct(">iq").pack
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def insert(model: type[Model], fields: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Insert rows whose values stand for `fields`: all of the model's but a generated key. A relation takes a key.

    Values are text without NUL, whole numbers, booleans, bytes, datetimes with a time zone, what `mail.search.stored` made,
    or None.

    Raises:
        DataError, InternalError: the database does not take one of them.
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
    """PostgreSQL's COPY in its binary format (manual, *COPY*, *Binary Format*), in portions of bounded size.

    What is binary it takes as it is, which spares it more work than anything else that could be done here: of the words
    of a message, whose text it reads sign by sign and sorts, four fifths.
    """
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(column.column)) for column in columns)
    statement = f"COPY {quote(model._meta.db_table)} ({names}) FROM STDIN (FORMAT binary)"
    made = [_BINARY[str(column.db_type(connection)).partition("(")[0]] for column in columns]
    count = len(made).to_bytes(2, "big")
    lines = (
        count + b"".join([_NULL if value is None else binary(value) for binary, value in zip(made, row, strict=True)])
        for row in rows
    )
    with connection.cursor() as cursor, connection.wrap_database_errors:
        try:
            for portion in _portions(lines):
                cursor.cursor.copy_expert(statement, io.BytesIO(b"".join([_HEADER, *portion, _END])))
        except (struct.error, UnicodeEncodeError) as error:
            raise DataError(str(error)) from error


def _portions(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    portion: list[bytes] = []
    size = 0
    for line in lines:
        portion.append(line)
        size += len(line)
        if size > _PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _sized(data: bytes) -> bytes:
    return _SIZE(len(data)) + data


#: By type of PostgreSQL: a value, other than None, as its `recv` function reads it, with its size in front.
_BINARY: dict[str, Callable[[Any], bytes]] = {
    "bigint": lambda number: _BIGINT(8, number),
    "integer": lambda number: _INTEGER(4, number),
    "boolean": lambda is_so: _TRUE if is_so else _FALSE,
    "varchar": lambda text: _sized(text.encode()),
    "text": lambda text: _sized(text.encode()),
    "bytea": _sized,
    "tsvector": _sized,
    "timestamp with time zone": lambda moment: _BIGINT(8, (moment - _EPOCH) // _MICROSECOND),
}
