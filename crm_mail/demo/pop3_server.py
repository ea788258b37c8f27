"""A small, well-behaved POP3 server in this process, on loopback: the mailboxes of the demonstration (RFC 1939).

It keeps its mail in memory. The test servers build on it: each answer is made by one method and goes out through
`Conversation.transmit`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import selectors
import socket
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

#: What is announced to everybody; STLS comes with a TLS context.
CAPABILITIES = ("TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "USER", "SASL PLAIN")

_LONGEST_COMMAND = 4096


@dataclass
class Mailbox:
    """One mailbox: its password and its messages as (UID, raw bytes), oldest first."""

    password: str
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    is_open: bool = False
    delivered: int = 0


class Pop3Server:
    """The server; a context manager that listens on entry and leaves no thread behind on exit.

    `tls` is used for STLS, or from the first byte with `implicit_tls`. Port 0 takes a free one, then found in `port`.
    """

    def __init__(
        self,
        mailboxes: dict[str, Mailbox] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        capabilities: Iterable[str] = CAPABILITIES,
    ) -> None:
        self.mailboxes = dict(mailboxes or {})
        self.host = host
        self.port = port
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.capabilities = tuple(capabilities)
        self._changed = threading.RLock()
        self._conversations: dict[threading.Thread, socket.socket] = {}

    # --- mailboxes --------------------------------------------------------------------------------

    def add_mailbox(self, user: str, password: str, messages: Iterable[bytes] = ()) -> None:
        """A mailbox with these messages; their UIDs are made from place and content."""
        with self._changed:
            self.mailboxes[user] = Mailbox(password)
            for raw in messages:
                self.deliver(user, raw)

    def deliver(self, user: str, raw: bytes, uid: str | None = None) -> str:
        """Put a message into a mailbox, for the next session to see; answers its UID."""
        with self._changed:
            mailbox = self.mailboxes[user]
            mailbox.delivered += 1
            uid = uid or f"{mailbox.delivered:08d}.{hashlib.sha256(raw).hexdigest()[:16]}"
            mailbox.messages.append((uid, raw))
            return uid

    def uids(self, user: str) -> list[str]:
        """The UIDs of the messages that are in a mailbox now."""
        with self._changed:
            return [uid for uid, _ in self.mailboxes[user].messages]

    def open_mailbox(self, user: str, password: str) -> Mailbox | Literal["in use"] | None:
        """The mailbox for a session of its own; None for a wrong name or password."""
        with self._changed:
            mailbox = self.mailboxes.get(user)
            if mailbox is None or mailbox.password != password:
                return None
            if mailbox.is_open:
                return "in use"
            mailbox.is_open = True
            return mailbox

    def close_mailbox(self, mailbox: Mailbox, deleted: set[int]) -> None:
        """End a session's hold, removing what it deleted, by number: what is delivered meanwhile is appended."""
        with self._changed:
            mailbox.messages[:] = [entry for n, entry in enumerate(mailbox.messages, 1) if n not in deleted]
            mailbox.is_open = False

    def snapshot(self, mailbox: Mailbox) -> list[tuple[str, bytes]]:
        """The messages of a session: what was there when it began (RFC 1939 section 5)."""
        with self._changed:
            return list(mailbox.messages)

    # --- running ----------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen, and serve each connection in a thread of its own."""
        self._listener = socket.create_server((self.host, self.port))
        self.port = self._listener.getsockname()[1]
        self._waker, self._alarm = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name=f"pop3-{self.port}", daemon=True)
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """Close every connection and wait until all threads have ended."""
        self._alarm.send(b"!")
        self._acceptor.join()
        with self._changed:
            conversations = dict(self._conversations)
        for thread, sock in conversations.items():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join()
        for sock in (self._listener, self._waker, self._alarm):
            sock.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._waker, selectors.EVENT_READ)
            while self._waker not in (ready := [key.fileobj for key, _ in selector.select()]):
                if self._listener in ready:
                    sock, _ = self._listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    thread = threading.Thread(
                        target=self._serve, args=(sock,), name=f"conversation-{self.port}", daemon=True
                    )
                    with self._changed:
                        self._conversations[thread] = sock
                    thread.start()

    def _serve(self, sock: socket.socket) -> None:
        conversation = self.conversation(sock)
        try:
            conversation.run()
        except OSError:
            # The client went away, or `stop` closed the connection: either way the session is over, nothing is deleted.
            pass
        finally:
            conversation.end()
            with self._changed:
                del self._conversations[threading.current_thread()]

    def conversation(self, sock: socket.socket) -> Conversation:
        """What talks to one client."""
        return Conversation(self, sock)


