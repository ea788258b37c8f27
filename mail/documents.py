"""What the reader gets of a message: text as HTML, documents for the frame and for a page of its own (R32). Pure."""

from __future__ import annotations

import html as html_module
import re
from collections.abc import Sequence

from mail.html_text import BLOCKS, tokens
from mail.quoting import Kind, pieces
from mail.rendering import Rendered

_LINK = re.compile(r"https?://\w[^\s<>\"'`]{0,2000}")


def frame_document(rendered: Rendered) -> str:
    """A whole document around the HTML of a message, for its frame."""
    return _document("Message", _PLAIN if rendered.is_plain else _PAPER, rendered.html or "")


def page_document(title: str, header: Sequence[tuple[str, str]], body: str, *, is_plain: bool) -> str:
    """A whole message as a page of its own, to be read in full and printed.

    `header` are labels and texts, `body` is safe HTML.
    """
    facts = "".join(
        f"<dt>{html_module.escape(label)}</dt><dd>{html_module.escape(text)}</dd>" for label, text in header
    )
    return _document(
        title,
        (_PLAIN if is_plain else _PAPER) + _PAGE,
        '<p class="hint">To print, press Ctrl+P, or ⌘P on a Mac.</p>'
        f'<header class="head"><h1>{html_module.escape(title)}</h1><dl>{facts}</dl></header><main>{body}</main>',
    )


#: Mail that brings looks of its own is designed for white paper, and stays on it in a dark portal.
_PAPER = "html{color-scheme:light;background:#fff;color:#1a1d21}.fold>summary,.part-signature{color:#5b6472}"
_PLAIN = (
    "html{color-scheme:light dark;background:light-dark(#fff,#1c1f26);color:light-dark(#1b1f29,#e6e8ee)}"
    "a{color:light-dark(#3150b8,#9db0ff)}.fold>summary,.part-signature{color:light-dark(#545c6c,#a4acbb)}"
)
_LOOKS = (
    "body{margin:16px;font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}"
    "img{max-width:100%;height:auto}table{max-width:100%}pre{white-space:pre-wrap}"
    "blockquote{margin:0 0 0 8px;padding-left:12px;border-left:3px solid #98a2b3}"
    ".fold>summary{cursor:pointer;width:max-content;margin:8px 0;padding:1px 10px;border:1px solid #98a2b3;"
    "border-radius:999px;font:13px/1.5 system-ui,sans-serif}"
    ".misleads{background:#fff3cd;color:#7a2e0e;font-weight:600;border-radius:3px}"
)
_PAGE = (
    "body{max-width:60rem;margin-inline:auto;padding:0 16px}main{margin-top:16px}.text{white-space:pre-wrap}.hint{margin:0 0 16px;font-size:13px;opacity:.75}"
    ".head{border-bottom:1px solid #98a2b3;padding-bottom:12px}.head h1{margin:0 0 8px;font-size:20px;line-height:1.3}"
    ".head dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 12px;margin:0;font-size:13px}"
    ".head dt{opacity:.75}.head dd{margin:0}"
    "@media print{.hint{display:none}html{color-scheme:light;background:#fff;color:#000}body{margin:0;padding:0;max-width:none}}"
)


def _document(title: str, looks: str, body: str) -> str:
    return (
        '<!doctype html><html lang=""><head><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html_module.escape(title)}</title><style>{_LOOKS}{looks}</style></head><body>{body}</body></html>"
    )


def height_of(html: str) -> int:
    """About how many pixels the HTML of a message takes at the width of a desktop; a guess, rather too many than too few.

    No script runs in the frame that could measure it, and nobody outside may look in.
    """
    words = 0
    height = 0
    lines = 1
    for kind, value, rest in tokens(html):
        if kind == "text":
            words += len(value.strip())
        elif value == "br" or value in BLOCKS:
            lines += -(-words // _LINE_CHARS)
            height += _SPACE_ABOVE.get(value, 0)
            lines += value == "br" and words == 0
            words = 0
        elif value == "img" and kind == "start":
            given = _HEIGHT.search(rest)
            height += min(int(given[1]), 1_200) if given else 120
    return (height + (lines + -(-words // _LINE_CHARS)) * _LINE_PIXELS) * 6 // 5 + 48


#: What browsers and we leave empty above and below these, half of it at each of their two tags.
_SPACE_ABOVE = {"p": 8, "blockquote": 8, "ul": 8, "ol": 8, "pre": 8, "table": 8, "tr": 6} | dict.fromkeys(
    ("h1", "h2", "h3", "h4"), 22
)
_LINE_CHARS = 80
_LINE_PIXELS = 23
_HEIGHT = re.compile(r'\bheight="(\d{1,4})(?:px)?"')


def text_as_html(text: str, *, fold: bool = True) -> str:
    """Plain text as HTML: escaped, web addresses made links; quotations folded if `fold`, signatures dimmed."""
    return "".join(_piece_as_html(piece.kind, piece.text, fold=fold) for piece in pieces(text))


def _piece_as_html(kind: Kind, text: str, *, fold: bool) -> str:
    html = _linked(text)
    if kind in _FOLDED and fold:
        return f'<details class="fold"><summary>{_FOLDED[kind]}</summary>{html}</details>'
    if kind is Kind.OWN:
        return html
    return f'<span class="part-{"signature" if kind is Kind.SIGNATURE else "quote"}">{html}</span>'


_FOLDED = {Kind.QUOTED: "Quoted text", Kind.ENCODED: "A file written as text"}


def _linked(text: str) -> str:
    found = []
    end = 0
    for match in _LINK.finditer(text):
        address = match.group().rstrip(".,;:!?)]}")
        found.append(html_module.escape(text[end : match.start()]))
        escaped = html_module.escape(address)
        found.append(f'<a href="{escaped}" rel="noopener noreferrer nofollow" target="_blank">{escaped}</a>')
        end = match.start() + len(address)
    found.append(html_module.escape(text[end:]))
    return "".join(found)
