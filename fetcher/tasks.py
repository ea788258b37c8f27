"""The Celery tasks: hints that a mailbox is to be looked at. Their arguments name rows and hold no secret (R14, R17)."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings

from accounts import queue
from accounts.hosts import DOUBTFUL, connection_to
from accounts.models import Mailbox
from fetcher import polling, scheduling
from fetcher.models import FetchRun
from mail.tasks import hint_indexing

#: So many claimed mailboxes wait for a worker at most: what is due later need not stand behind a whole backlog.
DISPATCH_LIMIT = 1_000


@shared_task(name="fetcher.tasks.dispatch_due")
def dispatch_due() -> int:
    """Claim what is due and tell the workers; how many mailboxes that were."""
    runs = scheduling.claim_due(DISPATCH_LIMIT)
    for run in runs:
        hint(run)
    return len(runs)


@shared_task(name="fetcher.tasks.poll_mailbox")
def poll_mailbox(mailbox_id: int, token: str) -> None:
    """Poll the mailbox that was claimed with `token`; nothing happens if that was done or taken over meanwhile.

    It waits for a later look while this worker has as many connections to its server as it may have.
    """
    run = scheduling.start(mailbox_id, uuid.UUID(token))
    if run is None:
        return
    mailbox = run.mailbox
    with ExitStack() as held:
        # However many servers hang, together they hold no more threads than one host may.
        is_free = not mailbox.failures or held.enter_context(connection_to(DOUBTFUL, patience=0))
        if is_free and held.enter_context(connection_to(mailbox.incoming_host)):
            polling.poll(run, _index_meanwhile)
        else:
            scheduling.postpone(run)
    if run.state == FetchRun.State.YIELDED and not polling.stopping.is_set():
        # It goes on after those that are due by now, without waiting for the next look.
        dispatch_due()


def _index_meanwhile(run: FetchRun) -> None:
    """Have much new mail put into the index of words while more is fetched; what is little waits for the next look."""
    if run.new >= polling.BATCH_MESSAGES:
        hint_indexing()


def fetch_now(mailbox: Mailbox) -> FetchRun:
    """Have a worker poll the mailbox at once; the run that is going, if one is.

    Raises:
        NotPossible: see `fetcher.scheduling.claim`.
    """
    run, is_new = scheduling.claim(mailbox)
    if is_new:
        hint(run)
    return run


def hint(run: FetchRun) -> None:
    """Tell the workers of a claimed run once its claim is committed."""
    queue.hint(poll_mailbox, run.mailbox_id, str(run.token), expires=settings.LEASE_SECONDS)


@worker_shutting_down.connect
def _yield_soon(**_: Any) -> None:
    polling.stopping.set()
