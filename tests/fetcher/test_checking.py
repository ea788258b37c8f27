"""*Test account*, incoming: every cause told apart, in the sentence a user reads (R12)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from django.test import override_settings

from accounts.checks import Check, StepName
from accounts.credentials import Secret
from accounts.servers import Endpoint
from crm_mail.demo.delivery import free_port
from fetcher.checking import check_incoming
from tests.certificates import Authority
from tests.servers import Edit, Fault, Say, ScriptedPop3Server, Stall, mailbox

N, C, E, S, M = StepName


def check(
    port: int, security: str = "none", *, host: str = "127.0.0.1", password: str = "secret", seconds: float = 20
) -> Check:
    """A test of the server on loopback."""
    begun = Check(Endpoint(host, port, security))
    return check_incoming(begun, "user", Secret.seal(password), seconds=seconds, incoming_host=host)


def steps(found: Check) -> list[tuple[StepName, bool]]:
    """The steps and whether they succeeded."""
    return [(step.name, step.ok) for step in found.steps]


def test_a_server_that_works_is_told_step_by_step_and_left_as_it_was() -> None:
    """R12: nothing is fetched, nothing deleted."""
    with ScriptedPop3Server(mailbox(b"Subject: x\r\n\r\nx\r\n", b"Subject: y\r\n\r\ny\r\n")) as server:
        found = check(server.port)
    assert found.ok
    assert steps(found) == [(N, True), (C, True), (E, True), (S, True), (M, True)]
    assert found.detail == "2 messages are on the server."
    asked = {command.split()[0] for command in server.commands}
    assert asked <= {"CONNECT", "CAPA", "AUTH", "USER", "PASS", "STAT", "QUIT"}


@pytest.mark.parametrize(
    ("host", "cause", "says"),
    [
        ("no such name", "host_invalid", "is not a server name"),
        ("pop.nowhere.invalid", "unknown_host", "There is no server named pop.nowhere.invalid. Check the spelling."),
        ("192.168.77.1", "address_not_allowed", "is not a mail server on the public internet"),
    ],
)
def test_a_name_that_leads_nowhere_fails_at_the_first_step(host: str, cause: str, says: str) -> None:
    """R12."""
    found = check(995, "ssl", host=host)
    assert (steps(found), found.cause) == ([(N, False)], cause)
    assert says in found.detail


def test_a_refused_connection_is_told_from_a_name_that_is_wrong() -> None:
    """R12."""
    found = check(free_port())
    assert (steps(found), found.cause) == ([(N, True), (C, False)], "refused")
    assert "refused the connection" in found.detail
    assert "Check the port" in found.detail


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    """R12: at most 20 s in all."""
    with ScriptedPop3Server(mailbox(), faults=[Fault("GREETING", Stall())]) as server:
        start = time.monotonic()
        found = check(server.port, seconds=0.5)
        assert time.monotonic() - start < 5
    assert (steps(found), found.cause) == ([(N, True), (C, False)], "timeout")
    assert "did not answer in time" in found.detail


def test_what_is_no_mail_server_is_recognised() -> None:
    """R12."""
    with ScriptedPop3Server(mailbox(), faults=[Fault("GREETING", Say(b"220 mail ESMTP\r\n"))]) as server:
        found = check(server.port)
    assert (steps(found), found.cause) == ([(N, True), (C, False)], "not_pop3")
    assert "This is not a POP3 server. Check the server name and the port." in found.detail


@pytest.mark.parametrize(
    ("names", "days", "cause", "says"),
    [
        (["localhost"], (-20, -10), "certificate_expired", "has expired. Its operator must renew it."),
        (["other.example"], (-10, 10), "certificate_name", "belongs to another name. Check the server name."),
        (["localhost"], (-10, 10), "certificate_issuer", "was issued by somebody unknown here"),
    ],
)
def test_a_certificate_that_does_not_hold_is_explained(
    tmp_path: Path, names: list[str], days: tuple[int, int], cause: str, says: str
) -> None:
    """R8, R12."""
    authority = Authority(tmp_path)
    tls = authority.issue(*names, starts_in_days=days[0], ends_in_days=days[1]).server_context()
    known = None if cause == "certificate_issuer" else str(authority.file)
    with override_settings(MAIL_CA_FILE=known), ScriptedPop3Server(mailbox(), tls=tls, implicit_tls=True) as server:
        found = check(server.port, "ssl", host="localhost")
    assert (steps(found), found.cause) == ([(N, True), (C, True), (E, False)], cause)
    assert says in found.detail


def test_encryption_that_is_not_offered_is_said_with_what_to_choose() -> None:
    """R12: neither SSL nor STARTTLS."""
    with ScriptedPop3Server(mailbox()) as server:
        ssl, starttls = check(server.port, "ssl"), check(server.port, "starttls")
    assert (steps(ssl), ssl.cause) == ([(N, True), (C, True), (E, False)], "no_tls")
    assert "does not speak SSL" in ssl.detail
    assert (steps(starttls), starttls.cause) == ([(N, True), (C, True), (E, False)], "no_starttls")
    assert "does not offer STARTTLS. Choose SSL" in starttls.detail


@pytest.mark.parametrize(
    ("said", "cause", "says"),
    [
        (b"-ERR [AUTH] Invalid login\r\n", "password_rejected", "rejected the user name or the password"),
        (b"-ERR [AUTH] Application-specific password required\r\n", "app_password_needed", "make one in the provider"),
        (b"-ERR [SYS/PERM] Your account is not enabled for POP access.\r\n", "pop_disabled", "Switch it on"),
        (b"-ERR [IN-USE] Mailbox is locked\r\n", "in_use", "Another program has this mailbox open"),
        (b"-ERR [LOGIN-DELAY] Too soon\r\n", "login_delay", "more time between two sign-ins"),
    ],
)
def test_a_refused_sign_in_says_why_and_what_to_do(said: bytes, cause: str, says: str) -> None:
    """R12."""
    with ScriptedPop3Server(mailbox(), faults=[Fault(name, Say(said)) for name in ("AUTH", "PASS")]) as server:
        found = check(server.port)
    assert steps(found) == [(N, True), (C, True), (E, True), (S, False)]
    assert found.cause == cause
    assert says in found.detail


def test_what_a_known_provider_requires_is_added() -> None:
    """R11, R12: Gmail's rejection comes with the way to an app password."""
    found = Check(Endpoint("pop.gmail.com", 995, "ssl"))
    found.connected()
    found.failed(StepName.SIGN_IN, "password_rejected", "The server rejected the user name or the password.")
    found.advise("pop.gmail.com")
    assert "App passwords" in found.detail


def test_the_password_is_in_no_word_of_the_answer() -> None:
    """R14: not even if the server says it back."""
    said = Edit(lambda _reply: b"-ERR [AUTH] no such password: marker-4711\r\n")
    with ScriptedPop3Server(mailbox(), faults=[Fault(name, said) for name in ("AUTH", "PASS")]) as server:
        found = check(server.port, password="marker-4711")
    assert "marker-4711" not in repr(found)
