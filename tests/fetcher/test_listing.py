"""What is new is known without listing everything, and whatever a server does with its UIDs, nothing is doubled (R16)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Mailbox
from fetcher import polling, scheduling
from fetcher.models import FetchRun, LastListing, SeenUid
from mail.models import Message
from tests.fetcher.test_polling import USER, deliver, mailbox_on
from tests.fetching import fetch
from tests.servers import Fault, Say, ScriptedPop3Server

pytestmark = pytest.mark.django_db

PASSWORD = "secret"


@pytest.fixture
def server() -> Iterator[ScriptedPop3Server]:
    """A POP3 server with an empty mailbox."""
    with ScriptedPop3Server() as server:
        server.add_mailbox(USER, PASSWORD)
        yield server


def asked_by(server: ScriptedPop3Server, mailbox: Mailbox) -> list[str]:
    """The commands of one more poll between signing in and QUIT."""
    before = len(server.commands)
    run = fetch(mailbox)
    assert run.error == ""
    said = server.commands[before:]
    return [command for command in said if command.split()[0] in {"STAT", "UIDL", "LIST", "RETR", "TOP", "DELE"}]


def test_a_poll_that_finds_nothing_new_asks_for_the_last_message_alone(server: ScriptedPop3Server) -> None:
    """R15: however much was left on the server."""
    deliver(server, 5)
    mailbox = mailbox_on(server)
    assert fetch(mailbox).new == 5
    assert asked_by(server, mailbox) == ["STAT", "UIDL 5"]


def test_a_quiet_poll_asks_the_database_for_its_run_and_leaves_the_result(server: ScriptedPop3Server) -> None:
    """R18: begun by one statement, read by one, ended by one (two without PostgreSQL); still a run with its times."""
    deliver(server, 5)
    mailbox = mailbox_on(server)
    fetch(mailbox)
    claimed, _ = scheduling.claim(mailbox)
    with CaptureQueriesContext(connection) as queries:
        polling.poll(scheduling.start(mailbox.pk, claimed.token))
    said = [query["sql"].split()[0] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert said == ["UPDATE", "SELECT", "UPDATE", *["UPDATE"] * (connection.vendor != "postgresql")]
    run, fetched = FetchRun.objects.get(pk=claimed.pk), Mailbox.objects.get(pk=mailbox.pk)
    assert (run.state, run.new, run.error) == ("done", 0, "")
    assert claimed.started <= run.started <= run.finished
    assert fetched.last_fetched_at > run.started
    assert fetched.next_fetch_at > timezone.now()
    assert (fetched.lease_token, fetched.lease_until) == (None, None)


def test_an_empty_mailbox_is_asked_for_its_size_alone(server: ScriptedPop3Server) -> None:
    """R15."""
    mailbox = mailbox_on(server)
    assert asked_by(server, mailbox) == ["STAT"]


def test_only_what_came_after_the_last_message_is_asked_for(server: ScriptedPop3Server) -> None:
    """R15, R16."""
    deliver(server, 5)
    mailbox = mailbox_on(server)
    fetch(mailbox)
    deliver(server, 2, sender="bea@acme.example")
    assert asked_by(server, mailbox)[:4] == ["STAT", "UIDL 5", "UIDL 6", "UIDL 7"]
    assert Message.objects.count() == 7
    assert asked_by(server, mailbox) == ["STAT", "UIDL 7"]


def test_everything_is_listed_once_in_a_while(server: ScriptedPop3Server) -> None:
    """A message that the last one hid, put in the middle by a server that does so, is found then."""
    deliver(server, 3)
    mailbox = mailbox_on(server)
    fetch(mailbox)
    LastListing.objects.update(listed_at=timezone.now() - timedelta(hours=7))
    assert asked_by(server, mailbox) == ["STAT", "UIDL"]
    assert LastListing.objects.get().listed_at > timezone.now() - timedelta(minutes=1)
    with override_settings(FULL_LISTING_SECONDS=0):
        assert asked_by(server, mailbox) == ["STAT", "UIDL"]


@pytest.mark.parametrize("gone", [0, 2, 4])
def test_a_message_that_another_program_deleted_makes_everything_listed(server: ScriptedPop3Server, gone: int) -> None:
    """R16: numbers move when the mailbox shrinks, also when as much came as went."""
    deliver(server, 5)
    mailbox = mailbox_on(server)
    fetch(mailbox)
    del server.mailboxes[USER].messages[gone]
    deliver(server, 1, sender="bea@acme.example")
    assert "UIDL" in asked_by(server, mailbox)
    assert Message.objects.count() == 6


def test_a_refused_message_is_asked_for_again_though_nothing_is_new(server: ScriptedPop3Server) -> None:
    """R16: what is not stored is never taken as known."""
    deliver(server, 2)
    server.faults.append(Fault("RETR", Say(b"-ERR try later\r\n"), argument="2", nth=1))
    mailbox = mailbox_on(server)
    assert fetch(mailbox).new == 1
    assert not LastListing.objects.exists()
    assert fetch(mailbox).new == 1


def test_a_new_message_under_a_known_uid_is_not_taken_for_the_old_one(server: ScriptedPop3Server) -> None:
    """R16: against RFC 1939 section 7, which some servers do not mind."""
    deliver(server, 2)
    mailbox = mailbox_on(server)
    fetch(mailbox)
    deliver(server, 1, sender="bea@acme.example")
    messages = server.mailboxes[USER].messages
    messages[2] = (messages[0][0], messages[2][1])
    fetch(mailbox)
    assert Message.objects.count() == 3
    fetch(mailbox)
    assert Message.objects.count() == 3
    assert not LastListing.objects.exists()


def test_uids_that_differ_at_every_poll_double_nothing(server: ScriptedPop3Server) -> None:
    """R16: the bytes are recognised; an hour of that costs traffic and no copy."""
    deliver(server, 4)
    mailbox = mailbox_on(server)
    for night in range(3):
        messages = server.mailboxes[USER].messages
        messages[:] = [(f"night-{night}-{uid}", raw) for uid, raw in messages]
        fetch(mailbox)
        assert Message.objects.count() == 4
    assert SeenUid.objects.count() == 4


@pytest.mark.parametrize("status", ["", "Status: RO\r\nX-Status: A\r\n"])
def test_a_server_without_uidl_is_fetched_by_the_headers_of_its_messages(status: str) -> None:
    """R16: UIDL is optional (RFC 1939 section 7)."""
    with ScriptedPop3Server(without=["UIDL"]) as server:
        server.add_mailbox(USER, PASSWORD)
        raws = deliver(server, 3)
        mailbox = mailbox_on(server)
        assert fetch(mailbox).new == 3
        messages = server.mailboxes[USER].messages
        messages[1] = ("u2", status.encode() + raws[1])
        assert fetch(mailbox).new == 0
        deliver(server, 1, sender="bea@acme.example")
        assert fetch(mailbox).new == 1
    assert Message.objects.count() == 4


def test_a_server_with_neither_uidl_nor_top_is_answered_in_plain_words() -> None:
    """R12, R18: there is nothing left to tell its messages apart by."""
    with ScriptedPop3Server(without=["UIDL", "TOP"]) as server:
        server.add_mailbox(USER, PASSWORD)
        deliver(server, 1)
        run = fetch(mailbox_on(server))
    assert "can't tell its messages apart" in run.error
    assert not Message.objects.exists()


def test_when_messages_are_deleted_from_the_server_the_next_poll_looks_at_everything(
    server: ScriptedPop3Server,
) -> None:
    """R10: what can be deleted is found by number, whether it is new or not."""
    deliver(server, 3)
    mailbox = mailbox_on(server)
    fetch(mailbox)
    mailbox.delete_policy = "after_fetch"
    mailbox.save()
    assert asked_by(server, mailbox) == ["STAT", "UIDL", "DELE 1", "DELE 2", "DELE 3"]
    assert server.mailboxes[USER].messages == []
    deliver(server, 1, sender="bea@acme.example")
    fetch(mailbox)
    assert Message.objects.count() == 4


def test_what_somebody_else_deleted_on_the_server_is_not_looked_for_again_and_again(server: ScriptedPop3Server) -> None:
    """R10, R15: deleted here, gone there; one look at everything, then quiet polls. If it comes back, it is deleted."""
    deliver(server, 3)
    mailbox = mailbox_on(server, delete_policy="when_deleted")
    fetch(mailbox)
    before = list(server.mailboxes[USER].messages)
    Message.objects.order_by("pk").first().delete()
    del server.mailboxes[USER].messages[0]
    assert asked_by(server, mailbox) == ["STAT", "UIDL"]
    assert asked_by(server, mailbox) == ["STAT", "UIDL 2"]
    server.mailboxes[USER].messages[:] = before
    assert asked_by(server, mailbox) == ["STAT", "UIDL 2", "UIDL", "DELE 1"]
    assert Message.objects.count() == 2
