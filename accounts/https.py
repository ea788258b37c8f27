"""Encrypted connections to web servers that somebody named, as safe as those to mail servers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from accounts.servers import Endpoint, Network, connect

PORT = 443


@contextmanager
def connection(
    host: str, until: float, *, port: int | None = None, networks: Collection[Network] | None = None
) -> Iterator[socket.socket]:
    """A connection, to the usual port if none is given, that is cut `until` (of `time.monotonic`), however slowly the other side speaks.

    `networks` are those that may be reached beside the public internet, as in `accounts.servers.connect`.

    Raises:
        ServerError: with the reason for people.
    """
    left = max(until - time.monotonic(), 0.01)
    sock = connect(Endpoint(host, port or PORT, "ssl"), timeout=left, ports={PORT}, networks=networks)

    def cut() -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(until - time.monotonic(), 0), cut)
    timer.start()
    try:
        yield sock
    finally:
        timer.cancel()
        sock.close()
