"""The bytes of a message as the server sent them, in compressed chunks of at most 1 MiB (R16).

They live in the database, so that they are committed, backed up and deleted together with their message.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import zstandard

from mail import rows
from mail.models import Message, RawChunk

CHUNK_BYTES = 1 << 20


class _Zstandard(threading.local):
    """What compresses, made once a thread: making it takes as long as compressing a short message."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=3).compress


_zstandard = _Zstandard()


@dataclass(frozen=True, slots=True)
class Compressed:
    """The chunks in which the bytes of a message are kept, made as they are asked for, each time."""

    raw: bytes | mmap.mmap

    def __iter__(self) -> Iterator[bytes]:
        """One after the other."""
        compress = _zstandard.compress
        view = memoryview(self.raw)
        return (compress(view[start : start + CHUNK_BYTES]) for start in range(0, len(self.raw), CHUNK_BYTES))


def store(messages: Iterable[tuple[Message, Iterable[bytes]]]) -> None:
    """Keep the compressed chunks of freshly saved messages; call it in the transaction that saved them."""
    rows.insert(
        RawChunk,
        ("message", "number", "data"),
        ((message.pk, number, data) for message, kept in messages for number, data in enumerate(kept)),
    )


def chunks(message: Message) -> Iterator[bytes]:
    """The raw bytes of a message, at most 1 MiB at a time."""
    return restored(message.chunks.order_by("number").values_list("data", flat=True).iterator(chunk_size=4))


def restored(kept: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """The bytes of chunks that `Compressed` made, in their order."""
    decompress = zstandard.ZstdDecompressor().decompress
    return (decompress(bytes(data), max_output_size=CHUNK_BYTES) for data in kept)


def read(message: Message) -> bytes:
    """The raw bytes of a message, whole."""
    return b"".join(chunks(message))
