"""What workers do for stored mail."""

from __future__ import annotations

import logging

from celery import shared_task

from accounts import queue
from mail.removal import delete_mail_of_removed

log = logging.getLogger(__name__)


@shared_task(name="mail.tasks.delete_removed")
def delete_removed() -> None:
    """Delete the mail of accounts that were removed with it."""
    gone = delete_mail_of_removed()
    if gone:
        log.info("%d messages of removed accounts are gone", gone)


def hint_removed() -> None:
    """Tell the workers, once the removal is committed."""
    queue.hint(delete_removed, expires=3600)
