"""Polling as a worker does it, in this process."""

from __future__ import annotations

from accounts.models import Mailbox
from fetcher import polling, scheduling
from fetcher.models import FetchRun


def fetch(mailbox: Mailbox) -> FetchRun:
    """Claim, begin and do one poll; the mailbox is read again afterwards."""
    run, _ = scheduling.claim(mailbox)
    begun = scheduling.start(mailbox.pk, run.token)
    assert begun is not None
    polling.poll(begun)
    mailbox.refresh_from_db()
    return begun
