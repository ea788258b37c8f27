"""Working ahead: while one thing is dealt with here, the next is made ready in a thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(source: Iterable[T]) -> Iterator[T]:
    """The items of `source`, each made in a thread while the one before it is in use; never more than one waits.

    What `source` raises is raised here, after the items before it. However the caller ends, the thread has ended when
    this has; `source` must come to an end by itself when it is no longer wanted. It may not use the database.
    """
    items = iter(source)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = thread.submit(_next, items)
        while found := coming.result():
            coming = thread.submit(_next, items)
            yield found[0]


def _next(items: Iterator[T]) -> tuple[T] | tuple[()]:
    """The next item alone in a tuple, or nothing: StopIteration can't leave a future as itself."""
    for item in items:
        return (item,)
    return ()
