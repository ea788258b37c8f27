"""A message as bytes, from what was written: RFC 5322 headers, MIME parts, lines of at most 998 bytes. Pure.

The parts are the standard library's. Names and subjects become encoded words wherever a reader could take them for
anything but what was typed; nothing that was typed can start a header of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import charset, encoders
from email.generator import BytesGenerator
from email.header import Header
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime, quote
from io import BytesIO

from accounts.addresses import domain_of
from sender.addressing import Person, header_text

#: RFC 5322 section 2.1.1 wants lines under 998; a word this long is encoded, so that it can be folded.
_LONG_WORD = 60
#: RFC 2045 section 6.7: text stays readable, and no server has to take 8-bit data.
_TEXT = charset.Charset("utf-8")
_TEXT.body_encoding = charset.QP
_POLICY = compat32.clone(linesep="\r\n", max_line_length=76)


@dataclass(frozen=True, slots=True)
class File:
    """A file of a message. `content_id` is what the HTML names an inline image by."""

    name: str
    content_type: str
    content_id: str
    is_inline: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """What a message says. There is no place for Bcc: it belongs into the envelope alone.

    `references` are the Message-IDs of its conversation, with their angle brackets or without, the nearest last.
    """

    message_id: str
    date: datetime
    sender: Person
    to: Sequence[Person] = ()
    cc: Sequence[Person] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    in_reply_to: str = ""
    references: Sequence[str] = ()
    files: Sequence[File] = ()


def new_message_id(address: str) -> str:
    """An id at the sender's domain that nobody can guess: who knows it has seen the message (RFC 5322 section 3.6.4)."""
    return f"{secrets.token_hex(20)}@{domain_of(address)}"


def new_content_id(address: str) -> str:
    """An id for a part of a message, unique in the world (RFC 2392)."""
    return f"{secrets.token_hex(10)}@{domain_of(address)}"


def needs_utf8(address: str) -> bool:
    """Whether only servers with SMTPUTF8 can take mail for this address (RFC 6531); a domain is ASCII here anyway."""
    return not address.isascii()


def build(letter: Letter) -> bytes:
    """The message, with CRLF line ends."""
    message = _body(letter)
    for name, value in (
        ("Date", format_datetime(letter.date)),
        ("From", _people([letter.sender])),
        ("To", _people(letter.to)),
        ("Cc", _people(letter.cc)),
        ("Subject", _words(letter.subject, "Subject")),
        ("Message-ID", f"<{letter.message_id}>"),
        ("In-Reply-To", _ids([letter.in_reply_to] if letter.in_reply_to else [])),
        ("References", _ids(letter.references)),
    ):
        if value or name == "Subject":
            # Only the local part of an address is not ASCII here, and RFC 6532 has it stand as it is.
            message[name] = value if value.isascii() else value.encode().decode("ascii", "surrogateescape")
    written = BytesIO()
    BytesGenerator(written, mangle_from_=False, policy=_POLICY).flatten(message)
    return written.getvalue()


def _body(letter: Letter) -> Message:
    """Text; or text and HTML, with the images of the latter; with attachments beside that (RFC 2046, 2387)."""
    body = _text(letter.text, "plain")
    if letter.html:
        html = _text(letter.html, "html")
        images = [file for file in letter.files if file.is_inline]
        if images:
            related = MIMEMultipart("related", type="text/html")
            for part in (html, *map(_file, images)):
                related.attach(part)
            html = related
        body = MIMEMultipart("alternative", _subparts=[body, html])
    attachments = [file for file in letter.files if not (file.is_inline and letter.html)]
    return MIMEMultipart("mixed", _subparts=[body, *map(_file, attachments)]) if attachments else body


def _text(text: str, subtype: str) -> Message:
    part = MIMENonMultipart("text", subtype, charset="utf-8")
    part.set_payload(text.replace("\r\n", "\n").replace("\r", "\n"), _TEXT)
    return part


def _file(file: File) -> Message:
    kind, _, subtype = file.content_type.partition("/")
    if kind in {"message", "multipart"}:
        # RFC 2046 section 5: these may not be base64, and are not ours to take apart.
        kind, subtype = "application", "octet-stream"
    part = MIMEBase(kind, subtype)
    part.set_payload(file.data)
    encoders.encode_base64(part)
    part["Content-ID"] = f"<{file.content_id}>"
    name = header_text(file.name)
    shown = name if name.isascii() else ("utf-8", "", name)
    part.add_header("Content-Disposition", "inline" if file.is_inline else "attachment", filename=shown)
    return part


def _people(people: Sequence[Person]) -> str:
    """An address list, one address a line (RFC 5322 section 3.4)."""
    return ",\n ".join(_person(person) for person in people)


def _person(person: Person) -> str:
    if not person.name:
        return person.address
    name = header_text(person.name)
    phrase = f'"{quote(name)}"' if _is_plain(name) else _encoded(name)
    return f"{phrase} <{person.address}>"


def _words(text: str, header: str) -> str:
    text = header_text(text)
    return text if _is_plain(text) else Header(text, "utf-8", header_name=header).encode(linesep="\n")


def _encoded(text: str) -> str:
    return Header(text, "utf-8").encode(linesep="\n")


def _is_plain(text: str) -> bool:
    """Whether a reader sees in it what was typed, and lines can be folded at its spaces."""
    return (
        text.isascii()
        and text.isprintable()
        and "=?" not in text
        and "  " not in text
        and all(len(word) <= _LONG_WORD for word in text.split(" "))
    )


def _ids(ids: Sequence[str]) -> str:
    return "\n ".join(f"<{one.strip('<>')}>" for one in ids)
