"""`make bench-fleet`: ten thousand mailboxes, one in a hundred with new mail, polled by real workers.

First everything is due at once: how many polls a second the machine sustains. Then every mailbox comes due at its own
moment of one interval: how late each is polled, how busy the machine is and how much memory the workers take.
The servers are simulated on this machine and take part of it; what they take is told apart.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

# ruff: noqa: E402
import django

import tests.environment  # noqa: F401  # must come before Django's settings are read

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")
django.setup()

from django.db import connection, transaction
from django.test.utils import override_settings
from django.utils import timezone

from accounts.models import Mailbox
from bench.database import database
from bench.fleet_server import SIZE
from fetcher.models import FetchRun, LastListing, SeenUid
from fetcher.tasks import dispatch_due
from mail.models import Message
from tests import factories
from tests.processes import program, worker

HOSTS = 100
LEFT = 10
ORGANIZATIONS = 20
_TICKS = os.sysconf("SC_CLK_TCK")


def build(count: int, port: int) -> list[int]:
    """Mailboxes that know all but the newest message of those that have one; their primary keys, in order."""
    organizations = [factories.organization() for _ in range(ORGANIZATIONS)]
    made = []
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        for first in range(0, count, 500):
            with transaction.atomic():
                for number in range(first, min(first + 500, count)):
                    owner = factories.user(organization=organizations[number % ORGANIZATIONS])
                    host = f"127.0.0.{1 + number % HOSTS}"
                    made.append(factories.mailbox_on(port, f"user{number}", owner=owner, incoming_host=host).pk)
    now = timezone.now()
    Mailbox.objects.filter(pk__in=made).update(state="ok", last_fetched_at=now, next_fetch_at=None)
    SeenUid.objects.bulk_create(
        (SeenUid(mailbox_id=pk, uid=f"{n}", outcome="stored") for pk in made for n in range(1, LEFT + 1)),
        batch_size=5_000,
    )
    LastListing.objects.bulk_create(
        (
            LastListing(mailbox_id=pk, messages=LEFT, octets=LEFT * SIZE, last_uid=f"{LEFT}", listed_at=now)
            for pk in made
        ),
        batch_size=5_000,
    )
    connection.cursor().execute("ANALYZE")
    return made


def machine() -> tuple[float, float]:
    """Seconds that the machine's processors were busy, and seconds altogether."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / _TICKS, sum(ticks) / _TICKS


def process_cpu(process: subprocess.Popen[str]) -> float:
    """Processor seconds that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident(process: subprocess.Popen[str]) -> int:
    """Megabytes of memory that a process holds."""
    line = next(line for line in Path(f"/proc/{process.pid}/status").read_text().split("\n") if "VmRSS" in line)
    return int(line.split()[1]) >> 10


def sign_ins(log: Path) -> list[tuple[float, int]]:
    """Who signed in when: (seconds since 1970, number of the mailbox)."""
    return [(float(moment), int(number)) for moment, number in map(str.split, log.read_text().splitlines())]


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(prog="make bench-fleet", description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="worker processes of 8 threads")
    parser.add_argument("--interval", type=float, default=300, help="seconds within which each mailbox comes due")
    options = parser.parse_args()
    with ExitStack() as stack:
        stack.enter_context(database())
        folder = Path(tempfile.mkdtemp())
        stack.callback(shutil.rmtree, folder)
        log = folder / "log"
        server = stack.enter_context(
            program("bench.fleet_server", str(log), str(LEFT), str(HOSTS), stdout=subprocess.PIPE)
        )
        assert server.stdout is not None
        made = build(options.mailboxes, int(server.stdout.readline()))
        workers = [
            stack.enter_context(worker(threads=8, name=f"bench{number}", level="ERROR"))
            for number in range(options.workers)
        ]
        at_once(made, log)
        stack.enter_context(
            program("celery", "--quiet", "-A", "crm_mail", "beat", "-l", "ERROR", "-s", str(folder / "beat"))
        )
        steadily(made, log, options.interval, workers, server)


def at_once(made: list[int], log: Path) -> None:
    """Everything is due: claim and poll as fast as may be."""
    Mailbox.objects.filter(pk__in=made).update(next_fetch_at=timezone.now())
    started = time.time()
    while FetchRun.objects.exclude(finished=None).count() < len(made):
        dispatch_due()
        time.sleep(0.25)
    moments = sorted(moment for moment, _ in sign_ins(log))
    middle = moments[len(moments) // 10 : -len(moments) // 10]
    rate = len(middle) / (middle[-1] - middle[0])
    print(f"{len(made)} mailboxes at once: {rate:.0f} polls a second, all done in {moments[-1] - started:.0f} s")
    failed = FetchRun.objects.filter(state=FetchRun.State.FAILED).count()
    print(f"{Message.objects.count()} new messages stored, {failed} polls failed")


def steadily(
    made: list[int],
    log: Path,
    interval: float,
    workers: list[subprocess.Popen[str]],
    server: subprocess.Popen[str],
) -> None:
    """Each mailbox comes due at its moment, and the scheduler looks as it always does."""
    before = len(sign_ins(log))
    begin = time.time() + 5
    due = [begin + interval * place / len(made) for place in range(len(made))]
    now, epoch = timezone.now(), time.time()
    mailboxes = [
        Mailbox(pk=pk, next_fetch_at=now + timedelta(seconds=at - epoch)) for pk, at in zip(made, due, strict=True)
    ]
    Mailbox.objects.bulk_update(mailboxes, ["next_fetch_at"], batch_size=1_000)
    time.sleep(max(begin - time.time(), 0))
    busy, whole = machine()
    at_server, at_workers = process_cpu(server), sum(map(process_cpu, workers))
    most = 0
    while time.time() < begin + interval:
        time.sleep(1)
        most = max(most, sum(map(resident, workers)))
    spent, lasted = (after - earlier for after, earlier in zip(machine(), (busy, whole), strict=True))
    server_spent = process_cpu(server) - at_server
    workers_spent = sum(map(process_cpu, workers)) - at_workers
    time.sleep(15)
    first: dict[int, float] = {}
    for moment, number in sign_ins(log)[before:]:
        first.setdefault(number, moment)
    late = [first[number] - due[number] for number in first]
    cuts = statistics.quantiles(late, n=100)
    print(
        f"over {interval:.0f} s: {len(late)} of {len(made)} polled, {len(late) / interval:.1f} a second; "
        f"late by {statistics.median(late):.1f} s (median), {cuts[98]:.1f} s (p99), {max(late):.1f} s (most)"
    )
    print(
        f"processors {spent / lasted:.0%} busy ({spent:.0f} of {lasted:.0f} s): workers {workers_spent:.0f} s, "
        f"simulated servers {server_spent:.0f} s, the rest database and queue; "
        f"{len(workers)} workers held {most} MB together at most"
    )


if __name__ == "__main__":
    main()
