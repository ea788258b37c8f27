"""The LMTP listener (RFC 2033): who gets mail, what is answered, and what hostile clients can't do."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from accounts.models import User
from fetcher import lmtp
from mail import blobs, delivering
from mail.models import Message
from tests import factories
from tests.fetcher.listening import Client, Listening, listening
from tests.patience import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

ANA, BEN = "ana.mail@our.example", "ben.mail@our.example"
RAW = factories.raw_message(to=[ANA])


@pytest.fixture(autouse=True)
def people() -> None:
    """Ana and Ben, whose CRM Mail accounts take mail."""
    home = factories.organization()
    for address in (ANA, BEN):
        factories.user(organization=home, mail_account=True).mailboxes.update(email_address=address)


@pytest.fixture
def server(people: None) -> Iterator[Listening]:
    with listening() as server:
        yield server


@pytest.fixture
def client(server: Listening) -> Iterator[Client]:
    with Client(server.port) as client:
        yield client


def test_it_offers_what_mail_servers_make_use_of(client: Client, settings: Settings) -> None:
    """RFC 2033 section 5."""
    assert client.greeting.startswith("220 ")
    offered = {line[4:] for line in client.say("LHLO mx").splitlines()[1:]}
    wanted = {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8", f"SIZE {settings.MAX_MESSAGE_BYTES}"}
    assert offered == wanted


def test_each_receiver_has_an_answer_and_a_copy_of_their_own(client: Client) -> None:
    """RFC 2033 section 4.2; who is not known here is refused before the message is sent."""
    answers = client.begin(ANA, "nobody@our.example", BEN)
    assert [answer[:9] for answer in answers] == ["250 2.1.5", "550 5.1.1", "250 2.1.5"]
    assert [answer[:9] for answer in client.data(RAW, 2)] == ["250 2.0.0"] * 2
    copies = {message.mailbox.email_address: blobs.read(message) for message in Message.objects.all()}
    assert copies.keys() == {ANA, BEN}
    for address, copy in copies.items():
        trace, _, rest = copy.partition(RAW)
        assert rest == b""
        pattern = (
            rb"Return-Path: <bea@acme\.example>\r\nDelivered-To: %b\r\n"
            rb"Received: from mx\.our\.example \(\[127\.0\.0\.1\]\)\r\n\tby \S+ with LMTP;\r\n\t[^\r\n]+\r\n"
        )
        assert re.fullmatch(pattern % re.escape(address.encode()), trace)


def test_it_relays_nothing(client: Client) -> None:
    answers = client.begin("bea@acme.example", "root", "x@y@z")
    assert [answer[:9] for answer in answers] == ["550 5.1.1", "553 5.1.3", "553 5.1.3"]
    assert client.say("DATA").startswith("503 5.5.1")


def test_it_is_no_smtp_server(client: Client) -> None:
    """RFC 2033 section 4.1; every refusal has a code of RFC 3463."""
    for command in ("HELO mx", "EHLO mx", "NONSENSE", "MAIL", "RCPT TO:<a@b.c>", "DATA", "LHLO", ""):
        assert re.match(r"5\d\d 5\.\d\.\d ", client.say(command)), command
    client.say("LHLO mx")
    for command in ("MAIL FROM:<a@b.c> NONSENSE=1", "MAIL FROM:<a@b.c> SIZE=999999999"):
        assert re.match(r"5\d\d 5\.\d\.\d ", client.say(command)), command


def test_an_address_that_is_none_is_refused_for_good(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """RFC 5321 section 4.1.2; a server that heard *later* would come again for days."""
    client.say("LHLO mx")
    paths = [
        "",
        "<",
        "<>>",
        "<@",
        "<a@b",
        "a@b",
        "<a b@c>",
        '<"a@b>',
        "<a@b@c>",
        "<\t\t",
        "<a@>",
        "<@b>",
        "<" + "(" * 1900,
    ]
    for path in paths:
        assert re.match(r"5\d\d 5\.\d\.\d ", client.say(f"MAIL FROM:{path}")), path
    client.say("MAIL FROM:<>")
    for path in paths:
        assert re.match(r"5\d\d 5\.\d\.\d ", client.say(f"RCPT TO:{path}")), path
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_whoever_can_send_mail_can_send_it_here(client: Client) -> None:
    client.say("LHLO mx")
    for path in ("<>", "<@x.y,@z.y:a@b.c>", '<"a b"@c.d>', "<jürgen@x.example> SMTPUTF8 SIZE=10", "<a@[::1]>"):
        assert client.say(f"MAIL FROM:{path}").startswith("250 2."), path
        client.say("RSET")


def test_a_conversation_may_come_in_one_packet(client: Client) -> None:
    """RFC 2920."""
    beginning = f"LHLO mx\r\nMAIL FROM:<>\r\nRCPT TO:<{ANA}>\r\nDATA\r\n".encode()
    client.send(beginning + RAW + b".\r\nMAIL FROM:<>\r\nQUIT\r\n")
    replies = [client.reply()[:3] for _ in range(7)]
    assert replies == ["250", "250", "250", "354", "250", "250", "221"]
    assert blobs.read(Message.objects.get()).startswith(b"Return-Path: <>\r\n")


def test_dots_bare_line_feeds_and_long_lines_are_kept_as_they_are(client: Client) -> None:
    """RFC 5321 sections 4.1.1.4 and 4.5.2: no smuggled end, no smuggled second message."""
    smuggled = b"\n.\nMAIL FROM:<x@y.z>\n\r.\rRSET\r\n..\r\n...\r\n"
    body = smuggled + b"x" * 200_000 + b"\r\n.y" + b"\xff\x00" * 70_000 + b"\r\n"
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    client.begin(ANA)
    [answer] = client.data(b"Subject: x\r\nMessage-ID: <a@b>\r\n\r\n" + stuffed)
    assert answer.startswith("250")
    assert blobs.read(Message.objects.get()).endswith(b"\r\n\r\n" + body)


def test_what_comes_again_after_a_lost_answer_is_filed_once(server: Listening) -> None:
    for receivers in ([ANA], [ANA, BEN]):
        with Client(server.port) as client:
            client.begin(*receivers)
            client.data(RAW, len(receivers))
    assert sorted(Message.objects.values_list("mailbox__email_address", flat=True)) == [ANA, BEN]


def test_what_comes_again_while_it_is_still_being_filed_is_filed_once(server: Listening) -> None:
    """A mail server that lost patience comes again before the first try has ended."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(server.port)) for _ in range(4)]
        for client in clients:
            client.begin(ANA)
            assert client.say("DATA").startswith("354")
            client.send(RAW)
        for client in clients:
            client.send(b".\r\n")
        assert [client.reply()[:3] for client in clients] == ["250"] * 4
    assert Message.objects.count() == 1


