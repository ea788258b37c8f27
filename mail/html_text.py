"""HTML read without a tree: its tokens, its plain text, and a tidy form of it. Linear in its length, safe at any depth.

The standard library's parser takes seconds over a megabyte of `<!`, and trees take time that grows with the square of
their depth. What this module hands on is plain: known tags only, properly nested, every attribute quoted.
"""

from __future__ import annotations

import html as html_module
import re
from collections.abc import Callable, Collection, Iterator, Mapping

#: Levels of nesting beyond which HTML is not shown: what Blink's own parser allows, far below where sanitisers slow down.
MAX_DEPTH = 512
MAX_ATTRIBUTE_CHARS = 8 * 1024

_VOID = frozenset("br col hr img wbr".split())
#: Elements that begin on a line of their own.
BLOCKS = frozenset(
    "address article aside blockquote center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 "
    "h6 header hr li main nav ol p pre section summary table tr ul".split()
)
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_CELLS = frozenset({"td", "th", "caption"})
_TABLE_PARENTS = {
    "caption": frozenset({"table"}),
    "col": frozenset({"table"}),
    "thead": frozenset({"table"}),
    "tbody": frozenset({"table"}),
    "tfoot": frozenset({"table"}),
    "tr": frozenset({"table", "thead", "tbody", "tfoot"}),
    "td": frozenset({"table", "thead", "tbody", "tfoot", "tr"}),
    "th": frozenset({"table", "thead", "tbody", "tfoot", "tr"}),
}
_STRUCTURE = frozenset({"table", *_TABLE_PARENTS}) - {"col"}
#: Elements whose content is never shown; it is skipped up to the first end tag.
_SKIPPED = frozenset(
    "iframe math noembed noframes noscript object script select style svg template textarea title xmp".split()
)
_MARKUP = re.compile(r"<(?:(/?)([a-zA-Z][^\s/>]*+)|(!--)|[!?/])")
_TAG_REST = re.compile(r"""(?:[^>"'=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+|["'])*+(?:>|\Z)""")
_ATTRIBUTE = re.compile(r"""([^\s/>="'<]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"']++)))?+""")
_LINK = re.compile(r"\s*(?:https?://|mailto:|tel:)", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")
_BLANK_LINES = re.compile(r"\n{3,}")
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")

#: A token: ("text", text, "") · ("start", tag, its attributes as written) · ("end", tag, "").
Token = tuple[str, str, str]


class TooDeep(ValueError):
    """The HTML is nested more deeply than anybody's mail is."""


def tokens(html: str) -> Iterator[Token]:
    """The tags and the text of `html`; comments, declarations and the content of hidden elements are left out."""
    position = 0
    endless: set[str] = set()
    while match := _MARKUP.search(html, position):
        if match.start() > position:
            yield "text", html[position : match.start()], ""
        name = match[2]
        if name is None:
            closing = "-->" if match[3] else ">"
            # "<!-->" is a whole comment.
            start = match.end() - 2 if match[3] else match.end()
            found = html.find(closing, start)
            position = found + len(closing) if found >= 0 else len(html)
            continue
        rest = _TAG_REST.match(html, match.end())
        position = rest.end() if rest else len(html)
        name = name.lower()
        if match[1]:
            yield "end", name, ""
        elif name in _SKIPPED and name not in endless:
            end = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(html, position)
            if end:
                position = end.start()
            else:
                endless.add(name)
        else:
            yield "start", name, html[match.end() : position].removesuffix(">")
    if position < len(html):
        yield "text", html[position:], ""


def html_to_text(html: str) -> str:
    """The text of `html`, one block a line."""
    if not html:
        return ""
    pieces = []
    for kind, value, _ in tokens(html):
        if kind == "text":
            pieces.append(value.replace("\n", " "))
        elif value == "br" or value in BLOCKS:
            pieces.append("\n")
    text = _SPACES.sub(" ", _unescaped("".join(pieces)))
    lines = (line.strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


#: What is added to an element, told by its tag and the attributes that it was written with.
Addition = Callable[[str, Mapping[str, str]], Mapping[str, str]]


def nothing_added(_tag: str, _attributes: Mapping[str, str]) -> Mapping[str, str]:
    """The addition that adds nothing."""
    return {}


def tidy(
    html: str,
    tags: Collection[str],
    attributes: Mapping[str, Collection[str]],
    addition: Addition = nothing_added,
) -> str:
    """`html` with `tags` and `attributes` only (`*` for every tag), each element closed where a browser closes it.

    A sanitiser that builds a tree of the answer meets no surprise: no deep nesting, no formatting that has to be opened
    again in every paragraph, nothing inside a table but its rows. The attributes of `addition` take the place of those
    that were written.

    Raises:
        TooDeep: more than MAX_DEPTH elements are open at once.
    """
    writer = _Tidy()
    for kind, value, rest in tokens(html):
        if kind == "text":
            writer.pieces.append(html_module.escape(_unescaped(value), quote=False))
        elif kind == "end":
            writer.end(value)
        elif value in tags:
            written = attributes_of(rest)
            allowed = {*attributes.get(value, ()), *attributes.get("*", ())} & written.keys()
            writer.start(
                value, {**{name: written[name] for name in written if name in allowed}, **addition(value, written)}
            )
    writer.close_to(0)
    return "".join(writer.pieces)


def attributes_of(written: str) -> dict[str, str]:
    """The attributes of a start tag, by lower-case name, the first of each; very long ones are left out."""
    found: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(written):
        value = "".join(values)
        if len(value) <= MAX_ATTRIBUTE_CHARS:
            found.setdefault(name.lower(), _unescaped(value))
    return found


def _unescaped(text: str) -> str:
    """`text` with its character references read; Python refuses numbers of thousands of digits, no character has so many."""
    return html_module.unescape(_LONG_NUMBER.sub("\ufffd", text)) if "&" in text else text


class _Tidy:
    """Writes elements so that each is closed inside the one that holds it."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._open: list[str] = []
        #: Where in `_open` each tag stands; under "block" and "structure" those of that kind, "ended" as said in `end`.
        self._places: dict[str, list[int]] = {}

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Open an element, closing first what cannot hold it; one that fits nowhere is left out, its content kept."""
        if (tag == "a" and not _LINK.match(attributes.get("href", ""))) or not self._make_room(tag):
            return
        written = "".join(f' {name}="{html_module.escape(value)}"' for name, value in attributes.items())
        self.pieces.append(f"<{tag}{written}>")
        if tag in _VOID:
            return
        if len(self._open) >= MAX_DEPTH:
            raise TooDeep
        for kind in self._kinds(tag):
            self._places.setdefault(kind, []).append(len(self._open))
        self._open.append(tag)

    def end(self, tag: str) -> None:
        """Close the innermost such element of this table cell.

        Formatting that is ended inside a block which it holds is closed together with that block.
        """
        place = self._last(tag)
        if place < 0 or place < self._last("structure" if tag not in _STRUCTURE else "table"):
            return
        if tag not in BLOCKS and tag not in _STRUCTURE and self._last("block") > place:
            ended = self._places.setdefault("ended", [])
            if place not in ended[-8:]:
                ended.append(place)
                ended.sort()
            return
        self.close_to(place)

    def close_to(self, place: int) -> None:
        """Close every element from the innermost out to the one at `place`."""
        ended = self._places.get("ended", [])
        while len(self._open) > place or (ended and ended[-1] == len(self._open) - 1):
            tag = self._open.pop()
            for kind in self._kinds(tag):
                self._places[kind].pop()
            if ended and ended[-1] >= len(self._open):
                ended.pop()
            self.pieces.append(f"</{tag}>")

    def _make_room(self, tag: str) -> bool:
        cell = self._last("structure")
        inside = self._open[cell] if cell >= 0 else ""
        if tag in _TABLE_PARENTS:
            while inside and inside not in _TABLE_PARENTS[tag]:
                # The innermost table holds every part of a table: this ends there at the latest.
                if inside == "table":
                    return False
                self.close_to(cell)
                cell = self._last("structure")
                inside = self._open[cell] if cell >= 0 else ""
            return bool(inside)
        if inside and inside not in _CELLS and tag not in _VOID:
            return False
        if tag in BLOCKS and self._last("p") > cell:
            self.close_to(self._last("p"))
        if tag in _HEADINGS and (heading := max(map(self._last, _HEADINGS))) > cell:
            self.close_to(heading)
        if tag == "li" and self._last("li") > max(cell, self._last("ul"), self._last("ol")):
            self.close_to(self._last("li"))
        if tag in {"dd", "dt"} and (item := max(self._last("dd"), self._last("dt"))) > max(cell, self._last("dl")):
            self.close_to(item)
        if tag == "a" and (link := self._last("a")) > cell:
            if self._last("block") > link:
                return False
            self.close_to(link)
        return True

    def _last(self, kind: str) -> int:
        places = self._places.get(kind)
        return places[-1] if places else -1

    @staticmethod
    def _kinds(tag: str) -> tuple[str, ...]:
        kinds = [tag]
        if tag in BLOCKS:
            kinds.append("block")
        if tag in _STRUCTURE:
            kinds.append("structure")
        return tuple(kinds)
