"""Where the words of a search stand in a text: to be marked, and shown with what is around them (R31). Pure.

What is marked is cut out of the text as it is; templates escape each piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from mail.search import TEXT_CHARS
from mail.search_query import Term, Words
from mail.words import Word, composed, fold, places

#: Characters of an extract, and of those before the first hit.
WIDTH, BEFORE = 200, 60
#: A text is looked through in portions; they overlap by what a phrase may take.
_PORTION, _OVERLAP = 4_000, 500


class Piece(NamedTuple):
    """A part of a text, and whether it is what was searched for."""

    text: str
    is_hit: bool


def marked(text: str, asked: Words, field: str = "") -> list[Piece]:
    """All of `text`, which is a message's `field`, with the hits marked."""
    text = composed(text)
    return list(_pieces(text, _hits(text, _terms(asked, field))))


def extract(text: str, asked: Words) -> list[Piece]:
    """What stands around the first hit in the text of a message; nothing if there is no hit."""
    terms = _terms(asked, "")
    text = composed(text[:TEXT_CHARS])
    found = _first_hit(text, terms)
    if found is None:
        return []
    start, end = _at_word(text, max(0, found - BEFORE)), _at_word(text, found + WIDTH - BEFORE)
    shown = text[start:end]
    # As one line; every space stands for as many, so the hits stay where they are.
    shown = "".join(" " if sign.isspace() else sign for sign in shown)
    pieces = list(_pieces(shown, _hits(shown, terms)))
    return [*([Piece("…", False)] if start else []), *pieces, *([Piece("…", False)] if end < len(text) else [])]


def has_hit(text: str, asked: Words, field: str) -> bool:
    """Whether something that is searched for stands in `text`, which is a message's `field`."""
    return any(piece.is_hit for piece in marked(text, asked, field))


def _terms(asked: Words, field: str) -> list[Term]:
    """What to look for in a field."""
    return [term for clause in asked.clauses for term in clause if term.field in {"", field}]


def _first_hit(text: str, terms: Sequence[Term]) -> int | None:
    """Where the first hit begins, one portion of the text after the other."""
    start = 0
    while start < len(text):
        portion = text[start : start + _PORTION + _OVERLAP]
        folded = fold(portion)
        if any(term.words[0] in folded for term in terms) and (hits := _hits(portion, terms)):
            return start + hits[0][0]
        following = _at_word(text, start + _PORTION)
        start = following if following > start else len(text)
    return None


def _hits(text: str, terms: Iterable[Term]) -> list[tuple[int, int]]:
    """Where what is searched for begins and ends in `text`, in order, without overlaps."""
    found = places(text)
    hits = sorted(
        span
        for term in terms
        for at in range(len(found) - len(term.words) + 1)
        if (span := _match(found, at, term)) is not None
    )
    merged: list[tuple[int, int]] = []
    for start, end in hits:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _match(found: Sequence[Word], at: int, term: Term) -> tuple[int, int] | None:
    *before, last = term.words
    final = found[at + len(before)]
    if any(found[at + place].word != word for place, word in enumerate(before)):
        return None
    if not (final.word.startswith(last) if term.is_beginning else final.word == last):
        return None
    # Of two signs that stand together only the one that was asked for.
    return found[at].start, final.start + 1 if len(last) < len(
        final.word
    ) == final.end - final.start == 2 else final.end


def _pieces(text: str, hits: Iterable[tuple[int, int]]) -> Iterator[Piece]:
    end = 0
    for start, until in hits:
        if start > end:
            yield Piece(text[end:start], False)
        yield Piece(text[start:until], True)
        end = until
    if end < len(text):
        yield Piece(text[end:], False)


def _at_word(text: str, place: int) -> int:
    """Where the word around `place` begins, if it is not a long one."""
    if place >= len(text):
        return len(text)
    for at in range(place, max(place - 30, 0), -1):
        if text[at - 1].isspace():
            return at
    return place
