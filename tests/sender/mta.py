"""An SMTP server that calls a test at every step of a conversation, and counts what it accepted."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Self

#: The steps, in their order. `END`: the end of the data is here, nothing is accepted yet; `ACCEPTED`: the message is, the
#: answer is not on its way yet; `ANSWERED`: it is.
STEPS = ("CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "END", "ACCEPTED", "ANSWERED")
_REPLIES = {
    "EHLO": "250-mta\r\n250 AUTH PLAIN LOGIN",
    "AUTH": "235 welcome",
    "MAIL": "250 sender",
    "RCPT": "250 recipient",
    "DATA": "354 go on",
    "QUIT": "221 bye",
}


class SteppingMta:
    """Accepts everything, for any password; `accepted` are the RCPT lines of each message. `at` is called with each step."""

    def __init__(self) -> None:
        self.at: Callable[[str], None] = lambda _step: None
        self.accepted: list[list[str]] = []
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
        with sock, sock.makefile("rb") as lines, contextlib.suppress(OSError):
            self.at("CONNECT")
            self._say(sock, "220 mta ESMTP")
            recipients: list[str] = []
            for line in lines:
                command = line.decode().rstrip()
                verb = command.partition(" ")[0].upper()
                if verb in STEPS:
                    self.at(verb)
                if verb == "RCPT":
                    recipients.append(command)
                self._say(sock, _REPLIES[verb])
                if verb == "DATA":
                    self._take(sock, lines, recipients)

    def _take(self, sock: socket.socket, lines: BinaryIO, recipients: list[str]) -> None:
        line = b""
        while line != b".\r\n":
            line = lines.readline()
            if not line:
                return
        self.at("END")
        self.accepted.append(recipients)
        self.at("ACCEPTED")
        self._say(sock, "250 accepted")
        self.at("ANSWERED")

    @staticmethod
    def _say(sock: socket.socket, reply: str) -> None:
        sock.sendall(reply.encode() + b"\r\n")
