"""The bytes of a message as the server sent them, in compressed chunks of at most 1 MiB (R16).

They live in the database, so that they are committed, backed up and deleted together with their message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import zstandard

from mail.models import Message, RawChunk

CHUNK_BYTES = 1 << 20
_BATCH_CHUNKS = 64


def store(raws: Iterable[tuple[Message, bytes]]) -> None:
    """Keep the raw bytes of freshly saved messages; call it in the transaction that saved them."""
    compress = zstandard.ZstdCompressor(level=3).compress
    RawChunk.objects.bulk_create(
        (
            RawChunk(message=message, number=number, data=compress(raw[start : start + CHUNK_BYTES]))
            for message, raw in raws
            for number, start in enumerate(range(0, len(raw), CHUNK_BYTES))
        ),
        batch_size=_BATCH_CHUNKS,
    )


def chunks(message: Message) -> Iterator[bytes]:
    """The raw bytes of a message, at most 1 MiB at a time."""
    decompress = zstandard.ZstdDecompressor().decompress
    for data in message.chunks.order_by("number").values_list("data", flat=True).iterator(chunk_size=4):
        yield decompress(bytes(data), max_output_size=CHUNK_BYTES)


def read(message: Message) -> bytes:
    """The raw bytes of a message, whole."""
    return b"".join(chunks(message))
