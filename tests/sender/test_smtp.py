"""Handing a message to an outgoing server: what it may hear, and what is known when something goes wrong (R36)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.servers import Endpoint, ServerError
from sender.smtp import PERMANENT, Answers, InDoubt, SmtpError, SmtpSession
from tests.certificates import Authority
from tests.sender.scripted import HANGS_UP, ScriptedSmtp
from tests.servers import SmtpSink

ANA, BEA, CARL = "ana@our.example", "bea@acme.example", "carl@x.example"
RAW = b"From: ana@our.example\r\nSubject: Offer\r\n\r\nGood morning\r\n"


class Stopped(Exception):
    """Somebody else holds the message now."""


@contextmanager
def session(port: int, security: str = "none", *, patience: float = 20) -> Iterator[SmtpSession]:
    """A connection to a server of this machine."""
    with SmtpSession.open(Endpoint("localhost", port, security), seconds=20, patience=patience) as opened:
        yield opened


def submit(port: int, *recipients: str, raw: bytes = RAW, patience: float = 20) -> tuple[Answers, list[list[str]]]:
    """Submit a message; what was answered, and how often it was asked whether the data may be ended."""
    asked: list[list[str]] = []
    with session(port, patience=patience) as opened:
        answers = opened.submit(ANA, recipients or (BEA,), raw, before_end=lambda taken: asked.append(list(taken)))
    return answers, asked


def test_each_recipient_s_answer_is_kept_apart() -> None:
    replies = {f"RCPT TO:<{CARL}>": b"550 5.1.1 no such user\r\n", "RCPT TO:<late@x.example>": b"452 full\r\n"}
    with ScriptedSmtp(replies) as server:
        answers, asked = submit(server.port, BEA, CARL, "late@x.example")
    assert answers == Answers([BEA], {CARL: "5.1.1 no such user"}, {"late@x.example": "full"})
    assert asked == [[BEA]]
    assert server.data == RAW


def test_without_any_recipient_the_data_is_not_sent() -> None:
    with ScriptedSmtp({"RCPT": b"550 no\r\n"}) as server:
        answers, asked = submit(server.port)
    assert (answers, asked) == (Answers([], {BEA: "no"}, {}), [])
    assert "DATA" not in server.heard


@pytest.mark.parametrize(
    ("replies", "kind", "is_final"),
    [
        ({"MAIL": b"550 not you\r\n"}, "sender_refused", True),
        ({"MAIL": b"451 not now\r\n"}, "sender_deferred", False),
        ({"MAIL": HANGS_UP}, "cut", False),
        ({"RCPT": HANGS_UP}, "cut", False),
        ({"RCPT": b"421 too busy\r\n"}, "busy", False),
        ({"DATA": HANGS_UP}, "cut", False),
        ({"DATA": b"554 no\r\n"}, "data_refused", True),
        ({"DATA": b"250 what\r\n"}, "data_deferred", False),
        ({".": b"554 spam\r\n"}, "data_refused", True),
        ({".": b"452 full\r\n"}, "data_deferred", False),
        ({".": b"421 going down\r\n"}, "data_deferred", False),
        ({"EHLO": b"250-mail\r\n250 SIZE 10\r\n"}, "too_large", True),
    ],
)
def test_what_was_not_taken_is_known_and_whether_to_try_again(
    replies: Mapping[str, bytes], kind: str, is_final: bool
) -> None:
    with ScriptedSmtp(replies) as server, pytest.raises(SmtpError) as refusal:
        submit(server.port)
    assert (refusal.value.kind, kind in PERMANENT) == (kind, is_final)


@pytest.mark.parametrize("answer", [HANGS_UP, b"nonsense\r\n", b"354 go on\r\n", b"250-and so on", None])
def test_after_the_dot_only_a_clear_answer_is_one(answer: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may have the message: whoever asks is told exactly that."""
    monkeypatch.setattr("sender.smtp._END_SECONDS", 0.3)
    with ScriptedSmtp({".": answer}) as server, pytest.raises(InDoubt):
        submit(server.port)
    assert server.heard[-1] == "."


def test_a_connection_that_breaks_in_mid_data_leaves_no_doubt() -> None:
    """RFC 5321 section 4.1.1.4: without the dot the server has nothing."""
    raw = RAW + b"x" * 70 + b"\r\n" * 2_000_000
    with ScriptedSmtp({}, data_limit=1000) as server, pytest.raises(SmtpError) as refusal:
        submit(server.port, raw=raw)
    assert refusal.value.kind == "cut"


def test_who_is_told_to_stop_before_the_dot_sends_none() -> None:
    """R36: a worker that lost the message to another must not end the data, nor say QUIT inside it."""

    def stop(_taken: list[str]) -> None:
        raise Stopped

    with SmtpSink() as sink:
        with pytest.raises(Stopped), session(sink.port) as opened:
            opened.submit(ANA, [BEA], RAW, before_end=stop)
        submit(sink.port, CARL)
        assert [accepted.recipients for accepted in sink.accepted] == [[CARL]]


def test_a_server_that_says_nothing_is_left_in_time() -> None:
    with ScriptedSmtp({"MAIL": None}) as server, pytest.raises(SmtpError) as refusal:
        submit(server.port, patience=0.3)
    assert refusal.value.kind == "timeout"


