"""Hints to the workers. What is due are rows; a hint only says that a look is worth while, and may be lost or doubled."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def hint(task: Task[Any, Any], *arguments: int | str, expires: int, after: int = 0) -> None:
    """Tell the workers once the transaction is committed, to begin `after` so many seconds.

    A hint that comes `expires` seconds later is worth nothing.

    Without a queue nothing is lost: the next look finds the rows.
    """

    def tell() -> None:
        try:
            task.apply_async(arguments, countdown=after, expires=after + expires)
        except OperationalError as error:
            log.warning("the queue can't be reached; %s%s waits for the next look: %s", task.name, arguments, error)

    transaction.on_commit(tell)
