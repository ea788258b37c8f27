"""Reading a message: bytes in, a frozen dataclass out. Pure, bounded, and never raising (R16).

Only the headers that are needed are decoded (`mail.mime` finds them); every limit below is there because mail is
written by strangers.
"""

from __future__ import annotations

import hashlib
import html as html_module
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from accounts.addresses import domain_of
from mail import mime
from mail.address_list import parse_address_list
from mail.charsets import clean, decode_text, decode_words, one_line
from mail.flowed import unflow
from mail.html_text import html_to_text
from mail.remembering import remembering_short

logger = logging.getLogger(__name__)

MAX_PARTICIPANTS = 2_000
MAX_ADDRESS_CHARS = 256 * 1024
MAX_REFERENCES = 50
MAX_TEXT_CHARS = 1 << 20
MAX_HTML_CHARS = 2 << 20
MAX_SNIPPET_CHARS = 200
#: So much of a text is looked at for its snippet; more where that does not fill it.
MAX_SNIPPET_SOURCES = (500, 20_000)
MAX_NAME_CHARS = 200
#: Four bytes of UTF-8 or UTF-32, each of them three characters of quoted-printable.
MAX_BYTES_A_CHAR = 12
MAX_REMEMBERED_CHARS = 200

UNREAD = "This message could not be read; only its original can be shown."

#: What is read as text, and how many characters of it.
_ROOM = {"text/plain": MAX_TEXT_CHARS, "text/html": MAX_HTML_CHARS}

_ROLES = {
    "from": "from",
    "sender": "sender",
    "reply-to": "reply_to",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
}
#: How a part is called that has no name, by its type.
_SUFFIXES = {
    "application/pdf": "pdf",
    "application/pgp-signature": "asc",
    "application/pkcs7-mime": "p7m",
    "application/pkcs7-signature": "p7s",
    "message/delivery-status": "txt",
    "message/disposition-notification": "txt",
    "message/rfc822": "eml",
    "text/calendar": "ics",
    "text/csv": "csv",
    "text/html": "html",
    "text/plain": "txt",
    "text/rfc822-headers": "txt",
}
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,998})>")
_SPACE = re.compile(r"\s+")
_SPACES = b" \t\n\r\f\v"
_QUOTED_LINE = re.compile(r"^[^\S\n]*>.*$", re.MULTILINE)
#: A bare CR ends a line for some mail programs: what hides behind one must not show there.
_HIDDEN_FIELD = re.compile(
    rb"(?:\A|(?<=[\r\n]))(?:bcc|resent-bcc|delivered-to|x-original-to|envelope-to)[ \t]*+:[^\r\n]*+"
    rb"(?:(?:\r*\n|\r)[ \t][^\r\n]*+)*+(?:\r*\n|\r|\Z)",
    re.IGNORECASE,
)


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
    attachments: tuple[AttachmentPart, ...] = ()
    snippet: str = ""
    notes: tuple[str, ...] = ()
    has_all_participants: bool = True
    fingerprint: str = ""


def parse(raw: mime.Raw) -> ParsedMessage:
    """Read a message, as far as it can be read; what can't is said in `notes`. Never raises."""
    try:
        return _parse(raw)
    except Exception:
        # One message that nobody foresaw must not keep a whole mailbox from being fetched (R16).
        logger.exception("A message of %d bytes could not be read", len(raw))
        return ParsedMessage(notes=(UNREAD,), fingerprint=hashlib.sha256(raw).hexdigest())


def _parse(raw: mime.Raw) -> ParsedMessage:
    notes: list[str] = []
    header, _ = mime.split_header(raw, 0, len(raw))
    headers = mime.read_fields(raw[:header])
    participants, more = _participants(headers)
    if more:
        notes.append("This message names more addresses than can be listed; the rest is in its original only.")
    body = Body(raw, headers)
    if body.excess:
        notes.append(body.excess)
    text = body.text()
    parsed = {
        "message_id": (_ids(headers, "message-id") or [""])[0],
        "in_reply_to": (_ids(headers, "in-reply-to") or [""])[0],
        "references": _shortened(_ids(headers, "references")),
        "subject": decode_words(headers.first("subject"))[:998],
        "date": _date(headers.first("date")),
        "received_date": _date(headers.first("received").rpartition(";")[2]),
    }
    sender = next((p.address for p in participants if p.role == "from"), "")
    attachments = tuple(body.attachments)
    parts = [(part.name, part.content_type, part.size) for part in attachments]
    identity = (parsed["message_id"], sender, headers.first("date"), parsed["subject"], *parts)
    # The spaces of a text may become others on the way to another mailbox.
    words = text.encode("utf-8", "replace").translate(None, _SPACES)
    digest = hashlib.sha256("\0".join(map(str, identity)).encode("utf-8", "replace") + b"\0" + words)
    return ParsedMessage(
        **parsed,  # type: ignore[arg-type]
        participants=participants,
        text=text,
        attachments=attachments,
        snippet=_snippet(text),
        notes=tuple(dict.fromkeys(notes)),
        has_all_participants=not more,
        fingerprint=digest.hexdigest(),
    )


