"""HTML mail made safe to show: sanitised here, and framed in a sandbox with its own policy; neither is trusted alone (R32)."""

from __future__ import annotations

import base64
import html as html_module
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser

import nh3

#: Levels of nesting beyond which HTML is not shown: what Blink's own parser allows, and far below where nh3 slows down.
MAX_DEPTH = 512
MAX_HTML_CHARS = 2 << 20
MAX_INLINE_BYTES = 2 << 20
MAX_INLINE_TOTAL = 8 << 20
INLINE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

_TAGS = frozenset(
    "a abbr acronym address article b bdi bdo big blockquote br caption center cite code col colgroup dd del details dfn "
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
    "colgroup": {"span"},
}
_STYLE = frozenset(
    "background-color border border-bottom border-collapse border-color border-left border-radius border-right "
    "border-spacing border-style border-top border-width color direction font-family font-size font-style font-weight "
    "height letter-spacing line-height list-style-type margin margin-bottom margin-left margin-right margin-top "
    "max-width min-width padding padding-bottom padding-left padding-right padding-top text-align text-decoration "
    "text-indent text-transform vertical-align white-space width word-break word-spacing".split()
)
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_LINK = re.compile(r"https?://[^\s<>\"'`]{1,2000}")
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
    if len(html) > MAX_HTML_CHARS or _depth(html) > MAX_DEPTH:
        return Rendered(None, note="The HTML of this message is too large or too deeply nested; its text is shown.")
    blocked = 0
    budget = MAX_INLINE_TOTAL
    used: set[str] = set()

    def image(source: str) -> str | None:
        nonlocal blocked, budget
        reference = _CONTENT_ID.fullmatch(source.strip())
        if reference:
            kind, data = inline.get(reference.group(1), ("", b""))
            if kind not in INLINE_TYPES or len(data) > min(MAX_INLINE_BYTES, budget):
                return None
            budget -= len(data)
            used.add(reference.group(1))
            return f"data:{kind};base64,{base64.b64encode(data).decode()}"
        if remote_images and source.strip().lower().startswith(("https://", "http://")):
            return source
        blocked += 1
        return None

    def attribute(tag: str, name: str, value: str) -> str | None:
        if (tag, name) == ("img", "src"):
            return image(value)
        if name == "href" and value.strip().lower().startswith("cid:"):
            return None
        return value

    safe = nh3.clean(
        html,
        tags=set(_TAGS),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        clean_content_tags={"script", "style", "title", "template", "noscript", "svg", "math", "object", "iframe"},
        url_schemes={"http", "https", "mailto", "tel", "cid"},
        filter_style_properties=set(_STYLE),
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer nofollow",
        attribute_filter=attribute,
        strip_comments=True,
    )
    return Rendered(safe, blocked, inline=frozenset(used))


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


class _Depth(HTMLParser):
    """Counts how deep elements are nested, as a parser that closes nothing by itself would."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = self.deepest = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """One level more, but for elements without content."""
        if tag not in _VOID:
            self.depth += 1
            self.deepest = max(self.deepest, self.depth)

    def handle_endtag(self, tag: str) -> None:
        """One level less."""
        if tag not in _VOID:
            self.depth = max(self.depth - 1, 0)


def _depth(html: str) -> int:
    """The nesting depth of `html`; an upper bound, counted without building a tree."""
    parser = _Depth()
    parser.feed(html)
    parser.close()
    return parser.deepest
