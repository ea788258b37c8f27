"""*Test account*, outgoing: every cause told apart, in the sentence a user reads (R12)."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from django.test import override_settings

from accounts.checks import Check, StepName
from accounts.credentials import Secret
from accounts.servers import Endpoint
from crm_mail.demo.delivery import free_port
from sender.checking import check_outgoing
from tests.certificates import Authority
from tests.sender.scripted import ScriptedSmtp
from tests.servers import SmtpSink

N, C, E, S, _ = StepName


def check(
    port: int, security: str = "none", *, host: str = "127.0.0.1", password: str = "secret", seconds: float = 20
) -> Check:
    """A test of the server on loopback."""
    return check_outgoing(Check(Endpoint(host, port, security)), "user", Secret.seal(password), seconds=seconds)


def steps(found: Check) -> list[tuple[StepName, bool]]:
    """The steps and whether they succeeded."""
    return [(step.name, step.ok) for step in found.steps]


def test_a_server_that_works_is_told_step_by_step_and_nothing_is_sent() -> None:
    """R12."""
    with SmtpSink(users={"user": "secret"}) as sink:
        found = check(sink.port)
        assert sink.accepted == []
    assert found.ok
    assert steps(found) == [(N, True), (C, True), (E, True), (S, True)]


@pytest.mark.parametrize("security", ["ssl", "starttls"])
def test_encrypted_servers_are_signed_in_to(tmp_path: Path, security: str) -> None:
    """R8, R12."""
    authority = Authority(tmp_path)
    tls = authority.issue("localhost").server_context()
    sink = SmtpSink(users={"user": "secret"}, tls=tls, implicit_tls=security == "ssl")
    with override_settings(MAIL_CA_FILE=str(authority.file)), sink:
        found = check(sink.port, security, host="localhost")
    assert found.ok, found.detail


def test_a_wrong_password_is_said(tmp_path: Path) -> None:
    """R12: by a real server."""
    with SmtpSink(users={"user": "other"}) as sink:
        found = check(sink.port)
    assert (steps(found), found.cause) == ([(N, True), (C, True), (E, True), (S, False)], "password_rejected")
    assert "rejected the user name or the password" in found.detail


def test_a_refused_connection_is_said() -> None:
    """R12."""
    found = check(free_port())
    assert (steps(found), found.cause) == ([(N, True), (C, False)], "refused")


@pytest.mark.parametrize(
    ("greeting", "cause", "says"),
    [
        (b"+OK POP3 ready\r\n", "not_smtp", "This is not an outgoing mail server. Check the server name and the port."),
        (b"554 no service for you\r\n", "busy", "no service for you"),
        (b"\xff" * 5000 + b"\r\n", "not_smtp", "This is not an outgoing mail server"),
    ],
)
def test_what_does_not_talk_smtp_is_recognised(greeting: bytes, cause: str, says: str) -> None:
    """R12."""
    with ScriptedSmtp({"": greeting}) as server:
        found = check(server.port)
    assert (steps(found), found.cause) == ([(N, True), (C, False)], cause)
    assert says in found.detail


def test_a_server_that_trickles_is_given_up_in_time() -> None:
    """R12: the time is that of the whole test, not of one answer."""
    done = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def trickle() -> None:
        sock, _ = listener.accept()
        with sock:
            while not done.wait(0.05):
                try:
                    sock.sendall(b"220-more\r\n")
                except OSError:
                    return

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    start = time.monotonic()
    found = check(int(listener.getsockname()[1]), seconds=0.5)
    assert time.monotonic() - start < 5
    done.set()
    thread.join(20)
    listener.close()
    assert (steps(found), found.ok) == ([(N, True), (C, False)], False)


def test_encryption_that_is_not_offered_is_said_with_what_to_choose() -> None:
    """R12."""
    with ScriptedSmtp({}) as server:
        found = check(server.port, "starttls")
    assert (steps(found), found.cause) == ([(N, True), (C, True), (E, False)], "no_starttls")
    assert "does not offer STARTTLS. Choose SSL" in found.detail
    assert "AUTH" not in server.heard


@pytest.mark.parametrize(
    ("said", "cause", "says"),
    [
        (b"535 5.7.8 Username and Password not accepted\r\n", "password_rejected", "rejected the user name"),
        (b"534 5.7.9 Application-specific password required\r\n", "app_password_needed", "wants an app password"),
        (b"535 5.7.139 SmtpClientAuthentication is disabled\r\n", "sending_disabled", "Switch it on"),
        (b"538 5.7.11 Encryption required\r\n", "encryption_needed", "only over an encrypted connection"),
        (b"454 4.7.0 Too many login attempts\r\n", "login_delay", "more time between two sign-ins"),
        (b"421 4.3.2 shutting down\r\n", "busy", "Try again later"),
    ],
)
def test_a_refused_sign_in_says_why_and_what_to_do(said: bytes, cause: str, says: str) -> None:
    """R12."""
    with ScriptedSmtp({"AUTH": said}) as server:
        found = check(server.port)
    assert (steps(found), found.cause) == ([(N, True), (C, True), (E, True), (S, False)], cause)
    assert says in found.detail
    assert server.heard.count("AUTH") == 1


def test_a_port_without_sign_in_is_said() -> None:
    """R12: port 25 is for servers among themselves."""
    with ScriptedSmtp({"EHLO": b"250 mail\r\n"}) as server:
        found = check(server.port)
    assert found.cause == "no_sign_in"
    assert "465 or 587" in found.detail


def test_the_password_is_in_no_word_of_the_answer() -> None:
    """R14: not even if the server says it back."""
    with ScriptedSmtp({"AUTH": b"535 no such password: marker-4711\r\n"}) as server:
        found = check(server.port, password="marker-4711")
    assert found.cause == "password_rejected"
    assert "marker-4711" not in repr(found)


def test_a_line_break_in_a_password_never_reaches_the_server() -> None:
    """R12, R14."""
    with ScriptedSmtp({}) as server:
        found = check(server.port, password="a\r\nQUIT")
    assert found.cause == "line_break"
    assert "AUTH" not in server.heard
