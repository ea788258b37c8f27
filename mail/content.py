"""One message as its reader meets it: text, HTML, what is attached, cards and notices; of a message or of one inside it.

Pure: bytes in. Everything is read when it is asked for, and once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from mail import files, mime
from mail.charsets import decode_text
from mail.invites import Invite, read_invite
from mail.notices import notices
from mail.parsing import AttachedPart, Body, ParsedMessage, read_header
from mail.rendering import Rendered, sanitize
from mail.reports import MAX_RECIPIENTS, Report, read_reports

logger = logging.getLogger(__name__)

#: So many messages inside one another are opened.
MAX_NESTED = 5
MAX_INVITES = 3


class NotThere(LookupError):
    """The message has no such part."""


@dataclass(frozen=True, slots=True)
class Download:
    """A part that can be downloaded. `place` are the numbers of parts that lead to it, `4` or `4.2`; `size` in bytes."""

    place: str
    name: str
    content_type: str
    size: int
    charset: str = ""

    @property
    def preview(self) -> str:
        """How it can be shown: `image`, `pdf`, `text`, `message`, or not."""
        return files.preview_of(self.content_type, self.name)

    @property
    def can_run(self) -> bool:
        """Whether opening it may run a program."""
        return files.can_run(self.name)


class Content:
    """What `raw` holds; `place` leads to it, if it is inside another message."""

    def __init__(self, raw: bytes, place: str = "") -> None:
        self._raw = raw
        self._place = place

    def inside(self, place: str) -> Content:
        """The message at `place` inside this one.

        Raises:
            NotThere: there is none, or it is nested too deeply.
        """
        content = self
        numbers = place.split(".")
        if len(numbers) > MAX_NESTED:
            raise NotThere
        for number in numbers:
            attached = content._attached(number)
            if files.preview_of(attached.part.content_type, attached.name) != "message":
                raise NotThere
            content = Content(attached.part.decoded(), content._place_of(attached))
        return content

    def file(self, place: str) -> tuple[Download, bytes]:
        """The part at `place`, in this message or in one inside it, with its bytes.

        Raises:
            NotThere: there is none.
        """
        outer, dot, number = place.rpartition(".")
        holder = self.inside(outer) if dot else self
        attached = holder._attached(number)
        return holder._download(attached), attached.part.decoded()

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The names and bytes of everything attached, decoded one after another."""
        for attached in self._body.attached:
            yield attached.name, attached.part.decoded()

    @cached_property
    def header(self) -> ParsedMessage:
        """Its subject, date and people, as filing reads them."""
        return read_header(self._raw)

    @cached_property
    def text(self) -> str:
        """Its text, made of its HTML where it has nothing else."""
        return self._body.text(unflowed=True)

    @property
    def downloads(self) -> list[Download]:
        """Everything attached, inline pictures too."""
        return [self._download(attached) for attached in self._body.attached]

    def downloads_beside(self, shown: Rendered | None) -> list[Download]:
        """What to offer below: all but the pictures that the HTML, where that is `shown`, has inside."""
        inside = shown.inline if shown else frozenset[str]()
        attached = self._body.attached
        return [self._download(each) for each in attached if not (each.content_id and each.content_id in inside)]

    def rendered(self, *, images: bool, fold: bool = True) -> Rendered:
        """Its HTML made safe, with its inline images; None where it has none. Remote images only if asked for."""
        html = self._body.html()
        if not html:
            return Rendered(None)
        # Some programs call a picture that stands in the text an attachment.
        inline = {each.content_id: each.part for each in self._body.attached if each.content_id}
        return sanitize(
            html,
            inline={name: (part.content_type, part.decoded) for name, part in inline.items()},
            remote_images=images,
            fold=fold,
        )

    @property
    def invites(self) -> list[Invite]:
        """The events that it invites to."""
        calendars = [each.part for each in self._body.attached if each.part.content_type == "text/calendar"]
        read = (
            read_invite(decode_text(part.decoded(), part.parameters.get("charset"))) for part in calendars[:MAX_INVITES]
        )
        # Outlook and Gmail send the same event twice, as a part to show and as a file.
        return list(dict.fromkeys(invite for invite in read if invite is not None))

    @property
    def reports(self) -> list[Report]:
        """What mail servers report in it, about so many recipients at most."""
        found = (
            report
            for each in self._body.attached
            if each.part.content_type.startswith("message/")
            for report in read_reports(each.part.decoded(), each.part.content_type)
        )
        return list(islice(found, MAX_RECIPIENTS))

    def notices(self, shown: Rendered) -> Sequence[str]:
        """What has to be said about it in words."""
        attached = [(each.part.content_type, each.name) for each in self._body.attached]
        said = [shown.note, *notices(self.text, has_html=shown.html is not None, attached=attached)]
        if self._place and self._body.excess:
            said.append(self._body.excess)
        return [sentence for sentence in said if sentence]

    @cached_property
    def _body(self) -> Body:
        try:
            return Body(self._raw)
        except Exception:
            # As in `parse`: what nobody foresaw is said, and the original can still be downloaded.
            logger.exception("A message of %d bytes could not be read", len(self._raw))
            return Body(b"\n")

    def _attached(self, number: str) -> AttachedPart:
        for attached in self._body.attached:
            if str(attached.part.number) == number:
                return attached
        raise NotThere

    def _place_of(self, attached: AttachedPart) -> str:
        return f"{self._place}.{attached.part.number}".lstrip(".")

    def _download(self, attached: AttachedPart) -> Download:
        part: mime.Part = attached.part
        charset = part.parameters.get("charset", "")
        return Download(self._place_of(attached), attached.name, part.content_type, part.size(), charset)
