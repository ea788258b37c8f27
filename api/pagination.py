"""Pages by cursor: a page starts after the row where the last one ended, however many rows share its date.

A cursor holds the ordering values of that row, signed. The order ends with the id, so it is total, and each page is
one query whose cost does not grow with the number of pages before it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from django.core import signing
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from mail.cursors import Place
from sharing.searching import Turn

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


class CursorPagination(BasePagination):
    """`{"next", "previous", "results"}` in the order that the view names in `ordering`, which must end with the id."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The rows of the page that the request's `cursor` names, else of the first page."""
        self._request = request
        self._ordering: tuple[str, ...] = view.ordering
        size = self._size(request)
        cursor = request.query_params.get("cursor")
        backwards, position = self._read(cursor, queryset) if cursor else (False, None)
        if position is not None:
            queryset = queryset.filter(self._beyond(position, backwards))
        rows = list(queryset.order_by(*self._order(backwards))[: size + 1])
        more = len(rows) > size
        rows = rows[:size]
        if backwards:
            rows.reverse()
        self._next = rows[-1] if rows and (more or backwards) else None
        self._previous = rows[0] if rows and (more if backwards else position is not None) else None
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        """The page in its envelope."""
        return Response(
            {
                "next": self._link(self._next, backwards=False),
                "previous": self._link(self._previous, backwards=True),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The envelope, for OpenAPI."""
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        """The query parameters, for OpenAPI."""
        return [
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "Where the page starts: taken from `next` or `previous`.",
                "schema": {"type": "string"},
            },
            {
                "name": "page_size",
                "in": "query",
                "required": False,
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
            },
        ]

    @staticmethod
    def _size(request: Request) -> int:
        text = request.query_params.get("page_size", str(PAGE_SIZE))
        if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) < 1:
            raise ValidationError({"page_size": [f"Enter a number from 1 to {MAX_PAGE_SIZE}."]})
        return min(int(text), MAX_PAGE_SIZE)

    def _order(self, backwards: bool) -> list[str]:
        if not backwards:
            return list(self._ordering)
        return [name[1:] if name.startswith("-") else f"-{name}" for name in self._ordering]

    def _beyond(self, position: Sequence[Any], backwards: bool) -> Q:
        """Condition that a row comes after (or before) the one with the values of `position`."""
        beyond = Q()
        same = Q()
        for name, value in zip(self._ordering, position, strict=True):
            field = name.removeprefix("-")
            descending = name.startswith("-") is not backwards
            beyond |= same & Q(**{f"{field}__{'lt' if descending else 'gt'}": value})
            same &= Q(**{field: value})
        return beyond

    def _read(self, cursor: str, queryset: QuerySet[Any]) -> tuple[bool, list[Any]]:
        try:
            ordering, backwards, values = signing.loads(cursor, salt=__name__)
        except (signing.BadSignature, ValueError, TypeError):
            raise ValidationError({"cursor": ["This is not a cursor that we gave."]}) from None
        if tuple(ordering) != self._ordering:
            raise ValidationError({"cursor": ["This cursor belongs to another list."]})
        return backwards, [_restored(queryset.model, *pair) for pair in zip(ordering, values, strict=True)]

    def _link(self, row: Any, *, backwards: bool) -> str | None:
        if row is None:
            return None
        values = [getattr(row, name.removeprefix("-")) for name in self._ordering]
        stored = [value.isoformat() if isinstance(value, dt.datetime) else value for value in values]
        cursor = signing.dumps([self._ordering, backwards, stored], salt=__name__)
        url = remove_query_param(self._request.build_absolute_uri(), "cursor")
        return replace_query_param(url, "cursor", cursor)


class SearchPagination(CursorPagination):
    """Pages of what is searched for, forwards only. A page may be short, or empty, while `next` leads on.

    A cursor holds what a `Turn` does, beside the order that it belongs to.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The messages of the page that the view has `searched` for, from the request's `cursor` on."""
        self._request = request
        self._ordering = (*view.ordering, view.search_order)
        self._previous = None
        cursor = request.query_params.get("cursor")
        turn = Turn()
        if cursor:
            date, pk, skipped = self._read(cursor, queryset)[1]
            turn = Turn(Place(date, pk), skipped)
        rows, following = view.searched(turn, self._size(request))
        self._next = following and SimpleNamespace(
            date=following.place.date, id=following.place.pk, **{view.search_order: following.skipped}
        )
        loaded = {row.pk: row for row in view.get_queryset().filter(pk__in=[row.pk for row in rows])}
        return [loaded[row.pk] for row in rows if row.pk in loaded]


def _restored(model: type[Model], name: str, value: Any) -> Any:
    """A value out of a cursor as its column has it; that of an annotation as it is."""
    try:
        field = model._meta.get_field(name.removeprefix("-"))
    except FieldDoesNotExist:
        return value
    return field.to_python(value)  # type: ignore[union-attr]
