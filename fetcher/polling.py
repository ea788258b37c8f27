"""One poll of one mailbox: sign in, see what is new, store it batch by batch, delete what may be deleted (R15–R18).

The order is the point:
1. fetch a window of messages,
2. store them and their UIDs in one transaction that also proves that the mailbox is still held,
3. only after the last commit send DELE, then QUIT, and believe a deletion only when QUIT was answered with +OK.
A crash between any two steps leaves at worst messages on the server whose UIDs are known.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.credentials import SecretUnreadable
from accounts.mailboxes import poll_username
from accounts.models import Mailbox
from accounts.servers import Endpoint, ServerError
from fetcher import deletion, scheduling
from fetcher.models import FetchRun, SeenUid
from fetcher.pop3 import Pop3Error, Pop3Session
from mail.filing import Arrival, file_messages
from mail.parsing import parse

log = logging.getLogger(__name__)

#: Set when the worker is asked to stop: polls commit what they have and go on in the next run.
stopping = threading.Event()

BATCH_MESSAGES = 200
BATCH_BYTES = 8 << 20
BATCH_SECONDS = 5.0
_IN_QUERY = 500

Progress = Callable[[FetchRun], None]


def poll(run: FetchRun, progress: Progress = lambda run: None) -> FetchRun:
    """Poll the mailbox of a run that `scheduling.start` began, and end the run with its result.

    Whatever the server does, the result is a state of the mailbox and a sentence for its owner. `progress` is called
    after each batch that was stored.
    """
    try:
        with scheduling.kept(run):
            finished = _Poll(run, progress).go()
    except (Pop3Error, ServerError) as error:
        _fail(run, error.kind, error.sentence)
    except SecretUnreadable:
        _fail(run, "password_unreadable", "The saved password can't be read any more. Enter it again.")
    except scheduling.LeaseLost as error:
        log.info("%s", error)
        scheduling.finish(run, FetchRun.State.FAILED, "Stopped: the mailbox's settings changed meanwhile.")
    except Exception:
        _fail(run, "internal", "An error inside CRM Mail stopped this fetch; its administrators find it in the log.")
        raise
    else:
        scheduling.finish(
            run,
            FetchRun.State.DONE if finished else FetchRun.State.YIELDED,
            run.error,
            state=Mailbox.State.OK,
            failures=0,
            last_error="",
            last_fetched_at=timezone.now(),
            next_fetch_at=scheduling.after_success(run.mailbox) if finished else timezone.now(),
        )
    return run


def _fail(run: FetchRun, kind: str, sentence: str) -> None:
    """End a run with an error and put the mailbox into the state that the kind of error calls for (R18)."""
    mailbox = run.mailbox
    rejected = kind in {"password_rejected", "password_unreadable"}
    failures = mailbox.failures + 1
    scheduling.finish(
        run,
        FetchRun.State.FAILED,
        sentence,
        state=Mailbox.State.PASSWORD_REJECTED if rejected else Mailbox.State.ERROR,
        last_error=sentence,
        failures=failures,
        next_fetch_at=None if rejected else scheduling.after_failure(mailbox, failures),
    )


class _Poll:
    """The state of one poll while it goes on."""

    def __init__(self, run: FetchRun, progress: Progress) -> None:
        self.run = run
        self.mailbox = run.mailbox
        self.progress = progress
        self.deadline = time.monotonic() + settings.POLL_SECONDS
        self.listed: set[str] = set()
        self.batch: list[tuple[str, Arrival]] = []
        self.batch_bytes = 0
        self.batch_began = time.monotonic()

    def go(self) -> bool:
        """Do the whole poll; False when it stopped early, to go on in the next run."""
        mailbox = self.mailbox
        endpoint = Endpoint(mailbox.incoming_host, mailbox.incoming_port, mailbox.incoming_security)
        with Pop3Session.open(endpoint, timeout=settings.MAIL_SERVER_TIMEOUT) as session:
            session.login(poll_username(mailbox), mailbox.incoming_password.reveal())
            listing = _with_unique_uids(session.uidl())
            self.listed = set(listing)
            new = {uid: number for uid, number in listing.items() if uid not in self._known(listing)}
        return bool(new)
