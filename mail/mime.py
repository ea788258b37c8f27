"""The structure of a message (RFC 5322, RFC 2045, RFC 2046): header fields, parts, their bytes. Linear and lazy.

The standard library's parser copies a message several times over, compares every line with every open boundary, and
reads the parameters of a long header in time that grows with its square. Here parts are places in the raw bytes, and
nothing is decoded before it is asked for.
"""

from __future__ import annotations

import binascii
import mmap
import quopri
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from mail.remembering import remembering_short

MAX_DEPTH = 100
MAX_PARTS = 1_000
MAX_FIELDS = 2_000
MAX_FIELD_BYTES = 64 * 1024
MAX_PARAMETERS = 100
MAX_BOUNDARY_LINE = 200
MAX_REMEMBERED_CHARS = 60
#: How many bytes of boundaries are looked for, as a multiple of the message: deep nesting makes each level look again.
MAX_SEARCH = 20

_WANTED = (
    b"from|sender|reply-to|to|cc|bcc|subject|date|message-id|in-reply-to|references|received|"
    b"content-(?:type|transfer-encoding|disposition|id)"
)
# A pattern that begins with a plain character is looked for many times faster than one with `^`.
_EMPTY_LINE = re.compile(rb"\r*\n")
_NEXT_EMPTY_LINE = re.compile(rb"\n(\r*\n)")
_FIELD = re.compile(rb"^(%b)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)" % _WANTED, re.MULTILINE | re.IGNORECASE)
_FIRST_LINE = re.compile(rb"(?:>?From [^\n]*\n)?[!-9;-~]+[ \t]*:")
_NOT_A_FIELD = re.compile(rb"^(?![!-9;-~]+[ \t]*:|[ \t]|>?From )", re.MULTILINE)
_TYPE = re.compile(r"\s*([a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62})(?=[\s;(,]|$)")
_PARAMETER = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"?|([^;]*+))', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


_COUNTED_BYTES = 1 << 20
_NO_DIGITS = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))

#: The bytes of a message; a large one may be a file that is mapped into memory.
Raw = bytes | mmap.mmap


class TooMuch(Exception):
    """The message has more levels or parts than anybody needs; `str()` is a sentence for people."""


@dataclass(slots=True)
class Fields:
    """The header fields that a mail program reads, by lower-case name, unfolded. Undeclared bytes are surrogates.

    `is_cut` says that a field was too long, or that there were too many, to be read whole.
    """

    values: dict[str, list[str]] = field(default_factory=dict)
    is_cut: bool = False

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return self.values.get(name, [])

    def first(self, name: str) -> str:
        """The first value of a field, or nothing."""
        return self.values[name][0] if name in self.values else ""


@dataclass(slots=True)
class Part:
    """One part: its number in a depth-first walk, its fields, and its content in the raw bytes."""

    number: int
    fields: Fields
    content_type: str
    parameters: Mapping[str, str]
    body: memoryview
    #: The number of the outermost multipart/alternative that holds it, or its own.
    choice: int

    def decoded(self, limit: int | None = None) -> bytes:
        """The bytes of the content, whatever is wrong with its encoding; `limit` is how many of them are looked at, encoded."""
        encoding = self.fields.first("content-transfer-encoding").strip().lower()
        body = self.body[:limit]
        if encoding == "base64":
            return _base64(body)
        if encoding == "quoted-printable":
            return quopri.decodestring(bytes(body))
        return bytes(body)

    def size(self) -> int:
        """How many bytes `decoded` has; base64 is counted, a piece at a time, and only decoded if its padding is no end."""
        if self.fields.first("content-transfer-encoding").strip().lower() != "base64":
            return len(self.decoded())
        digits = 0
        for start in range(0, len(self.body), _COUNTED_BYTES):
            piece, padding, rest = bytes(self.body[start : start + _COUNTED_BYTES]).partition(b"=")
            digits += len(piece.translate(None, _NO_DIGITS))
            if padding and (rest.translate(None, _NO_DIGITS) or start + _COUNTED_BYTES < len(self.body)):
                return len(self.decoded())
        return digits * 3 // 4


def leaves(raw: Raw, headers: Fields | None = None) -> Iterator[Part]:
    """The parts of a message that hold others no more; an attached message is one. `headers`, if read already, are its own.

    Raises:
        TooMuch: there are more, but they are not for reading; raised after the parts before the limit.
    """
    view = memoryview(raw)
    stack = [(0, len(raw), 0, "text/plain", -1)]
    number = -1
    budget = MAX_SEARCH * len(raw) + 1_000_000
    while stack:
        start, end, depth, default, choice = stack.pop()
        number += 1
        if number >= MAX_PARTS:
            raise TooMuch(f"This message has more than {MAX_PARTS:,} parts; the rest is in its original only.")
        header, body = split_header(raw, start, end)
        fields = headers if headers is not None and number == 0 else read_fields(raw[start:header])
        content_type, parameters = _content_type(fields.first("content-type"), default)
        if content_type.startswith("multipart/"):
            boundary = parameters.get("boundary", "").rstrip()
            sections = _sections(raw, body, end, boundary) if boundary and len(boundary) <= 1_000 else []
            budget -= end - body
            if sections and (depth >= MAX_DEPTH or budget < 0):
                raise TooMuch("This message is nested too deeply; the rest is in its original only.")
            if sections:
                inner = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
                if choice < 0 and content_type == "multipart/alternative":
                    choice = number
                stack.extend((first, last, depth + 1, inner, choice) for first, last in reversed(sections))
                continue
            # Without its parts it is shown as the text that it is.
            content_type, parameters = "text/plain", {}
        yield Part(number, fields, content_type, parameters, view[body:end], number if choice < 0 else choice)


