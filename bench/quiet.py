"""`make bench-quiet`: what a poll that finds nothing new costs, however much was left on the server, beside mpop.

Processor time of the client, the median of many polls. A whole poll is what a worker does once a hint has come: begin
the run, open the password, connect, agree on TLS, sign in, ask what is new, sign off, record the result, set the next
poll. Its two halves stand beside it: the session with the server, and the book-keeping in the database. The claim is the
scheduler's, who makes many at once; Celery's handling of the hint is in neither (`make bench-fleet` has both).
mpop speaks without TLS here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

# ruff: noqa: E402
import django

import tests.environment  # noqa: F401  # must come before Django's settings are read

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")
django.setup()

from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from accounts.mailboxes import poll_username
from accounts.models import Mailbox
from accounts.servers import Endpoint
from bench.__main__ import cpu_seconds, mpop_command
from bench.database import database
from crm_mail.memory import settle
from fetcher import polling, scheduling
from fetcher.listing import look
from fetcher.models import FetchRun
from fetcher.pop3 import Pop3Session
from tests import factories
from tests.dovecot import PASSWORD, Dovecot, installed
from tests.fetching import fetch

T = TypeVar("T")
#: As many as come due in ten seconds when ten thousand are polled every five minutes.
CLAIMED = 333


def mailbox_of(server: Dovecot, user: str) -> Mailbox:
    """A mailbox that knows everything that is there now."""
    encrypted = {"incoming_host": "localhost", "incoming_security": "ssl", "allow_plain_text": False}
    mailbox = factories.mailbox_on(server.tls_port, user, incoming_password=PASSWORD, import_since="now", **encrypted)
    fetch(mailbox)
    return mailbox


def claim(mailbox: Mailbox) -> FetchRun:
    """The scheduler's part, when the mailbox is due."""
    Mailbox.objects.filter(pk=mailbox.pk).update(next_fetch_at=timezone.now())
    (claimed,) = scheduling.claim_due(1)
    return claimed


def quiet_poll(claimed: FetchRun) -> None:
    """The worker's part."""
    run = scheduling.start(claimed.mailbox_id, claimed.token)
    assert run is not None
    polling.poll(run)
    assert (run.state, run.new) == ("done", 0), run.error


def book_keeping(claimed: FetchRun) -> None:
    """What of it is done in the database."""
    run = scheduling.start(claimed.mailbox_id, claimed.token)
    assert run is not None
    scheduling.finish(run, FetchRun.State.DONE, "", state=Mailbox.State.OK, next_fetch_at=timezone.now())


def claim_many(count: int) -> float:
    """Processor time, in milliseconds a mailbox, of claiming so many that are due."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        made = [factories.mailbox().pk for _ in range(count)]
    began = cpu_seconds()
    assert {run.mailbox_id for run in scheduling.claim_due(count)} == set(made)
    return (cpu_seconds() - began) * 1000 / count


def session(mailbox: Mailbox) -> None:
    """What of it is talk with the server."""
    endpoint = Endpoint(mailbox.incoming_host, mailbox.incoming_port, mailbox.incoming_security)
    limit = settings.MAIL_SERVER_TIMEOUT
    with Pop3Session.open(endpoint, timeout=limit, deadline=time.monotonic() + limit) as talk:
        talk.login(poll_username(mailbox), mailbox.incoming_password.reveal())
        assert not look(talk, mailbox, whole=False).new
        talk.quit()


def cost(deed: Callable[[T], object], times: int, before: Callable[[], T]) -> float:
    """Processor time of one `deed` in milliseconds, without what is made ready `before` it."""
    spent = []
    for _ in range(times):
        ready = before()
        began = cpu_seconds()
        deed(ready)
        spent.append(cpu_seconds() - began)
    return statistics.median(spent) * 1000


def main() -> None:
    """Measure each size and print the table."""
    parser = argparse.ArgumentParser(prog="make bench-quiet", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 50_000], help="messages left on the server")
    parser.add_argument("--times", type=int, default=100)
    options = parser.parse_args()
    if not installed():
        sys.exit("The benchmark needs Dovecot (Debian: dovecot-pop3d) and root.")
    with ExitStack() as stack:
        stack.enter_context(database())
        settle()
        server = stack.enter_context(Dovecot())
        stack.enter_context(override_settings(MAIL_CA_FILE=str(server.ca_file)))
        print(f"a poll that finds nothing new, {connection.vendor}, client CPU in ms")
        ours: list[float] = []
        for count in options.counts:
            user = f"left{count}"
            server.add_messages(user, (b"Subject: %d\r\n\r\nHello\r\n" % number for number in range(count)))
            mailbox = mailbox_of(server, user)
            quiet_poll(claim(mailbox))
            claimed = claim(mailbox)
            with CaptureQueriesContext(connection) as queries:
                quiet_poll(claimed)
            mailbox.refresh_from_db()
            talk = cost(session, options.times, lambda mailbox=mailbox: mailbox)  # type: ignore[misc]
            rows = cost(book_keeping, options.times, lambda mailbox=mailbox: claim(mailbox))  # type: ignore[misc]
            ours.append(cost(quiet_poll, options.times, lambda mailbox=mailbox: claim(mailbox)))  # type: ignore[misc]
            line = (
                f"{count:7} left: session over TLS {talk:.2f}   database {rows:.2f}   whole poll {ours[-1]:.2f} "
                f"({len(queries)} statements)"
            )
            if shutil.which("mpop"):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                command = mpop_command(server.port, folder, user)
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                theirs = cost(lambda ready: subprocess.run(ready, check=True), options.times // 10, lambda c=command: c)  # type: ignore[misc]
                line += f"   mpop {theirs:6.1f}   {ours[-1] / theirs:.2f} x mpop"
            print(line)
        print(f"most over least: {max(ours) / min(ours):.2f}")
        print(f"claiming, {CLAIMED} mailboxes at once: {claim_many(CLAIMED):.2f} a mailbox")


if __name__ == "__main__":
    main()
