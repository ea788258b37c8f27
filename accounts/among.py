"""Whether a column holds one of many ids, which stand in the statement as one value.

`__in` makes a value of each: with the mailboxes of a large organisation, named several times in a statement, Django and
the database would spend more on reading the ids than on the answer.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import BooleanField, F, Func, OuterRef, Q


class _Among(Func):
    """The condition; `is_judged` if no index is to be looked up for it."""

    output_field = BooleanField()
    arity = 1

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]  # noqa: ARG002
        """A list of numbers."""
        column, params = compiler.compile(self.get_source_expressions()[0])
        return f"{column} IN ({self._listed()})", params

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # noqa: ARG002
        """An array, which it need not parse as so many expressions."""
        column, params = compiler.compile(self.get_source_expressions()[0])
        if self.extra["is_judged"]:
            column = f"({column} + 0)"
        return f"{column} = ANY(%s::bigint[])", [*params, f"{{{self._listed()}}}"]

    def _listed(self) -> str:
        ids: tuple[int, ...] = self.extra["ids"]
        if not ids:
            raise EmptyResultSet
        return ",".join(map(str, ids))


def among(column: str | F | OuterRef, ids: Collection[int], *, is_judged: bool = False) -> Q:
    """Condition on rows: `column` is one of `ids`. Of no ids none is, which spares the database the question.

    `is_judged` where other conditions find the rows, and this one only says which of them count: PostgreSQL might else
    gather from an index all rows that have one of the ids, to meet the few that were found there.
    """
    column = F(column) if isinstance(column, str) else column
    return Q(_Among(column, ids=tuple(sorted(map(int, ids))), is_judged=is_judged))