def split_header(raw: Raw, start: int, end: int) -> tuple[int, int]:
    """Where the header block of raw[start:end] ends and where its body begins; without header all is body."""
    blank = _empty_line(raw, start, end)
    if blank and blank[0] == start:
        return blank
    if not _FIRST_LINE.match(raw, start, end):
        return start, start
    if blank:
        return blank
    # No empty line: the body begins with the first line that is no header field.
    junk = _NOT_A_FIELD.search(raw, start, end)
    place = junk.start() if junk else end
    return place, place


def split_block(raw: Raw) -> tuple[int, int]:
    """Where the first empty line begins and ends; whatever stands before it, fields or not."""
    return _empty_line(raw, 0, len(raw)) or (len(raw), len(raw))


def _empty_line(raw: Raw, start: int, end: int) -> tuple[int, int] | None:
    """Where the first empty line of raw[start:end], which begins a line, begins and ends."""
    first = _EMPTY_LINE.match(raw, start, end)
    if first:
        return first.span()
    later = _NEXT_EMPTY_LINE.search(raw, start, end)
    return later.span(1) if later else None


def read_fields(block: bytes) -> Fields:
    """The fields of a header block; lines that are none are passed over."""
    fields = Fields()
    for count, match in enumerate(_FIELD.finditer(block), 1):
        fields.is_cut |= len(match[2]) > MAX_FIELD_BYTES
        value = match[2][:MAX_FIELD_BYTES].replace(b"\r", b"").replace(b"\n", b"")
        name = match[1].lower().decode("ascii")
        fields.values.setdefault(name, []).append(value.decode("utf-8", "surrogateescape").strip())
        if count >= MAX_FIELDS:
            fields.is_cut = True
            break
    return fields


def read_parameters(value: str) -> dict[str, str]:
    """The parameters of a Content-Type or Content-Disposition, with those of RFC 2231 put together and decoded."""
    found: dict[str, str] = {}
    extended: dict[str, list[tuple[int, bool, str]]] = {}
    for count, match in enumerate(_PARAMETER.finditer(value[:16_384])):
        if count >= MAX_PARAMETERS:
            break
        name = match[1].lower()
        text = _QUOTED_PAIR.sub(r"\1", match[2]) if match[2] is not None else match[3].strip()
        base, star, section = name.partition("*")
        if not star:
            found.setdefault(name, text)
            continue
        encoded = section == "" or section.endswith("*")
        place = section.rstrip("*")
        extended.setdefault(base, []).append((int(place) if place.isdecimal() and len(place) < 5 else 0, encoded, text))
    for base, sections in extended.items():
        found[base] = _extended(sorted(sections, key=lambda section: section[0]))
    return found


def _extended(sections: list[tuple[int, bool, str]]) -> str:
    """The value that RFC 2231 sections make: a charset before the first, percent signs where one says so."""
    charset = "utf-8"
    data = b""
    for index, (_, encoded, text) in enumerate(sections):
        if encoded and index == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)  # noqa: PLW2901
        written = text.encode("utf-8", "surrogateescape")
        data += unquote_to_bytes(written) if encoded else written
    try:
        return data.decode(charset or "utf-8", "surrogateescape" if charset.lower() == "utf-8" else "replace")
    except (LookupError, ValueError):
        return data.decode("utf-8", "surrogateescape")


@remembering_short(MAX_REMEMBERED_CHARS, 1_024)
def _content_type(value: str, default: str) -> tuple[str, Mapping[str, str]]:
    """The type and the parameters of a part. Most parts have one of a few."""
    match = _TYPE.match(value[:1_000].lower())
    if match:
        return match[1], read_parameters(value)
    # RFC 2045 section 5.2: what has no type, or an unreadable one, is plain text.
    return (default, {}) if "/" not in value[:1_000] else ("application/octet-stream", read_parameters(value))


def _sections(raw: Raw, start: int, end: int, boundary: str) -> list[tuple[int, int]]:
    """Where the parts between the lines of a boundary lie; one that never ends goes on to the end."""
    delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
    sections: list[tuple[int, int]] = []
    opened = -1
    place = raw.find(delimiter, start, end)
    while place >= 0 and len(sections) <= MAX_PARTS:
        after = place + len(delimiter)
        line_end = raw.find(b"\n", after, min(end, after + MAX_BOUNDARY_LINE))
        rest = raw[after : line_end if line_end >= 0 else min(end, after + MAX_BOUNDARY_LINE)].rstrip(b" \t\r")
        if (place == start or raw[place - 1] == 10) and rest in {b"", b"--"}:
            if opened >= 0:
                last = place - 1
                if last > opened and raw[last - 1] == 13:
                    last -= 1
                sections.append((opened, max(last, opened)))
            opened = line_end + 1 if line_end >= 0 else end
            if rest:
                return sections
        place = raw.find(delimiter, after, end)
    if opened >= 0 and len(sections) <= MAX_PARTS:
        sections.append((opened, end))
    return sections


def _base64(data: memoryview) -> bytes:
    """Base64 decoded as far as it goes: what is no digit is skipped, an end without padding is read all the same."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        digits = re.sub(rb"[^A-Za-z0-9+/]+", b"", data)
        if len(digits) % 4 == 1:
            # Six bits are no byte.
            digits = digits[:-1]
        return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
