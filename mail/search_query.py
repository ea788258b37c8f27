"""What people type into a search box, read: words, phrases, exclusions and operators (R31). Pure; never raises.

    offer "steel pipes" -draft inv* from:bea has:attachment after:2026-05-01

Every word must occur; `OR` between two lets either do. The last word may go on as long as somebody is still typing it.
What looks like an operator and is none is words like any others; what is one and cannot be read is a problem to tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from mail.words import phrase

#: What one search may ask for. Beyond this it is said that it is too much.
MAX_CHARS, MAX_TERMS, MAX_WORDS = 1000, 32, 64
#: Shorter words are only found whole: too much begins with them.
SHORTEST_BEGINNING = 3

#: Operators that look for words in one field, and the field.
FIELDS = {"subject": "subject", "from": "from", "to": "to", "cc": "cc", "filename": "name"}
#: Operators that take a name, and the filter.
NAMED = {"label": "label", "in": "folder", "folder": "folder", "customer": "customer"}
_STATES = {
    "unread": ("read", "no"),
    "read": ("read", "yes"),
    "starred": ("starred", "yes"),
    "sent": ("direction", "sent"),
    "received": ("direction", "received"),
}
_DATES = {"before", "after"}
OPERATORS = frozenset({*FIELDS, *NAMED, *_DATES, "has", "is"})

_QUOTES = str.maketrans("“”„«»", '"""""')
_ITEM = re.compile(r'(-?)(?:([A-Za-z]+):)?(?:"([^"]*)("?)|([^\s"]+))|(\S)')
_DAY = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?\Z", re.ASCII)
_AGO = re.compile(r"(\d{1,4})([dwmy])\Z", re.ASCII)
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}


@dataclass(frozen=True, slots=True)
class Term:
    """Words that must follow each other, anywhere or in one field; the last may be the beginning of one."""

    words: tuple[str, ...]
    is_beginning: bool = False
    field: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """What must occur in a message: of each clause one term; and terms that must not."""

    clauses: tuple[tuple[Term, ...], ...] = ()
    excluded: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.clauses or self.excluded)


@dataclass(frozen=True, slots=True)
class Filter:
    """Something else that must hold, or with `is_not` must not: `attachment`, `label`, `folder`, `customer`, `read`, `starred`, `direction`."""

    kind: str
    value: str = ""
    is_not: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A search. `since` is the first day that counts, `before` the first that does not any more.

    `problems` are sentences for whoever typed it; with one of them nothing is to be found.
    """

    words: Words = Words()
    filters: tuple[Filter, ...] = ()
    since: date | None = None
    before: date | None = None
    problems: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing at all."""
        return not (self.words or self.filters or self.since or self.before)


def parse(text: str, today: date) -> Query:
    """Read a search. `today` is the day of whoever searches, for `today` and `7d`."""
    reader = _Reader(today)
    if len(text) > MAX_CHARS:
        return Query(problems=(f"This is too long to search for. Use at most {MAX_CHARS} characters.",))
    text = text.translate(_QUOTES)
    items = list(_ITEM.finditer(text))
    for number, item in enumerate(items):
        is_last = number == len(items) - 1 and item.end() == len(text)
        reader.read(item, is_last=is_last)
    return reader.query()


