"""HTML that was written here as plain text, for readers who want no HTML: as an editor for plain text would have it. Pure.

A line stays a line and an empty one empty; quotations are marked with `>`, lists with their marks, links with where they
lead.
"""

from __future__ import annotations

import html as html_module
import re
from collections.abc import Mapping

from mail.html_text import BLOCKS, attributes_of, tokens

#: Elements with an empty line before and after them.
_APART = frozenset("h1 h2 h3 h4 h5 h6 p pre table".split())
_LISTS = frozenset({"ol", "ul"})
_CELLS = frozenset({"td", "th"})
#: Quotations and lists are marked so deep. A stranger's message that is answered may hold more, and many lines in them.
_MARKED_DEPTH = 20
#: What HTML makes one space of; a no-break space is one that was typed.
_SPACES = re.compile(r"[ \t\r\n\f]+")


def plain_text(html: str) -> str:
    """The text of sanitised `html`, without empty lines at its end; those at its beginning are room to write in."""
    writer = _Writer()
    for kind, value, rest in tokens(html):
        if kind == "text":
            writer.text(html_module.unescape(value))
        elif kind == "end":
            writer.end(value)
        else:
            writer.start(value, attributes_of(rest))
    writer.break_line()
    return "\n".join(writer.lines).rstrip()


class _Writer:
    """Lines that are done, and the one that is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._pieces: list[str] = []
        #: Whether an empty line is due before the next one that is not.
        self._is_apart = False
        self._quotes = 0
        #: The number of the next item of each list that is open; 0 where they have none.
        self._lists: list[int] = []
        self._mark = ""
        self._is_as_written = 0
        self._links: list[tuple[str, int]] = []

    def text(self, text: str) -> None:
        """Words; in `pre` with their lines."""
        if self._is_as_written:
            first, *others = text.split("\n")
            self._pieces.append(first)
            for other in others:
                self._end_line()
                self._pieces = [other]
            return
        text = _SPACES.sub(" ", text)
        self._add(text if self._pieces and not self._pieces[-1].endswith(" ") else text.lstrip(" "))

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        if tag == "br":
            self._end_line()
        elif tag == "img":
            self._add(f"[{attributes['alt']}]" if attributes.get("alt") else "")
        elif tag == "a":
            self._links.append((attributes.get("href", ""), len(self._pieces)))
        elif tag in _CELLS:
            self._add(" " if self._pieces else "")
        elif tag in BLOCKS:
            self.break_line()
            self._is_apart |= tag in _APART
            self._quotes += tag == "blockquote"
            self._is_as_written += tag == "pre"
            if tag in _LISTS:
                self._lists.append(int(tag == "ol"))
            elif tag == "li":
                self._begin_item()
            elif tag == "hr":
                self._add("-" * 20)
                self.break_line()

    def end(self, tag: str) -> None:
        """An element ends."""
        if tag == "a" and self._links:
            target, start = self._links.pop()
            target = target.removeprefix("mailto:")
            if target and target.rstrip("/") not in "".join(self._pieces[start:]):
                self._add(f" <{target}>")
        elif tag in BLOCKS:
            self.break_line()
            self._is_apart |= tag in _APART or tag == "blockquote"
            self._quotes -= tag == "blockquote" and self._quotes > 0
            self._is_as_written -= tag == "pre" and self._is_as_written > 0
            if tag in _LISTS and self._lists:
                self._lists.pop()
            self._mark = ""

    def break_line(self) -> None:
        """What comes next is on another line."""
        if "".join(self._pieces).strip(" "):
            self._end_line()
        self._pieces = []

    def _add(self, text: str) -> None:
        if text:
            self._pieces.append(text)

    def _begin_item(self) -> None:
        number = self._lists[-1] if self._lists else 0
        self._mark = "  " * (min(len(self._lists), _MARKED_DEPTH) - 1) + (f"{number}. " if number else "- ")
        if number:
            self._lists[-1] += 1

    def _end_line(self) -> None:
        line = self._mark + "".join(self._pieces).replace("\u00a0", " ").rstrip(" ")
        # The space is what mail programs know a signature by (RFC 3676 section 4.3).
        line = "-- " if line == "--" else line
        if self._is_apart and line and self.lines and self.lines[-1].strip("> "):
            self.lines.append(self._quoted(""))
        self._is_apart = self._is_apart and not line
        self.lines.append(self._quoted(line))
        self._pieces, self._mark = [], ""

    def _quoted(self, line: str) -> str:
        if not self._quotes:
            return line
        return ">" * min(self._quotes, _MARKED_DEPTH) + (line if line.startswith(">") else f" {line}".rstrip(" "))
