"""The socket below a POP3 session: commands out, lines and blocks in, everything bounded."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from typing import NoReturn

from accounts import servers
from fetcher.pop3_buffer import Block, LineTooLong, ReplyBuffer
from fetcher.pop3_errors import SessionBroken, StatusLine, read_status


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of everything is accepted, in bytes unless named otherwise.

    RFC 2449 section 4 allows status lines of 512 octets; servers were seen to send more. A listing
    of 500,000 messages is ten times the largest mailbox aimed at. A window of 256 commands is 3 KB,
    which any server's socket takes in without being read; two of them hide a round trip of 80 ms at
    3,000 messages a second.
    """

    line: int = 8 * 1024
    listing: int = 64 << 20
    listed: int = 500_000
    headers: int = 1 << 20
    window: int = 256
    window_bytes: int = 8 << 20
    message: int = 50 << 20
    #: What goes on beyond `message` is read and dropped up to so much more, then the session ends.
    drained: int = 16 << 20
    session_seconds: float = 900.0


class Wire:
    """Bytes to and from one server, in the order that a conversation asks for them.

    No operation waits longer than the timeout for its next byte, and none goes on beyond the
    deadline. The first failure closes the connection; each later use raises it again.
    """

    def __init__(self, sock: socket.socket, *, timeout: float, deadline: float | None, limits: Limits) -> None:
        self._sock = sock
        self._timeout = timeout
        self._deadline = time.monotonic() + limits.session_seconds if deadline is None else deadline
        self._limits = limits
        self._buffer = ReplyBuffer()
        self._broken = ""
        # The greeting answers the connection itself.
        self._unanswered = 1
        self._is_ahead = False

    def close(self) -> None:
        """Close the connection without a word. Calling it again does nothing."""
        self._sock.close()
        self._buffer.drop_block()

    def encrypt(self, endpoint: servers.Endpoint) -> None:
        """Go on encrypted, forgetting what came before (RFC 2595 section 4).

        Raises:
            SessionBroken: `injected`, when more than the answer to STLS has come.
            accounts.servers.ServerError: the handshake failed.
        """
        if len(self._buffer):
            # CVE-2021-38371 and its kin: plain text that would be read as if it came encrypted.
            self.give_up("injected")
        self._sock.settimeout(self._patience())
        self._sock = servers.start_tls(self._sock, endpoint)
        self._buffer = ReplyBuffer()

    def send(self, *commands: bytes) -> None:
        """Send commands in one go."""
        self._check()
        self._unanswered += len(commands)
        self._is_ahead = self._unanswered > 1
        try:
            self._sock.settimeout(self._patience())
            self._sock.sendall(b"\r\n".join(commands) + b"\r\n")
        except OSError as error:
            self.give_up(_reason(error), error)

    def line(self) -> bytes:
        """The next line, which answers the oldest command."""
        self._check()
        try:
            while (line := self._buffer.next_line(self._limits.line)) is None:
                self._receive()
        except LineTooLong:
            self.give_up("protocol")
        self._unanswered -= 1
        return line

    def status(self) -> StatusLine:
        """The next line, which must be +OK or -ERR."""
        line = self.line()
        return read_status(line) or self.give_up("protocol")

    def block(self, limit: int, *, drained: int = 0) -> Block:
        """What follows the status line of a multi-line answer; call it right after that line.

        A block of more than `limit` bytes is cut there. Of what it has beyond, `drained` bytes are
        read and dropped; if it goes on even then, the connection is closed.
        """
        self._buffer.begin_block(limit)
        while (block := self._buffer.next_block()) is None:
            if self._buffer.block_size > limit + drained:
                self._broken = "too_big"
                block = self._buffer.cut_block()
                self.close()
                return block
            self._receive()
        return block

    def give_up(self, reason: str, cause: Exception | None = None) -> NoReturn:
        """Close the connection and raise why."""
        self.close()
        self._broken = self._broken or reason
        raise SessionBroken(self._broken, while_pipelining=self._is_ahead) from cause

    def _check(self) -> None:
        """What lies in the buffer of a connection that broke is not read any more."""
        if self._broken:
            self.give_up(self._broken)

    def _receive(self) -> None:
        try:
            self._sock.settimeout(self._patience())
            count = self._sock.recv_into(self._buffer.room())
        except OSError as error:
            self.give_up(_reason(error), error)
        if not count:
            self.give_up("network")
        self._buffer.received(count)

    def _patience(self) -> float:
        """Seconds to wait for the next byte: the timeout, or what is left until the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.give_up("timeout")
        return min(self._timeout, left)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    return "tls" if isinstance(error, ssl.SSLError) else "network"
