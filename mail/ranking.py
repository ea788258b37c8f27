"""How well a message fits a search that it is a result of (R31). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from mail.search_query import Term, Words
from mail.words import words

#: What a hit counts in a field (`mail.search.MARKS`), in the text, and what it adds that all words follow each other.
WEIGHTS = {"subject": 8, "from": 5, "to": 5, "cc": 5, "name": 3}
TEXT, TOGETHER = 1, 3
#: Age takes at most half of it, and half of that half in so many days.
_FADING_DAYS = 365


def score(asked: Words, fields: Mapping[str, Iterable[str]], age: timedelta, *, is_together: bool = False) -> float:
    """How well a message fits; more is better.

    `fields` are its texts by the names in `WEIGHTS`: what is in none of them is in the text, or it would not be a result.
    `is_together` says that it holds what `together` gives. `age` is never negative.
    """
    held = {name: [words(text) for text in texts] for name, texts in fields.items()}
    clauses = [max(_weight(term, held) for term in clause) for clause in asked.clauses]
    fit = sum(clauses) / len(clauses) + TOGETHER * is_together if clauses else TEXT
    fading: float = 0.5 ** (age / timedelta(days=_FADING_DAYS))
    return fit * (1 + fading) / 2


def together(asked: Words) -> Term | None:
    """What a message holds in which the words that are asked for follow each other; None if they are one term, or choices."""
    terms = [clause[0] for clause in asked.clauses if len(clause) == 1 and not clause[0].field]
    if len(terms) < 2 or len(terms) < len(asked.clauses) or any(term.is_beginning for term in terms[:-1]):
        return None
    return Term(tuple(word for term in terms for word in term.words), terms[-1].is_beginning)


def _weight(term: Term, held: Mapping[str, Iterable[list[str]]]) -> int:
    fields = (name for name, texts in held.items() if term.field in {"", name} and any(_has(t, term) for t in texts))
    return max((WEIGHTS[name] for name in fields), default=WEIGHTS.get(term.field, TEXT))


def _has(found: list[str], term: Term) -> bool:
    *before, last = term.words
    ends = range(len(before), len(found))
    return any(
        (found[at].startswith(last) if term.is_beginning else found[at] == last)
        and found[at - len(before) : at] == before
        for at in ends
    )
