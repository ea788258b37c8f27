"""A real Postfix delivers to CRM Mail accounts by LMTP (R4)."""

from __future__ import annotations

import re
import smtplib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from django.db import connection

from mail import blobs, delivering
from mail.models import Message
from sharing.visibility import visible_to
from tests import factories
from tests.fetcher.listening import listening
from tests.patience import PATIENCE
from tests.postfix import Postfix, installed
from tests.processes import program

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not installed(), reason="Postfix or Dovecot is not installed, or this is not root"),
]

ANA, BEN = "ana.mail@our.example", "ben.mail@our.example"


def _goes_through(_answer: bytes) -> bool:
    return False


class Between:
    """Stands between Postfix and the listener of the moment; `hears` may look at what the listener answers.

    When `hears` says yes, the answer is lost and so is the connection.
    """

    def __init__(self) -> None:
        self.port_of_listener = 0
        self.hears: Callable[[bytes], bool] = _goes_through
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            try:
                listener = socket.create_connection(("127.0.0.1", self.port_of_listener), timeout=PATIENCE)
            except OSError:
                client.close()
                continue
            client.settimeout(PATIENCE)
            threading.Thread(target=self._pass_on, args=(client, listener, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(listener, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with source, target:
            try:
                while (data := source.recv(65536)) and not (is_answer and self.hears(data)):
                    target.sendall(data)
                target.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


@pytest.fixture(scope="module")
def between() -> Iterator[Between]:
    made = Between()
    yield made
    made.close()


@pytest.fixture(scope="module")
def postfix(between: Between) -> Iterator[Postfix]:
    with Postfix(transports={"our.example": f"lmtp:inet:127.0.0.1:{between.port}"}) as server:
        yield server


@pytest.fixture(autouse=True)
def people(between: Between) -> None:
    """Ana and Ben, whose CRM Mail accounts take mail."""
    between.hears = _goes_through
    home = factories.organization()
    for name, address in (("Ana", ANA), ("Ben", BEN)):
        factories.user(organization=home, name=name, mail_account=True).mailboxes.update(email_address=address)


@contextmanager
def listener(between: Between, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`manage.py lmtp` as a process of its own."""
    with program("django", "lmtp", "--listen", "127.0.0.1:0", stdout=subprocess.PIPE, **environment) as process:
        assert process.stdout is not None
        between.port_of_listener = int(process.stdout.readline().rpartition(":")[2])
        yield process


def send(postfix: Postfix, receivers: list[str], raw: bytes, sender: str = "bea@acme.example") -> None:
    """Hand a message to Postfix as somebody outside does."""
    with smtplib.SMTP("localhost", postfix.port, timeout=20) as smtp:
        assert smtp.sendmail(sender, receivers, raw) == {}


def filed() -> list[str]:
    """Whose accounts have a message."""
    return sorted(Message.objects.values_list("mailbox__email_address", flat=True))


def test_each_receiver_gets_a_copy_and_the_sender_is_told_of_who_is_unknown(postfix: Postfix, between: Between) -> None:
    """Ben is a Bcc: Ana's copy does not name him."""
    raw = factories.raw_message(to=[ANA], subject="To all")
    with listener(between) as process:
        send(postfix, [ANA.upper(), BEN, "nobody@our.example"], raw)
        [report] = postfix.wait_for("bea@acme.example")
        postfix.wait_until_delivered()
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert b"nobody@our.example" in report
    assert b"550 5.1.1" in report
    assert b"ana.mail" not in report.partition(b"Content-Type: message/")[0].lower()
    copies = {message.mailbox.email_address: blobs.read(message) for message in Message.objects.all()}
    assert copies.keys() == {ANA, BEN}
    for address, copy in copies.items():
        assert copy.startswith(b"Return-Path: <bea@acme.example>\r\nDelivered-To: %b\r\nReceived: " % address.encode())
        assert copy.endswith(raw)
    assert b"ben.mail" not in copies[ANA]


def test_mail_that_came_by_lmtp_is_shared_as_its_owner_allows(postfix: Postfix, between: Between) -> None:
    """sharing.md: not before a mode is chosen for the CRM Mail account, then by the rule."""
    with listener(between):
        send(postfix, [ANA], factories.raw_message(to=[ANA]))
        postfix.wait_until_delivered()
    message = Message.objects.get()
    factories.customer(organization=message.organization, addresses=["bea@acme.example"])
    colleague = factories.user(organization=message.organization)
    assert not visible_to(colleague).exists()
    factories.share(message.mailbox, "public")
    assert visible_to(colleague).get() == message
    factories.share(message.mailbox, "public", ["acme.example"])
    assert not visible_to(colleague).exists()


def test_a_listener_killed_between_commit_and_answer_files_nothing_twice(postfix: Postfix, between: Between) -> None:
    """kill -9 after the first of two receivers' 250 was written: Postfix never sees it and sends all again."""
    with ExitStack() as stack:
        first = stack.enter_context(listener(between))

        def kill(answer: bytes) -> bool:
            if b"250 2.0.0 Delivered as" not in answer:
                return False
            first.kill()
            return True

        between.hears = kill
        send(postfix, [ANA, BEN], factories.raw_message(to=[ANA, BEN]))
        first.wait(PATIENCE)
        assert ANA in filed()
        between.hears = _goes_through
        stack.enter_context(listener(between))
        postfix.flush()
        postfix.wait_until_delivered()
    assert filed() == [ANA, BEN]
    assert "250 2.0.0 Delivered before" in postfix.log()


def test_mail_waits_in_postfix_while_the_database_is_away_and_is_filed_once(
    postfix: Postfix, between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection to the database ends twice in mid transaction; Postfix hears 451 and comes again."""
    file_messages = delivering.file_messages
    failing = iter([True, True])

    def file_and_fail(*arguments: object) -> object:
        filed = file_messages(*arguments)  # type: ignore[arg-type]
        if next(failing, False):
            connection.connection.close()
        return filed

    monkeypatch.setattr(delivering, "file_messages", file_and_fail)
    answers: list[bytes] = []
    between.hears = lambda answer: bool(answers.append(answer))
    with listening() as server:
        between.port_of_listener = server.port
        send(postfix, [ANA], factories.raw_message(to=[ANA]))
        postfix.wait_until_delivered()
    given = re.findall(rb"(451 4\.3\.0|250 2\.0\.0 Delivered as)", b"".join(answers))
    assert given == [b"451 4.3.0", b"451 4.3.0", b"250 2.0.0 Delivered as"]
    assert filed() == [ANA]


def test_the_sender_is_told_of_a_message_that_is_too_large(postfix: Postfix, between: Between) -> None:
    """Postfix reads the limit in the answer to LHLO and does not send it at all."""
    raw = factories.raw_message(to=[ANA], text="x\n" * 20_000, sender="large@acme.example")
    with listener(between, CRM_MAIL_MAX_MESSAGE_BYTES="20000"):
        send(postfix, [ANA], raw, sender="large@acme.example")
        [report] = postfix.wait_for("large@acme.example")
    assert re.search(rb"exceeds size limit\s+20000", report)
    assert b"Status: 5.3.4" in report
    assert not Message.objects.exists()


def test_two_messages_with_the_same_words_are_two(postfix: Postfix, between: Between) -> None:
    """Postfix stamps each; even without a Message-ID of its own it is no repetition."""
    raw = b"From: cron@our.example\r\nSubject: Backup done\r\n\r\nfine\r\n"
    with listener(between):
        for _ in range(2):
            send(postfix, [ANA], raw)
        postfix.wait_until_delivered()
    assert filed() == [ANA, ANA]


def test_postfix_can_ask_beforehand_who_is_known(postfix: Postfix, between: Between) -> None:
    """What docs/operating.md advises: with `reject_unverified_recipient` strangers are refused at the door."""
    raw = factories.raw_message(to=[ANA])
    with listener(between), smtplib.SMTP("localhost", postfix.verifying_port, timeout=20) as smtp:
        refused = smtp.sendmail("bea@acme.example", [ANA, "stranger@our.example"], raw)
        postfix.wait_until_delivered()
    assert {address: code for address, (code, _) in refused.items()} == {"stranger@our.example": 550}
    assert filed() == [ANA]
