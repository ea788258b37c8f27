"""LMTP in (RFC 2033): the organisation's own mail server hands over what CRM Mail accounts get, without a POP3 mailbox.

It relays nothing: each receiver is the address of a CRM Mail account or is refused. What is answered with 250 is
committed. Who connects is believed about the sender, as every mail server believes the one before it: listen only where
that server alone can connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import socket
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any, TypeVar

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from accounts.addresses import normalize_address
from mail.delivering import NotDeliverable, account_of, deliver_once

log = logging.getLogger(__name__)
T = TypeVar("T")

_REFUSALS = {"unknown": "550 5.1.1", "deactivated": "550 5.2.1", "too_large": "552 5.3.4"}
_LATER = "451 4.3.0 CRM Mail can't take mail just now. Try again later."
_TOO_LARGE = "552 5.3.4 This message is larger than CRM Mail takes."
_NO_ROOM = "452 4.3.1 Too much mail at once. Try again later."
_STOPPING = "421 4.3.2 CRM Mail is being stopped. Try again later."
_TOO_MANY = "421 4.3.2 Too many connections. Try again later."
#: What RFC 3463 calls the answers that aiosmtpd gives without such a code.
_ENHANCED = {
    "221": "2.0.0",
    "250": "2.0.0",
    "252": "2.5.0",
    "500": "5.5.2",
    "501": "5.5.4",
    "502": "5.5.1",
    "503": "5.5.1",
    "552": "5.3.4",
    "555": "5.5.4",
}
_BARE_REPLY = re.compile(r"\A([245]\d\d) (?!\d\.\d)")
#: RFC 5321 section 4.1.2: a path, with the route that nobody uses any more before it, and what follows.
_PATH = re.compile(
    r"""<(?:@[^\x00-\x20<>:]{1,512}:)?"""
    r"""((?:"(?:[^\x00-\x1f"\\\x7f]|\\[\x20-\x7e])*"|[^\x00-\x20<>"@\\\x7f]+)@[^\x00-\x20<>@\x7f]+)?>[ ]*(.*)"""
)
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.:\[\]-]")


@dataclass(frozen=True)
class Limits:
    """How much is taken at once, and for how long; RFC 5321 section 4.5.3 names the least that is fit."""

    connections: int = 50
    recipients: int = 100
    idle_seconds: float = 300.0
    data_seconds: float = 600.0
    session_seconds: float = 3600.0
    #: Messages of the largest size that may be held in memory, all connections together.
    largest_messages: int = 4
    #: Deliveries at a time, each with a connection to the database.
    threads: int = 4
    #: Seconds that a transaction has to end when the listener is stopped.
    grace_seconds: float = 30.0


class Listener:
    """Takes mail by LMTP at one address until it is stopped."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.hostname = socket.gethostname()
        self.connections: set[_Connection] = set()
        self.is_stopping = False
        self.held_bytes = 0
        self._threads = ThreadPoolExecutor(self.limits.threads, thread_name_prefix="lmtp")
        self._is_left = asyncio.Event()

    async def serve(self, host: str, port: int, *, stop: asyncio.Event, ready: Callable[[str, int], None]) -> None:
        """Listen; `ready` is told where. After `stop`, transactions that go on are finished, the others refused.

        Raises:
            OSError: the address is taken or is none of this machine.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), host, port)
        ready(*server.sockets[0].getsockname()[:2])
        await stop.wait()
        server.close()
        self.is_stopping = True
        for connection in list(self.connections):
            connection.leave_if_idle()
        self._note_left()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_left.wait(), self.limits.grace_seconds)
        for connection in list(self.connections):
            connection.cut()
        await asyncio.to_thread(self._threads.shutdown)

    async def in_database(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call what reads or writes the database in a thread of its own."""

        def call() -> T:
            close_old_connections()
            try:
                return function(*args, **kwargs)
            finally:
                close_old_connections()

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def has_room(self) -> bool:
        """Whether what is held in memory is within the limit."""
        return self.held_bytes <= self.limits.largest_messages * int(settings.MAX_MESSAGE_BYTES)

    def forget(self, connection: _Connection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        self._note_left()

    def _note_left(self) -> None:
        if self.is_stopping and not self.connections:
            self._is_left.set()


class _Receivers:
    """aiosmtpd's hooks: who is a receiver here."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a receiver whose CRM Mail account takes mail."""
        if len(envelope.rcpt_tos) >= self._listener.limits.recipients:
            return "452 4.5.3 Too many recipients. Send the rest in another transaction."
        refusal, _ = await _ask(self._listener, account_of, address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Known here"

    async def handle_exception(self, error: Exception) -> str:
        """Answer a command that failed for a reason that nobody foresaw."""
        log.error("An LMTP command failed", exc_info=error)
        return _LATER


class _Connection(LMTP):
    """One conversation. DATA is read here: aiosmtpd answers it once, and keeps what it refuses in memory."""

    # aiosmtpd sets them as soon as somebody connects.
    envelope: Envelope
    session: Session
    transport: asyncio.Transport | None

    #: Room for SMTPUTF8 addresses and parameters.
    command_size_limits = defaultdict(lambda: 2048)
    #: Longer lines of a message arrive in pieces, longer commands are refused.
    line_length_limit = 64 * 1024

    def __init__(self, listener: Listener) -> None:
        super().__init__(
            _Receivers(listener),
            data_size_limit=settings.MAX_MESSAGE_BYTES,
            enable_SMTPUTF8=True,
            hostname=listener.hostname,
            ident="CRM Mail LMTP",
            timeout=listener.limits.idle_seconds,
            loop=asyncio.get_running_loop(),
        )
        self._listener = listener
        self._held = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        super().connection_made(transport)
        self._peer = str((transport.get_extra_info("peername") or ("unknown",))[0])
        self._listener.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Count it no more."""
        super().connection_lost(error)
        self._listener.forget(self)

    def leave_if_idle(self) -> None:
        """Say goodbye, unless a transaction goes on: that one is finished first."""
        if not self.envelope.mail_from:
            self._leave(_STOPPING)

    def cut(self) -> None:
        """End it whatever goes on."""
        if self.transport is not None:
            self.transport.abort()

    async def push(self, status: str | bytes) -> None:
        """Answer, with the code of RFC 3463 that RFC 2033 section 5 wants."""
        text = status if isinstance(status, str) else status.decode()
        await super().push(_BARE_REPLY.sub(lambda found: f"{found[1]} {_ENHANCED.get(found[1], '5.0.0')} ", text, 1))

    async def smtp_LHLO(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Greet, with what RFC 2033 wants and what mail servers make use of."""
        if not arg:
            await self.push("501 Syntax: LHLO hostname")
            return
        self.envelope = self._create_envelope()
        self.session.extended_smtp = True
        self.session.host_name = arg
        for line in (f"250-{self.hostname}", f"250-SIZE {self.data_size_limit}", "250-8BITMIME", "250-SMTPUTF8"):
            await super().push(line)
        await super().push("250-ENHANCEDSTATUSCODES\r\n250 PIPELINING")

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """Take the message; each receiver has an answer of their own, in order (RFC 2033 section 4.2)."""
        if await self.check_helo_needed("LHLO"):
            return
        if not self.envelope.rcpt_tos or arg:
            await self.push("501 Syntax: DATA" if arg else "503 5.5.1 No valid recipients")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        # The time for this is bounded here, whether bytes come or not.
        self._reset_timeout(self._listener.limits.session_seconds)
        try:
            async with asyncio.timeout(self._listener.limits.data_seconds):
                content, refusal = await self._read()
            await self._answer_each(content, refusal)
        except TimeoutError:
            self._leave("421 4.4.2 This took too long.")
            return
        except _NoEndError:
            self._leave("421 4.3.4 This message has no end.")
            return
        finally:
            self._release()
        self.envelope = self._create_envelope()
        self._reset_timeout()
        if self._listener.is_stopping:
            self._leave(_STOPPING)

    async def _read(self) -> tuple[bytes, str]:
        """The message, or nothing and why it can't be taken.

        Only CRLF.CRLF ends it: what hides behind a bare line feed is part of the message (RFC 5321 section 4.1.1.4).
        """
        pieces: list[bytes] = []
        refusal = ""
        received = 0
        begins_line = True
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as overrun:
                piece = await self._reader.read(overrun.consumed)
            if begins_line and piece == b".\r\n":
                return b"".join(pieces), refusal
            received += len(piece)
            if not refusal:
                stuffed = begins_line and piece.startswith(b".")
                pieces.append(piece[1:] if stuffed else piece)
                refusal = self._hold(len(pieces[-1]))
            if refusal:
                pieces.clear()
                self._release()
                if received > 2 * settings.MAX_MESSAGE_BYTES:
                    raise _NoEndError
            begins_line = piece.endswith(b"\r\n")

    async def _answer_each(self, content: bytes, refusal: str) -> None:
        """Deliver, and answer for each receiver as soon as it is done."""
        envelope = self.envelope
        sender = "" if envelope.mail_from in {None, "<>"} else str(envelope.mail_from)
        answers: dict[str | None, str] = {}
        for address in envelope.rcpt_tos:
            key = normalize_address(address)
            if key not in answers:
                answers[key] = refusal or await self._deliver(content, address, sender)
            await self.push(answers[key])

    async def _deliver(self, content: bytes, address: str, sender: str) -> str:
        refusal, message = await _ask(
            self._listener, deliver_once, content, address, sender=sender, trace=self._received()
        )
        if refusal:
            return refusal
        if message is None:
            log.info("a message of %d bytes came again", len(content))
            return "250 2.0.0 Delivered before"
        log.info("message %d of %d bytes was delivered to user %d", message.pk, len(content), message.owner_id)
        return f"250 2.0.0 Delivered as {message.pk}"

    def _received(self) -> str:
        """The line of RFC 5321 section 4.4, without *for*: a colleague who may see the mail need not learn of a Bcc."""
        name = _NOT_IN_A_NAME.sub("", self.session.host_name or "")[:255] or "unknown"
        protocol = "UTF8LMTP" if self.envelope.smtp_utf8 else "LMTP"
        literal = f"IPv6:{self._peer}" if ":" in self._peer else self._peer
        date = format_datetime(timezone.now())
        return f"Received: from {name} ([{literal}])\r\n\tby {self.hostname} with {protocol};\r\n\t{date}\r\n"

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The address in a path and what follows; aiosmtpd's reading of it stumbles over what strangers send."""
        path = _PATH.fullmatch(arg.strip())
        return (path[1] or "<>", path[2]) if path else (None, None)

    def _hold(self, size: int) -> str:
        """Count bytes of a message that are in memory; why there may be no more of them, if so."""
        self._held += size
        self._listener.held_bytes += size
        if self._held > settings.MAX_MESSAGE_BYTES:
            return _TOO_LARGE
        return "" if self._listener.has_room() else _NO_ROOM

    def _release(self) -> None:
        self._listener.held_bytes -= self._held
        self._held = 0

    def _leave(self, goodbye: str) -> None:
        if self.transport is not None:
            self.transport.write(f"{goodbye}\r\n".encode())
            self.transport.close()

    async def _handle_client(self) -> None:
        if self._listener.is_stopping or len(self._listener.connections) > self._listener.limits.connections:
            self._leave(_TOO_MANY)
            return
        try:
            async with asyncio.timeout(self._listener.limits.session_seconds):
                await super()._handle_client()
        except TimeoutError:
            log.info("a connection was cut after an hour's conversation")


class _NoEndError(Exception):
    """Twice as many bytes came as are taken, and they go on."""


async def _ask(listener: Listener, function: Callable[..., T], *args: Any, **kwargs: Any) -> tuple[str, T | None]:
    """The answer that refuses, if one has to, and else the result. Whatever is wrong here is no reason to bounce mail."""
    try:
        return "", await listener.in_database(function, *args, **kwargs)
    except NotDeliverable as reason:
        return f"{_REFUSALS[reason.kind]} {reason}", None
    except (OperationalError, InterfaceError) as error:
        log.warning("the database does not answer: %s", error)
    except Exception:
        log.exception("A message could not be delivered")
    return _LATER, None


def endpoint(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8024` or `[::1]:8024`.

    Raises:
        ValueError: it is neither; `str()` is a sentence for people.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"“{text}” is no address to listen at. Write it like 127.0.0.1:8024.")
    return host, int(port)


def run(host: str, port: int, ready: Callable[[str, int], None]) -> None:
    """Listen until INT or TERM; call it from the main thread.

    Raises:
        OSError: see `Listener.serve`.
    """

    async def until_told() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await Listener().serve(host, port, stop=stop, ready=ready)

    asyncio.run(until_told())
