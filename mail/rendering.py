"""HTML mail made safe to show: sanitised here, and framed in a sandbox with its own policy; neither is trusted alone (R32)."""

from __future__ import annotations

import base64
import html as html_module
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import nh3

from mail.html_text import TooDeep, tidy

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
_LINK = re.compile(r"https?://\w[^\s<>\"'`]{0,2000}")
#: Functions that load or compute, and escapes that could hide one.
_LOADING_STYLE = re.compile(r"(?:url|expression|image|image-set|element|attr|var|src)\s*\(|[\\@]|/\*", re.IGNORECASE)
_CONTENT_ID = re.compile(r"cid:(.{1,255})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Safe HTML, or None where the text is to be shown instead; `note` says why. `blocked_images` were left out.

    `inline` are the Content-IDs of the images that stand in it.
    """

    html: str | None
    blocked_images: int = 0
    note: str = ""
    inline: frozenset[str] = frozenset()


def sanitize(html: str, *, inline: Mapping[str, tuple[str, bytes]], remote_images: bool) -> Rendered:
    """The part of `html` that can do no harm. Images come from `inline` (by Content-ID), and from elsewhere only if asked."""
    tidied = _tidied(html)
    if tidied is None:
        return Rendered(None, note="The HTML of this message is too large or too deeply nested; its text is shown.")
    blocked = 0
    budget = MAX_INLINE_TOTAL
    used: set[str] = set()

    def image(source: str) -> str | None:
        nonlocal blocked, budget
        reference = _CONTENT_ID.fullmatch(source.strip())
        if reference:
            kind, data = inline.get(unquote(reference.group(1)), ("", b""))
            if kind not in INLINE_TYPES or len(data) > min(MAX_INLINE_BYTES, budget):
                return None
            budget -= len(data)
            used.add(reference.group(1))
            return f"data:{kind};base64,{base64.b64encode(data).decode()}"
        if remote_images and source.strip().lower().startswith(("https://", "http://")):
            return source
        blocked += 1
        return None

    safe = _cleaned(tidied, image)
    return Rendered(safe, blocked, inline=frozenset(used))


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


def _tidied(html: str) -> str | None:
    """`html` as a sanitiser can take it, or None when it can't."""
    try:
        tidied = tidy(html, _TAGS, _ATTRIBUTES) if len(html) <= MAX_HTML_CHARS else None
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
        strip_comments=True,
    )


def frame_policy(*, remote_images: bool) -> str:
    """The Content-Security-Policy of the sandboxed frame: nothing runs, nothing is sent, images only as asked for."""
    images = "data: https: http:" if remote_images else "data:"
    return (
        f"default-src 'none'; img-src {images}; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
    )


def frame_document(body: str) -> str:
    """A whole document around sanitised HTML. It stays light in a dark portal: mail is designed for white paper."""
    return (
        '<!doctype html><html><head><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
        '<meta name="viewport" content="width=device-width"><title>Message</title><style>'
        "html{color-scheme:light;background:#fff;color:#1a1d21}"
        "body{margin:12px;font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}"
        "img{max-width:100%;height:auto}table{max-width:100%}pre{white-space:pre-wrap}"
        "blockquote{margin:0 0 0 8px;padding-left:12px;border-left:3px solid #d0d5dd}"
        f"</style></head><body>{body}</body></html>"
    )


def text_as_html(text: str) -> str:
    """Plain text as HTML: escaped, web addresses made links."""
    pieces = []
    end = 0
    for match in _LINK.finditer(text):
        address = match.group().rstrip(".,;:!?)]}")
        pieces.append(html_module.escape(text[end : match.start()]))
        escaped = html_module.escape(address)
        pieces.append(f'<a href="{escaped}" rel="noopener noreferrer nofollow" target="_blank">{escaped}</a>')
        end = match.start() + len(address)
    pieces.append(html_module.escape(text[end:]))
    return "".join(pieces)
