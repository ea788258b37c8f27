"""Mail being filed and addresses being changed at the same time: one waits for the other, so that neither misses the other.

Without this, an address that is added while a message from it is being filed could be linked by neither: each looks
before the other has committed. SQLite lets only one transaction write at a time anyway.
"""

from __future__ import annotations

from django.db import connection

_KEY = 0x6372_6D61


def addresses_stay(organization: int) -> None:
    """Until the transaction ends, nobody changes the addresses of this organisation's customers."""
    _lock("pg_advisory_xact_lock_shared", organization)


def addresses_change(organization: int) -> None:
    """Until the transaction ends, no mail of this organisation is filed. Call it before any row is locked."""
    _lock("pg_advisory_xact_lock", organization)


def _lock(function: str, organization: int) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s, %s)", [_KEY, organization & 0x7FFF_FFFF])
