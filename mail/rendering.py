"""HTML mail made safe to show: sanitised here, and framed in a sandbox with its own policy; neither is trusted alone (R32)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import nh3

from mail.annotating import CLASSES, annotate
from mail.html_text import Addition, TooDeep, nothing_added, tidy
from mail.quoting import part_of_element

MAX_HTML_CHARS = 2 << 20
#: nh3 takes time that grows with the square of their number: 0.5 s for these, 17 s for a million.
MAX_AMPERSANDS = 200_000
MAX_INLINE_BYTES = 2 << 20
MAX_INLINE_TOTAL = 8 << 20
INLINE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

_TAGS = frozenset(
    "a abbr acronym address article b bdi bdo big blockquote br caption center cite code col dd del details dfn "
    "div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark ol p pre q s samp "
    "section small span strike strong sub summary sup table tbody td tfoot th thead time tr tt u ul var wbr".split()
)
_ATTRIBUTES = {
    "*": {"align", "bgcolor", "color", "dir", "height", "lang", "style", "title", "valign", "width"},
    "a": {"href"},
    "img": {"src", "alt"},
    "font": {"face", "size"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "table": {"border", "cellpadding", "cellspacing"},
    "ol": {"start", "type"},
    "col": {"span"},
}
_STYLE = frozenset(
    "background-color border border-bottom border-collapse border-color border-left border-radius border-right "
    "border-spacing border-style border-top border-width color direction font-family font-size font-style font-weight "
    "height letter-spacing line-height list-style-type margin margin-bottom margin-left margin-right margin-top "
    "max-width min-width padding padding-bottom padding-left padding-right padding-top text-align text-decoration "
    "text-indent text-transform vertical-align white-space width word-break word-spacing".split()
)
_HREF = re.compile(r"https?://|mailto:|tel:", re.IGNORECASE)
#: Functions that load or compute, and escapes that could hide one.
_LOADING_STYLE = re.compile(r"(?:url|expression|image|image-set|element|attr|var|src)\s*\(|[\\@]|/\*", re.IGNORECASE)
_CONTENT_ID = re.compile(r"cid:(.{1,255})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Safe HTML, or None where the text is to be shown instead; `note` says why. `blocked_images` were left out.

    `inline` are the Content-IDs of the images that stand in it. `is_plain` says that it brings no looks of its own, so
    that it can be shown light on dark too.
    """

    html: str | None
    blocked_images: int = 0
    note: str = ""
    inline: frozenset[str] = frozenset()
    is_plain: bool = False


def sanitize(
    html: str, *, inline: Mapping[str, tuple[str, Callable[[], bytes]]], remote_images: bool, fold: bool = True
) -> Rendered:
    """The part of `html` that can do no harm. Images come from `inline` (by Content-ID), and from elsewhere only if asked.

    A picture's bytes are read when it stands there. Links say where they lead; what is quoted is folded if `fold`.
    """
    tidied = _tidied(html, _addition)
    if tidied is None:
        return Rendered(None, note="The HTML of this message is too large or too deeply nested; its text is shown.")
    blocked = 0
    budget = MAX_INLINE_TOTAL
    used: set[str] = set()

    def image(source: str) -> str | None:
        nonlocal blocked, budget
        reference = _CONTENT_ID.fullmatch(source.strip())
        if reference:
            kind, read = inline.get(unquote(reference.group(1)), ("", bytes))
            data = read() if kind in INLINE_TYPES else b""
            if not data or len(data) > min(MAX_INLINE_BYTES, budget):
                return None
            budget -= len(data)
            used.add(unquote(reference.group(1)))
            return f"data:{kind};base64,{base64.b64encode(data).decode()}"
        if source.strip().lower().startswith(("https://", "http://")):
            if remote_images:
                return source
            blocked += 1
        return None

    annotated, is_plain = annotate(_cleaned(tidied, image), fold=fold)
    return Rendered(annotated, blocked, inline=frozenset(used), is_plain=is_plain)


def _addition(tag: str, attributes: Mapping[str, str]) -> dict[str, str]:
    """What an element gets from us: links say where they lead, whatever the mail says; what quotes and signs is marked."""
    if tag == "a":
        return {"title": attributes.get("href", "")}
    mark = part_of_element(tag, attributes)
    return {"class": CLASSES[mark]} if mark else {}


class TooLarge(ValueError):
    """The HTML is larger, or nested more deeply, than anybody's mail is."""


def clean_written(html: str, images: Mapping[str, str], *, remote_images: bool) -> tuple[str, frozenset[str]]:
    """The part of `html` that may go out in mail, and the Content-IDs that its images had.

    Only images that `images` gives a new Content-ID stay, and with `remote_images` those from the web.

    Raises:
        TooLarge: nobody could be shown it.
    """
    used: set[str] = set()

    def image(source: str) -> str | None:
        reference = _CONTENT_ID.fullmatch(source.strip())
        if reference is None:
            return source if remote_images and source.strip().lower().startswith(("https://", "http://")) else None
        name = unquote(reference.group(1))
        if name not in images:
            return None
        used.add(name)
        return f"cid:{images[name]}"

    tidied = _tidied(html)
    if tidied is None:
        raise TooLarge
    return _cleaned(tidied, image), frozenset(used)


def _tidied(html: str, addition: Addition = nothing_added) -> str | None:
    """`html` as a sanitiser can take it, or None when it can't."""
    try:
        tidied = tidy(html, _TAGS, _ATTRIBUTES, addition) if len(html) <= MAX_HTML_CHARS else None
    except TooDeep:
        return None
    return None if tidied is None or tidied.count("&amp;") > MAX_AMPERSANDS else tidied


def _cleaned(tidied: str, image: Callable[[str], str | None]) -> str:
    """What can do no harm of tidied HTML; `image` says what becomes of the address of an image."""

    def attribute(tag: str, name: str, value: str) -> str | None:
        if (tag, name) == ("img", "src"):
            return image(value)
        if name == "style":
            return ";".join(rule for rule in value.split(";") if not _LOADING_STYLE.search(rule))
        if name == "href" and not _HREF.match(value.strip()):
            return None
        return value

    return nh3.clean(
        tidied,
        tags=set(_TAGS),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        clean_content_tags={"script", "style", "title", "template", "noscript", "svg", "math", "object", "iframe"},
        url_schemes={"http", "https", "mailto", "tel", "cid"},
        # A relative address would lead into the portal itself.
        url_relative="deny",
        filter_style_properties=set(_STYLE),
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer nofollow",
        attribute_filter=attribute,
        allowed_classes={tag: set(CLASSES.values()) for tag in ("blockquote", "div", "pre")},
        strip_comments=True,
    )


def frame_policy(*, remote_images: bool) -> str:
    """The Content-Security-Policy of the sandboxed frame: nothing runs, nothing is sent, images only as asked for."""
    images = "data: https: http:" if remote_images else "data:"
    return (
        f"default-src 'none'; img-src {images}; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
    )
