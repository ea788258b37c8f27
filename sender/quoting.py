"""What a reply or a forward begins with: whom it goes to, its subject, and what it quotes of one message (R24, R35).

All of it comes from that message alone: nothing of its conversation that it does not say itself, and never its Bcc.
"""

from __future__ import annotations

import html as html_module
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.timezone import localtime

from accounts.internal import own_addresses
from accounts.models import User
from mail import blobs
from mail.models import Attachment, Message, Participant
from mail.parsing import cut_part, parse, read_html
from mail.reading import text_of
from mail.rendering import INLINE_TYPES, TooLarge, clean_written
from sender.addressing import Person
from sender.building import File, new_content_id

#: Longer HTML is quoted as its text: an editor would be slow with it.
MAX_QUOTED_HTML = 500_000
MAX_QUOTED_TEXT = 200_000
#: RFC 5322 section 3.6.4 lets References grow for ever; readers need the first one and the nearest.
MAX_REFERENCES = 20
_MAX_ID = 250
_Role = Participant.Role


@dataclass(frozen=True, slots=True)
class Quote:
    """The text and the HTML that stand below what is written, and the files that go with them."""

    text: str
    html: str
    files: tuple[File, ...] = ()


def reply_recipients(user: User, message: Message, *, to_all: bool) -> tuple[list[Person], list[Person]]:
    """To and Cc of a reply: to who wrote it, to everybody in it, or, to a message that its owner sent, on to its recipients.

    The replier's own addresses are left out, unless nobody else is there.
    """
    people = list(message.participants.all())

    def of(*roles: str) -> list[Person]:
        return [Person(one.name, one.address) for one in people if one.role in roles]

    if message.direction == Message.Direction.SENT:
        to, cc = of(_Role.TO), of(_Role.CC)
    else:
        to, cc = of(_Role.REPLY_TO) or of(_Role.FROM), of(_Role.TO, _Role.CC)
    own = own_addresses(user)
    to = _without(to, own) or to
    return to, _without(cc, own | {person.address for person in to}) if to_all else []


def reply_subject(subject: str) -> str:
    """`Re:` once, whatever the case."""
    return subject if subject.lower().startswith("re:") else f"Re: {subject}"[:998]


def forward_subject(subject: str) -> str:
    """`Fwd:` once, whatever the case."""
    return subject if subject.lower().startswith(("fwd:", "fw:")) else f"Fwd: {subject}"[:998]


def conversation_of(message: Message) -> list[str]:
    """References of an answer: those of the message itself and its own id (RFC 5322 section 3.6.4), at most `MAX_REFERENCES`."""
    read = parse(blobs.read(message))
    named = [*(read.references or ([read.in_reply_to] if read.in_reply_to else [])), read.message_id]
    ids = list(dict.fromkeys(one for one in named if _is_usable(one)))
    return ids if len(ids) <= MAX_REFERENCES else [ids[0], *ids[1 - MAX_REFERENCES :]]


def quote_for_reply(message: Message, user: User) -> Quote:
    """What a reply to `message` quotes: who wrote it and when, and all of it, with the images that stand in it."""
    line = f"On {_when(message, user)}, {message.from_name or message.from_address or 'somebody'} wrote:"
    text = "\n".join(
        f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in _text(message).split("\n")
    )
    body, files = _html(message)
    escaped = html_module.escape(line)
    return Quote(f"{line}\n{text}\n", f"<div>{escaped}</div><blockquote>{body}</blockquote>", files)


def quote_for_forward(message: Message, user: User) -> Quote:
    """What a forward of `message` hands on: its header, all of its text, its images and its attachments."""
    people = list(message.participants.all())
    header = [("From", _names(people, _Role.FROM)), ("Date", _when(message, user)), ("Subject", message.subject)]
    header += [("To", _names(people, _Role.TO)), ("Cc", _names(people, _Role.CC))]
    lines = [f"{name}: {value}" for name, value in header if value]
    body, files = _html(message)
    intro = "---------- Forwarded message ----------"
    escaped = "<br>".join(html_module.escape(line) for line in (intro, *lines))
    raw = blobs.read(message)
    shown_inside = {file.name for file in files}
    attachments = [
        _copied(raw, part, message, is_inline=False)
        for part in message.attachments.all()
        if not (part.is_inline and part.name in shown_inside)
    ]
    text = "\n".join([intro, *lines, "", _text(message), ""])
    return Quote(text, f"<div>{escaped}</div><br><div>{body}</div>", (*files, *attachments))


def _text(message: Message) -> str:
    return text_of(message)[:MAX_QUOTED_TEXT].strip("\n")


def _html(message: Message) -> tuple[str, tuple[File, ...]]:
    """The HTML of a message, or its text as such, without images from the web; and the images that stand in it."""
    raw = blobs.read(message)
    html = read_html(raw)
    images = {
        part.content_id: part
        for part in message.attachments.all()
        if part.is_inline and part.content_type in INLINE_TYPES
    }
    files = {name: _copied(raw, part, message, is_inline=True) for name, part in images.items()} if html else {}
    if html and len(html) <= MAX_QUOTED_HTML:
        try:
            new_names = {name: file.content_id for name, file in files.items()}
            clean, used = clean_written(html, new_names, remote_images=False)
        except TooLarge:
            pass
        else:
            return clean, tuple(files[name] for name in used)
    return html_module.escape(_text(message)).replace("\n", "<br>"), ()


def _copied(raw: bytes, part: Attachment, message: Message, *, is_inline: bool) -> File:
    try:
        data, _ = cut_part(raw, part.part)
    except LookupError:
        data = b""
    return File(part.name, part.content_type, new_content_id(message.owner.email), is_inline, data)


def _when(message: Message, user: User) -> str:
    return date_format(localtime(message.date, ZoneInfo(user.organization.time_zone)), "j F Y, H:i")


def _names(people: Iterable[Participant], role: str) -> str:
    return ", ".join(str(person) for person in people if person.role == role)


def _without(people: Iterable[Person], addresses: set[str]) -> list[Person]:
    kept = {person.address: person for person in people if person.address not in addresses}
    return list(kept.values())


def _is_usable(message_id: str) -> bool:
    return bool(message_id) and message_id.isascii() and message_id.isprintable() and len(message_id) <= _MAX_ID
