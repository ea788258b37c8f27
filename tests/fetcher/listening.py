"""The LMTP listener in a thread of the test, and a client that says what it is told."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self
from unittest.mock import patch

from django.db import connections

from fetcher.lmtp import Limits, Listener
from tests.patience import PATIENCE


class Listening:
    """A listener that goes on until `stop`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()))

    def start(self) -> None:
        """Start it and wait until it listens at `port`."""
        self._thread.start()
        if not self._is_ready.wait(PATIENCE):
            raise AssertionError("it did not start to listen")

    def ask_to_stop(self) -> None:
        """What TERM does; nothing if it has stopped already."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)

    def wait(self) -> None:
        """Wait for its end."""
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise AssertionError("it did not stop")

    async def _listen(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.listener = Listener(self._limits)
        await self.listener.serve("127.0.0.1", 0, stop=self._stop, ready=self._note)

    def _note(self, _host: str, port: int) -> None:
        self.port = port
        self._is_ready.set()


@contextmanager
def listening(**limits: float) -> Iterator[Listening]:
    """A listener, stopped at the end; its threads keep no connection that would keep the test's database."""
    made = Listening(Limits(**limits))  # type: ignore[arg-type]
    with patch.dict(connections.settings["default"], CONN_MAX_AGE=0):
        made.start()
        try:
            yield made
        finally:
            made.ask_to_stop()
            made.wait()


class Client:
    """An LMTP client; a context manager."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._file = self.sock.makefile("rb")
        self.greeting = self.reply()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def reply(self) -> str:
        """The next answer, its lines joined; nothing when the connection has ended."""
        lines = []
        while True:
            line = self._file.readline().decode()
            lines.append(line.rstrip())
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, command: str) -> str:
        """Send a command; its answer."""
        self.send(command.encode() + b"\r\n")
        return self.reply()

    def ends(self) -> bool:
        """Read until the server has hung up."""
        try:
            while self.reply():
                pass
        except ConnectionError:
            pass
        return True

    def begin(self, *receivers: str, sender: str = "bea@acme.example") -> list[str]:
        """LHLO, MAIL and RCPT; the answers to RCPT."""
        assert self.say("LHLO mx.our.example").startswith("250")
        assert self.say(f"MAIL FROM:<{sender}>").startswith("250 2.")
        return [self.say(f"RCPT TO:<{receiver}>") for receiver in receivers]

    def data(self, raw: bytes, answers: int = 1) -> list[str]:
        """DATA and a message; the answers for its receivers."""
        assert self.say("DATA").startswith("354")
        self.send(raw + b".\r\n")
        return [self.reply() for _ in range(answers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self.sock.close()
