"""What a picture is by its own bytes, whatever its sender says it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: More than screens show, less than harms a browser that unpacks it.
MAX_PIXELS = 50_000_000
_MAX_SEGMENTS = 1_000
_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})


@dataclass(frozen=True, slots=True)
class Picture:
    """The content type of a picture and its size in pixels."""

    content_type: str
    width: int
    height: int


def read_picture(data: bytes) -> Picture | None:
    """What `data` is, if it begins like a PNG, JPEG, GIF or WebP of a size that can be shown; else None."""
    picture = _read(data)
    if picture is None or not 0 < picture.width * picture.height <= MAX_PIXELS:
        return None
    return picture


def _read(data: bytes) -> Picture | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        return Picture("image/png", int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
    if data[:6] in {b"GIF87a", b"GIF89a"}:
        return Picture("image/gif", int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    return None


def _webp(data: bytes) -> Picture | None:
    """RFC 9649: the size stands at another place in each of its three forms."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return Picture(
            "image/webp", int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        )
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return Picture("image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
        return Picture("image/webp", width & 0x3FFF, height & 0x3FFF)
    return None


def _jpeg(data: bytes) -> Picture | None:
    """The size stands in the first frame header (ITU T.81, B.2.2)."""
    place = 2
    for _ in range(_MAX_SEGMENTS):
        if place + 9 > len(data) or data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            return Picture(
                "image/jpeg",
                int.from_bytes(data[place + 7 : place + 9]),
                int.from_bytes(data[place + 5 : place + 7]),
            )
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return None