def read_html(raw: bytes) -> str:
    """The HTML of a message as its sender wrote it, unsafe; nothing where there is none. Never raises."""
    try:
        return Body(raw).html()
    except Exception:
        logger.exception("The HTML of a message of %d bytes could not be read", len(raw))
        return ""


def read_header(raw: mime.Raw) -> ParsedMessage:
    """What the header of a message says, without its text and attachments. Never raises."""
    try:
        header, _ = mime.split_header(raw, 0, len(raw))
        headers = mime.read_fields(raw[:header])
        return ParsedMessage(
            subject=decode_words(headers.first("subject"))[:998],
            date=_date(headers.first("date")),
            participants=_participants(headers)[0],
        )
    except Exception:
        logger.exception("The header of a message of %d bytes could not be read", len(raw))
        return ParsedMessage()


def cut_part(raw: bytes, number: int) -> tuple[bytes, str]:
    """The decoded bytes and content type of part `number` of a message.

    Raises:
        LookupError: the message has no such part.
    """
    try:
        for part in mime.leaves(raw):
            if part.number == number:
                return part.decoded(), part.content_type
    except mime.TooMuch:
        pass
    raise LookupError(f"no part {number}")


def without_hidden_headers(raw: bytes) -> bytes:
    """`raw` less Bcc, Resent-Bcc, Delivered-To, X-Original-To and Envelope-To; every other byte unchanged (sharing.md)."""
    end, _ = mime.split_block(raw)
    return _HIDDEN_FIELD.sub(b"", raw[:end]) + raw[end:]


def _ids(headers: mime.Fields, name: str) -> list[str]:
    """The message ids in a header; one that lacks its angle brackets counts where it stands alone."""
    value = clean(" ".join(headers.all(name)[:MAX_REFERENCES]))
    found = _MESSAGE_ID.findall(value)
    bare = value.strip()
    return found or ([bare] if bare and not _SPACE.search(bare) and len(bare) <= 998 else [])


@dataclass(frozen=True, slots=True)
class AttachedPart:
    """A part that is offered as an attachment, not yet decoded."""

    part: mime.Part
    name: str
    content_id: str
    is_inline: bool


