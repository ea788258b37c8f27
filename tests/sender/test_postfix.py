"""Answers that go out through a real Postfix, seen by those who get them (R35, R36)."""

from __future__ import annotations

import email
import email.policy
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import cast

import pytest
from pytest_django import Settings

from accounts.models import Mailbox, User
from mail.models import Message
from sender.composing import reply_to, save_draft
from sender.models import Outgoing, Recipient
from sender.sending import send
from tests import factories
from tests.fetching import fetch
from tests.postfix import PASSWORD, Postfix, installed
from tests.sender.senders import deliver, sender_on, written

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.django_db,
    pytest.mark.skipif(not installed(), reason="Postfix or Dovecot is not installed, or this is not root"),
]

REFUSALS = {"gone@acme.example": "550 5.1.1 no such user", "full@acme.example": "452 4.2.2 mailbox full"}
LARGEST = 200_000
State = Recipient.State


@pytest.fixture(scope="module")
def postfix() -> Iterator[Postfix]:
    with Postfix(recipients=REFUSALS, size_limit=LARGEST) as server:
        yield server


@pytest.fixture(autouse=True)
def _trust(postfix: Postfix, settings: Settings) -> None:
    settings.MAIL_CA_FILE = str(postfix.ca_file)


def rep_on(postfix: Postfix, address: str, security: str = "ssl", **fields: str) -> User:
    """Somebody whose mailbox is at Postfix and its Dovecot."""
    port = postfix.tls_port if security == "ssl" else postfix.starttls_port
    connection = {
        "email_address": address,
        "outgoing_host": "localhost",
        "outgoing_security": security,
        "allow_plain_text": False,
        "incoming_host": "localhost",
        "incoming_port": postfix.dovecot.tls_port,
        "incoming_security": "ssl",
        "incoming_username": address,
        "incoming_password": PASSWORD,
    }
    return sender_on(port, **connection | fields)


def write(postfix: Postfix, to: str, raw: bytes) -> None:
    """Have a customer write."""
    with smtplib.SMTP("localhost", postfix.port, timeout=20) as smtp:
        smtp.sendmail("bea@acme.example", [to], raw)
    postfix.wait_until_delivered()


def fetched(user: User) -> Message:
    """Fetch by POP3; the message that came last."""
    assert fetch(Mailbox.objects.get(owner=user, kind=Mailbox.Kind.POP3)).error == ""
    return Message.objects.owned_by(user).order_by("-pk")[0]


def read(raw: bytes) -> EmailMessage:
    """A copy as another mail program reads it."""
    return cast("EmailMessage", email.message_from_bytes(raw, policy=email.policy.default))


def ids(copy: EmailMessage) -> tuple[str, list[str]]:
    """What a mail program threads by (RFC 5322 section 3.6.4)."""
    return copy["In-Reply-To"], copy["References"].split()


@pytest.mark.parametrize("security", ["ssl", "starttls"])
def test_a_conversation_hangs_together_in_the_other_s_mail_program(postfix: Postfix, security: str) -> None:
    """Bea asks, the rep answers, Bea answers that, the rep answers again: over POP3 and SMTP, both encrypted."""
    rep, bea = f"rep.{security}@our.example", f"bea.{security}@acme.example"
    user = rep_on(postfix, rep, security)
    asked = factories.raw_message(sender=bea, to=[rep], message_id="1@acme", references=["0@acme"], subject="Prices?")
    write(postfix, rep, asked)

    first = deliver(send(reply_to(user, fetched(user))))
    assert first.status == Outgoing.Status.SENT
    [copy] = map(read, postfix.wait_for(bea))
    assert (copy["Subject"], copy["To"], copy["Return-Path"]) == ("Re: Prices?", bea, f"<{rep}>")
    assert ids(copy) == ("<1@acme>", ["<0@acme>", "<1@acme>"])
    sent = copy["Message-ID"].strip("<>")

    chain = ["0@acme", "1@acme", sent]
    again = factories.raw_message(sender=bea, to=[rep], message_id="2@acme", references=chain, subject="Re: Prices?")
    write(postfix, rep, again)
    latest = fetched(user)
    assert latest.thread == first.message.thread
    deliver(send(reply_to(user, latest)))
    [_, last] = sorted(map(read, postfix.wait_for(bea, 2)), key=lambda copy: len(copy["References"]))
    assert ids(last) == ("<2@acme>", [f"<{one}>" for one in [*chain, "2@acme"]])
    assert last["Subject"] == "Re: Prices?"
    assert Message.objects.owned_by(user).values("thread").distinct().count() == 1


