"""Statements of the deeds that every poll does: built by Django once a process, then only bound to values and executed.

Building a query takes Django several times as long as PostgreSQL takes to answer it. What is asked stays written as
querysets, with `Bound` where a value goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.models import Expression, Field, Model, QuerySet, sql
from django.db.models.query import get_related_populators

M = TypeVar("M", bound=Model)


class Bound(Expression):
    """The place of a value in a query. `field` says how the database takes it."""

    def __init__(self, name: str, field: Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, *_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        """A placeholder, with this as its parameter."""
        return "%s", [self]


class Update:
    """An UPDATE of what `queryset` selects."""

    def __init__(self, queryset: QuerySet[Any], **fields: object) -> None:
        self._query = cast("Any", queryset.query).chain(sql.UpdateQuery)
        self._query.add_update_values(fields)

    def __call__(self, **values: object) -> int:
        """Execute it; how many rows were changed."""
        with connection.cursor() as cursor:
            cursor.execute(*self.bound(values))
            changed: int = cursor.rowcount
        return changed

    def bound(self, values: dict[str, object]) -> tuple[str, list[Any]]:
        """The statement and its parameters, with `values` among them."""
        text, parameters = self._statement
        return text, _with_values(parameters, values)

    @cached_property
    def _statement(self) -> Any:
        return self._query.get_compiler(DEFAULT_DB_ALIAS).as_sql()


class Select(Generic[M]):
    """A SELECT of whole objects, with those that `select_related` named."""

    def __init__(self, queryset: QuerySet[M]) -> None:
        self._query = queryset.query
        self._model = queryset.model

    def __call__(self, **values: object) -> Iterator[M]:
        """Execute it; the objects."""
        text, parameters = self._statement
        with connection.cursor() as cursor:
            cursor.execute(text, _with_values(parameters, values))
            rows = map(list, cursor.fetchall())
        names, columns, related, converters = self._form
        for row in rows:
            for place, (functions, expression) in converters:
                for function in functions:
                    row[place] = function(row[place], expression, connection)
            made = self._model.from_db(DEFAULT_DB_ALIAS, names, row[columns])
            for populator in related:
                populator.populate(row, made)
            yield made

    @cached_property
    def _statement(self) -> Any:
        compiler: Any = self._query.get_compiler(DEFAULT_DB_ALIAS)
        statement = compiler.as_sql()
        # How rows become objects, as `django.db.models.query.ModelIterable` has it.
        columns = compiler.klass_info["select_fields"]
        self._form = (
            [compiler.select[place][0].target.attname for place in columns],
            slice(columns[0], columns[-1] + 1),
            get_related_populators(compiler.klass_info, compiler.select, DEFAULT_DB_ALIAS),  # type: ignore[call-arg]
            list(compiler.get_converters([expression for expression, *_ in compiler.select]).items()),
        )
        return statement


def together(*updates: tuple[Update, dict[str, object]]) -> None:
    """Execute updates with their values, all or none of them; on PostgreSQL in one round trip.

    What PostgreSQL is sent in one go is one transaction (manual, *Message Flow*, *Multiple Statements in a Simple Query*).
    """
    bound = [update.bound(values) for update, values in updates]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("; ".join(text for text, _ in bound), [value for _, values in bound for value in values])
        return
    with transaction.atomic(), connection.cursor() as cursor:
        for text, values in bound:
            cursor.execute(text, values)


def _with_values(parameters: Iterable[object], values: dict[str, object]) -> list[Any]:
    """The parameters as the database's driver takes them."""
    database = connections[DEFAULT_DB_ALIAS]
    return [
        each.output_field.get_db_prep_value(values[each.name], database) if isinstance(each, Bound) else each
        for each in parameters
    ]