class Body:
    """The readable text, the HTML and the attachments of a message. Text and HTML are decoded when they are asked for.

    Alternatives are one piece of the body; pieces beside each other follow each other, in the text and in the HTML, so
    that the HTML which a mailing list hangs behind a text does not take its place.
    """

    def __init__(self, raw: mime.Raw, headers: mime.Fields | None = None) -> None:
        self.attached: list[AttachedPart] = []
        self.excess = ""
        self._pieces: dict[int, dict[str, list[mime.Part]]] = {}
        try:
            for part in mime.leaves(raw, headers):
                self._add(part)
        except mime.TooMuch as excess:
            self.excess = str(excess)

    @property
    def attachments(self) -> list[AttachmentPart]:
        """What is attached, each part decoded once to know its size."""
        return [
            AttachmentPart(
                number=each.part.number,
                name=each.name,
                content_type=each.part.content_type,
                size=each.part.size(),
                content_id=each.content_id,
                is_inline=each.is_inline,
            )
            for each in self.attached
        ]

    def text(self, *, unflowed: bool = False) -> str:
        """Each piece as plain text, made of its HTML where it has nothing else; `unflowed` puts broken lines together."""
        plain = self._decoded("text/plain", self._pieces, unflowed=unflowed)
        html = self._decoded("text/html", self._pieces.keys() - plain.keys())
        pieces = (plain[piece] if piece in plain else html_to_text(html.get(piece, "")) for piece in self._pieces)
        return "\n".join(pieces)[:MAX_TEXT_CHARS]

    def html(self) -> str:
        """Each piece as HTML, made of its text where it has nothing else; nothing if no piece has any."""
        html = self._decoded("text/html", self._pieces)
        if not any(html.values()):
            return ""
        plain = self._decoded("text/plain", self._pieces.keys() - html.keys())
        pieces = (html[piece] if piece in html else _as_html(plain.get(piece, "")) for piece in self._pieces)
        return "".join(pieces)[:MAX_HTML_CHARS]

    def _decoded(self, kind: str, pieces: Collection[int], *, unflowed: bool = False) -> dict[int, str]:
        """The text of the pieces that have parts of this kind, up to the limit for all of them."""
        room = _ROOM[kind]
        found: dict[int, str] = {}
        for piece in self._pieces:
            parts = self._pieces[piece].get(kind, ()) if piece in pieces else ()
            texts = []
            for part in parts:
                if room > 0:
                    data = part.decoded(limit=room * MAX_BYTES_A_CHAR)
                    text = clean(decode_text(data, part.parameters.get("charset"))).replace("\r\n", "\n")
                    if unflowed and part.parameters.get("format", "").lower() == "flowed":
                        text = unflow(text, delete_space=part.parameters.get("delsp", "").lower() == "yes")
                    texts.append(text[:room])
                    room -= len(text) + 1
            if texts:
                found[piece] = ("" if kind == "text/html" else "\n").join(texts)
        return found

    def _add(self, part: mime.Part) -> None:
        kind = part.content_type
        disposition = part.fields.first("content-disposition")
        attached = disposition.partition(";")[0].strip().lower() == "attachment"
        name = _file_name(part, disposition)
        if kind in _ROOM and not attached and not name:
            self._pieces.setdefault(part.choice, {}).setdefault(kind, []).append(part)
            return
        content_id = clean(part.fields.first("content-id")).strip().strip("<>")[:255]
        is_inline = bool(content_id) and not attached and kind.startswith("image/")
        self.attached.append(AttachedPart(part, name or _default_name(kind, part.number), content_id, is_inline))


def _as_html(text: str) -> str:
    return f'<div style="white-space: pre-wrap">{html_module.escape(text)}</div>'


def _file_name(part: mime.Part, disposition: str) -> str:
    """The name that the sender gave a part, made safe to show and to save under: no path, no control characters."""
    given = mime.read_parameters(disposition).get("filename", "") if ";" in disposition else ""
    given = given or part.parameters.get("name", "")
    if not given:
        return ""
    name = decode_words(given).replace("\\", "/").rpartition("/")[2].strip(" .")
    if len(name) > MAX_NAME_CHARS:
        stem, dot, suffix = name.rpartition(".")
        kept = dot + suffix if dot and len(suffix) <= 10 else ""
        name = (stem if kept else name)[: MAX_NAME_CHARS - len(kept)] + kept
    return name


def _default_name(kind: str, number: int) -> str:
    suffix = _SUFFIXES.get(kind, kind.partition("/")[2] if kind.startswith("image/") else "bin")
    return f"part-{number}.{suffix}"


def _participants(headers: mime.Fields) -> tuple[tuple[ParsedParticipant, ...], bool]:
    """Every address in order, once a role; and whether there may be more, too many or not to be read."""
    unknown = headers.is_cut
    found: dict[tuple[str, str], ParsedParticipant] = {}
    room = MAX_ADDRESS_CHARS
    for header, role in _ROLES.items():
        for value in headers.all(header):
            room -= len(value)
            if room < 0:
                return tuple(found.values()), True
            for name, address in _addresses(value):
                key = (role, address)
                if not address:
                    unknown = True
                    continue
                if key not in found and len(found) >= MAX_PARTICIPANTS:
                    return tuple(found.values()), True
                found.setdefault(key, ParsedParticipant(role, name[:320], address, domain_of(address)))
    return tuple(found.values()), unknown


@remembering_short(MAX_REMEMBERED_CHARS, 4_096)
def _addresses(value: str) -> tuple[tuple[str, str], ...]:
    """The names and addresses of a header. The same few people write to each other."""
    return tuple(parse_address_list(clean(value), decode_words))


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
    """How a text begins, less what it quotes."""
    for length in MAX_SNIPPET_SOURCES:
        head = text[:length]
        own = one_line(_QUOTED_LINE.sub("", head)) if ">" in head else ""
        snippet = own or one_line(head)
        if len(snippet) >= MAX_SNIPPET_CHARS or len(text) <= length:
            break
    return snippet[:MAX_SNIPPET_CHARS]
