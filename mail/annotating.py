"""What sanitised HTML gets for its reader: quotations folded, signatures dimmed, links that mislead named (R32).

It goes over HTML that is well-formed, as the sanitiser writes it, once and without a tree, and only ever adds to it.
"""

from __future__ import annotations

import html as html_module
import re
from dataclasses import dataclass, field

from mail.links import misleads
from mail.quoting import Mark, is_divider, is_forward

#: The classes that `rendering.sanitize` puts on elements for what they are. Mail can't: it keeps no class of its own.
CLASSES = {mark: f"part-{mark.value}" for mark in Mark}
_MARKS = {name: mark for mark, name in CLASSES.items()}
_TAG = re.compile(r"""<(/?)([a-z][a-z0-9]*+)((?:[^>"]++|"[^"]*+")*+)>""")
_CLASS = re.compile(r' class="([a-z-]+)"')
_HREF = re.compile(r' href="([^"]*+)"')
_VOID = frozenset({"br", "col", "hr", "img", "wbr"})
#: Attributes and elements that are made for white paper.
_LOOKS = re.compile(r"color|background|border")
_LOOKING = frozenset({"font", "img", "table"})
#: Elements that may hold a <details> between their other content.
_HOLDERS = frozenset({"", "article", "blockquote", "center", "div", "li", "main", "section", "td", "th"})
#: As much text is read to see how a quotation begins, or what a link says.
_READ = 600

_FOLD = '<details class="fold"{open}><summary>Quoted text</summary>'
_WARNING = '<span class="misleads" title="The text of this link names another place"> (leads to {host})</span>'


@dataclass(slots=True)
class _Element:
    """An open element: where it starts, whether anything has been shown in it yet, and what it is."""

    tag: str
    start: int
    mark: Mark | None = None
    href: str = ""
    is_bare: bool = True
    text: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Quotation:
    """A stretch of HTML that is quoted; `holder` is how many elements are open around it."""

    start: int
    holder: int
    is_rest: bool
    end: int = -1
    text: str = ""


@dataclass(slots=True)
class _Reader:
    """Goes through the HTML from tag to tag."""

    html: str
    open: list[_Element] = field(default_factory=lambda: [_Element("", 0)])
    quotations: list[_Quotation] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    #: Whether words of the sender's own stand before the first quotation, between two, and behind the last.
    own: list[bool] = field(default_factory=lambda: [False])
    #: How many signatures are open.
    signing: int = 0
    is_plain: bool = True

    @property
    def current(self) -> _Quotation | None:
        """The quotation that the reader is in."""
        return self.quotations[-1] if self.quotations and self.quotations[-1].end < 0 else None

    def read(self) -> None:
        """From the beginning to the end."""
        place = 0
        for tag in _TAG.finditer(self.html):
            if tag.start() > place:
                self.see(self.html[place : tag.start()], place)
            place = tag.end()
            self.is_plain &= tag[2] not in _LOOKING and not _LOOKS.search(tag[3])
            if tag[1]:
                self.leave(tag.start(), tag.end())
            elif tag[2] == "img":
                self.show("\ufffc")
            elif tag[2] not in _VOID:
                self.enter(tag)
        if place < len(self.html):
            self.see(self.html[place:], place)
        while self.open:
            self.leave(len(self.html), len(self.html))

    def see(self, text: str, place: int) -> None:
        """Text between tags."""
        shown = html_module.unescape(text) if "&" in text else text
        if shown.strip():
            if self.current is None and is_divider(shown.strip()):
                self.quote_the_rest(place)
            self.show(shown)

    def show(self, text: str) -> None:
        """Something is seen here."""
        for element in reversed(self.open):
            if not element.is_bare:
                break
            element.is_bare = False
        link = next((element for element in reversed(self.open[-8:]) if element.href), None)
        if link is not None:
            link.text.append(text[:_READ])
        quotation = self.current
        if quotation is None:
            self.own[-1] |= not self.signing
        elif len(quotation.text) < _READ:
            quotation.text += text[:_READ]

    def enter(self, tag: re.Match[str]) -> None:
        """An element begins."""
        name = _CLASS.search(tag[3])
        href = _HREF.search(tag[3]) if tag[2] == "a" else None
        mark = _MARKS.get(name[1]) if name else None
        self.open.append(_Element(tag[2], tag.start(), mark, html_module.unescape(href[1]) if href else ""))
        self.signing += mark is Mark.SIGNATURE
        if self.current is None:
            if mark is Mark.QUOTE and self.open[-2].tag in _HOLDERS:
                self.quotations.append(_Quotation(tag.start(), len(self.open) - 1, is_rest=False))
            elif mark is Mark.REST:
                self.quote_the_rest(tag.start())

    def quote_the_rest(self, place: int) -> None:
        """From here on, or from where the outermost element begins that begins with it, everything is quoted."""
        holder = len(self.open)
        while holder > 1 and self.open[holder - 1].is_bare:
            holder -= 1
            place = self.open[holder].start
        if self.open[holder - 1].tag in _HOLDERS:
            self.quotations.append(_Quotation(place, holder, is_rest=True))

    def leave(self, start: int, end: int) -> None:
        """An element ends."""
        element = self.open.pop()
        self.signing -= element.mark is Mark.SIGNATURE
        quotation = self.current
        if quotation is not None:
            # The rest ends where what holds it ends, a quotation with its own element.
            if quotation.is_rest and len(self.open) == quotation.holder - 1:
                quotation.end = start
            elif not quotation.is_rest and len(self.open) == quotation.holder:
                quotation.end = end
            if quotation.end >= 0:
                self.own.append(False)
        if element.href:
            host = misleads("".join(element.text), element.href)
            if host:
                self.warnings.append((end, host))


def annotate(html: str, *, fold: bool) -> tuple[str, bool]:
    """Sanitised `html` with links that mislead named and, if `fold`, what is quoted folded where it is not answered.

    And whether it is plain: brings no looks of its own, no pictures and no tables.
    """
    reader = _Reader(html)
    reader.read()
    added = [(place, _WARNING.format(host=html_module.escape(host))) for place, host in reader.warnings]
    # Between answers a quotation is what they answer; where the sender wrote nothing, it is what there is to read.
    if fold and any(reader.own) and not any(reader.own[1:-1]):
        for quotation in reader.quotations:
            is_open = " open" if is_forward(quotation.text) else ""
            added += [(quotation.start, _FOLD.format(open=is_open)), (quotation.end, "</details>")]
    pieces = []
    place = 0
    for position, addition in sorted(added, key=lambda each: each[0]):
        pieces += [html[place:position], addition]
        place = position
    return "".join([*pieces, html[place:]]), reader.is_plain
