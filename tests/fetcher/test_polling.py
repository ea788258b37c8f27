"""Polling over real sockets: exactly once, deletion only after the commit, a plain sentence for every failure (R10, R15–R18)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from accounts.mailboxes import change_mailbox
from accounts.models import Mailbox
from fetcher import polling, scheduling
from fetcher.models import SeenUid
from mail import blobs
from mail.deeds import delete_message
from mail.mime import Raw
from mail.models import Message
from mail.parsing import UNREAD, ParsedMessage, ParsedParticipant, parse
from tests import factories
from tests.fetching import fetch
from tests.servers import Cut, Do, Fault, Say, ScriptedPop3Server, Stall

pytestmark = pytest.mark.django_db

USER, PASSWORD = "rep", "secret"


@pytest.fixture
def server() -> Iterator[ScriptedPop3Server]:
    """A POP3 server with an empty mailbox."""
    with ScriptedPop3Server() as server:
        server.add_mailbox(USER, PASSWORD)
        yield server


def mailbox_on(server: ScriptedPop3Server, **fields: Any) -> Mailbox:
    """A mailbox of ours that is fetched from `server`."""
    return factories.mailbox_on(server.port, USER, **fields)


def deliver(server: ScriptedPop3Server, count: int, **fields: Any) -> list[bytes]:
    """Put messages into the server's mailbox."""
    raws = [factories.raw_message(subject=f"Message {n}", **fields) for n in range(count)]
    for raw in raws:
        server.deliver(USER, raw)
    return raws


def stored() -> list[bytes]:
    """The raw bytes of everything stored, in order."""
    return [blobs.read(message) for message in Message.objects.order_by("pk")]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite takes text of any length")
def test_what_the_database_does_not_take_of_a_message_keeps_no_other_from_being_fetched(
    server: ScriptedPop3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """R16: its bytes are stored, and it says why there is no more; as if reading let through what it must not."""
    texts = ["short", "it lies in a file\n" * (1 << 17), "short"]
    raws = [factories.raw_message(subject=f"Message {n}", text=text) for n, text in enumerate(texts)]
    for raw in raws:
        server.deliver(USER, raw)
    too_long = (ParsedParticipant("from", "", "secret" * 100, "x.example"),)

    def careless(raw: Raw) -> ParsedMessage:
        read = parse(raw)
        return replace(read, participants=too_long) if read.subject == "Message 1" else read

    monkeypatch.setattr("mail.filing.parse", careless)
    run = fetch(mailbox_on(server))
    assert (run.error, run.new) == ("", 3)
    assert stored() == raws
    assert [message.note for message in Message.objects.order_by("pk")] == ["", UNREAD, ""]
    assert "secret" not in caplog.text
    assert "value too long" in caplog.text


def test_everything_is_stored_once_with_its_bytes_unchanged(server: ScriptedPop3Server) -> None:
    """R16."""
    raws = deliver(server, 150)
    mailbox = mailbox_on(server)
    first, second = fetch(mailbox), fetch(mailbox)
    assert (first.state, first.total, first.new, second.new) == ("done", 150, 150, 0)
    assert stored() == raws
    assert (mailbox.state, mailbox.last_error) == ("ok", "")
    assert mailbox.next_fetch_at > timezone.now()


@pytest.mark.parametrize("at", [0, 1, 40, -1])
def test_a_connection_cut_in_mid_message_loses_and_doubles_nothing(server: ScriptedPop3Server, at: int) -> None:
    """R16: what came whole is stored at once, the rest by the next poll."""
    raws = deliver(server, 10)
    server.faults.append(Fault("RETR", Cut(after=at), argument="6", nth=1))
    mailbox = mailbox_on(server)
    run = fetch(mailbox)
    assert (run.state, run.new, mailbox.state, mailbox.failures) == ("failed", 5, "error", 1)
    assert stored() == raws[:5]
    fetch(mailbox)
    assert stored() == raws
    assert (mailbox.state, mailbox.failures) == ("ok", 0)


def test_a_server_that_falls_silent_is_given_up_with_a_sentence(server: ScriptedPop3Server) -> None:
    """R17, R18."""
    raws = deliver(server, 4)
    server.faults.append(Fault("RETR", Stall(after=20), argument="3"))
    mailbox = mailbox_on(server)
    with override_settings(MAIL_SERVER_TIMEOUT=0.3):
        run = fetch(mailbox)
    assert run.state == "failed"
    assert mailbox.state == "error"
    assert mailbox.last_error.endswith(".")
    assert timezone.now() < mailbox.next_fetch_at <= timezone.now() + timedelta(hours=1)
    assert stored() == raws[:2]


def test_a_wrong_password_stops_polling_and_a_new_one_resumes_it(server: ScriptedPop3Server) -> None:
    """R18."""
    deliver(server, 1)
    mailbox = mailbox_on(server, incoming_password="marker-1")
    fetch(mailbox)
    assert (mailbox.state, mailbox.next_fetch_at) == ("password_rejected", None)
    assert "password" in mailbox.last_error
    assert "marker-1" not in mailbox.last_error
    change_mailbox(mailbox, incoming_password=PASSWORD)
    fetch(mailbox)
    assert (mailbox.state, Message.objects.count()) == ("ok", 1)


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [
        ("nowhere.invalid", 995, "no server named"),
        ("127.0.0.1", 1, "refused"),
        ("10.0.0.1", 995, "not a mail server on the public internet"),
    ],
)
def test_a_server_that_is_not_there_is_told_in_plain_words(host: str, port: int, says: str) -> None:
    """R12's causes as a mailbox's state."""
    mailbox = factories.mailbox(incoming_host=host, incoming_port=port)
    fetch(mailbox)
    assert mailbox.state == "error"
    assert says in mailbox.last_error