@pytest.mark.parametrize("verb", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
def test_a_reply_without_end_is_not_listened_to_for_ever(verb: str) -> None:
    endless = {verb: b"250-more\r\n" * 400_000}
    with ScriptedSmtp(endless) as server, pytest.raises((SmtpError, InDoubt)):
        submit(server.port)


# --- what goes over the wire ---------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"x", b"\r\n.\r\nMAIL FROM:<a@b>\r\n"]), max_size=12))
def test_no_message_ends_its_data_itself(pieces: list[bytes]) -> None:
    """No smuggling: no bare CR or LF goes out, every leading dot is doubled, whatever the message holds."""
    raw = b"Subject: x\r\n\r\n" + b"".join(pieces)
    with ScriptedSmtp({}) as server:
        submit(server.port, raw=raw)
    assert server.heard == ["EHLO", "MAIL", "RCPT", "DATA", ".", "QUIT"]
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", server.data)
    received = re.sub(rb"(?m)^\.", b"", server.data)
    assert received.splitlines() == raw.splitlines()


@pytest.mark.parametrize("address", ["a@b>\r\nRCPT TO:<c@d", "a@b\nRSET", "a\rb@c"])
@pytest.mark.parametrize("place", ["sender", "recipient"])
def test_an_address_with_a_line_end_never_reaches_the_server(address: str, place: str) -> None:
    """What is stored has none; this is the last door."""
    sender, recipient = (address, BEA) if place == "sender" else (ANA, address)
    with ScriptedSmtp({}) as server:
        with session(server.port) as opened, pytest.raises(SmtpError) as refusal:
            opened.submit(sender, [recipient], RAW, before_end=lambda _taken: None)
        server.wait()
    assert refusal.value.kind == "line_break"
    assert not any("RSET" in command or "c@d" in command or "b@c" in command for command in server.commands)


def test_letters_beyond_ascii_before_the_at_need_a_server_that_knows_them() -> None:
    """RFC 6531."""
    with ScriptedSmtp({}) as server, pytest.raises(SmtpError) as refusal:
        submit(server.port, "jürgen@x.example")
    assert refusal.value.kind == "no_utf8"
    assert "MAIL" not in server.heard
    with ScriptedSmtp({"EHLO": b"250-mail\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"}) as server:
        submit(server.port, "jürgen@x.example")
    assert server.commands[1:3] == [f"MAIL FROM:<{ANA}> SMTPUTF8 BODY=8BITMIME", "RCPT TO:<jürgen@x.example>"]


# --- encryption (R8) ------------------------------------------------------------------------------------------------


def test_starttls_that_was_chosen_is_required() -> None:
    """Neither password nor mail goes to a server that does not offer it, or offers and refuses it."""
    for replies in ({}, {"EHLO": b"250-mail\r\n250 STARTTLS\r\n", "STARTTLS": b"454 not now\r\n"}):
        with ScriptedSmtp(replies) as server:
            with pytest.raises(SmtpError) as refusal, session(server.port, "starttls"):
                pass
            server.wait()
        assert refusal.value.kind == "no_starttls"
        assert set(server.heard) <= {"EHLO", "STARTTLS", "QUIT"}


def test_what_was_said_before_the_encryption_is_forgotten(tmp_path: Path, settings: Settings) -> None:
    """RFC 3207 section 4.2, CVE-2021-38371: capabilities offered in the clear, replies injected behind the 220."""
    authority = Authority(tmp_path)
    settings.MAIL_CA_FILE = str(authority.file)
    before = b"250-mail\r\n250-SMTPUTF8\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n"
    injected = b"220 go on\r\n250-evil\r\n250-SMTPUTF8\r\n250 AUTH LOGIN\r\n"
    tls = authority.issue().server_context()
    server = ScriptedSmtp(
        {"EHLO": before, "STARTTLS": injected}, tls=tls, after_tls={"EHLO": b"250-mail\r\n250 8BITMIME\r\n"}
    )
    with server, session(server.port, "starttls") as opened:
        with pytest.raises(SmtpError) as refusal:
            opened.login("ana", "secret")
        assert refusal.value.kind == "no_sign_in"
        with pytest.raises(SmtpError) as refusal:
            opened.submit(ANA, ["jürgen@x.example"], RAW, before_end=lambda _taken: None)
        assert refusal.value.kind == "no_utf8"
    assert server.heard == ["EHLO", "STARTTLS", "EHLO", "QUIT"]


@pytest.mark.parametrize("security", ["ssl", "starttls"])
@pytest.mark.parametrize(
    ("certificate", "kind"),
    [
        ({"names": ["other.example"]}, "certificate_name"),
        ({"names": ["localhost"], "ends_in_days": -1}, "certificate_expired"),
        ({"names": ["localhost"], "starts_in_days": 1}, "certificate_not_yet_valid"),
        (None, "certificate_issuer"),
    ],
)
def test_a_certificate_that_does_not_fit_gets_neither_password_nor_mail(
    tmp_path: Path, settings: Settings, security: str, certificate: dict[str, object] | None, kind: str
) -> None:
    trusted = Authority(tmp_path / "trusted")
    settings.MAIL_CA_FILE = str(trusted.file)
    if certificate is None:
        tls = Authority(tmp_path / "unknown").issue("localhost").server_context()
    else:
        more = {name: value for name, value in certificate.items() if name != "names"}
        tls = trusted.issue(*certificate["names"], **more).server_context()  # type: ignore[misc, arg-type]
    with SmtpSink(users={"user": "secret"}, tls=tls, implicit_tls=security == "ssl") as sink:
        with pytest.raises(ServerError) as refusal, session(sink.port, security):
            pass
        assert sink.accepted == []
    assert refusal.value.kind == kind


def test_only_allowed_networks_are_connected_to(settings: Settings) -> None:
    """R12: the safe connector is the only one."""
    settings.ALLOWED_MAIL_NETWORKS = []
    with pytest.raises(ServerError) as refusal, session(25):
        pass
    assert refusal.value.kind == "address_not_allowed"
