"""Holding a message while a server takes its time: a lease that is renewed in the background and ends with its worker (R36)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import Error, connection

log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Somebody else holds the row now, or nobody is to work on it any more; whatever was in hand must not be stored."""


@contextmanager
def renewed(renew: Callable[[], None], name: str) -> Iterator[None]:
    """Have `renew` called often enough while the block runs, however long a server takes; until it raises `LeaseLost`."""
    ended = threading.Event()

    def keep() -> None:
        try:
            while not ended.wait(settings.LEASE_SECONDS / 4):
                renew()
        except (LeaseLost, Error) as error:
            log.warning("%s stops renewing its lease: %s", name, error)
        finally:
            connection.close()

    keeper = threading.Thread(target=keep, name=f"lease of {name}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
