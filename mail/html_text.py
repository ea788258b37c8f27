"""HTML as plain text, for search, snippets and readers without HTML; linear in its length and safe at any depth."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BREAKING = frozenset(
    "address article aside blockquote br dd div dl dt footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre "
    "section table tr ul".split()
)
_HIDDEN = frozenset({"script", "style", "template", "title", "noscript"})
_BLANK_LINES = re.compile(r"\n{3,}")
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")


class _Text(HTMLParser):
    """Collects text outside hidden elements, with line breaks where blocks begin and end."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Start a line at a block; stop listening in a hidden element."""
        if tag in _HIDDEN:
            self._hidden.append(tag)
        elif tag in _BREAKING:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """End a line behind a block; listen again behind a hidden element."""
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif tag in _BREAKING:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep text that would be shown."""
        if not self._hidden:
            self.pieces.append(_SPACES.sub(" ", data.replace("\n", " ")))


def html_to_text(html: str) -> str:
    """The text of `html`, one block a line."""
    if not html:
        return ""
    parser = _Text()
    parser.feed(html)
    parser.close()
    lines = (line.strip() for line in "".join(parser.pieces).split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()
