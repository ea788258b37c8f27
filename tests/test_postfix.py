"""The Postfix that other tests send through takes mail in, and shows what it delivered."""

from __future__ import annotations

import email
import smtplib
import ssl
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from accounts.servers import Endpoint
from fetcher.pop3 import Pop3Session
from tests.postfix import PASSWORD, Postfix, installed

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.skipif(not installed(), reason="Postfix or Dovecot is not installed, or this is not root"),
]

RAW = b"From: Ana <ana@our.example>\r\nSubject: Offer\r\n\r\nGood morning\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Postfix]:
    with Postfix(recipients={"gone@acme.example": "550 5.1.1 no such user"}) as server:
        yield server


def _submission(server: Postfix, security: str) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=server.ca_file)
    if security == "ssl":
        return smtplib.SMTP_SSL("localhost", server.tls_port, context=context, timeout=20)
    smtp = smtplib.SMTP("localhost", server.starttls_port, timeout=20)
    smtp.starttls(context=context)
    return smtp


@pytest.mark.parametrize("security", ["ssl", "starttls"])
def test_a_submitted_message_arrives(server: Postfix, security: str) -> None:
    receiver = f"Bea.{security}@acme.example"
    with _submission(server, security) as smtp:
        smtp.login("ana@our.example", PASSWORD)
        refused = smtp.sendmail("ana@our.example", [receiver, "gone@acme.example"], RAW)
    [copy] = map(email.message_from_bytes, server.wait_for(receiver))
    assert {name: code for name, (code, _) in refused.items()} == {"gone@acme.example": 550}
    assert (copy["Subject"], copy["Return-Path"]) == ("Offer", "<ana@our.example>")


def test_nobody_submits_without_signing_in_or_with_a_wrong_password(server: Postfix) -> None:
    with _submission(server, "ssl") as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail("ana@our.example", ["bea@acme.example"], RAW)
    with _submission(server, "ssl") as smtp, pytest.raises(smtplib.SMTPAuthenticationError):
        smtp.login("ana@our.example", "guess")


def test_what_came_from_outside_can_be_fetched_by_pop3(server: Postfix, settings: Settings) -> None:
    settings.MAIL_CA_FILE = str(server.ca_file)
    with smtplib.SMTP("localhost", server.port, timeout=20) as smtp:
        smtp.sendmail("bea@acme.example", ["ana@our.example"], RAW)
    [copy] = server.wait_for("ana@our.example")
    with Pop3Session.open(Endpoint("localhost", server.dovecot.tls_port, "ssl"), timeout=20) as session:
        session.login("ana@our.example", PASSWORD)
        [fetched] = [item.raw for item in session.retrieve([1])]
        session.quit()
    assert fetched.replace(b"\r\n", b"\n") == copy
