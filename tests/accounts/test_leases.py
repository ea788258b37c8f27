"""Leases are renewed while something goes on, by one thread for all of it (R17, R36)."""

from __future__ import annotations

import queue
import threading
import uuid

from django.db import OperationalError
from django.test import override_settings

from accounts.leases import Keeper

Tokens = list[uuid.UUID]


def test_all_leases_are_renewed_by_one_thread_which_ends_with_the_last_of_them() -> None:
    """R17: a worker may have hundreds of them."""
    renewed: queue.SimpleQueue[Tokens] = queue.SimpleQueue()
    keeper = Keeper(renewed.put)
    others = set(threading.enumerate())
    one, other = uuid.uuid4(), uuid.uuid4()
    with override_settings(LEASE_SECONDS=0.3), keeper.keeping(one):
        (thread,) = set(threading.enumerate()) - others
        with keeper.keeping(other):
            while set(renewed.get(timeout=20)) != {one, other}:
                pass
        while renewed.get(timeout=20) != [one]:
            pass
        assert set(threading.enumerate()) - others == {thread}
    thread.join(20)
    assert not thread.is_alive()


def test_an_error_of_the_database_is_not_the_end() -> None:
    """R17: the next renewal comes before the lease is over."""
    asked: queue.SimpleQueue[Tokens] = queue.SimpleQueue()

    def fail(tokens: Tokens) -> None:
        asked.put(tokens)
        raise OperationalError("gone")

    token = uuid.uuid4()
    with override_settings(LEASE_SECONDS=0.3), Keeper(fail).keeping(token):
        assert [asked.get(timeout=20) for _ in range(3)] == [[token]] * 3
