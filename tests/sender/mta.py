"""An SMTP server that does exactly what a test says, and calls it at every step of a conversation."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

#: The steps at which `ScriptedMta.at` is called, in their order. `END`: the end of the data is here, nothing is accepted
#: yet; `ACCEPTED`: it is, the answer is not on its way yet; `ANSWERED`: it is.
STEPS = ("CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "END", "ACCEPTED", "ANSWERED")


class HangUp(Exception):
    """Raised by a step: the server closes the connection without a word."""


@dataclass
class Taken:
    """A message that was accepted: its envelope, and the data as it came over the line, dots and all."""

    sender: str
    recipients: list[str] = field(default_factory=list)
    data: bytes = b""

    @property
    def message(self) -> bytes:
        """The message as a mail server stores it (RFC 5321 section 4.5.2)."""
        return b"\r\n".join(line.removeprefix(b".") for line in self.data.split(b"\r\n"))


class ScriptedMta:
    """Accepts everything for any password. `replies` answers a command line, or its verb, otherwise; `.` is the end of data.

    `extensions` are what EHLO offers. `at` is called with each step and may raise `HangUp`. Lines end in CRLF alone, as
    RFC 5321 section 2.3.8 has it: whatever a client smuggles in shows up as a command in `heard`.
    """

    def __init__(
        self,
        *,
        replies: Mapping[str, str] | None = None,
        extensions: Sequence[str] = ("AUTH PLAIN LOGIN",),
        at: Callable[[str], None] = lambda _step: None,
    ) -> None:
        self.replies = dict(replies or {})
        self.extensions = extensions
        self.at = at
        self.heard: list[str] = []
        self.taken: list[Taken] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._serving = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._serving.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._serving, *self._threads):
            thread.join(20)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._converse, args=[sock], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _converse(self, sock: socket.socket) -> None:
        sock.settimeout(20)
        # A client that was killed leaves a broken connection, which ends the conversation.
        with sock, sock.makefile("rb") as lines, contextlib.suppress(OSError, HangUp):
            self.at("CONNECT")
            self._say(sock, "220 mta ESMTP")
            mail = Taken("")
            while line := _line(lines):
                command = line.decode("utf-8", "replace")
                self.heard.append(command)
                verb = command.partition(" ")[0].upper()
                if verb in STEPS:
                    self.at(verb)
                reply = self.replies.get(command) or self.replies.get(verb)
                if reply:
                    self._say(sock, reply)
                elif verb == "EHLO":
                    self._say(sock, "\r\n".join([*(f"250-{name}" for name in ("mta", *self.extensions)), "250 HELP"]))
                elif verb == "AUTH":
                    self._say(sock, "235 welcome")
                elif verb == "MAIL":
                    mail = Taken(_address(command))
                    self._say(sock, "250 sender")
                elif verb == "RCPT":
                    mail.recipients.append(_address(command))
                    self._say(sock, "250 recipient")
                elif verb == "DATA":
                    self._say(sock, "354 go on")
                    self._take(sock, lines, mail)
                elif verb == "QUIT":
                    self._say(sock, "221 bye")
                    return
                else:
                    self._say(sock, "502 what?")

    def _take(self, sock: socket.socket, lines: object, mail: Taken) -> None:
        data = []
        while (line := _line(lines)) is not None and line != b".":
            data.append(line)
        if line is None:
            raise HangUp
        self.at("END")
        if "." in self.replies:
            self._say(sock, self.replies["."])
            return
        mail.data = b"\r\n".join(data)
        self.taken.append(mail)
        self.at("ACCEPTED")
        self._say(sock, "250 accepted")
        self.at("ANSWERED")

    @staticmethod
    def _say(sock: socket.socket, reply: str) -> None:
        sock.sendall(reply.encode() + b"\r\n")


def _line(lines: object) -> bytes | None:
    """Up to the next CRLF, which is not part of it; None at the end."""
    line = b""
    while not line.endswith(b"\r\n"):
        piece: bytes = lines.readline()  # type: ignore[attr-defined]
        if not piece:
            return None
        line += piece
    return line[:-2]


def _address(command: str) -> str:
    return command.partition("<")[2].partition(">")[0]
