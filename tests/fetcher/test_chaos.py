"""R16 under everything at once: mail arrives, workers are killed, connections break, the queue and the database go away.

A short while by default. `make chaos` goes on for `CRM_MAIL_CHAOS_SECONDS` and prints what it saw.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import pytest
import redis
from celery import current_app
from django.conf import LazySettings
from django.db import Error, connection
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import Mailbox
from fetcher.models import FetchRun
from fetcher.tasks import dispatch_due
from mail import blobs
from mail.models import Message
from tests import factories, services
from tests.fetching import fetch
from tests.processes import worker
from tests.servers import Fault, ScriptedConversation, ScriptedPop3Server

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")

MAILBOXES = 20
#: Seconds after which the lease of a killed worker ends.
LEASE = 2.0
KILLS = 2
#: The servers that may be struck down: none where tests in other processes use them, too.
THROW_AWAY = "" if "PYTEST_XDIST_WORKER" in os.environ else os.environ.get(services.THROW_AWAY, "")
SECONDS = float(os.environ.get("CRM_MAIL_CHAOS_SECONDS", "0"))


@dataclass(frozen=True)
class CutAnywhere:
    """The connection ends somewhere in the answer."""

    chance: random.Random

    def commit(self, conversation: ScriptedConversation, reply: bytes) -> None:
        """Send as much as chance has it."""
        conversation.send(reply[: self.chance.randrange(len(reply) + 1)])
        conversation.hang_up(reset=self.chance.random() < 0.5)


class UnreliableServer(ScriptedPop3Server):
    """A server that breaks one answer in a hundred off."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.is_reliable = False
        self.cuts = 0

    def due_fault(self, command: str, argument: str) -> Fault | None:
        """A broken connection, now and then."""
        if self.is_reliable or self._chance.random() >= 0.01:
            return None
        self.cuts += 1
        return Fault(command, CutAnywhere(self._chance))

    def wait_until_heard(self, commands: int, seconds: float) -> bool:
        """Whether so many commands have been heard within the time."""
        with self._news:
            return self._news.wait_for(lambda: len(self.commands) >= commands, seconds)


@dataclass
class Stream:
    """Mail that arrives, and what arrived where."""

    server: ScriptedPop3Server
    chance: random.Random
    sent: dict[str, list[bytes]] = field(default_factory=dict)

    def flow(self, most: int) -> None:
        """A few messages for a few mailboxes, no two the same."""
        for _ in range(self.chance.randint(1, most)):
            user = f"user{self.chance.randrange(MAILBOXES)}"
            earlier = self.sent.setdefault(user, [])
            text = "x" * self.chance.randrange(20_000)
            raw = factories.raw_message(subject=f"To {user}, number {len(earlier)}", text=text)
            earlier.append(raw)
            self.server.deliver(user, raw)


def test_whatever_happens_every_message_is_stored_exactly_once(settings: LazySettings) -> None:
    """R16, R17: what is stored at the end is what was sent, each once; nothing was deleted before it was stored."""
    seed = int(os.environ.get("CRM_MAIL_CHAOS_SEED", random.randrange(1_000_000)))
    chance = random.Random(seed)
    settings.LEASE_SECONDS = LEASE
    with UnreliableServer(chance) as server:
        for number in range(MAILBOXES):
            server.add_mailbox(f"user{number}", "secret")
            factories.mailbox_on(server.port, f"user{number}", delete_policy=chance.choice(["leave", "after_fetch"]))
        stream = Stream(server, chance)
        kills = blows = given_up = 0
        until = time.monotonic() + SECONDS
        while kills < KILLS or time.monotonic() < until:
            with worker(
                CRM_MAIL_LEASE_SECONDS=str(LEASE), CRM_MAIL_MAIL_SERVER_TIMEOUT="3", CRM_MAIL_LOG_LEVEL="ERROR"
            ) as process:
                enough = len(server.commands) + chance.randint(50, 2_000)
                while not server.wait_until_heard(enough, 0.3):
                    stream.flow(40)
                    persistently(let_time_pass)
                    blows += persistently(lambda: strike(chance))
                    persistently(dispatch_due)
                    if process.poll() is not None:
                        # Whoever runs it starts another.
                        given_up += 1
                        break
                else:
                    kills += 1
        server.is_reliable = True
        for mailbox in Mailbox.objects.filter(kind=Mailbox.Kind.POP3):
            Mailbox.objects.filter(pk=mailbox.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
            assert fetch(mailbox).error == ""
            assert fetch(mailbox).new == 0
    sent = Counter((user, raw) for user, raws in stream.sent.items() for raw in raws)
    stored = Counter((message.mailbox.incoming_username, blobs.read(message)) for message in messages())
    print(  # noqa: T201 - what a long run is for
        f"\nchaos {seed}: {sent.total()} messages sent, {kills} workers killed, {given_up} ended by themselves, "
        f"{server.cuts} connections cut, {blows} other blows, {FetchRun.objects.count()} runs kept; "
        f"lost {(sent - stored).total()}, doubled {(stored - sent).total()}"
    )
    assert (sent - stored).total() == 0, seed
    assert (stored - sent).total() == 0, seed


def messages() -> list[Message]:
    """Everything that is stored."""
    return list(Message.objects.select_related("mailbox"))


def let_time_pass() -> None:
    """Every mailbox that nobody holds is due, as if five minutes were over."""
    now = timezone.now()
    Mailbox.objects.polled().filter(next_fetch_at__gt=now).update(next_fetch_at=now)


def strike(chance: random.Random) -> int:
    """Now and then the queue forgets everything or is started anew, the database hangs up on everybody or crashes."""
    blow = chance.random()
    if blow < 0.1:
        current_app.control.purge()
    elif blow < 0.13 and "CELERY_BROKER_URL" in THROW_AWAY:
        with current_app.connection_for_write() as queue, suppress(redis.ConnectionError):
            queue.channel().client.shutdown(nosave=True)
    elif blow < 0.16 and "DATABASE_URL" in THROW_AWAY:
        # PostgreSQL takes the violent death of one of its processes for a crash: it kills the others and recovers.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        os.kill(pid, signal.SIGKILL)
    elif blow < 0.25 and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    else:
        return 0
    return 1


def persistently(deed: Callable[[], T]) -> T:
    """Do something with a database and a queue that may just be starting again."""
    patience = time.monotonic() + 60
    while True:
        try:
            return deed()
        except (Error, OperationalError, redis.ConnectionError):
            if time.monotonic() > patience:
                raise
            connection.close()
            threading.Event().wait(0.1)