class Conversation:
    """One client's session, from greeting to QUIT."""

    def __init__(self, server: Pop3Server, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.mailbox: Mailbox | None = None
        self.messages: list[tuple[str, bytes]] = []
        self.deleted: set[int] = set()
        self.user = ""
        self.is_over = False
        self._received = b""

    def run(self) -> None:
        """Greet, then answer commands until the client says QUIT or goes."""
        if self.server.implicit_tls:
            self.encrypt()
        self.transmit("GREETING", "", b"+OK CRM Mail demonstration server ready\r\n")
        while not self.is_over:
            line = self.read_line()
            if line is None:
                return
            name, _, argument = line.decode("utf-8", "replace").partition(" ")
            self.handle(name.upper(), argument)

    def handle(self, name: str, argument: str) -> None:
        """Answer one command."""
        self.transmit(name, argument, self.answer(name, argument))
        if name == "STLS" and self.server.tls and not isinstance(self.sock, ssl.SSLSocket):
            self.encrypt()

    def transmit(self, name: str, argument: str, reply: bytes) -> None:  # noqa: ARG002 - overridden
        """Send the answer to a command."""
        self.sock.sendall(reply)

    def end(self) -> None:
        """Close the connection; unless QUIT was said, nothing is deleted (RFC 1939 section 6)."""
        if self.mailbox is not None:
            self.server.close_mailbox(self.mailbox, set())
            self.mailbox = None
        self.sock.close()

    def encrypt(self) -> None:
        """Shake hands, forgetting whatever was sent before."""
        if self.server.tls is None:
            raise OSError("no TLS context")
        self._received = b""
        self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)

    def read_line(self) -> bytes | None:
        """The next command without its line end, None when the client is gone or sends nonsense."""
        while b"\n" not in self._received:
            if len(self._received) > _LONGEST_COMMAND:
                return None
            chunk = self.sock.recv(65536)
            if not chunk:
                return None
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line.rstrip(b"\r")

    # --- answers ----------------------------------------------------------------------------------

    def answer(self, name: str, argument: str) -> bytes:
        """The whole answer to a command, in the state that the session is in (RFC 1939 section 3)."""
        state = "anybody" if name in _ANYTIME else "transaction" if self.mailbox else "authorization"
        method = _ANYTIME.get(name) or (_TRANSACTION if self.mailbox else _AUTHORIZATION).get(name)
        if method is None:
            return b"-ERR not known here (%s)\r\n" % state.encode()
        return method(self, argument)

    def capa(self, _argument: str) -> bytes:
        """RFC 2449 section 5."""
        lines = list(self.server.capabilities)
        if self.server.tls and not isinstance(self.sock, ssl.SSLSocket):
            lines.append("STLS")
        return multi_line(b"+OK", "".join(f"{line}\r\n" for line in lines).encode())

    def stls(self, _argument: str) -> bytes:
        """RFC 2595 section 4; the handshake follows the answer."""
        if self.server.tls is None or isinstance(self.sock, ssl.SSLSocket):
            return b"-ERR no\r\n"
        return b"+OK begin\r\n"

    def user_name(self, argument: str) -> bytes:
        """USER: any name is taken, so that nobody learns which exist."""
        self.user = argument
        return b"+OK\r\n"

    def password(self, argument: str) -> bytes:
        """PASS."""
        return self.sign_in(self.user, argument)

    def auth(self, argument: str) -> bytes:
        """AUTH PLAIN, with the initial response or after an empty challenge (RFC 5034)."""
        mechanism, _, response = argument.partition(" ")
        if mechanism.upper() != "PLAIN":
            return b"-ERR unknown mechanism\r\n"
        if not response:
            self.sock.sendall(b"+ \r\n")
            response = (self.read_line() or b"*").decode("latin-1")
        try:
            _, user, password = base64.b64decode(response, validate=True).decode().split("\0")
        except (binascii.Error, ValueError):
            return b"-ERR not a PLAIN response\r\n"
        return self.sign_in(user, password)

    def sign_in(self, user: str, password: str) -> bytes:
        """Open the mailbox for this session alone."""
        mailbox = self.server.open_mailbox(user, password)
        if mailbox is None:
            return b"-ERR [AUTH] wrong user name or password\r\n"
        if mailbox == "in use":
            return b"-ERR [IN-USE] the mailbox is open elsewhere\r\n"
        self.mailbox = mailbox
        self.messages = self.server.snapshot(mailbox)
        self.deleted = set()
        return b"+OK signed in\r\n"

    def stat(self, _argument: str) -> bytes:
        """STAT."""
        kept = self.kept()
        return b"+OK %d %d\r\n" % (len(kept), sum(len(raw) for _, _, raw in kept))

    def list_sizes(self, argument: str) -> bytes:
        """LIST, whole or of one message."""
        return self.listing(argument, {number: str(len(raw)) for number, _, raw in self.kept()})

    def uidl(self, argument: str) -> bytes:
        """UIDL, whole or of one message."""
        return self.listing(argument, {number: uid for number, uid, _ in self.kept()})

    def listing(self, argument: str, entries: dict[int, str]) -> bytes:
        """`entries` as LIST and UIDL show them."""
        if not argument:
            return multi_line(b"+OK", b"".join(b"%d %s\r\n" % (n, e.encode("latin-1")) for n, e in entries.items()))
        number = self.number(argument)
        return b"+OK %d %s\r\n" % (number, entries[number].encode("latin-1")) if number else _NO_MESSAGE

    def retr(self, argument: str) -> bytes:
        """RETR."""
        number = self.number(argument)
        if not number:
            return _NO_MESSAGE
        raw = self.messages[number - 1][1]
        return multi_line(b"+OK %d octets" % len(raw), raw)

    def top(self, argument: str) -> bytes:
        """TOP: headers and the first lines of the body."""
        first, _, lines = argument.partition(" ")
        number = self.number(first)
        if not number or not lines.isdecimal():
            return _NO_MESSAGE
        head, separator, body = self.messages[number - 1][1].partition(b"\r\n\r\n")
        return multi_line(b"+OK", head + separator + b"".join(body.splitlines(keepends=True)[: int(lines)]))

    def dele(self, argument: str) -> bytes:
        """DELE: a mark, until QUIT."""
        number = self.number(argument)
        if not number:
            return _NO_MESSAGE
        self.deleted.add(number)
        return b"+OK marked\r\n"

    def rset(self, _argument: str) -> bytes:
        """RSET: all marks are taken back."""
        self.deleted.clear()
        return b"+OK\r\n"

    def noop(self, _argument: str) -> bytes:
        """NOOP."""
        return b"+OK\r\n"

    def quit(self, _argument: str) -> bytes:
        """QUIT: now what was marked is deleted."""
        if self.mailbox is not None:
            self.server.close_mailbox(self.mailbox, self.deleted)
            self.mailbox = None
        self.is_over = True
        return b"+OK bye\r\n"

    def kept(self) -> list[tuple[int, str, bytes]]:
        """The messages that are not marked, as (number, UID, raw)."""
        return [(number, uid, raw) for number, (uid, raw) in enumerate(self.messages, 1) if number not in self.deleted]

    def number(self, text: str) -> int | None:
        """The message number in `text` if there is such a message that is not marked."""
        number = int(text) if text.isdecimal() and len(text) < 10 else 0
        return number if 0 < number <= len(self.messages) and number not in self.deleted else None


def multi_line(status: bytes, data: bytes) -> bytes:
    """A multi-line answer: dots stuffed, ended with a dot (RFC 1939 section 3). A missing last line end is added."""
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    return status + (b"\r\n" + data).replace(b"\r\n.", b"\r\n..") + b".\r\n"


_NO_MESSAGE = b"-ERR no such message\r\n"
_ANYTIME = {"CAPA": Conversation.capa, "QUIT": Conversation.quit}
_AUTHORIZATION = {
    "STLS": Conversation.stls,
    "USER": Conversation.user_name,
    "PASS": Conversation.password,
    "AUTH": Conversation.auth,
}
_TRANSACTION = {
    "STAT": Conversation.stat,
    "LIST": Conversation.list_sizes,
    "UIDL": Conversation.uidl,
    "RETR": Conversation.retr,
    "TOP": Conversation.top,
    "DELE": Conversation.dele,
    "RSET": Conversation.rset,
    "NOOP": Conversation.noop,
}
