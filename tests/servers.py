"""Real servers on loopback for tests: a POP3 server that misbehaves as told, an SMTP server that keeps what it gets.

A fault says at which answer it happens and what happens to that answer; a scenario is a list of faults:

    ScriptedPop3Server(mailboxes, faults=[Fault("RETR", Cut(after=500), argument="3")])
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from crm_mail.demo.delivery import free_port
from crm_mail.demo.pop3_server import CAPABILITIES, Conversation, Mailbox, Pop3Server
from tests.patience import PATIENCE


class Misdeed(Protocol):
    """What happens to an answer."""

    def commit(self, conversation: ScriptedConversation, reply: bytes) -> None:
        """Send `reply`, or something else, or nothing."""


@dataclass(frozen=True)
class Fault:
    """`misdeed` happens at answers to `command`: CONNECT, GREETING, or a POP3 command.

    With `argument` only where the command's argument begins with it; only the `nth` time if that is given, counted for
    this fault over all connections.
    """

    command: str
    misdeed: Misdeed
    argument: str | None = None
    nth: int | None = None


@dataclass(frozen=True)
class Cut:
    """The connection ends after so many bytes of the answer (negative: so many before its end)."""

    after: int = 0
    reset: bool = False

    def commit(self, conversation: ScriptedConversation, reply: bytes) -> None:
        """Send the beginning and hang up."""
        conversation.send(reply[: self.after])
        conversation.hang_up(reset=self.reset)


@dataclass(frozen=True)
class Stall:
    """Silence after so many bytes, until the test sets `until` or stops the server; then the answer goes on."""

    after: int = 0
    until: threading.Event | None = None

    def commit(self, conversation: ScriptedConversation, reply: bytes) -> None:
        """Send the beginning, wait, send the rest."""
        conversation.send(reply[: self.after])
        (self.until or conversation.scripted.stopping).wait(PATIENCE)
        conversation.send(reply[self.after :])


@dataclass(frozen=True)
class Trickle:
    """A byte a packet, `seconds` apart."""

    seconds: float = 0.0

    def commit(self, conversation: ScriptedConversation, reply: bytes) -> None:
        """Send it byte by byte."""
        conversation.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(reply)):
            conversation.send(reply[at : at + 1])
            if self.seconds and conversation.scripted.stopping.wait(self.seconds):
                return


@dataclass(frozen=True)
class Endless:
    """`start`, then `again` without end, until the client goes."""

    start: bytes
    again: bytes

    def commit(self, conversation: ScriptedConversation, reply: bytes) -> None:
        """Send for ever."""
        conversation.send(self.start)
        chunk = self.again * max(1, 65536 // len(self.again))
        while not conversation.scripted.stopping.is_set():
            conversation.send(chunk)


@dataclass(frozen=True)
class Say:
    """Something else instead of the answer, or nothing at all."""

    reply: bytes

    def commit(self, conversation: ScriptedConversation, reply: bytes) -> None:
        """Send the other thing."""
        conversation.send(self.reply)


@dataclass(frozen=True)
class Edit:
    """The answer, changed: lying sizes, doubled UIDs, extra bytes."""

    change: Callable[[bytes], bytes]

    def commit(self, conversation: ScriptedConversation, reply: bytes) -> None:
        """Send what `change` makes of it."""
        conversation.send(self.change(reply))


@dataclass(frozen=True)
class Do:
    """The right answer, after the test's own deed: delivering a message, emptying the mailbox."""

    deed: Callable[[], object]

    def commit(self, conversation: ScriptedConversation, reply: bytes) -> None:
        """Do it, then answer."""
        self.deed()
        conversation.send(reply)


class ScriptedPop3Server(Pop3Server):
    """The demonstration's server with faults.

    `without` names capabilities that are neither announced nor known (with CAPA: no extension at all). With
    `drops_pipelined` every command that came in one packet with an earlier one is lost. `commands` records what was
    asked, passwords left out.
    """

    def __init__(
        self,
        mailboxes: dict[str, Mailbox] | None = None,
        *,
        faults: Iterable[Fault] = (),
        without: Iterable[str] = (),
        drops_pipelined: bool = False,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        host: str = "127.0.0.1",
    ) -> None:
        self.without = frozenset(without)
        announced = [name for name in CAPABILITIES if name.split()[0] not in self.without]
        super().__init__(mailboxes, host=host, tls=tls, implicit_tls=implicit_tls, capabilities=announced)
        self.faults = list(faults)
        self.drops_pipelined = drops_pipelined
        self.commands: list[str] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._happened: dict[int, int] = {}
        self._news = threading.Condition()

    def stop(self) -> None:
        """Release whoever stalls, then stop."""
        self.stopping.set()
        for fault in self.faults:
            if isinstance(fault.misdeed, Stall) and fault.misdeed.until is not None:
                fault.misdeed.until.set()
        super().stop()

    def conversation(self, sock: socket.socket) -> Conversation:
        """A conversation with faults."""
        return ScriptedConversation(self, sock)

    def note(self, command: str) -> None:
        """Record a command and tell whoever waits for it."""
        with self._news:
            self.commands.append(command)
            self.connections += command == "CONNECT"
            self._news.notify_all()

    def wait_for(self, command: str, times: int = 1) -> None:
        """Wait until the server has begun to answer `command` (as in `RETR 3`) so many times."""
        with self._news:
            if not self._news.wait_for(lambda: self.commands.count(command) >= times, PATIENCE):
                raise AssertionError(f"{command} was not heard; heard was {self.commands}")

    def due_fault(self, command: str, argument: str) -> Fault | None:
        """The first fault that concerns this answer."""
        with self._news:
            for place, fault in enumerate(self.faults):
                if fault.command != command or (
                    fault.argument is not None and argument.partition(" ")[0] != fault.argument
                ):
                    continue
                self._happened[place] = self._happened.get(place, 0) + 1
                if fault.nth in {None, self._happened[place]}:
                    return fault
        return None