def test_no_copy_names_a_bcc(postfix: Postfix) -> None:
    """R35: Bcc is in the envelope alone; who is one gets the message all the same."""
    user = rep_on(postfix, "rep.bcc@our.example")
    people = {
        "to": "bea.bcc@acme.example",
        "cc": "carl.bcc@x.example",
        "bcc": "secret.one@y.example, secret.two@z.example",
    }
    outgoing = deliver(send(written(user, **people, text="Hello\n.\n..\nFrom here on\n", subject="Grüße")))
    assert outgoing.status == Outgoing.Status.SENT
    open_copies = [postfix.wait_for(address)[0] for address in ("bea.bcc@acme.example", "carl.bcc@x.example")]
    hidden_copies = [postfix.wait_for(address)[0] for address in ("secret.one@y.example", "secret.two@z.example")]
    for copy in (*open_copies, *hidden_copies):
        assert read(copy)["Bcc"] is None
        assert read(copy)["Subject"] == "Grüße"
        assert read(copy).get_content().rstrip("\n").splitlines()[:4] == ["Hello", ".", "..", "From here on"]
    assert not any(b"secret" in copy for copy in open_copies)
    assert [b"secret.two" in copy for copy in hidden_copies] == [False, True]


def test_each_recipient_s_fate_is_the_server_s_word(postfix: Postfix) -> None:
    """R36: the others have it once, however often the one who is full is tried."""
    user = rep_on(postfix, "rep.fate@our.example")
    outgoing = send(written(user, to="bea.fate@acme.example, gone@acme.example, full@acme.example"))
    for _ in range(2):
        outgoing = deliver(outgoing)
    fate = {one.address: (one.state, one.words) for one in outgoing.recipients.all()}
    assert outgoing.status == Outgoing.Status.QUEUED
    assert fate["bea.fate@acme.example"] == (State.ACCEPTED, "")
    assert fate["gone@acme.example"][0] == State.REFUSED
    assert "no such user" in fate["gone@acme.example"][1]
    assert fate["full@acme.example"][0] == State.OPEN
    assert "mailbox full" in fate["full@acme.example"][1]
    postfix.wait_until_delivered()
    assert len(postfix.received("bea.fate@acme.example")) == 1


def test_a_colleague_s_copy_stays_here_and_the_customer_s_goes_out(postfix: Postfix) -> None:
    """R35: exactly one copy each, neither of which names the Bcc."""
    user = rep_on(postfix, "rep.local@our.example")
    user.organization.delivers_locally = True
    user.organization.save()
    colleague = factories.user(organization=user.organization, mail_account=True)
    here = colleague.mailboxes.get().email_address
    outgoing = deliver(send(written(user, to="bea.local@acme.example", bcc=here)))
    assert outgoing.status == Outgoing.Status.SENT
    [copy] = postfix.wait_for("bea.local@acme.example")
    assert here.encode() not in copy
    received = Message.objects.owned_by(colleague).get()
    assert (received.message_id, received.folder.name) == (outgoing.message.message_id, "Inbox")
    postfix.wait_until_delivered()
    assert postfix.received(here) == []


def test_a_message_that_postfix_finds_too_large_is_not_sent(postfix: Postfix) -> None:
    """The server says its limit beforehand; the sender reads it."""
    user = rep_on(postfix, "rep.large@our.example")
    outgoing = deliver(send(written(user, to="bea.large@acme.example", text="x" * 2 * LARGEST)))
    assert outgoing.status == Outgoing.Status.FAILED
    assert "larger than the server takes" in outgoing.words


def test_a_wrong_password_is_told_and_nothing_goes_out(postfix: Postfix) -> None:
    user = rep_on(postfix, "rep.wrong@our.example", incoming_password="guess")
    outgoing = deliver(send(written(user, to="bea.wrong@acme.example")))
    assert outgoing.status == Outgoing.Status.FAILED
    assert "rejected the user name or the password" in outgoing.words
    postfix.wait_until_delivered()
    assert postfix.received("bea.wrong@acme.example") == []


def test_a_draft_that_is_changed_before_it_goes_arrives_as_changed(postfix: Postfix) -> None:
    user = rep_on(postfix, "rep.changed@our.example")
    draft = written(user, to="bea.changed@acme.example")
    deliver(send(save_draft(draft, draft.revision, text="Better\n")))
    [copy] = postfix.wait_for("bea.changed@acme.example")
    assert read(copy).get_content().strip() == "Better"
