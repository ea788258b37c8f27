"""Address lists of mail headers (RFC 5322 sections 3.4 and 4.4), read so that no display name can pass for an address.

A list is split into addresses on its raw form; encoded words are decoded afterwards and in display names only, so what
they hide can neither end a quoted string nor start another address. Linear in the length of the header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from accounts.addresses import normalize_address

_TOKEN = re.compile(r'[ \t\r\n]+|"(?:[^"\\]|\\.)*"?|\(|[<>,:;@.)\\]|[^ \t\r\n"()<>,:;@.\\]+', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_MAX_COMMENT_DEPTH = 20


def parse_address_list(value: str, decode: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """The (display name, normalised address) pairs of a header, in order; what is no address is left out.

    Something with an @ that can't be read as one address is a pair of empty strings: who it is remains unknown.
    `decode` turns the raw text of a display name into what people read.
    """
    words: list[str] = []
    angle: list[str] | None = None
    for lexeme in [*_without_comments(value), ","]:
        if lexeme == "<" and angle is None:
            angle = []
        elif lexeme == ">" and angle is not None:
            yield from _mailbox(words, angle, decode)
            words, angle = [], None
        elif lexeme in {",", ";"} and not (angle and lexeme == ","):
            if angle is None:
                yield from _mailbox([], words, decode)
            words, angle = [], None
        elif lexeme == ":" and angle is None and "@" not in words:
            words = []
        elif lexeme == ":" and angle is not None:
            # The obsolete route before the address: <@relay.example:user@host.example>.
            angle = []
        else:
            (words if angle is None else angle).append(lexeme)


def _mailbox(phrase: list[str], spec: list[str], decode: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """The pair that a phrase and an addr-spec make, or nothing when the latter is none."""
    lexemes = [lexeme for lexeme in spec if not lexeme.isspace()]
    # Words beside each other without a dot or @ between them are no addr-spec: "bea@acme.example evil" is refused whole.
    is_spec = lexemes.count("@") == 1 and all(left in "@." or right in "@." for left, right in pairwise(lexemes))
    address = normalize_address("".join(_unquoted(lexeme) for lexeme in lexemes)) if is_spec else None
    if address is not None:
        yield decode(_phrase(phrase)), address
    elif any("@" in lexeme for lexeme in lexemes):
        yield "", ""


def _phrase(lexemes: list[str]) -> str:
    return " ".join("".join(_unquoted(t) if t[0] == '"' else t for t in lexemes).split())


def _unquoted(lexeme: str) -> str:
    if lexeme[:1] != '"':
        return lexeme
    return _QUOTED_PAIR.sub(r"\1", lexeme[1:].removesuffix('"'))


def _without_comments(value: str) -> Iterator[str]:
    """The lexemes of `value`; comments, which may be nested, count as a space. A backslash hides what follows it."""
    depth = 0
    hidden = False
    for match in _TOKEN.finditer(value):
        lexeme = match.group()
        if hidden:
            hidden = False
        elif lexeme == "\\":
            hidden = True
        elif lexeme == "(":
            depth = min(depth + 1, _MAX_COMMENT_DEPTH)
        elif lexeme == ")":
            depth = max(depth - 1, 0)
            yield " "
        elif not depth:
            yield lexeme