def test_only_after_the_commit_is_a_message_deleted(server: ScriptedPop3Server) -> None:
    """R10: at the moment of each DELE the copies are in the database."""
    deliver(server, 3)
    counts: list[int] = []
    server.faults.append(Fault("DELE", Do(lambda: counts.append(server_side_count()))))

    def server_side_count() -> int:
        return len(server.uids(USER))

    mailbox = mailbox_on(server, delete_policy="after_fetch")
    run = fetch(mailbox)
    assert (run.new, run.deleted, server.uids(USER)) == (3, 3, [])
    assert counts == [3, 3, 3]
    heard = server.commands
    assert heard.index("DELE 1") > heard.index("RETR 3")
    assert Message.objects.count() == 3


def test_nothing_is_deleted_when_storing_fails(server: ScriptedPop3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """R10: think of a full disk."""
    deliver(server, 3)
    mailbox = mailbox_on(server, delete_policy="after_fetch")

    def full_disk(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(polling, "file_messages", full_disk)
    with pytest.raises(OSError, match="No space"):
        fetch(mailbox)
    mailbox.refresh_from_db()
    assert (mailbox.state, len(server.uids(USER)), SeenUid.objects.count()) == ("error", 3, 0)
    monkeypatch.undo()
    fetch(mailbox)
    assert (Message.objects.count(), server.uids(USER)) == (3, [])


def test_a_deletion_counts_only_when_quit_was_answered(server: ScriptedPop3Server) -> None:
    """R10; RFC 1939 section 6."""
    deliver(server, 2)
    server.faults.append(Fault("QUIT", Say(b"-ERR some deleted messages not removed\r\n"), nth=1))
    mailbox = mailbox_on(server, delete_policy="after_fetch")
    run = fetch(mailbox)
    assert (run.state, run.deleted) == ("done", 0)
    assert not SeenUid.objects.exclude(deleted_at=None).exists()


def test_leave_deletes_nothing(server: ScriptedPop3Server) -> None:
    """R10."""
    deliver(server, 2)
    fetch(mailbox_on(server))
    assert len(server.uids(USER)) == 2


def test_after_days_deletes_what_was_fetched_long_enough_ago_even_without_new_mail(server: ScriptedPop3Server) -> None:
    """R10."""
    deliver(server, 2)
    mailbox = mailbox_on(server, delete_policy="after_days", delete_after_days=7)
    fetch(mailbox)
    assert len(server.uids(USER)) == 2
    old = SeenUid.objects.first()
    SeenUid.objects.filter(pk=old.pk).update(seen_at=timezone.now() - timedelta(days=8))
    assert fetch(mailbox).deleted == 1
    assert old.uid not in server.uids(USER)
    assert Message.objects.count() == 2


def test_when_deleted_follows_the_second_deletion_here(server: ScriptedPop3Server) -> None:
    """R10; interface.md: the step out of Trash."""
    deliver(server, 2)
    mailbox = mailbox_on(server, delete_policy="when_deleted")
    fetch(mailbox)
    message = Message.objects.first()
    delete_message(message)
    assert fetch(mailbox).deleted == 0
    delete_message(message)
    assert (fetch(mailbox).deleted, len(server.uids(USER))) == (1, 1)


def test_only_mail_from_now_on_is_fetched_and_the_rest_is_never_deleted(server: ScriptedPop3Server) -> None:
    """R10, R15."""
    deliver(server, 3)
    mailbox = mailbox_on(server, import_since="now", delete_policy="after_fetch")
    assert fetch(mailbox).new == 0
    deliver(server, 1)
    assert fetch(mailbox).new == 1
    assert len(server.uids(USER)) == 3


def test_the_last_days_are_fetched_by_the_date_of_arrival(server: ScriptedPop3Server) -> None:
    """R15: the server's Received line counts before the sender's Date."""
    now = datetime.now(UTC)
    for days in (1, 5, 40):
        server.deliver(USER, factories.raw_message(subject=f"{days}", date=now - timedelta(days=days)))
    hop = f"from a by b; {format_datetime(now - timedelta(days=2))}"
    server.deliver(USER, b"Received: " + hop.encode() + b"\r\n" + factories.raw_message(subject="forged date"))
    mailbox = mailbox_on(server, import_since="days", import_days=10)
    fetch(mailbox)
    assert set(Message.objects.values_list("subject", flat=True)) == {"1", "5", "forged date"}
    assert fetch(mailbox).new == 0


def test_a_message_over_the_limit_is_recorded_with_headers_and_a_note_and_never_deleted(
    server: ScriptedPop3Server,
) -> None:
    """R16."""
    server.deliver(USER, factories.raw_message(subject="Huge", text="x" * 70 + "\n" * 1 + ("y" * 70 + "\n") * 1000))
    deliver(server, 1)
    mailbox = mailbox_on(server, delete_policy="after_fetch")
    with override_settings(MAX_MESSAGE_BYTES=20_000):
        run = fetch(mailbox)
    huge = Message.objects.get(subject="Huge")
    assert (run.new, huge.is_complete, huge.size > 20_000) == (2, False, True)
    assert "larger than the limit" in huge.note
    assert blobs.read(huge).startswith(b"From:")
    assert len(server.uids(USER)) == 1
    assert fetch(mailbox).new == 0


def test_a_message_without_headers_is_stored_and_shown(server: ScriptedPop3Server) -> None:
    """R16."""
    server.deliver(USER, b"\r\nJust a line\r\n")
    server.deliver(USER, b"\xff\xfe\x00 nothing like mail\r\n")
    fetch(mailbox_on(server))
    assert stored() == [b"\r\nJust a line\r\n", b"\xff\xfe\x00 nothing like mail\r\n"]
    assert Message.objects.first().body.text.strip() == "Just a line"


def test_the_same_bytes_under_a_changed_uid_are_one_message(server: ScriptedPop3Server) -> None:
    """interface.md, *finer points*."""
    raws = deliver(server, 3)
    mailbox = mailbox_on(server)
    fetch(mailbox)
    server.mailboxes[USER].messages[:] = [(f"renamed-{n}", raw) for n, raw in enumerate(raws)]
    assert fetch(mailbox).new == 0
    assert stored() == raws
    assert fetch(mailbox).total == 0


def test_the_same_bytes_twice_on_the_server_are_two_messages(server: ScriptedPop3Server) -> None:
    """interface.md, *finer points*."""
    (raw,) = deliver(server, 1)
    server.deliver(USER, raw)
    fetch(mailbox_on(server))
    assert stored() == [raw, raw]


def test_one_uid_for_two_messages_loses_neither(server: ScriptedPop3Server) -> None:
    """attacks.md: UIDs doubled."""
    raws = deliver(server, 2)
    server.mailboxes[USER].messages[:] = [("same", raw) for raw in raws]
    mailbox = mailbox_on(server)
    fetch(mailbox)
    assert stored() == raws
    assert fetch(mailbox).new == 0


def test_a_refused_message_delays_no_other_and_is_tried_again(server: ScriptedPop3Server) -> None:
    """attacks.md: -ERR in mid pipeline."""
    raws = deliver(server, 5)
    server.faults.append(Fault("RETR", Say(b"-ERR no such message\r\n"), argument="3", nth=1))
    mailbox = mailbox_on(server)
    run = fetch(mailbox)
    assert (run.state, run.new) == ("done", 4)
    assert "1 of its messages" in run.error
    assert fetch(mailbox).new == 1
    assert sorted(stored()) == sorted(raws)


def test_a_poll_yields_when_its_time_is_up_and_goes_on_later(server: ScriptedPop3Server) -> None:
    """interface.md: one poll lasts at most five minutes."""
    raws = deliver(server, 6)
    mailbox = mailbox_on(server)
    with override_settings(POLL_SECONDS=0):
        run = fetch(mailbox)
    assert (run.state, run.new) == ("yielded", 1)
    assert mailbox.next_fetch_at <= timezone.now()
    fetch(mailbox)
    assert stored() == raws


def test_losing_the_lease_in_mid_poll_stores_nothing_more(server: ScriptedPop3Server) -> None:
    """R17: settings that change, or a worker that was given up, must not store."""
    deliver(server, 2)
    mailbox = mailbox_on(server)
    server.faults.append(Fault("RETR", Do(lambda: None), argument="1"))
    run, _ = scheduling.claim(mailbox)
    begun = scheduling.start(mailbox.pk, run.token)
    Mailbox.objects.filter(pk=mailbox.pk).update(lease_token=None)
    polling.poll(begun)
    begun.refresh_from_db()
    assert (begun.state, Message.objects.count(), SeenUid.objects.count()) == ("failed", 0, 0)


def test_mail_that_the_server_hands_back_is_filed_as_sent(server: ScriptedPop3Server) -> None:
    """R19: Gmail does."""
    mailbox = mailbox_on(server)
    server.deliver(USER, factories.raw_message(sender=mailbox.email_address, to=["bea@acme.example"]))
    fetch(mailbox)
    message = Message.objects.get()
    assert (message.direction, message.folder.kind, message.is_read) == ("sent", "sent", True)


def test_a_60_mb_message_is_recorded_with_its_headers(server: ScriptedPop3Server) -> None:
    """R16, at the limit that is shipped: nothing of the body is fetched."""
    headers = factories.raw_message(subject="Film").partition(b"\r\n\r\n")[0]
    server.deliver(USER, headers + b"\r\n\r\n" + (b"x" * 74 + b"\r\n") * 800_000)
    deliver(server, 1)
    run = fetch(mailbox_on(server))
    film = Message.objects.get(subject="Film")
    assert (run.state, run.new, film.is_complete) == ("done", 2, False)
    assert film.size > 60_000_000
    assert "RETR 1" not in server.commands


@pytest.mark.parametrize(
    ("said", "minutes"),
    [(b"-ERR [IN-USE] locked\r\n", (0.9, 1.1)), (b"-ERR [LOGIN-DELAY] too soon\r\n", (14.9, 15.1))],
)
def test_a_server_that_says_how_long_to_wait_is_obeyed(said: bytes, minutes: tuple[float, float]) -> None:
    """R18; RFC 2449 section 6.5."""
    with ScriptedPop3Server(faults=[Fault(name, Say(said)) for name in ("AUTH", "PASS")]) as server:
        server.capabilities = (*server.capabilities, "LOGIN-DELAY 900") if b"DELAY" in said else server.capabilities
        server.add_mailbox(USER, PASSWORD)
        mailbox = mailbox_on(server)
        fetch(mailbox)
    assert mailbox.state == "error"
    assert minutes[0] < (mailbox.next_fetch_at - timezone.now()).total_seconds() / 60 < minutes[1]
