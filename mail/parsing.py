"""Reading a message: bytes in, a frozen dataclass out. Pure, bounded, and never raising (R16).

Only the headers that are needed are decoded, with the standard library's older, faster policy; every limit below is
there because mail is written by strangers.
"""

from __future__ import annotations

import binascii
import email
import hashlib
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime

import chardet

from accounts.addresses import domain_of
from mail.address_list import parse_address_list
from mail.html_text import html_to_text

MAX_DEPTH = 100
MAX_PARTS = 1_000
MAX_HEADERS = 2_000
MAX_HEADER_CHARS = 64 * 1024
MAX_DECODED_HEADER_CHARS = 4_000
MAX_PARTICIPANTS = 2_000
MAX_REFERENCES = 50
MAX_TEXT_CHARS = 1 << 20
MAX_HTML_CHARS = 2 << 20
MAX_SNIPPET_CHARS = 200
MAX_NAME_CHARS = 200

_ROLES = {
    "from": "from",
    "sender": "sender",
    "reply-to": "reply_to",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
}
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,998})>")
_WORD = re.compile(r"=\?[^?\s]{1,60}\?[bBqQ]\?[^?]*\?=")
_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_QUOTED_LINE = re.compile(r"^\s*>.*$", re.MULTILINE)
_HIDDEN_HEADERS = frozenset({b"bcc", b"resent-bcc", b"delivered-to", b"x-original-to", b"envelope-to"})
_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")


@dataclass(frozen=True, slots=True)
class ParsedParticipant:
    """An address of the header. `role` is from, sender, reply_to, to, cc or bcc; the address is normalised."""

    role: str
    name: str
    address: str
    domain: str


@dataclass(frozen=True, slots=True)
class AttachmentPart:
    """A part that can be downloaded. `number` is its place in a depth-first walk, `size` in decoded bytes."""

    number: int
    name: str
    content_type: str
    size: int
    content_id: str
    is_inline: bool


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """What is known of a message. Text is free of lone surrogates; `notes` are sentences about what could not be read."""

    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    subject: str = ""
    date: datetime | None = None
    received_date: datetime | None = None
    participants: tuple[ParsedParticipant, ...] = ()
    text: str = ""
    html: str = ""
    attachments: tuple[AttachmentPart, ...] = ()
    snippet: str = ""
    notes: tuple[str, ...] = ()
    fingerprint: str = ""


def parse(raw: bytes) -> ParsedMessage:
    """Read a message, as far as it can be read; what can't is said in `notes`. Never raises."""
    notes: list[str] = []
    try:
        message = email.message_from_bytes(raw)
    except Exception:  # noqa: BLE001 - hostile structure (thousands of levels) must not stop a mailbox
        message = email.message_from_bytes(_header_block(raw))
        message.set_payload("")
        notes.append("The structure of this message could not be read; only its headers are shown.")
    headers = _Headers(message)
    participants = _participants(headers)
    body = _Body(message, notes)
    text = body.text or html_to_text(body.html)[:MAX_TEXT_CHARS]
    parsed = {
        "message_id": headers.ids("message-id")[0] if headers.ids("message-id") else "",
        "in_reply_to": headers.ids("in-reply-to")[0] if headers.ids("in-reply-to") else "",
        "references": _shortened(headers.ids("references")),
        "subject": headers.text("subject")[:998],
        "date": _date(headers.first("date")),
        "received_date": _date(headers.first("received").rpartition(";")[2]),
    }
    sender = next((p.address for p in participants if p.role == "from"), "")
    identity = (parsed["message_id"], sender, headers.first("date").strip(), parsed["subject"], _one_line(text))
    return ParsedMessage(
        **parsed,  # type: ignore[arg-type]
        participants=participants,
        text=text,
        html=body.html,
        attachments=tuple(body.attachments),
        snippet=_snippet(text),
        notes=tuple(dict.fromkeys(notes)),
        fingerprint=hashlib.sha256("\0".join(map(str, identity)).encode("utf-8", "replace")).hexdigest(),
    )


def cut_part(raw: bytes, number: int) -> tuple[bytes, str]:
    """The decoded bytes and content type of part `number` of a message.

    Raises:
        LookupError: the message has no such part.
    """
    for index, part in _walk(email.message_from_bytes(raw)):
        if index == number:
            return _decoded(part), _content_type(part)
    raise LookupError(f"no part {number}")


