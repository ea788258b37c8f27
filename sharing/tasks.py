"""What workers do for sharing."""

from __future__ import annotations

import logging

from celery import shared_task

from sharing.audit import purge

log = logging.getLogger(__name__)


@shared_task(name="sharing.tasks.purge_audit_log")
def purge_audit_log() -> None:
    """Take away the entries of the audit log whose time is over."""
    gone = purge()
    if gone:
        log.info("audit log: %d entries whose time was over are gone", gone)
