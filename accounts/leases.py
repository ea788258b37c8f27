"""Leases: rows that one worker holds while a server takes its time, and that are another's once it is dead (R17, R36).

A row is held by a token until a moment, both in its own columns; whoever has the token puts the moment off again and
again, and a process that dies no longer does.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import Error, connection

log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Somebody else holds the row now, or nobody is to work on it any more; whatever was in hand must not be stored."""


class Keeper:
    """One thread that renews all leases that are kept in this process, however many; it ends when there are none.

    Args:
        renew: given the tokens of leases, puts off the end of those that are held still.
    """

    def __init__(self, renew: Callable[[list[uuid.UUID]], object]) -> None:
        self._renew = renew
        self._lock = threading.Lock()
        #: Since when on the monotonic clock.
        self._held: dict[uuid.UUID, float] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def keeping(self, token: uuid.UUID) -> Iterator[None]:
        """Renew the lease with this token while the block runs."""
        with self._lock:
            self._held[token] = time.monotonic()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(token, None)

    def _run(self) -> None:
        while True:
            pause = settings.LEASE_SECONDS / 6
            time.sleep(pause)
            with self._lock:
                if not self._held:
                    self._thread = None
                    return
                old = [token for token, since in self._held.items() if time.monotonic() - since >= pause]
            try:
                if old:
                    self._renew(old)
            except Error as error:
                log.warning("%s leases could not be renewed: %s", len(old), error)
            finally:
                connection.close()
