"""kill -9 of a real worker between any two steps: nothing lost, nothing twice, nothing deleted too early (R10, R16)."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Mailbox
from fetcher.tasks import fetch_now
from mail import blobs
from mail.models import Message
from tests import factories
from tests.patience import PATIENCE
from tests.processes import worker
from tests.servers import Do, Fault, ScriptedPop3Server

MESSAGES = 260


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("command", "argument"), [("UIDL", None), ("RETR", "1"), ("RETR", "250"), ("DELE", "130"), ("QUIT", None)]
)
def test_a_worker_killed_in_mid_fetch_loses_and_doubles_nothing(command: str, argument: str | None) -> None:
    """The worker dies while the server answers `command`; after its lease, another one goes on."""
    with ScriptedPop3Server() as server, worker() as process:
        raws = [factories.raw_message(subject=f"{n}") for n in range(MESSAGES)]
        server.add_mailbox("rep", "secret", raws)

        def kill() -> None:
            process.kill()
            process.wait(PATIENCE)

        server.faults.append(Fault(command, Do(kill), argument=argument, nth=1))
        mailbox = factories.mailbox_on(server.port, "rep", delete_policy="after_fetch", email_address="rep@our.example")
        fetch_now(mailbox)
        process.wait(PATIENCE)
        kept_on_server = {raw for _, raw in server.mailboxes["rep"].messages}
        stored = [blobs.read(message) for message in Message.objects.all()]
        assert set(raws) <= kept_on_server | set(stored)
        server.faults.clear()
        Mailbox.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        call_command("fetch_mail", mailbox="rep@our.example", stdout=io.StringIO())
        assert sorted(blobs.read(message) for message in Message.objects.all()) == sorted(raws)
        assert server.uids("rep") == []
