"""An SMTP server that answers as it is told."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

#: As a reply: the server hangs up instead.
HANGS_UP = b""


class ScriptedSmtp:
    """A server of one connection; `replies` go by the whole command, else by its verb.

    Under the empty word stands the greeting, under `.` the answer to the end of the data; None is silence. With `tls` it
    encrypts after a STARTTLS that it answers with 220, and then answers by `after_tls` first. It hangs up after `data_limit` bytes of a message, if that is given. `heard` are the verbs that came, `commands` the whole
    lines, `data` what came of a message, as it came, without the dot that ends it.
    """

    def __init__(
        self,
        replies: Mapping[str, bytes | None],
        *,
        tls: ssl.SSLContext | None = None,
        after_tls: Mapping[str, bytes | None] | None = None,
        data_limit: int | None = None,
    ) -> None:
        self.replies = {
            "": b"220 mail ESMTP\r\n",
            "EHLO": b"250-mail\r\n250 AUTH PLAIN LOGIN\r\n",
            "AUTH": b"235 welcome\r\n",
            "MAIL": b"250 go on\r\n",
            "RCPT": b"250 go on\r\n",
            "DATA": b"354 go on\r\n",
            ".": b"250 taken\r\n",
            "QUIT": b"221 bye\r\n",
        } | dict(replies)
        self.heard: list[str] = []
        self.commands: list[str] = []
        self.data = b""
        self._tls = tls
        self._after_tls = dict(after_tls or {})
        self._data_limit = data_limit
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def wait(self) -> None:
        """Wait until the conversation is over."""
        self._thread.join(20)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.close()
        self.wait()

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        try:
            if self._say(sock, ""):
                while encrypted := self._converse(sock):
                    sock = encrypted
        except OSError:
            return
        finally:
            sock.close()

    def _converse(self, sock: socket.socket) -> socket.socket | None:
        """Answer until the client or the script ends it, or the connection is encrypted: then that one."""
        with sock.makefile("rb") as lines:
            for line in lines:
                command = line.decode("utf-8", "replace").rstrip("\r\n")
                verb = command.split(" ")[0].upper()
                self.heard.append(verb)
                self.commands.append(command)
                reply = self._say(sock, command if command in self.replies else verb)
                if reply is HANGS_UP:
                    return None
                if verb == "STARTTLS" and self._tls and (reply or b"").startswith(b"220"):
                    self.replies |= self._after_tls
                    return self._tls.wrap_socket(sock, server_side=True)
                if verb == "DATA" and (reply or b"").startswith(b"354") and not self._read_data(sock, lines):
                    return None
        return None

    def _read_data(self, sock: socket.socket, lines: object) -> bool:
        for line in lines:  # type: ignore[attr-defined]
            if line == b".\r\n":
                self.heard.append(".")
                return self._say(sock, ".") is not HANGS_UP
            self.data += line
            if self._data_limit is not None and len(self.data) >= self._data_limit:
                return False
        return False

    def _say(self, sock: socket.socket, key: str) -> bytes | None:
        reply = self.replies.get(key, b"502 what?\r\n")
        if reply:
            sock.sendall(reply)
        return reply
