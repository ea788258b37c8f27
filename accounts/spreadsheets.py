"""CSV files that a spreadsheet can open without harm (R26, R28)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain

#: What a spreadsheet may take for a formula at the beginning of a cell (OWASP, CSV injection), full-width signs too.
_FORMULA = "=+\\-@\t\r\n＝＋－＠"
_IS_FORMULA = re.compile(f"'*[{_FORMULA}]")
_IS_DEFUSED = re.compile(f"'+[{_FORMULA}]")


def defused(text: str) -> str:
    """`text` as no spreadsheet takes it for a formula: behind an apostrophe, if need be. `restored` takes it back."""
    return f"'{text}" if _IS_FORMULA.match(text) else text


def restored(text: str) -> str:
    """What was defused."""
    return text[1:] if _IS_DEFUSED.match(text) else text


def as_csv(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """The lines of a file, behind the mark by which Excel knows UTF-8. Text is defused."""
    writer = csv.writer(_Echo())
    safe = ([defused(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return chain(["\ufeff"], map(writer.writerow, safe))


class _Echo:
    """A file for `csv.writer` that gives each line back instead of keeping it."""

    def write(self, line: str) -> str:
        """The line."""
        return line
