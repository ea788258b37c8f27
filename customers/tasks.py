"""What workers do for customers."""

from __future__ import annotations

import logging

from celery import shared_task

from customers import changes

log = logging.getLogger(__name__)


@shared_task(name="customers.tasks.forget_deleted")
def forget_deleted() -> None:
    """Delete for good the records whose day to be brought back is over."""
    gone = changes.forget_deleted()
    if gone:
        log.info("%d deleted records are gone for good", gone)
