"""What servers say when they refuse, read as kinds for programs and shown safely to people (R12, R18)."""

from __future__ import annotations

import pytest

from fetcher import pop3_errors
from fetcher.pop3 import CommandRefused, Pop3Error
from fetcher.pop3_errors import read_status, safe_words
from tests.fetcher.test_pop3 import unknown
from tests.servers import Fault, Say, ScriptedPop3Server, mailbox

SIGN_IN = [
    ("-ERR [AUTH] Authentication failed.", "password_rejected"),
    ("-ERR [auth] no", "password_rejected"),
    ("-ERR", "password_rejected"),
    ("-ERR Logon failure: unknown user name or bad password.", "password_rejected"),
    ("-ERR [SYS/TEMP] Authentication service is down", "sys_temp"),
    ("-ERR [SYS/TEMP/X] more exact", "sys_temp"),
    ("-ERR [SYS/PERM] broken mailbox", "sys_perm"),
    ("-ERR [IN-USE] Mailbox is locked by another session", "in_use"),
    ("-ERR [LOGIN-DELAY] wait", "login_delay"),
    ("-ERR [NOBODY-KNOWS] what", "password_rejected"),
    ("-ERR Unable to lock maildrop: Mailbox is locked by POP server", "in_use"),
    ("-ERR mailbox in use", "in_use"),
    ("-ERR login too frequent", "login_delay"),
    ("-ERR Temporary authentication failure", "sys_temp"),
    ("-ERR Too many connections", "sys_temp"),
    ("-ERR [SYS/PERM] Your account is not enabled for POP access.", "pop_disabled"),
    ("-ERR POP3 access is disabled for your account", "pop_disabled"),
    ("-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.", "encryption_needed"),
]


@pytest.mark.parametrize(("answer", "kind"), SIGN_IN)
@pytest.mark.parametrize("way", ["AUTH", "USER", "PASS"])
def test_a_refused_sign_in_has_the_kind_that_it_deserves(answer: str, kind: str, way: str) -> None:
    without = [] if way == "AUTH" else ["SASL"]
    faults = [Fault(way, Say(f"{answer}\r\n".encode()))]
    with ScriptedPop3Server(mailbox(), faults=faults, without=without) as server, unknown(server) as session:
        with pytest.raises(CommandRefused) as caught:
            session.login("user", "wrong")
        # One try: the session can still go on, but nothing was tried again.
        assert [c for c in server.commands if c.startswith(("AUTH", "PASS"))] in ([], ["AUTH PLAIN"], ["PASS ***"])
    assert caught.value.kind == kind


def test_a_wrong_password_really_tried() -> None:
    with ScriptedPop3Server(mailbox()) as server, unknown(server) as session:
        with pytest.raises(CommandRefused) as caught:
            session.login("user", "not this")
        assert caught.value.kind == "password_rejected"
        assert caught.value.sentence == (
            "The server rejected the user name or the password. It said: “wrong user name or password”"
        )


def test_an_app_password_that_is_wanted_is_a_rejected_one_with_its_own_sentence() -> None:
    faults = [Fault("AUTH", Say(b"-ERR [AUTH] Application-specific password required: https://x.example\r\n"))]
    server = ScriptedPop3Server(mailbox(), faults=faults)
    with server, unknown(server) as session, pytest.raises(CommandRefused) as caught:
        session.login("user", "usual")
    assert (caught.value.kind, caught.value.reason) == ("password_rejected", "app_password_needed")
    assert "app password" in caught.value.sentence


def test_two_sessions_of_one_mailbox_are_in_use() -> None:
    with ScriptedPop3Server(mailbox()) as server, unknown(server) as first, unknown(server) as second:
        first.login("user", "secret")
        with pytest.raises(CommandRefused) as caught:
            second.login("user", "secret")
    assert caught.value.kind == "in_use"


@pytest.mark.parametrize(
    ("greeting", "kind"),
    [
        (b"-ERR busy\r\n", "sys_temp"),
        (b"-ERR [LOGIN-DELAY] wait\r\n", "login_delay"),
        (b"-ERR [SYS/PERM] closed for good\r\n", "sys_perm"),
    ],
)
def test_a_refusing_greeting_passes_unless_it_says_otherwise(greeting: bytes, kind: str) -> None:
    server = ScriptedPop3Server(mailbox(), faults=[Fault("GREETING", Say(greeting))])
    with server, pytest.raises(CommandRefused) as caught:
        unknown(server)
    assert caught.value.kind == kind


def test_words_of_a_server_are_made_safe_but_not_html() -> None:
    assert safe_words(b" <b>no</b>\x1b[31m\0\x07 \xff\xe2\x80\xae ") == "<b>no</b> [31m   �"
    assert len(safe_words(b"x" * 5000)) == 200


def test_status_lines_are_taken_apart() -> None:
    status = read_status(b"-ERR [IN-USE] busy")
    assert status is not None
    assert (status.ok, status.code, status.words) == (False, "IN-USE", "busy")
    assert read_status(b"+ challenge") is None
    assert read_status(b"HTTP/1.1 200 OK") is None


@pytest.mark.parametrize("reason", pop3_errors._SENTENCES)
def test_every_reason_has_a_sentence(reason: str) -> None:
    sentence = Pop3Error(reason).sentence
    assert sentence[0].isupper()
    assert sentence.endswith(".")
