"""Bytes of mail as text: charsets, whatever is declared, and encoded words of headers (RFC 2047). Pure, never raising."""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
from functools import lru_cache

import chardet

MAX_DECODED_HEADER_CHARS = 4_000
MAX_GUESSED_BYTES = 16 * 1024

_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?]*)\?=")
_SURROGATE = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
#: What is written under these names is more than they stand for, as every mail program knows.
_WIDER_CHARSETS = {
    "ascii": "utf-8",
    "big5": "big5hkscs",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
}
#: Python calls these text, yet they are none that mail is written in; some take time that grows with the square.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem", "utf-7"}
)


def decode_words(value: str) -> str:
    """A header's text with its encoded words decoded (RFC 2047), on one line and without control characters."""
    value = value[:MAX_DECODED_HEADER_CHARS]
    if value.isascii() and value.isprintable() and "=?" not in value:
        return one_line(value)
    value = clean(value)
    if "=?" in value:
        pieces: list[str] = []
        pending = b""
        charset = ""
        end = 0
        for match in _WORD.finditer(value):
            between = value[end : match.start()]
            adjacent = end > 0 and not between.strip()
            # A character may be cut in two by the end of a word; the halves belong together.
            if pending and not (adjacent and charset == match[1].lower()):
                pieces.append(decode_text(pending, charset))
                pending = b""
            if not adjacent:
                pieces.append(between)
            charset = match[1].lower()
            pending += _word(match[2], match[3])
            end = match.end()
        pieces += [decode_text(pending, charset) if pending else "", value[end:]]
        value = "".join(pieces)
    return one_line(_CONTROL.sub(" ", clean(value)))


def _word(encoding: str, text: str) -> bytes:
    """The bytes of an encoded word (RFC 2047 section 4)."""
    data = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return quopri.decodestring(data, header=True)
    try:
        return binascii.a2b_base64(data + b"==")
    except binascii.Error:
        return data


@lru_cache(maxsize=256)
def _codec(charset: str) -> str:
    """Python's name for a charset of mail, or nothing when it is none."""
    if not re.fullmatch(r"[A-Za-z0-9_.:+-]{1,40}", charset):
        return ""
    try:
        info = codecs.lookup(charset)
    except (LookupError, ValueError):
        return ""
    if not info._is_text_encoding or info.name in _NO_CHARSETS:
        return ""
    return _WIDER_CHARSETS.get(info.name, info.name)


def decode_text(data: bytes, charset: str | None) -> str:
    """Bytes as text: by the declared charset, else UTF-8, else what chardet is sure of, else windows-1252."""
    for name in (_codec(charset or ""), "utf-8"):
        if name:
            try:
                return data.decode(name)
            except ValueError:
                continue
    guess = chardet.detect(data[:MAX_GUESSED_BYTES])
    sure = (guess["confidence"] or 0) >= 0.8
    return data.decode((_codec(guess["encoding"] or "") if sure else "") or "cp1252", "replace")


def one_line(text: str) -> str:
    """`text` on one line, with single spaces."""
    return " ".join(text.split())


def clean(value: str) -> str:
    """`value` without surrogates (8-bit bytes in headers become text) and without NUL."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            # Bytes of a header are surrogates up to here; any other surrogate is none of them.
            value = decode_text(_SURROGATE.sub("\ufffd", value).encode("utf-8", "surrogateescape"), None)
    return value.replace("\0", "")
