"""How many connections a worker has to one mail server at a time (R17)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

#: So long, in seconds, a poll waits for another to end: longer than most polls take, shorter than a dead server does.
PATIENCE = 1.0
#: Stands for the servers of all mailboxes whose last poll failed: what hung once may hang again.
DOUBTFUL = "doubtful servers"

_freed = threading.Condition()
_taken: Counter[str] = Counter()


@contextmanager
def connection_to(host: str, patience: float = PATIENCE) -> Iterator[bool]:
    """Count a connection of this process to `host` while the block runs; False if none became free within `patience`.

    A server that is slow or dead so holds some of a worker's threads and never all: other mailboxes go on.
    """
    with _freed:
        is_free = _freed.wait_for(lambda: _taken[host] < settings.CONNECTIONS_PER_HOST, patience)
        _taken[host] += is_free
    try:
        yield is_free
    finally:
        with _freed:
            _taken[host] -= is_free
            if not _taken[host]:
                del _taken[host]
            _freed.notify_all()
