"""`make bench`: messages a second, end to end, beside the pipelined limit and mpop on the same Dovecot.

End to end means fetched, parsed, threaded, matched to customers and committed. The limit drops what it reads; mpop
writes files. Rounds are interleaved and the median counts. The database is the one that the tests would use; with
`python -m tests.services python -m bench` it is PostgreSQL. `--rtt-ms 80` puts the server far away; *windows* is then the
pipelined limit as it is usually drawn: 64 commands, waited for, then the next 64. `--processes 2` tells how workers scale.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# ruff: noqa: E402
import django

import tests.environment  # noqa: F401  # must come before Django's settings are read

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")
django.setup()

from django.db import connection

from accounts.models import Mailbox, Organization
from accounts.servers import Endpoint, connect
from bench import scaling
from bench.corpus import generate
from bench.database import database
from crm_mail.memory import settle
from fetcher.pop3 import Pop3Session
from fetcher.pop3_wire import Limits, Wire
from mail.models import Message
from tests import factories
from tests.dovecot import PASSWORD, Dovecot, installed
from tests.fetching import fetch
from tests.processes import program

USER = "bench"


@contextmanager
def far_away(port: int, rtt: float) -> Iterator[int]:
    """The port of a proxy to `port` that takes `rtt` milliseconds there and back; `port` itself for none."""
    if not rtt:
        yield port
        return
    with program("bench.delay", "--to", f"{port}", "--rtt-ms", f"{rtt}", stdout=subprocess.PIPE) as proxy:
        assert proxy.stdout is not None
        yield int(proxy.stdout.readline())


def limit(port: int) -> int:
    """Our own session alone, every message dropped."""
    with Pop3Session.open(Endpoint("127.0.0.1", port, "none"), timeout=60) as session:
        session.login(USER, PASSWORD)
        return sum(1 for _ in session.retrieve([number for number, _ in session.uidl()]))


def windows(port: int) -> int:
    """RETR in windows of 64, each of them waited for, every message dropped."""
    wire = Wire(connect(Endpoint("127.0.0.1", port, "none"), timeout=60), timeout=60, deadline=None, limits=Limits())
    wire.status()
    for command in (f"USER {USER}", f"PASS {PASSWORD}", "STAT"):
        wire.send(command.encode())
        status = wire.status()
    count = int(status.words.split()[0])
    for first in range(1, count + 1, 64):
        asked = range(first, min(first + 64, count + 1))
        wire.send(*(b"RETR %d" % number for number in asked))
        for _ in asked:
            assert wire.status().ok
            wire.block(50 << 20)
    wire.close()
    return count


def mpop_command(port: int, folder: Path, user: str) -> list[str]:
    """The command that has mpop fetch with pipelining into the Maildir of `folder`; what it knows stays there too."""
    for name in ("cur", "new", "tmp"):
        (folder / "Maildir" / name).mkdir(parents=True)
    configuration = folder / "mpoprc"
    configuration.write_text(
        f"account default\nhost 127.0.0.1\nport {port}\nuser {user}\npassword {PASSWORD}\nauth user\ntls off\n"
        f"keep on\npipelining on\nuidls_file {folder}/uidls\ndelivery maildir {folder}/Maildir\n"
    )
    configuration.chmod(0o600)
    return ["mpop", "-C", str(configuration), "-q"]


def mpop(port: int) -> int:
    """mpop, into an empty Maildir."""
    folder = Path(tempfile.mkdtemp())
    try:
        subprocess.run(mpop_command(port, folder, USER), check=True, stdout=subprocess.DEVNULL)
        return len(list((folder / "Maildir" / "new").iterdir()))
    finally:
        shutil.rmtree(folder)


def crm_mail(port: int) -> int:
    """The whole way of a message, into an empty mailbox of an organisation with 400 customers."""
    organization = factories.organization()
    for number in range(400):
        factories.customer(organization=organization, addresses=[f"customer{number}@acme{number % 97}.example"])
    owner = factories.user(organization=organization)
    mailbox = factories.mailbox_on(port, USER, owner=owner, incoming_password=PASSWORD)
    started = time.perf_counter()
    used = cpu_seconds()
    run = fetch(mailbox)
    # Without making the customers.
    crm_mail.seconds = time.perf_counter() - started  # type: ignore[attr-defined]
    crm_mail.cpu = cpu_seconds() - used  # type: ignore[attr-defined]
    assert run.error == "", run.error
    return run.new


def django_mailbox(python: str, server: Dovecot, messages: list[bytes]) -> float:
    """Messages a second that django-mailbox fetches; it empties the mailbox, which is therefore one of its own."""
    server.add_messages("emptied", messages)
    uri = f"pop3://emptied:{PASSWORD}@127.0.0.1:{server.port}"
    program = Path(__file__).with_name("django_mailbox_peer.py")
    answer = subprocess.run([python, str(program), uri], check=True, capture_output=True, text=True).stdout
    count, seconds = answer.split()
    assert int(count) == len(messages), answer
    return int(count) / float(seconds)


def empty() -> None:
    """Remove what a round has stored."""
    Message.objects.all().delete()
    Mailbox.objects.all().delete()
    Organization.objects.all().delete()


def cpu_seconds() -> float:
    """Processor time of this process and its ended children."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="messages in the mailbox")
    parser.add_argument("--attachments", type=float, default=0.0, help="share of messages with an attachment")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rtt-ms", type=float, default=0.0, help="round trip to the server in milliseconds")
    parser.add_argument("--processes", type=int, default=0, help="measure so many worker processes beside one instead")
    parser.add_argument("--django-mailbox", metavar="PYTHON", help="a Python that has django-mailbox, to race it too")
    options = parser.parse_args()
    if not installed():
        sys.exit("The benchmark needs Dovecot (Debian: dovecot-pop3d) and root.")
    contestants: dict[str, Callable[[int], int]] = {"limit": limit, "crm_mail": crm_mail}
    if options.rtt_ms:
        contestants["windows"] = windows
    if shutil.which("mpop"):
        contestants["mpop"] = mpop
    else:
        print("mpop is not installed (Debian: mpop), so its line is missing.")
    with database():
        settle()  # as a worker does
        with Dovecot() as server, far_away(server.port, options.rtt_ms) as port:
            messages = list(generate(options.count, 1, 400, options.attachments))
            if options.processes:
                scaling.measure(server, messages, options.processes)
                return
            server.add_messages(USER, messages)
            limit(port)  # Dovecot writes its indexes at the first visit; nobody is to pay for that
            seconds: dict[str, list[float]] = {name: [] for name in contestants}
            cpu: dict[str, list[float]] = {name: [] for name in contestants}
            for _ in range(options.rounds):
                for name, contestant in contestants.items():
                    used, started = cpu_seconds(), time.perf_counter()
                    fetched = contestant(port)
                    took = time.perf_counter() - started
                    seconds[name].append(getattr(contestant, "seconds", took))
                    cpu[name].append(getattr(contestant, "cpu", cpu_seconds() - used))
                    assert fetched == options.count, f"{name} fetched {fetched} of {options.count}"
                empty()
            peer = options.django_mailbox and django_mailbox(options.django_mailbox, server, messages)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{options.count} messages, {connection.vendor}, round trip {options.rtt_ms:g} ms")
    for name, median in medians.items():
        ratios = "  ".join(
            f"{medians[other] / median:5.2f} x {other}" for other in medians if other not in {name, "crm_mail"}
        )
        processor = statistics.median(cpu[name]) / options.count * 1e6
        print(
            f"{name:9} {options.count / median:8.0f} messages/s {median:7.2f} s {processor:6.0f} µs of processor time each"
            f"  {ratios if name == 'crm_mail' else ''}"
        )
    if peer:
        print(
            f"django-mailbox {peer:.0f} messages/s: {options.count / medians['crm_mail'] / peer:.1f} x django-mailbox"
        )


if __name__ == "__main__":
    main()
