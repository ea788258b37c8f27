"""Text as search compares it: folded to plain words, the same for what is stored and for what is asked (R31). Pure.

Every database is given these words and only stores and matches them, so they all find the same.

- Case, diacritics, ligatures, full width and the like make no difference (Unicode NFKD, casefold, combining marks left out).
- A word is a run of letters and digits; everything else, `@`, `.` and `_` too, divides. `bea@acme.example` is three words.
- Scripts that put no spaces between words are taken by twos: 会議室 is 会議 議室 室. So one sign is found as the beginning
  of a pair, two are a pair, and more are pairs that follow each other.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from mail.remembering import remembering_short

#: Longer words are known by so many of their signs.
LONGEST_WORD = 64
#: No mail has so many different signs unless it means harm.
_REMEMBERED = 30_000
#: Letters that no decomposition makes plain.
_PLAIN = {
    "ı": "i",
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ħ": "h",
    "ŧ": "t",
    "æ": "ae",
    "œ": "oe",
    "ð": "d",
    "þ": "th",
    "ŋ": "n",
}
#: Signs inside words that are not of them: soft hyphen, joiners, marks of direction, Arabic tatweel, variation selectors.
_INVISIBLE = frozenset("\u00ad\u034f\u061c\u0640\u200c\u200d\u200e\u200f\u2060\ufeff") | {
    chr(code) for code in range(0xFE00, 0xFE10)
}
_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff"  # Hangul
    "\u3005-\u3007\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # Kana, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_MARKS = "".join(filter(unicodedata.combining, map(chr, range(0x300, 0x1F000))))
#: As many marks as Unicode lets stand on one sign (UAX #15, *Stream-Safe Text Format*), and more to come.
_PILE = re.compile(f"([{_MARKS}]{{30}})(?=[{_MARKS}])")
_UNSPACED_SIGN = re.compile(f"[{_UNSPACED}]")
_RUN = re.compile(f"([{_UNSPACED}]+)|[^ {_UNSPACED}]+")


class _Folds(dict[int, str]):
    """What becomes of each sign, worked out when it is first met: its plain letters, a space, or nothing."""

    def __missing__(self, code: int) -> str:
        if len(self) > _REMEMBERED:
            self.clear()
        folded = self[code] = _folded(chr(code))
        return folded


def _folded(sign: str) -> str:
    if sign in _INVISIBLE:
        return ""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", sign).casefold())
    plain = "".join(_PLAIN.get(each, each) for each in plain if not unicodedata.combining(each))
    plain = unicodedata.normalize("NFC", plain)
    return "".join(each if unicodedata.category(each)[0] in "LNM" else " " for each in plain)


_FOLDS = _Folds()
_ASCII_FOLDS = bytes(ord(_FOLDS[code]) if code < 0x80 and code != ord("\n") else code for code in range(0x100))


def composed(text: str) -> str:
    """`text` in NFC. Where marks pile up without end it is parted invisibly: their order takes time that grows with the
    square of their number, seconds for the 64,000 of a single message.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", _PILE.sub("\\1\u034f", text))


def fold(text: str) -> str:
    """The words of `text`, folded, divided by spaces."""
    return composed(text).translate(_FOLDS)


def words(text: str) -> list[str]:
    """The words of `text`, in order.

    Filing spends its time here, so the text is folded at once as far as it is ASCII, and only what holds other signs is
    looked at sign by sign: words that many texts have once.
    """
    # Lone surrogates, which no encoding has, divide.
    folded = text.encode("utf-8", "surrogatepass").translate(_ASCII_FOLDS).decode("utf-8", "surrogatepass")
    found: list[str] = []
    for line in [folded] if folded.isascii() else folded.split("\n"):
        found += (line if line.isascii() else _line(line)).split()
    if len(max(set(found), key=len, default="")) > LONGEST_WORD:
        return [word[:LONGEST_WORD] for word in found]
    return found


def _line(text: str) -> str:
    return " ".join([piece if piece.isascii() else _divided(piece) for piece in text.split()])


@remembering_short(LONGEST_WORD, 8_192)
def _divided(piece: str) -> str:
    folded = fold(piece)
    return " ".join(word for word, _, _ in _runs(folded)) if _UNSPACED_SIGN.search(folded) else folded


def _runs(folded: str) -> Iterator[tuple[str, int, int]]:
    """The words of folded text, each with where it begins and ends there."""
    for run in _RUN.finditer(folded):
        start, end = run.span()
        if run[1] is None:
            yield run[0][:LONGEST_WORD], start, end
        else:
            yield from ((folded[at : min(at + 2, end)], at, min(at + 2, end)) for at in range(start, end))


class Word(NamedTuple):
    """A word, and which part of the text it stands for."""

    word: str
    start: int
    end: int


def places(text: str) -> list[Word]:
    """The words of `text`, which must be in NFC, with where they stand in it."""
    folded = text.translate(_FOLDS)
    if len(folded) == len(text) and all(len(_FOLDS[ord(sign)]) == 1 for sign in set(text)):
        return [Word(*run) for run in _runs(folded)]
    origin = list(chain.from_iterable([at] * len(_FOLDS[ord(sign)]) for at, sign in enumerate(text)))
    return [Word(word, origin[start], origin[end - 1] + 1) for word, start, end in _runs(folded)]


def phrase(text: str) -> tuple[tuple[str, ...], bool]:
    """The words that another text contains one after the other if it contains `text`; whether the last may go on there.

    It may where it is a single sign, with which a pair begins.
    """
    found = words(text)
    run = deque(_RUN.finditer(fold(text)), maxlen=1)
    if not run or run[0][1] is None:
        return tuple(found), False
    if len(run[0][1]) == 1:
        return tuple(found), True
    # What follows the last pair is not said.
    return tuple(found[:-1]), False
