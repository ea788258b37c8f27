"""`make bench BENCH_ARGS='--processes 2'`: what further worker processes bring, each with a mailbox of its own.

On one machine the workers share the cores with the POP3 server and the database, which need about as much. So two
things are told: messages a second with all of it on these cores, and the workers' own processor time a message. The
latter decides where server and database are elsewhere: if it stays the same, n processes on n cores fetch n times as much.

`python -m bench.scaling MAILBOX` is one such worker: it says when it is ready, fetches once a line comes in, and prints
the messages, and the seconds of the clock and of its processor.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack

# ruff: noqa: E402
import django

import tests.environment  # noqa: F401  # must come before Django's settings are read

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")
django.setup()

from accounts.models import Mailbox
from crm_mail.memory import settle
from tests import factories
from tests.dovecot import PASSWORD, Dovecot
from tests.fetching import fetch
from tests.processes import ROOT, environment


def measure(server: Dovecot, messages: list[bytes], processes: int) -> None:
    """Fetch with one process, then with all of them at once, and print what that took."""
    for number in range(processes + 1):
        server.add_messages(f"scaling{number}", messages)
    alone = _at_once(server, len(messages), ["scaling0"])
    together = _at_once(server, len(messages), [f"scaling{number}" for number in range(1, processes + 1)])
    for count, (rate, cpu) in ((1, alone), (processes, together)):
        print(
            f"{count} worker processes: {rate:6.0f} messages/s, {cpu * 1e6:4.0f} µs of their processor time a message"
        )
    print(
        f"{processes} over 1: {together[0] / alone[0]:.2f} x with server and database on the same {os.cpu_count()} cores; "
        f"{processes * alone[1] / together[1]:.2f} x by the workers' processor time alone"
    )


def _at_once(server: Dovecot, count: int, users: list[str]) -> tuple[float, float]:
    """Messages a second of all workers together, and their processor seconds a message."""
    with ExitStack() as stack:
        workers = []
        for user in users:
            mailbox = factories.mailbox_on(server.port, user, incoming_password=PASSWORD)
            command = [sys.executable, "-m", "bench.scaling", f"{mailbox.pk}"]
            pipe = subprocess.PIPE
            worker = subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=pipe, stdout=pipe, text=True)
            workers.append(stack.enter_context(worker))
            stack.callback(worker.kill)
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        started = time.perf_counter()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        answers = [worker.communicate()[0].split() for worker in workers]
        took = time.perf_counter() - started
    assert all(int(new) == count for new, _ in answers), answers
    return count * len(users) / took, sum(float(cpu) for _, cpu in answers) / (count * len(users))


def work(mailbox: Mailbox) -> None:
    """Be one of the workers."""
    settle()
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.process_time()
    run = fetch(mailbox)
    print(run.new, time.process_time() - began, flush=True)


if __name__ == "__main__":
    work(Mailbox.objects.get(pk=int(sys.argv[1])))
