"""`make bench-quiet`: what a poll that finds nothing new costs, however much was left on the server, beside mpop.

Processor time of the client alone: from the claim to the end of the run, database included. The median of many polls.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

# ruff: noqa: E402
import django

import tests.environment  # noqa: F401  # must come before Django's settings are read

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")
django.setup()

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Mailbox
from bench.__main__ import cpu_seconds, mpop_command
from bench.database import database
from crm_mail.memory import settle
from fetcher import polling, scheduling
from tests import factories
from tests.dovecot import PASSWORD, Dovecot, installed
from tests.fetching import fetch


def mailbox_of(server: Dovecot, user: str) -> Mailbox:
    """A mailbox that knows everything that is there now."""
    mailbox = factories.mailbox_on(server.port, user, incoming_password=PASSWORD, import_since="now")
    fetch(mailbox)
    return mailbox


def quiet_poll(mailbox: Mailbox) -> None:
    """One poll as scheduler and worker do it, when the mailbox is due."""
    Mailbox.objects.filter(pk=mailbox.pk).update(next_fetch_at=timezone.now())
    (claimed,) = scheduling.claim_due(1)
    run = scheduling.start(mailbox.pk, claimed.token)
    assert run is not None
    polling.poll(run)
    assert (run.state, run.new) == ("done", 0), run.error


def cost(deed: Callable[[], object], times: int) -> float:
    """Processor time of one `deed` in milliseconds."""
    spent = []
    for _ in range(times):
        before = cpu_seconds()
        deed()
        spent.append(cpu_seconds() - before)
    return statistics.median(spent) * 1000


def main() -> None:
    """Measure each size and print the table."""
    parser = argparse.ArgumentParser(prog="make bench-quiet", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 50_000], help="messages left on the server")
    parser.add_argument("--times", type=int, default=50)
    options = parser.parse_args()
    if not installed():
        sys.exit("The benchmark needs Dovecot (Debian: dovecot-pop3d) and root.")
    with ExitStack() as stack:
        stack.enter_context(database())
        settle()
        server = stack.enter_context(Dovecot())
        print(f"a poll that finds nothing new, {connection.vendor}, client CPU in ms")
        ours = []
        for count in options.counts:
            user = f"left{count}"
            server.add_messages(user, (b"Subject: %d\r\n\r\nHello\r\n" % number for number in range(count)))
            mailbox = mailbox_of(server, user)
            quiet_poll(mailbox)
            with CaptureQueriesContext(connection) as queries:
                quiet_poll(mailbox)
            ours.append(cost(lambda mailbox=mailbox: quiet_poll(mailbox), options.times))  # type: ignore[misc]
            line = f"{count:7} left: crm_mail {ours[-1]:6.1f} ({len(queries)} statements)"
            if shutil.which("mpop"):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                command = mpop_command(server.port, folder, user)
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                theirs = cost(lambda command=command: subprocess.run(command, check=True), options.times // 5)  # type: ignore[misc]
                line += f"   mpop {theirs:6.1f}   {ours[-1] / theirs:.2f} x mpop"
            print(line)
        print(f"most over least: {max(ours) / min(ours):.2f}")


if __name__ == "__main__":
    main()
