"""A POP3 session: sign in, list, fetch with commands sent ahead, delete (RFC 1939, 2449, 2595, 3206, 5034).

Everything a server can do wrong is bounded here: the length of a line, of a listing, of a message, the silence between
two bytes, and the whole session. One conversation is held by one thread.
"""

from __future__ import annotations

import hashlib
import mmap
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

from accounts import servers
from fetcher.pop3_errors import (
    CommandRefused,
    Pop3Error,
    SessionBroken,
    StatusLine,
    forget_trace,
    greeting_refusal,
    read_status,
    refusal,
)
from fetcher.pop3_sign_in import sign_in
from fetcher.pop3_wire import Limits, Wire

__all__ = ["CommandRefused", "Limits", "Pop3Error", "Pop3Session", "Retrieved", "SessionBroken"]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The answer for one message of `Pop3Session.retrieve`.

    `raw` is the message, a large one as a file that is mapped into memory; its headers alone when not `is_complete` (over the size limit); None when the server refused
    it, which `error` tells. `size` is in bytes; for what was not fetched whole, as the server says.
    """

    number: int
    raw: bytes | mmap.mmap | None
    size: int
    is_complete: bool = True
    error: Pop3Error | None = None


class Pop3Session:
    """One session with a POP3 server, over a socket of `accounts.servers`.

    As a context manager it closes the connection at the end of the block, without QUIT: a server then deletes nothing.
    Only `quit` makes deletions happen. After a `SessionBroken` the session is of no further use.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        timeout: float,
        deadline: float | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        pipelining: bool = True,
    ) -> None:
        """Talk over `sock`. No operation waits longer than `timeout` seconds, and nothing goes on after `deadline`
        (on the monotonic clock). `pipelining=False` never sends a command before the last answer came.
        """
        self.capabilities: dict[str, str] = {}
        self._wire = Wire(sock, timeout=timeout, deadline=deadline, limits=limits)
        self._limits = limits
        self._may_pipeline = pipelining
        self._in_flight: deque[_Asked] = deque()
        self._in_flight_bytes = 0

    @classmethod
    def open(
        cls,
        endpoint: servers.Endpoint,
        *,
        timeout: float,
        deadline: float | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        pipelining: bool = True,
    ) -> Self:
        """Connect, hear the greeting, encrypt if so asked, ask what the server can do.

        Raises:
            accounts.servers.ServerError: no connection, or no trustworthy encryption.
            Pop3Error: there is a connection, but not to a POP3 server that wants to talk.
        """
        patience = timeout if deadline is None else min(timeout, deadline - time.monotonic())
        sock = servers.connect(endpoint, timeout=patience)
        session = cls(sock, timeout=timeout, deadline=deadline, limits=limits, pipelining=pipelining)
        try:
            session._greet()
            session._ask_capabilities()
            if endpoint.security == "starttls":
                session._start_tls(endpoint)
        except BaseException:
            session.close()
            raise
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_pipelining(self) -> bool:
        """Whether commands are sent before the answers to earlier ones have come (RFC 2449 section 6.6)."""
        return self._may_pipeline and "PIPELINING" in self.capabilities

    @property
    def login_delay(self) -> timedelta:
        """The time that the server wants between two sign-ins (RFC 2449 section 6.5); none if it does not say."""
        seconds = self.capabilities.get("LOGIN-DELAY", "").partition(" ")[0]
        return timedelta(seconds=int(seconds)) if seconds.isdecimal() and len(seconds) < 8 else timedelta(0)

    # --- signing in -------------------------------------------------------------------------------

    def login(self, user: str, password: str) -> None:
        """Sign in, by AUTH PLAIN where it is offered, else by USER and PASS. One try: repeated ones lock accounts.

        Raises:
            CommandRefused: `password_rejected`, or a kind that says what else is the matter.
        """
        failure = sign_in(self._wire, self.capabilities.get("SASL", ""), user, password)
        del user, password
        if failure is not None:
            forget_trace(failure)
        if self.capabilities and not self.is_pipelining:
            # RFC 2449 section 5: a server may tell more to somebody who has signed in.
            self._ask_capabilities()

    # --- what is there ----------------------------------------------------------------------------

    def stat(self) -> tuple[int, int]:
        """How many messages there are and how many bytes they have, as the server counts."""
        return self._counts(self._ask(b"STAT"))

    def glance(self, number: int) -> tuple[int, int, str | None]:
        """What `stat` tells, and the UID of one message, None if there is no such message; both in one go where allowed.

        Raises:
            CommandRefused: `no_uidl`, among others.
        """
        if not self.is_pipelining:
            messages, octets = self.stat()
            return messages, octets, dict(self.uidl([number])).get(number)
        self._settle()
        self._wire.send(b"STAT", b"UIDL %d" % number)
        status, uid = self._wire.status(), self._uid(number)
        messages, octets = self._counts(status)
        if isinstance(uid, CommandRefused):
            raise uid
        return messages, octets, uid

    def _counts(self, status: StatusLine) -> tuple[int, int]:
        """The answer to STAT."""
        if not status.ok:
            raise refusal(status, "refused")
        words = status.words.split()
        if len(words) < 2 or not (words[0].isdecimal() and words[1].isdecimal()):
            self._wire.give_up("protocol")
        return int(words[0]), int(words[1])

    def uidl(self, numbers: Sequence[int] | None = None) -> list[tuple[int, str]]:
        """Messages as (number, UID), all or those with `numbers`, in order. What the server leaves out, doubles or leaves
        empty shows.

        Raises:
            CommandRefused: `no_uidl`.
        """
        if numbers is None:
            return [(number, uid_text(rest)) for number, rest in self._listing(b"UIDL", "no_uidl")]
        self._settle()
        found = []
        for batch in self._batches(numbers):
            self._wire.send(*(b"UIDL %d" % number for number in batch))
            # All answers are read before one of them is an error: the session goes on after it.
            for number, uid in [(number, self._uid(number)) for number in batch]:
                if isinstance(uid, CommandRefused):
                    raise uid
                if uid is not None:
                    found.append((number, uid))
        return found

    def _uid(self, number: int) -> str | CommandRefused | None:
        """The answer to UIDL for one message; None if there is no such message."""
        status_line = self._wire.line()
        status = read_status(status_line) or self._wire.give_up("protocol")
        if not status.ok:
            return None if "UIDL" in self.capabilities else refusal(status, "no_uidl")
        fields = status_line.split(b" ", 2)
        if len(fields) < 2 or fields[1] != b"%d" % number:
            self._wire.give_up("protocol")
        return uid_text(fields[2].decode("latin-1") if len(fields) > 2 else "")

    def sizes(self) -> dict[int, int]:
        """What the server says about the size of each message, by number, in bytes."""
        return {number: _size(rest.partition(" ")[0]) for number, rest in self._listing(b"LIST", "refused")}

    # --- fetching ---------------------------------------------------------------------------------

    def retrieve(self, numbers: Sequence[int], *, headers_only: bool = False) -> Iterator[Retrieved]:
        """Fetch messages, in the order asked for, each as soon as it has come.

        Where the server allows it, commands go out ahead: while one window (`Limits.window` messages and
        `Limits.window_bytes`) is read, the next is under way. A message over `Limits.message` is not fetched: its
        headers are. So are those of one that turns out larger than it was said to be. An -ERR concerns its message
        alone. With `headers_only` no message is fetched whole.

        The answers to what was asked ahead are read and dropped if the caller stops early and goes on with the session.

        Raises:
            SessionBroken: all that was yielded before stands.
        """
        self._settle()
        sizes = {} if headers_only else self._sizes_of(numbers)
        waiting = deque(numbers)
        while waiting or self._in_flight:
            self._ask_ahead(waiting, sizes, headers_only)
            yield self._answer()

    def headers(self, number: int) -> bytes:
        """The headers of a message with the empty line after them, by TOP (at most `Limits.headers` bytes)."""
        self._asked(b"TOP %d 0" % number, "refused")
        block = self._wire.block(self._limits.headers, drained=self._limits.drained)
        return _headers_of(block.data)

    def _sizes_of(self, numbers: Sequence[int]) -> dict[int, int]:
        """The sizes of at least `numbers`; one by one where these are few, so that a large mailbox isn't listed for one
        message. No entry where the server does not say.
        """
        few = self._limits.window if self.is_pipelining else 3
        if len(numbers) > few:
            try:
                return self.sizes()
            except CommandRefused:
                return {}
        sizes = {}
        for batch in self._batches(numbers):
            self._wire.send(*(b"LIST %d" % number for number in batch))
            for number in batch:
                status = self._wire.status()
                words = status.words.split()
                if status.ok and words[:1] == [str(number)] and len(words) > 1:
                    sizes[number] = _size(words[1])
        return sizes

    def _ask_ahead(self, waiting: deque[int], sizes: dict[int, int], only_headers: bool) -> None:
        """Send a further window unless more than one is under way.

        Commands are short: sending them never waits for answers to be read, so server and client can't block.
        """
        limits = self._limits
        window = limits.window if self.is_pipelining else 0
        if len(self._in_flight) > window or self._in_flight_bytes > limits.window_bytes // 2:
            return
        commands: list[bytes] = []
        while waiting and len(commands) < max(window, 1):
            number = waiting[0]
            size = sizes.get(number, 0)
            headers_only = only_headers or size > limits.message
            ahead = min(size, limits.headers) if headers_only else size
            if self._in_flight and self._in_flight_bytes + ahead > limits.window_bytes:
                break
            waiting.popleft()
            self._in_flight.append(_Asked(number, size, ahead, headers_only))
            self._in_flight_bytes += ahead
            commands.append((b"TOP %d 0" if headers_only else b"RETR %d") % number)
        if commands:
            self._wire.send(*commands)

    def _answer(self) -> Retrieved:
        """The answer to the oldest command under way."""
        asked = self._in_flight[0]
        limits, wire = self._limits, self._wire
        line = wire.line()
        if not line.startswith(b"+OK"):
            status = read_status(line) or wire.give_up("protocol")
            self._answered()
            error = refusal(status, "no_headers" if asked.size > limits.message else "refused")
            return Retrieved(asked.number, None, asked.size, is_complete=False, error=error)
        block = wire.block(limits.headers if asked.headers_only else limits.message, drained=limits.drained)
        self._answered()
        if block.is_complete and not asked.headers_only:
            return Retrieved(asked.number, block.data, len(block.data))
        headers = _headers_of(block.data)[: limits.headers]
        return Retrieved(asked.number, headers, max(asked.size, block.size), is_complete=False)

    def _answered(self) -> None:
        self._in_flight_bytes -= self._in_flight.popleft().ahead

    # --- deleting ---------------------------------------------------------------------------------

    def delete(self, numbers: Sequence[int]) -> list[int]:
        """Mark messages as deleted; answers those that the server marked. They are deleted by `quit`, or not at all."""
        self._settle()
        marked = []
        for batch in self._batches(numbers):
            self._wire.send(*(b"DELE %d" % number for number in batch))
            marked += [number for number in batch if self._wire.status().ok]
        return marked

    def quit(self) -> None:
        """End the session, which makes the server delete what was marked (RFC 1939 section 6).

        Raises:
            Pop3Error: it is not certain, or certainly not so, that everything marked was deleted.
        """
        try:
            self._asked(b"QUIT", "refused")
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection without a word. Calling it again does nothing."""
        self._wire.close()

    # --- the start --------------------------------------------------------------------------------

    def _greet(self) -> None:
        status = read_status(self._wire.line())
        if status is None:
            # What other services say is not passed on: it is nobody's business what runs where.
            self._wire.give_up("not_pop3")
        if not status.ok:
            raise greeting_refusal(status)

    def _ask_capabilities(self) -> None:
        """RFC 2449 section 5; a server without CAPA is one without extensions."""
        if not self._ask(b"CAPA").ok:
            return
        self.capabilities = {}
        for line in self._whole_block(self._limits.headers).split(b"\r\n"):
            name, _, arguments = line.decode("latin-1").strip().partition(" ")
            if name:
                self.capabilities[name.upper()] = arguments

    def _start_tls(self, endpoint: servers.Endpoint) -> None:
        """RFC 2595 section 4. Nothing that was said before counts afterwards."""
        if self.capabilities and "STLS" not in self.capabilities:
            raise CommandRefused("no_starttls")
        status = self._ask(b"STLS")
        if not status.ok:
            raise CommandRefused("no_starttls", status.words)
        self._wire.encrypt(endpoint)
        self.capabilities = {}
        self._ask_capabilities()

    # --- commands and answers ---------------------------------------------------------------------

    def _ask(self, command: bytes) -> StatusLine:
        self._settle()
        self._wire.send(command)
        return self._wire.status()

    def _asked(self, command: bytes, kind: str) -> StatusLine:
        status = self._ask(command)
        if not status.ok:
            raise refusal(status, kind)
        return status

    def _settle(self) -> None:
        """Read and drop the answers to what was asked ahead and is not wanted any more."""
        while self._in_flight:
            self._answer()

    def _batches(self, numbers: Sequence[int]) -> Iterator[Sequence[int]]:
        """`numbers` in portions whose commands may be sent together."""
        window = self._limits.window if self.is_pipelining else 1
        for first in range(0, len(numbers), window):
            yield numbers[first : first + window]

    def _listing(self, command: bytes, refused: str) -> Iterator[tuple[int, str]]:
        """The lines `number rest` of a listing, bounded in bytes and lines."""
        self._asked(command, refused)
        block = self._whole_block(self._limits.listing)
        if block.count(b"\n") > self._limits.listed:
            self._wire.give_up("too_big")
        for line in block.decode("latin-1").split("\r\n")[:-1]:
            number, _, rest = line.strip(" ").partition(" ")
            if not number.isdecimal() or len(number) > 10:
                self._wire.give_up("protocol")
            yield int(number), rest

    def _whole_block(self, limit: int) -> bytes:
        block = self._wire.block(limit)
        return bytes(block.data) if block.is_complete else self._wire.give_up("too_big")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A message whose RETR (or TOP) is under way; `size` as announced, `ahead` the bytes expected in answer."""

    number: int
    size: int
    ahead: int
    headers_only: bool


def uid_text(received: str) -> str:
    """A UID, read as Latin-1, as text that every database takes (RFC 1939 section 7 allows 70 of ! to ~).

    Different UIDs stay different. Longer ones up to 255, spaces and 8-bit characters are tolerated; what is longer or
    unprintable stands as its hash.
    """
    text = received.strip(" ")
    if text.isprintable() and len(text) <= 255:
        return text
    return f"sha256:{hashlib.sha256(text.encode('latin-1')).hexdigest()}"


def _size(digits: str) -> int:
    """A size from LIST; 0 for what is none: it is only a hint how far to ask ahead."""
    return int(digits) if digits.isdecimal() and len(digits) < 16 else 0


def _headers_of(raw: bytes | mmap.mmap) -> bytes:
    """A message up to the empty line after its headers, that line included."""
    if raw[:2] == b"\r\n":
        return raw[:2]
    end = raw.find(b"\r\n\r\n")
    return raw[:] if end < 0 else raw[: end + 4]