class ScriptedConversation(Conversation):
    """A conversation that asks, before each answer, whether a fault is due."""

    def __init__(self, server: ScriptedPop3Server, sock: socket.socket) -> None:
        super().__init__(server, sock)
        self.scripted = server

    def run(self) -> None:
        """As usual, after the connection itself was noted."""
        self.scripted.note("CONNECT")
        fault = self.scripted.due_fault("CONNECT", "")
        if fault is not None:
            fault.misdeed.commit(self, b"")
        if not self.is_over:
            super().run()

    def answer(self, name: str, argument: str) -> bytes:
        """The right answer, unless the command is one that this server does not know."""
        self.scripted.note(_without_password(name, argument))
        if name in self.scripted.without or (name == "AUTH" and "SASL" in self.scripted.without):
            return b"-ERR unknown command\r\n"
        return super().answer(name, argument)

    def transmit(self, name: str, argument: str, reply: bytes) -> None:
        """The answer, or what a fault makes of it."""
        fault = self.scripted.due_fault(name, argument)
        if fault is None:
            self.send(reply)
        else:
            fault.misdeed.commit(self, reply)

    def read_line(self) -> bytes | None:
        """The next command; what came behind it is lost where the server is of that kind."""
        line = super().read_line()
        if self.scripted.drops_pipelined:
            self._received = b""
        return line

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def hang_up(self, *, reset: bool = False) -> None:
        """End the connection; unless with a reset, the client gets all that was sent before."""
        self.is_over = True
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            # Closing a socket with unread commands would send a reset that overtakes the data.
            self.sock.shutdown(socket.SHUT_WR)
            self.sock.settimeout(PATIENCE)
            while self.sock.recv(65536):
                pass
        self.sock.close()


def _without_password(name: str, argument: str) -> str:
    shown = {"PASS": "***", "AUTH": argument.partition(" ")[0]}.get(name, argument)
    return f"{name} {shown}".strip()


def mailbox(*messages: bytes, password: str = "secret") -> dict[str, Mailbox]:
    """The mailbox of `user` with these messages, whose UIDs are u1, u2, …"""
    return {"user": Mailbox(password, [(f"u{n}", raw) for n, raw in enumerate(messages, 1)], delivered=len(messages))}


# --- SMTP -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Accepted:
    """A message that the sink took."""

    sender: str
    recipients: list[str]
    raw: bytes
    user: str | None


class SmtpSink:
    """An SMTP server that keeps what it accepts in `accepted`. With `users` it wants a sign-in.

    `replies` gives an answer other than 250 to single recipients (`{"gone@x.example": "550 no such user"}`) or, under
    `DATA`, to the message itself.
    """

    def __init__(
        self,
        *,
        users: dict[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        replies: dict[str, str] | None = None,
    ) -> None:
        self.accepted: list[Accepted] = []
        self.replies = dict(replies or {})
        self._users = users
        self._news = threading.Condition()
        sign_in: dict[str, Any] = {}
        if users is not None:
            # Plain-text sign-in is the test's business.
            sign_in = {"authenticator": self._authenticate, "auth_required": True, "auth_require_tls": False}
        contexts: dict[str, Any] = {"ssl_context": tls} if implicit_tls else {"tls_context": tls}
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port(), **contexts, **sign_in)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._controller.port

    def wait_for(self, count: int) -> list[Accepted]:
        """Wait until so many messages were accepted."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.accepted) >= count, PATIENCE):
                raise AssertionError(f"{len(self.accepted)} messages came, {count} were expected")
            return list(self.accepted)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._controller.stop()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or answer as told."""
        if address in self.replies:
            return self.replies[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a message, or answer as told."""
        if "DATA" in self.replies:
            return self.replies["DATA"]
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        user = session.auth_data.decode() if isinstance(session.auth_data, bytes) else None
        with self._news:
            self.accepted.append(Accepted(envelope.mail_from or "", list(envelope.rcpt_tos), raw, user))
            self._news.notify_all()
        return "250 OK"

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        known = (self._users or {}).get(data.login.decode())
        if known is None or known.encode() != data.password:
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True, auth_data=data.login)