def without_hidden_headers(raw: bytes) -> bytes:
    """`raw` less Bcc, Resent-Bcc, Delivered-To, X-Original-To and Envelope-To; every other byte unchanged (sharing.md)."""
    kept: list[bytes] = []
    position = 0
    hidden = False
    while position < len(raw):
        end = raw.find(b"\n", position) + 1 or len(raw)
        line = raw[position:end]
        if not line.strip(b"\r\n"):
            break
        if line[:1] not in b" \t":
            hidden = line.partition(b":")[0].strip().lower() in _HIDDEN_HEADERS
        if not hidden:
            kept.append(line)
        position = end
    return b"".join(kept) + raw[position:]


class _Headers:
    """The header block, by lower-case name, unfolded and cut to size but not decoded."""

    def __init__(self, message: Message) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in message._headers[:MAX_HEADERS]:  # type: ignore[attr-defined]  # raw_items() builds objects
            self._values.setdefault(name.lower(), []).append(str(value)[:MAX_HEADER_CHARS])

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return self._values.get(name, [])

    def first(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return self.all(name)[0] if self.all(name) else ""

    def text(self, name: str) -> str:
        """The first value, decoded, on one line."""
        return decode_words(self.first(name))

    def ids(self, name: str) -> list[str]:
        """The message ids in a header; one that lacks its angle brackets counts where it stands alone."""
        value = _clean(" ".join(self.all(name)))
        found = _MESSAGE_ID.findall(value)
        bare = value.strip()
        return found or ([bare] if bare and not _SPACE.search(bare) and len(bare) <= 998 else [])


def decode_words(value: str) -> str:
    """A header's text with its encoded words decoded (RFC 2047), on one line and without control characters."""
    value = value[:MAX_DECODED_HEADER_CHARS]
    if _WORD.search(value):
        try:
            pieces = [
                piece if isinstance(piece, str) else decode_text(piece, charset)
                for piece, charset in decode_header(value)
            ]
        except (HeaderParseError, binascii.Error, ValueError):
            pieces = [value]
        value = "".join(pieces)
    return _one_line(_CONTROL.sub(" ", _clean(value)))


def decode_text(data: bytes, charset: str | None) -> str:
    """Bytes as text: by the declared charset, else UTF-8, else what chardet is sure of, else windows-1252."""
    for name in (charset, "utf-8"):
        if name and name.lower() != "unknown-8bit":
            try:
                return data.decode(name)
            except (LookupError, UnicodeError, ValueError):
                continue
    guess = chardet.detect(data[:100_000])
    encoding = guess["encoding"] if (guess["confidence"] or 0) >= 0.8 else None
    try:
        return data.decode(encoding or "windows-1252", "replace")
    except (LookupError, UnicodeError):
        return data.decode("windows-1252", "replace")


class _Body:
    """The readable text, the HTML and the attachments of a message."""

    def __init__(self, message: Message, notes: list[str]) -> None:
        self.text = ""
        self.html = ""
        self.attachments: list[AttachmentPart] = []
        self._notes = notes
        try:
            for number, part in _walk(message):
                self._add(number, part)
        except _TooMuch as excess:
            notes.append(str(excess))
        except Exception:  # noqa: BLE001 - a part that the standard library chokes on must not lose the message
            notes.append("A part of this message could not be read.")

    def _add(self, number: int, part: Message) -> None:
        kind = _content_type(part)
        disposition = _disposition(part)
        name = _file_name(part)
        if kind in {"text/plain", "text/html"} and disposition != "attachment" and not name:
            text = _clean(decode_text(_decoded(part), part.get_content_charset()))
            if kind == "text/html":
                self.html = (self.html + text)[:MAX_HTML_CHARS]
            else:
                self.text = (self.text + ("\n" if self.text else "") + text.replace("\r\n", "\n"))[:MAX_TEXT_CHARS]
            return
        content_id = _clean(str(part.get("content-id", ""))).strip().strip("<>")[:255]
        self.attachments.append(
            AttachmentPart(
                number=number,
                name=name or _default_name(kind, number),
                content_type=kind,
                size=len(_decoded(part)),
                content_id=content_id,
                is_inline=bool(content_id) and disposition != "attachment" and kind.startswith("image/"),
            )
        )


class _TooMuch(Exception):
    """The message has more levels or parts than anybody needs; `str()` is a sentence for people."""


def _walk(message: Message) -> Iterator[tuple[int, Message]]:
    """The leaves of a message with their number in a depth-first walk; an attached message is a leaf."""
    stack = [(message, 0)]
    number = -1
    while stack:
        part, depth = stack.pop()
        number += 1
        if number >= MAX_PARTS:
            raise _TooMuch(f"This message has more than {MAX_PARTS:,} parts; the rest is in its original only.")
        children = part.get_payload()
        if part.is_multipart() and isinstance(children, list) and part.get_content_maintype() == "multipart":
            if depth >= MAX_DEPTH:
                raise _TooMuch("This message is nested too deeply; the rest is in its original only.")
            stack.extend((child, depth + 1) for child in reversed(children) if isinstance(child, Message))
        else:
            yield number, part


def _decoded(part: Message) -> bytes:
    """The bytes of a leaf, whatever is wrong with its encoding."""
    payload = part.get_payload()
    if isinstance(payload, list):
        return b"\r\n".join(child.as_bytes() for child in payload if isinstance(child, Message))
    data = str(payload).encode("utf-8" if not str(payload).isascii() else "ascii", "surrogateescape")
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    if encoding == "base64":
        return _base64(data)
    if encoding == "quoted-printable":
        return quopri.decodestring(data)
    return data


def _base64(data: bytes) -> bytes:
    """Base64 decoded as far as it goes: what is no digit is skipped, a broken end is left out."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        digits = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        return binascii.a2b_base64(digits[: len(digits) // 4 * 4] or b"")


def _content_type(part: Message) -> str:
    kind = part.get_content_type().lower()
    return kind if _CONTENT_TYPE.fullmatch(kind) else "application/octet-stream"


def _disposition(part: Message) -> str:
    return str(part.get("content-disposition", "")).partition(";")[0].strip().lower()


def _file_name(part: Message) -> str:
    """The name that the sender gave a part, made safe to show and to save under: no path, no control characters."""
    try:
        given = part.get_filename() or ""
    except (LookupError, ValueError, UnicodeError, TypeError):
        given = ""
    name = decode_words(given).replace("\\", "/").rpartition("/")[2].strip(" .")
    if len(name) > MAX_NAME_CHARS:
        stem, dot, suffix = name.rpartition(".")
        kept = dot + suffix if dot and len(suffix) <= 10 else ""
        name = (stem if kept else name)[: MAX_NAME_CHARS - len(kept)] + kept
    return name


def _default_name(kind: str, number: int) -> str:
    suffix = {"message/rfc822": "eml", "text/plain": "txt", "text/html": "html", "text/calendar": "ics"}.get(
        kind, kind.partition("/")[2] if kind.startswith("image/") else "bin"
    )
    return f"part-{number}.{suffix}"


def _participants(headers: _Headers) -> tuple[ParsedParticipant, ...]:
    found: dict[tuple[str, str], ParsedParticipant] = {}
    for header, role in _ROLES.items():
        for value in headers.all(header):
            for name, address in parse_address_list(_eight_bit(value), decode_words):
                if len(found) >= MAX_PARTICIPANTS:
                    return tuple(found.values())
                key = (role, address)
                found.setdefault(key, ParsedParticipant(role, name[:320], address, domain_of(address)))
    return tuple(found.values())


def _shortened(references: list[str]) -> tuple[str, ...]:
    """The first reference and the last ones: the start of the conversation, and its nearest messages."""
    unique = list(dict.fromkeys(references))
    return tuple(unique if len(unique) <= MAX_REFERENCES else [unique[0], *unique[1 - MAX_REFERENCES :]])


def _date(value: str) -> datetime | None:
    """A date of the header in UTC, or None when it is missing, unreadable or absurd."""
    try:
        date = parsedate_to_datetime(value.strip()[:200])
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if 1970 <= date.year <= 2100 else None


def _snippet(text: str) -> str:
    head = text[:20_000]
    return (_one_line(_QUOTED_LINE.sub("", head)) or _one_line(head))[:MAX_SNIPPET_CHARS]


def _one_line(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _eight_bit(value: str) -> str:
    """A raw header value whose undeclared 8-bit bytes are read as text."""
    if value.isascii():
        return value
    return decode_text(value.encode("utf-8", "surrogateescape"), None)


def _clean(value: str) -> str:
    """`value` without surrogates (8-bit bytes in headers become text) and without NUL."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            value = decode_text(value.encode("utf-8", "surrogateescape"), None)
    return value.replace("\0", "")


def _header_block(raw: bytes) -> bytes:
    """Everything before the first empty line."""
    ends = [end for end in (raw.find(b"\r\n\r\n"), raw.find(b"\n\n")) if end >= 0]
    return raw[: min(ends)] + b"\r\n\r\n" if ends else raw[:MAX_HEADER_CHARS]
