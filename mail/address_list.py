"""Address lists of mail headers (RFC 5322 sections 3.4 and 4.4), read so that no display name can pass for an address.

A list is split into addresses on its raw form; encoded words are decoded afterwards and in display names only, so what
they hide can neither end a quoted string nor start another address. Linear in the length of the header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from accounts.addresses import normalize_address

_TOKEN = re.compile(r'[ \t\r\n]+|"(?:[^"\\]|\\.)*"?|\(|[<>,:;@.)\\]|[^ \t\r\n"()<>,:;@.\\]+', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_MAX_COMMENT_DEPTH = 20


def parse_address_list(value: str, decode: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """The (display name, normalised address) pairs of a header, in order; what is no address is left out.

    `decode` turns the raw text of a display name into what people read.
    """
    words: list[str] = []
    angle: list[str] | None = None
    for token in [*_without_comments(value), ","]:
        if token == "<" and angle is None:
            angle = []
        elif token == ">" and angle is not None:
            yield from _mailbox(words, angle, decode)
            words, angle = [], None
        elif token in {",", ";"} and not (angle and token == ","):
            if angle is None:
                yield from _mailbox([], words, decode)
            words, angle = [], None
        elif token == ":" and angle is None and "@" not in words:
            words = []
        elif token == ":" and angle is not None:
            # The obsolete route before the address: <@relay.example:user@host.example>.
            angle = []
        else:
            (words if angle is None else angle).append(token)


def _mailbox(phrase: list[str], spec: list[str], decode: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """The pair that a phrase and an addr-spec make, or nothing when the latter is none."""
    tokens = [token for token in spec if not token.isspace()]
    if tokens.count("@") != 1:
        return
    # Words beside each other without a dot or @ between them are no addr-spec: "bea@acme.example evil" is refused whole.
    for left, right in zip(tokens, tokens[1:], strict=False):
        if left not in "@." and right not in "@.":
            return
    address = normalize_address("".join(_unquoted(token) for token in tokens))
    if address is not None:
        yield decode(_phrase(phrase)), address


def _phrase(tokens: list[str]) -> str:
    return " ".join("".join(_unquoted(t) if t[0] == '"' else t for t in tokens).split())


def _unquoted(token: str) -> str:
    if token[:1] != '"':
        return token
    return _QUOTED_PAIR.sub(r"\1", token[1:].removesuffix('"'))


def _without_comments(value: str) -> Iterator[str]:
    """The tokens of `value`; comments, which may be nested, count as a space. A backslash hides what follows it."""
    depth = 0
    hidden = False
    for match in _TOKEN.finditer(value):
        token = match.group()
        if hidden:
            hidden = False
        elif token == "\\":
            hidden = True
        elif token == "(":
            depth = min(depth + 1, _MAX_COMMENT_DEPTH)
        elif token == ")":
            depth = max(depth - 1, 0)
            yield " "
        elif not depth:
            yield token
