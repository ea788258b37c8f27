"""The whole way of a message with a real server: Dovecot over TLS (R8, R16)."""

from __future__ import annotations

import pytest
from django.test import override_settings

from bench.corpus import generate
from mail import blobs
from mail.models import Message
from tests import factories
from tests.dovecot import PASSWORD, Dovecot, installed
from tests.fetching import fetch

pytestmark = [
    pytest.mark.dovecot,
    pytest.mark.django_db,
    pytest.mark.skipif(not installed(), reason="Dovecot is not installed, or this is not root"),
]
MESSAGES = 300


def test_a_mailbox_on_dovecot_is_stored_byte_by_byte_and_a_second_poll_adds_nothing() -> None:
    """R16, over TLS with a verified certificate."""
    raws = list(generate(MESSAGES, 1, 40, 0.02))
    with Dovecot() as server, override_settings(MAIL_CA_FILE=str(server.ca_file)):
        server.add_messages("rep", raws)
        mailbox = factories.mailbox(
            incoming_host="localhost",
            incoming_port=server.tls_port,
            incoming_username="rep",
            incoming_password=PASSWORD,
        )
        runs = [fetch(mailbox), fetch(mailbox)]
    assert [run.error for run in runs] == ["", ""]
    assert [run.new for run in runs] == [MESSAGES, 0]
    assert [blobs.read(message) for message in Message.objects.order_by("pk")] == raws
