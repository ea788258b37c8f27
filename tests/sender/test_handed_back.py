"""Sent mail that a server hands back over POP3, as Gmail does: here once, and proof that it was sent (R19, R36)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from accounts.models import User
from fetcher.models import SeenUid
from mail.models import Message
from sender import scheduling
from sender.models import Outgoing
from sender.sending import send
from tests import factories
from tests.fetching import fetch
from tests.sender.senders import deliver, sender_on, server, written
from tests.servers import ScriptedPop3Server, SmtpSink

pytestmark = pytest.mark.django_db


@pytest.fixture
def pop3() -> Iterator[ScriptedPop3Server]:
    """A POP3 server with an empty mailbox."""
    with ScriptedPop3Server() as running:
        running.add_mailbox("user", "secret")
        yield running


@pytest.fixture
def smtp() -> Iterator[SmtpSink]:
    """Its outgoing side."""
    with server() as sink:
        yield sink


def rep(pop3: ScriptedPop3Server, smtp: SmtpSink, **fields: Any) -> User:
    """Somebody who fetches from one and sends through the other."""
    return sender_on(smtp.port, incoming_host="127.0.0.1", incoming_port=pop3.port, incoming_security="none", **fields)


def test_a_sent_message_that_comes_back_is_seen_and_not_stored_again(pop3: ScriptedPop3Server, smtp: SmtpSink) -> None:
    """R19: whatever headers the server put above it."""
    user = rep(pop3, smtp)
    outgoing = deliver(send(written(user, cc="carl@x.example")))
    pop3.deliver("user", b"X-Received: by 2002:a17;\r\nReturn-Path: <x@y>\r\n" + smtp.accepted[0].raw)
    pop3.deliver("user", factories.raw_message())
    run = fetch(outgoing.message.mailbox)
    assert run.error == ""
    assert Message.objects.owned_by(user).count() == 2
    assert SeenUid.objects.order_by("pk").first().message == outgoing.message


def test_the_same_message_id_with_other_words_is_another_message(pop3: ScriptedPop3Server, smtp: SmtpSink) -> None:
    """attacks.md: who got a message knows its id; with it they can hide nothing."""
    user = rep(pop3, smtp)
    outgoing = deliver(send(written(user)))
    pop3.deliver("user", smtp.accepted[0].raw.replace(b"Hello", b"Send the money"))
    fetch(outgoing.message.mailbox)
    assert Message.objects.owned_by(user).filter(message_id=outgoing.message.message_id).count() == 2


def test_a_colleague_who_got_it_has_a_copy_of_their_own(pop3: ScriptedPop3Server, smtp: SmtpSink) -> None:
    """R16."""
    other = sender_on(smtp.port)
    outgoing = deliver(send(written(other)))
    user = rep(pop3, smtp, organization=other.organization)
    pop3.deliver("user", smtp.accepted[0].raw)
    fetch(user.mailboxes.get(kind="pop3"))
    assert Message.objects.owned_by(user).get().fingerprint == outgoing.message.fingerprint


def test_a_message_in_doubt_that_comes_back_was_sent(pop3: ScriptedPop3Server, smtp: SmtpSink) -> None:
    """R36: nobody need ask any more."""
    user = rep(pop3, smtp)
    outgoing = deliver(send(written(user)))
    raw = smtp.accepted[0].raw
    Outgoing.objects.update(status="unknown")
    outgoing.recipients.update(state="handed_over")
    Message.objects.update(is_draft=True)
    scheduling.recover()
    pop3.deliver("user", raw)
    fetch(outgoing.message.mailbox)
    settled = Outgoing.objects.get()
    assert (settled.status, settled.recipients.get().state) == ("sent", "accepted")
    assert not Message.objects.get().is_draft