def test_a_receiver_named_twice_gets_one_copy_and_two_answers(client: Client) -> None:
    client.begin(ANA, ANA.upper())
    assert [answer[:3] for answer in client.data(b"Subject: no mark\r\n\r\nx\r\n", 2)] == ["250", "250"]
    assert Message.objects.count() == 1


def test_who_is_deactivated_in_mid_transaction_gets_nothing_and_the_others_do(client: Client) -> None:
    """R2."""
    client.begin(ANA, BEN)
    User.objects.filter(mailboxes__email_address=ANA).update(is_active=False)
    assert [answer[:9] for answer in client.data(RAW, 2)] == ["550 5.2.1", "250 2.0.0"]
    assert client.begin(ANA)[0].startswith("550 5.2.1")


def test_a_message_that_is_too_large_is_refused_for_each_receiver_and_the_conversation_goes_on(
    client: Client, settings: Settings
) -> None:
    settings.MAX_MESSAGE_BYTES = 10_000
    client.begin(ANA, BEN)
    assert [answer[:9] for answer in client.data(b"x" * 9_999 + b"\r\n", 2)] == ["552 5.3.4"] * 2
    client.begin(ANA)
    assert client.data(RAW)[0].startswith("250")


def test_an_error_of_the_database_is_temporary_and_leaves_nothing_behind(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away after the rows were written, before the commit; the next try files the message once."""
    file_messages = delivering.file_messages
    failing = iter([True])

    def file_and_fail(*arguments: object) -> object:
        filed = file_messages(*arguments)  # type: ignore[arg-type]
        if next(failing, False):
            connection.connection.close()
        return filed

    monkeypatch.setattr(delivering, "file_messages", file_and_fail)
    client.begin(ANA, BEN)
    assert [answer[:9] for answer in client.data(RAW, 2)] == ["451 4.3.0", "250 2.0.0"]
    client.begin(ANA)
    assert client.data(RAW)[0].startswith("250")
    assert sorted(Message.objects.values_list("mailbox__email_address", flat=True)) == [ANA, BEN]


def test_a_message_that_is_cut_off_is_not_filed(server: Listening) -> None:
    with Client(server.port) as client:
        client.begin(ANA)
        client.say("DATA")
        client.send(RAW)
    with Client(server.port) as client:
        client.begin(BEN)
        client.data(RAW)
    assert Message.objects.get().mailbox.email_address == BEN


def test_a_line_without_end_ends_the_conversation_and_fills_no_memory(server: Listening, settings: Settings) -> None:
    settings.MAX_MESSAGE_BYTES = 100_000
    with Client(server.port) as client:
        client.begin(ANA)
        client.say("DATA")
        with suppress(ConnectionError):
            for _ in range(30):
                client.send(b"x" * 10_000)
        assert client.ends()
    assert server.listener.held_bytes == 0
    assert not Message.objects.exists()


def test_more_than_fits_into_memory_is_put_off(settings: Settings) -> None:
    """All connections together hold so much; one of them sends slowly."""
    settings.MAX_MESSAGE_BYTES = 100_000
    with listening(largest_messages=1) as server, Client(server.port) as slow, Client(server.port) as other:
        slow.begin(ANA)
        slow.say("DATA")
        slow.send(RAW + b"x" * 80_000 + b"\r\n" * 2)
        other.begin(BEN)
        # The first is received when the second's answer says so.
        assert other.data(b"x" * 60_000 + b"\r\n")[0].startswith("452 4.3.1")
        slow.send(b".\r\n")
        assert slow.reply().startswith("250")
        other.begin(BEN)
        assert other.data(RAW)[0].startswith("250")


def test_who_sends_too_slowly_or_nothing_is_cut_off() -> None:
    with listening(data_seconds=0.3) as server, Client(server.port) as client:
        client.begin(ANA)
        client.say("DATA")
        client.send(b"Subj")
        assert client.reply().startswith("421 4.4.2")
    with listening(idle_seconds=0.3) as server, Client(server.port) as client:
        assert client.ends()
    with listening(session_seconds=0.3) as server, Client(server.port) as client, suppress(ConnectionError):
        while client.say("NOOP"):
            pass


def test_connections_and_receivers_are_limited() -> None:
    with listening(connections=2, recipients=1) as server, Client(server.port) as client, Client(server.port):
        with Client(server.port) as third:
            assert third.greeting.startswith("421 4.3.2")
        assert [answer[:9] for answer in client.begin(ANA, BEN)] == ["250 2.1.5", "452 4.5.3"]
        assert client.data(RAW)[0].startswith("250")


def test_when_it_is_stopped_a_transaction_is_finished_and_the_others_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as server, Client(server.port) as idle, Client(server.port) as client:
        client.begin(ANA)
        server.ask_to_stop()
        assert idle.reply().startswith("421 4.3.2")
        assert client.data(RAW)[0].startswith("250")
        assert client.reply().startswith("421 4.3.2")
        server.wait()
    assert Message.objects.exists()


def test_what_is_being_filed_when_it_is_stopped_is_committed_and_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    began, may_go_on = threading.Event(), threading.Event()
    deliver_once = lmtp.deliver_once

    def deliver(*arguments: object, **more: object) -> object:
        began.set()
        may_go_on.wait(PATIENCE)
        return deliver_once(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(lmtp, "deliver_once", deliver)
    with listening() as server, Client(server.port) as client:
        client.begin(ANA)
        client.say("DATA")
        client.send(RAW + b".\r\n")
        assert began.wait(PATIENCE)
        server.ask_to_stop()
        may_go_on.set()
        assert client.reply().startswith("250")
        server.wait()


def test_logs_name_rows_and_sizes_but_nobody_s_words(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        client.begin(ANA, "nobody@our.example")
        client.data(RAW)
        client.say("QUIT")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("fetcher")]
    assert ours == [f"message {(m := Message.objects.get()).pk} of {len(RAW)} bytes was delivered to user {m.owner_id}"]


@pytest.mark.parametrize("text", ["8024", "localhost", "127.0.0.1:", ":8024", "127.0.0.1:70000", "127.0.0.1:x"])
def test_an_address_that_is_none_is_refused_in_words(text: str) -> None:
    with pytest.raises(CommandError, match="is no address to listen at"):
        call_command("lmtp", listen=text, stdout=io.StringIO())


def test_a_port_that_is_taken_is_named(server: Listening) -> None:
    with pytest.raises(CommandError, match=rf"Cannot listen at 127\.0\.0\.1:{server.port}"):
        call_command("lmtp", listen=f"127.0.0.1:{server.port}", stdout=io.StringIO())


def test_addresses_of_ipv6_stand_in_brackets() -> None:
    assert lmtp.endpoint("[::1]:8024") == ("::1", 8024)
