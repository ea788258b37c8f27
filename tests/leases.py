"""Waiting for the renewal of a lease."""

from __future__ import annotations

import threading
import uuid

from accounts.leases import Keeper


def told_of_renewal(keeper: Keeper, renewed: threading.Event) -> Keeper:
    """A keeper of its own that does as `keeper` does, and sets `renewed` once it did."""

    def renew(tokens: list[uuid.UUID]) -> None:
        keeper._renew(tokens)
        renewed.set()

    return Keeper(renew)
