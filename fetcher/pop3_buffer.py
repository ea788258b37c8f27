"""What came off a POP3 connection and was not read yet: bytes in, lines and blocks out, no I/O (RFC 1939 section 3).

Cost: each byte is copied once into the buffer and once out of it, and searched once (twice from the first stuffed dot
of a block on). The buffer never grows: a block larger than it leaves in parts. What is larger than `SPOOLED` goes to a
temporary file, part by part, and is read from there as if it were bytes: no message takes more memory than that.
"""

from __future__ import annotations

import mmap
import tempfile
from dataclasses import dataclass
from typing import IO

CAPACITY = 256 * 1024
SPOOLED = 1 << 20

#: A receive into less room than this is not worth its system call: what is left is moved to the front first.
_LEAST_ROOM = 64 * 1024

_END = b"\r\n.\r\n"
_DOT = b"\r\n."
_STUFFED = b"\r\n.."


class LineTooLong(Exception):
    """A line did not end within its limit."""


@dataclass(frozen=True, slots=True)
class Block:
    """A multi-line answer without its final dot and without stuffed dots; a large one lies in a file without a name.

    `size` is what the server sent of it, stuffing included. When `is_complete` is false `data` was cut near the limit.
    """

    data: bytes | mmap.mmap
    size: int
    is_complete: bool


class ReplyBuffer:
    """A buffer of fixed size between a socket and a conversation.

    Fill it with `room` and `received` (or `feed`); take from it with `next_line`, and after the status line of a
    multi-line answer with `begin_block` and `next_block`. Both `next_` methods answer None until enough has come.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._data = bytearray(capacity)
        self._view = memoryview(self._data)
        self._start = 0
        self._end = 0
        self._searched = 0
        self._parts: list[bytes] = []
        self._spooled: IO[bytes] | None = None
        self._keep = 0
        self._gone = 0
        self._is_dotted = False

    def __len__(self) -> int:
        """How many bytes have come and were not taken."""
        return self._end - self._start

    def room(self) -> memoryview:
        """Where to receive into; never empty as long as `next_line` and `next_block` were asked in between."""
        if self._start == self._end:
            # Two bytes stay free in front for begin_block.
            self._move_to(2)
        elif len(self._data) - self._end < min(_LEAST_ROOM, len(self._data) // 2) and self._start > 2:
            self._move_to(2)
        return self._view[self._end :]

    def received(self, count: int) -> None:
        """Note that `count` bytes were written into `room()`."""
        self._end += count

    def feed(self, data: bytes) -> int:
        """Copy in as much of `data` as there is room for; answers how much that was."""
        room = self.room()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        self.received(count)
        return count

    def next_line(self, limit: int) -> bytes | None:
        """The next line without its end, or None. A bare LF ends a line too: some old servers send it.

        Raises:
            LineTooLong: more than `limit` bytes came without an end.
        """
        at = self._data.find(b"\n", self._start, min(self._end, self._start + limit + 2))
        if at < 0:
            if self._end - self._start > limit + 1:
                raise LineTooLong
            return None
        line = bytes(self._view[self._start : at])
        self._start = at + 1
        return line.removesuffix(b"\r")

    def begin_block(self, keep: int) -> None:
        """Start reading a block; call it right after `next_line` gave the status line.

        About `keep` bytes of it are kept (at most a buffer more); what comes beyond is counted and dropped.
        """
        # The line end before the block is part of what is searched for: a block may be empty or begin with a dot.
        self._start -= 2
        self._data[self._start : self._start + 2] = b"\r\n"
        self._searched = self._start
        self.drop_block()
        self._keep = keep
        self._gone = 0
        self._is_dotted = False

    @property
    def block_size(self) -> int:
        """How many bytes of the block that is being read have come so far."""
        return self._gone + self._end - self._start - 2

    def next_block(self) -> Block | None:
        """The whole block, or None while its end has not come."""
        data, start, end = self._data, self._start, self._end
        at = data.find(_DOT, self._searched, end)
        if at < 0:
            self._searched = max(self._searched, end - 2)
        elif not data.startswith(_END, at, end):
            self._is_dotted = True
            at = data.find(_END, at, end)
            if at < 0:
                self._searched = max(self._searched, end - 4)
        if at < 0:
            if end == len(data) and start <= 2:
                self._part()
            return None
        size = self._gone + at - start
        self._take(at + 2)
        self._start = at + 5
        return Block(self._joined(), size, is_complete=size <= self._keep)

    def cut_block(self) -> Block:
        """What was kept of a block whose end will not be waited for; the connection is of no use afterwards."""
        size = self.block_size
        self._take(self._end)
        return Block(self._joined(), size, is_complete=False)

    def drop_block(self) -> None:
        """Forget a block whose end will not come and of which nothing is wanted."""
        self._parts = []
        spooled, self._spooled = self._spooled, None
        if spooled is not None:
            spooled.close()

    def _part(self) -> None:
        """Take all but the last bytes, where a line end and a dot may have begun, out of a full buffer."""
        cut = self._end - 4
        # A stuffed dot must not be cut in two.
        straddling = self._data.rfind(b"\r", cut - 3, cut)
        cut = straddling if straddling > self._start else cut
        self._take(cut)
        self._move_to(0)

    def _take(self, until: int) -> None:
        """Move the block's bytes up to `until` into a part, or drop them when enough is kept."""
        if self._gone <= self._keep:
            # The first part begins with the line end that precedes the block.
            part = bytes(self._view[self._start + (0 if self._gone or self._is_dotted else 2) : until])
            if self._is_dotted and _STUFFED in part:
                # Lines that begin with a single dot come from servers that stuff none: they stay as they are.
                part = part.replace(_STUFFED, _DOT)
            self._parts.append(part[2:] if self._is_dotted and not self._gone else part)
        self._gone += until - self._start
        self._start = until
        if self._gone > SPOOLED:
            self._spool()

    def _spool(self) -> None:
        """Put what was taken so far into the file. Raises OSError, for one where the disk is full."""
        if self._spooled is None:
            self._spooled = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the block is joined or dropped
        parts, self._parts = self._parts, []
        self._spooled.writelines(parts)

    def _joined(self) -> bytes | mmap.mmap:
        parts, self._parts = self._parts, []
        if self._spooled is not None:
            self._spooled.writelines(parts)
            self._spooled.flush()
            with self._spooled as file:
                self._spooled = None
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _move_to(self, place: int) -> None:
        rest = self._end - self._start
        if rest:
            self._data[place : place + rest] = self._data[self._start : self._end]
        self._searched += place - self._start
        self._start, self._end = place, place + rest
