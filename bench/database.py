"""The database of a benchmark: an empty one beside that of the settings, as tests have it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.test.utils import setup_databases, teardown_databases


@contextmanager
def database(*, keep: bool = False) -> Iterator[None]:
    """Migrated, with the table of the cache; removed at the end unless it is to be kept for the next time."""
    # Not serialized: that would read all of what an earlier run has left into memory.
    databases = setup_databases(verbosity=0, interactive=False, keepdb=keep, serialized_aliases=())
    try:
        call_command("createcachetable")
        yield
    finally:
        teardown_databases(databases, verbosity=0, keepdb=keep)