class _Reader:
    """Takes the items of a search one after the other."""

    def __init__(self, today: date) -> None:
        self._today = today
        self._clauses: list[list[Term]] = []
        self._excluded: list[Term] = []
        self._filters: list[Filter] = []
        self._problems: list[str] = []
        self._since: date | None = None
        self._before: date | None = None
        self._or = False
        #: The item before, if it is one that `OR` can't stand beside.
        self._other = ""

    def read(self, item: re.Match[str], *, is_last: bool) -> None:
        """Take an item; the last one may still be being typed."""
        minus, operator, quoted, closing, bare, _ = item.groups()
        if quoted is None and bare is None:
            return
        name = (operator or "").lower()
        value = bare if quoted is None else quoted
        if bare == "OR" and not minus and not operator:
            self._or = bool(self._clauses or self._other)
            return
        if bare is not None and bare.endswith(":") and bare[:-1].lower() in OPERATORS:
            return
        is_not = minus == "-"
        if name in FIELDS or name not in OPERATORS:
            if operator and name not in FIELDS:
                value = f"{operator}:{value}"
            may_go_on = (is_last and not closing) or (quoted is None and value.endswith("*"))
            self._take_words(item[0], value, FIELDS.get(name, ""), is_not=is_not, may_go_on=may_go_on)
            return
        if not value.strip():
            return
        self._joins(item[0], is_choice=False)
        if name in NAMED:
            self._filters.append(Filter(NAMED[name], value.strip(), is_not))
        elif name in _DATES:
            self._take_date(name, value, is_not=is_not)
        elif name == "has":
            self._take_word_of({"attachment": ("attachment", "")}, name, value, is_not=is_not)
        else:
            self._take_word_of(_STATES, name, value, is_not=is_not)

    def query(self) -> Query:
        """What was read."""
        terms = [term for clause in self._clauses for term in clause] + self._excluded
        if len(terms) + len(self._filters) > MAX_TERMS or sum(len(term.words) for term in terms) > MAX_WORDS:
            return Query(problems=(f"This is too much to search for. Use at most {MAX_TERMS} words.",))
        if self._since and self._before and self._since >= self._before:
            self._problems.append("No day is both after and before the dates that you gave.")
        return Query(
            words=Words(tuple(map(tuple, self._clauses)), tuple(self._excluded)),
            filters=tuple(self._filters),
            since=self._since,
            before=self._before,
            problems=tuple(dict.fromkeys(self._problems)),
        )

    def _joins(self, item: str, *, is_choice: bool) -> bool:
        """Whether an item is a choice with the one before it. `OR` beside what can be no choice is a problem to tell."""
        joins, self._or = self._or, False
        other, self._other = self._other, "" if is_choice else item
        if joins and (wrong := other or self._other):
            self._problems.append(f"OR stands between two words or phrases, and “{wrong}” is neither.")
        return joins and not other

    def _take_words(self, item: str, text: str, field: str, *, is_not: bool, may_go_on: bool) -> None:
        words, is_beginning = phrase(text)
        if not words:
            return
        joins = self._joins(item, is_choice=not is_not)
        term = Term(words, is_beginning or (may_go_on and len(words[-1]) >= SHORTEST_BEGINNING), field)
        if is_not:
            self._excluded.append(term)
        elif joins:
            self._clauses[-1].append(term)
        else:
            self._clauses.append([term])

    def _take_date(self, name: str, value: str, *, is_not: bool) -> None:
        day = read_day(value, self._today)
        if day is None:
            self._problems.append(
                f"“{name}:{value}” has no date that we can read. Write it as in {name}:{self._today}, "
                f"{name}:{self._today:%Y-%m}, {name}:{self._today:%Y}, {name}:yesterday or {name}:7d."
            )
        elif (name == "before") is is_not:
            self._since = max(day, self._since or day)
        else:
            self._before = min(day, self._before or day)

    def _take_word_of(self, known: dict[str, tuple[str, str]], name: str, value: str, *, is_not: bool) -> None:
        found = known.get(value.lower())
        if found is None:
            choices = ", ".join(f"{name}:{word}" for word in known)
            self._problems.append(f"“{name}:{value}” means nothing here. There is {choices}.")
        else:
            self._filters.append(Filter(*found, is_not))


def read_day(text: str, today: date) -> date | None:
    """A day as people write it in a search; of a month or a year the first. None if it is none."""
    text = text.strip().lower()
    if text in {"today", "yesterday"}:
        return today - timedelta(days=text == "yesterday")
    try:
        if ago := _AGO.match(text):
            return today - timedelta(days=int(ago[1]) * _DAYS[ago[2]])
        if day := _DAY.match(text):
            return date(int(day[1]), int(day[2] or 1), int(day[3] or 1))
    except (ValueError, OverflowError):
        return None
    return None
