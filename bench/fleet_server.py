"""POP3 servers of very many mailboxes, as cheap as can be: the other side of `make bench-fleet`.

`python -m bench.fleet_server LOG MAILBOXES LEFT HOSTS` prints the port on which it listens at 127.0.0.1, 127.0.0.2, …
Mailbox `user17` holds LEFT messages, and every hundredth one more. Who signs in when is written to LOG.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import sys
import time
from pathlib import Path

CAPABILITIES = b"+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\nRESP-CODES\r\nSASL PLAIN\r\n.\r\n"
BODY = b"A line of a message that is neither long nor short.\r\n" * 200
SIZE = 11_000


def holds(number: int, left: int) -> int:
    """How many messages lie in a mailbox."""
    return left + (number % 100 == 0)


def message(number: int, place: int) -> bytes:
    """A message of its own."""
    return (
        b"From: bea%d@acme.example\r\nTo: user%d@our.example\r\nSubject: Message %d\r\nMessage-ID: <%d.%d@acme.example>\r\n"
        b"Date: Mon, 02 Nov 2026 09:30:00 +0000\r\n\r\n" % (place, number, place, number, place)
    ) + BODY


class Conversation(asyncio.Protocol):
    """One connection."""

    def __init__(self, left: int, log: object) -> None:
        self.left, self.log, self.number, self.rest = left, log, 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = transport
        transport.write(b"+OK\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Answer every whole line."""
        *lines, self.rest = (self.rest + data).split(b"\r\n")
        answers = [self.answer(*line.split(b" ")) for line in lines]
        self.transport.write(b"".join(answers))  # type: ignore[attr-defined]
        if lines[-1:] == [b"QUIT"]:
            self.transport.close()

    def answer(self, command: bytes, *arguments: bytes) -> bytes:
        """What a server says."""
        count = holds(self.number, self.left)
        match command:
            case b"CAPA":
                return CAPABILITIES
            case b"AUTH":
                user = base64.b64decode(arguments[1]).split(b"\0")[1].decode()
                self.number = int(user.removeprefix("user"))
                print(f"{time.time():.3f} {self.number}", file=self.log)  # type: ignore[call-overload]
            case b"STAT":
                return b"+OK %d %d\r\n" % (count, count * SIZE)
            case b"UIDL" | b"LIST" if arguments:
                place = int(arguments[0])
                return b"+OK %d %d\r\n" % (place, place if command == b"UIDL" else SIZE)
            case b"UIDL" | b"LIST":
                lines = (b"%d %d\r\n" % (n, n if command == b"UIDL" else SIZE) for n in range(1, count + 1))
                return b"+OK\r\n" + b"".join(lines) + b".\r\n"
            case b"RETR":
                return b"+OK\r\n" + message(self.number, int(arguments[0])) + b".\r\n"
        return b"+OK\r\n"


async def _serve(log_file: str, left: int, hosts: int) -> None:
    with Path(log_file).open("w", buffering=1) as log:
        loop = asyncio.get_running_loop()
        port = 0
        for host in range(1, hosts + 1):
            listener = socket.create_server((f"127.0.0.{host}", port), backlog=1_000)
            port = listener.getsockname()[1]
            await loop.create_server(lambda: Conversation(left, log), sock=listener)
        print(port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
