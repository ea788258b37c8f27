"""The POP3 session against a server that behaves, in all the ways that old and new servers do."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from accounts.servers import Endpoint
from crm_mail.demo.pop3_server import Pop3Server
from fetcher.pop3 import CommandRefused, Limits, Pop3Error, Pop3Session, SessionBroken
from tests.certificates import Authority
from tests.servers import Fault, Say, ScriptedPop3Server, Trickle, mailbox

ODD_MESSAGES = {
    "ordinary": b"Subject: a\r\n\r\nbody\r\n",
    "empty": b"",
    "only a line end": b"\r\n",
    "headers alone": b"Subject: a\r\n\r\n",
    "lone dots": b"Subject: a\r\n\r\n.\r\n..\r\n...\r\n.x\r\n",
    "begins with a dot": b".\r\nx\r\n",
    "bare line feeds": b"Subject: a\n\nx\n.\ny\n\r\n",
    "bare carriage returns": b"a\rb\r\r\n.\r\n\r\r\n",
    "NUL": b"a\0b\0\r\n",
    "8-bit": bytes(range(256)) + b"\r\n",
    "a line of 100 KB": b"x" * 100_000 + b"\r\n",
    "larger than the buffer, dots everywhere": b".\r\n" * 200_000,
    "larger than the buffer": (b"0123456789" * 7 + b"\r\n") * 10_000,
}


def unknown(server: Pop3Server, **options: Any) -> Pop3Session:
    """A session, not encrypted, of somebody who has not signed in."""
    return Pop3Session.open(Endpoint("127.0.0.1", server.port, "none"), **{"timeout": 10.0, **options})


@contextmanager
def signed_in(server: Pop3Server, **options: Any) -> Iterator[Pop3Session]:
    """A session of `user`, not encrypted."""
    with unknown(server, **options) as session:
        session.login("user", "secret")
        yield session


def raws(session: Pop3Session, count: int) -> list[bytes | None]:
    return [item.raw for item in session.retrieve(range(1, count + 1))]


@pytest.mark.parametrize(
    "without", [(), ("PIPELINING",), ("CAPA",), ("SASL",)], ids=["all", "sequential", "old", "PASS"]
)
def test_every_odd_message_arrives_byte_for_byte(without: tuple[str, ...]) -> None:
    messages = list(ODD_MESSAGES.values())
    with ScriptedPop3Server(mailbox(*messages), without=without) as server, signed_in(server) as session:
        assert raws(session, len(messages)) == messages


def test_a_missing_last_line_end_is_added_by_the_protocol() -> None:
    with ScriptedPop3Server(mailbox(b"a\r\nb")) as server, signed_in(server) as session:
        assert raws(session, 1) == [b"a\r\nb\r\n"]


def test_a_byte_a_packet_makes_no_difference() -> None:
    faults = [
        Fault("RETR", Trickle()),
        Fault("UIDL", Trickle()),
        Fault("GREETING", Trickle()),
        Fault("CAPA", Trickle()),
    ]
    messages = [b"Subject: a\r\n\r\n..x\r\n", b"", b".\r\n"]
    with ScriptedPop3Server(mailbox(*messages), faults=faults) as server, signed_in(server) as session:
        assert session.uidl() == [(1, "u1"), (2, "u2"), (3, "u3")]
        assert raws(session, 3) == messages


def test_commands_go_ahead_of_answers_in_bounded_windows() -> None:
    messages = [b"%d\r\n" % n for n in range(1, 41)]
    ahead: list[int] = []
    with ScriptedPop3Server(mailbox(*messages)) as server, signed_in(server, limits=Limits(window=8)) as session:
        for number, item in enumerate(session.retrieve(range(1, 41)), 1):
            ahead.append(len(session._in_flight))
            assert (item.number, item.raw) == (number, messages[number - 1])
    assert ahead[:3] == [7, 14, 13]
    assert max(ahead) < 16
    assert ahead[-8:] == [7, 6, 5, 4, 3, 2, 1, 0]


def test_the_window_is_bounded_in_bytes_and_a_large_message_goes_alone() -> None:
    sizes = [400, 400, 400, 5000, 400]
    messages = [b"x" * (size - 2) + b"\r\n" for size in sizes]
    asked: list[int] = []
    with (
        ScriptedPop3Server(mailbox(*messages)) as server,
        signed_in(server, limits=Limits(window_bytes=1000)) as session,
    ):
        for item in session.retrieve(range(1, 6)):
            asked.append(len(session._in_flight))
            assert item.raw == messages[item.number - 1]
    assert asked == [1, 1, 0, 0, 0]


def test_without_pipelining_nothing_is_sent_ahead() -> None:
    messages = [b"%d\r\n" % n for n in range(1, 10)]
    with ScriptedPop3Server(mailbox(*messages), drops_pipelined=True) as server:
        with signed_in(server, pipelining=False) as session:
            assert not session.is_pipelining
            assert raws(session, 9) == messages
            assert session.delete([1, 2, 3]) == [1, 2, 3]
            session.quit()
        assert server.uids("user") == [f"u{n}" for n in range(4, 10)]


def test_stopping_early_leaves_a_session_that_can_go_on() -> None:
    messages = [b"%d\r\n" % n for n in range(1, 200)]
    with ScriptedPop3Server(mailbox(*messages)) as server:
        with signed_in(server) as session:
            for item in session.retrieve(range(1, 200)):
                if item.number == 5:
                    break
            assert session.stat()[0] == 199
            assert [item.raw for item in session.retrieve([7, 3])] == [b"7\r\n", b"3\r\n"]
            assert session.delete([5]) == [5]
            session.quit()
        assert "u5" not in server.uids("user")
        assert len(server.uids("user")) == 198


def test_few_messages_of_a_large_mailbox_are_sized_one_by_one() -> None:
    with ScriptedPop3Server(mailbox(*[b"x\r\n"] * 300)) as server, signed_in(server) as session:
        list(session.retrieve([299, 300]))
        assert "LIST" not in server.commands
        assert {"LIST 299", "LIST 300"} < set(server.commands)


def test_a_message_over_the_limit_comes_as_its_headers() -> None:
    large = b"Subject: large\r\nX: y\r\n\r\n" + b"x" * 5000 + b"\r\n"
    with (
        ScriptedPop3Server(mailbox(b"a\r\n", large, b"b\r\n")) as server,
        signed_in(server, limits=Limits(message=1000)) as session,
    ):
        first, second, third = session.retrieve([1, 2, 3])
        assert (first.raw, first.is_complete, third.raw) == (b"a\r\n", True, b"b\r\n")
        assert second.raw == b"Subject: large\r\nX: y\r\n\r\n"
        assert (second.is_complete, second.size, second.error) == (False, len(large), None)
        assert "RETR 2" not in server.commands


def test_a_message_over_the_limit_on_a_server_without_top_is_reported() -> None:
    with (
        ScriptedPop3Server(mailbox(b"x" * 5000, b"b\r\n"), without=["TOP"]) as server,
        signed_in(server, limits=Limits(message=1000)) as session,
    ):
        first, second = session.retrieve([1, 2])
    assert first.raw is None
    assert first.error is not None
    assert first.error.kind == "too_big"
    assert second.raw == b"b\r\n"


def test_headers_of_many_messages_are_fetched_in_windows() -> None:
    messages = [b"Subject: %d\r\n\r\nbody\r\n" % n for n in range(1, 101)]
    with ScriptedPop3Server(mailbox(*messages)) as server, signed_in(server) as session:
        got = list(session.retrieve(range(1, 101), headers_only=True))
        assert [item.raw for item in got] == [b"Subject: %d\r\n\r\n" % n for n in range(1, 101)]
        assert session.headers(4) == b"Subject: 4\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "headers"), [(b"", b""), (b"\r\nbody\r\n\r\nmore\r\n", b"\r\n"), (b"A: b\r\n", b"A: b\r\n")]
)
def test_headers_of_a_message_that_has_none(raw: bytes, headers: bytes) -> None:
    with ScriptedPop3Server(mailbox(raw)) as server, signed_in(server) as session:
        assert session.headers(1) == headers


def test_what_is_marked_is_deleted_by_quit_alone() -> None:
    with ScriptedPop3Server(mailbox(b"a\r\n", b"b\r\n")) as server:
        with signed_in(server) as session:
            assert session.delete([1, 7]) == [1]
        assert server.uids("user") == ["u1", "u2"]
        server.wait_for("DELE 7")
    with ScriptedPop3Server(mailbox(b"a\r\n", b"b\r\n")) as server:
        with signed_in(server) as session:
            session.delete([1])
            session.quit()
        assert server.uids("user") == ["u2"]


def test_an_exception_inside_the_block_says_no_quit() -> None:
    with ScriptedPop3Server(mailbox(b"a\r\n")) as server:
        with pytest.raises(ZeroDivisionError), signed_in(server) as session:
            assert 1 / (session.delete([1])[0] - 1)
        assert "QUIT" not in server.commands
        assert server.uids("user") == ["u1"]


def test_uids_come_as_the_server_lists_them_with_doubles_and_gaps() -> None:
    raw = (
        b"+OK\r\n1 same\r\n2 same\r\n3 \r\n4\r\n6 with space\r\n7 \xe9t\xe9\r\n8 a\x01b\r\n9 "
        + b"l" * 300
        + b"\r\n.\r\n"
    )
    with (
        ScriptedPop3Server(mailbox(b"a\r\n"), faults=[Fault("UIDL", Say(raw))]) as server,
        signed_in(server) as session,
    ):
        listing = session.uidl()
    assert listing[:6] == [(1, "same"), (2, "same"), (3, ""), (4, ""), (6, "with space"), (7, "été")]
    assert [uid[:7] for _, uid in listing[6:]] == ["sha256:", "sha256:"]
    assert listing[6][1] != listing[7][1]


def test_one_uid_can_be_asked_for() -> None:
    with ScriptedPop3Server(mailbox(b"a\r\n", b"b\r\n")) as server, signed_in(server) as session:
        assert session.uidl([2]) == [(2, "u2")]
        assert session.uidl([3]) == []
        assert session.stat() == (2, 6)


def test_a_server_without_uidl_says_so() -> None:
    with ScriptedPop3Server(mailbox(b"a\r\n"), without=["UIDL"]) as server, signed_in(server) as session:
        for ask in (session.uidl, lambda: session.uidl([1])):
            with pytest.raises(CommandRefused) as caught:
                ask()
            assert caught.value.kind == "no_uidl"
        assert raws(session, 1) == [b"a\r\n"]


# --- signing in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("without", "expected"),
    [((), ["AUTH PLAIN"]), (("SASL",), ["USER user", "PASS ***"]), (("CAPA",), ["USER user", "PASS ***"])],
)
def test_the_best_way_that_is_offered_is_taken(without: tuple[str, ...], expected: list[str]) -> None:
    with ScriptedPop3Server(mailbox(), without=without) as server, signed_in(server):
        assert [c for c in server.commands if c.startswith(("AUTH", "USER", "PASS"))] == expected


def test_a_long_password_waits_for_the_challenge() -> None:
    password = "p" * 300
    with ScriptedPop3Server(mailbox(b"a\r\n", password=password)) as server, unknown(server) as session:
        session.login("user", password)
        assert session.stat()[0] == 1


def test_spaces_and_letters_of_all_kinds_in_a_password() -> None:
    for without in ((), ("SASL",)):
        boxes = mailbox(password="pass wörd  ✓ ")
        with ScriptedPop3Server(boxes, without=without) as server, unknown(server) as session:
            session.login("user", "pass wörd  ✓ ")
            assert session.stat() == (0, 0)


@pytest.mark.parametrize("password", ["a\r\nDELE 1", "a\nb", "a\0b"])
def test_a_password_can_not_smuggle_a_command(password: str) -> None:
    with ScriptedPop3Server(mailbox()) as server:
        with unknown(server) as session:
            with pytest.raises(Pop3Error) as caught:
                session.login("user", password)
            assert caught.value.kind == "password_rejected"
        assert server.commands == ["CONNECT", "CAPA"]


@pytest.mark.parametrize("fault", ["-ERR no\r\n", "nonsense\r\n", ""])
@pytest.mark.parametrize("without", [(), ("SASL",)])
def test_no_traceback_shows_the_password(fault: str, without: tuple[str, ...]) -> None:
    faults = [Fault(name, Say(fault.encode())) for name in ("PASS", "AUTH")]
    hidden = "very-secret"
    with ScriptedPop3Server(mailbox(), faults=faults, without=without) as server:
        with unknown(server, timeout=0.2) as session:
            try:
                session.login("user", "very" + "-secret")
            except Pop3Error as error:
                caught = error
        shown = "".join(traceback.TracebackException.from_exception(caught, capture_locals=True).format(chain=True))
    # This very function names it once, in a variable that is not the session's.
    shown = shown.replace(f"hidden = {hidden!r}", "")
    encoded = base64.b64encode(b"\0user\0" + hidden.encode()).decode()
    for text in (shown, repr(caught), str(caught), caught.sentence, repr(vars(session))):
        assert hidden not in text
        assert encoded not in text
    assert caught.__cause__ is caught.__context__ is None


# --- encryption -----------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path, settings: Settings) -> Authority:
    authority = Authority(tmp_path)
    settings.MAIL_CA_FILE = str(authority.file)
    return authority


@pytest.mark.parametrize("security", ["ssl", "starttls"])
def test_encrypted_sessions_fetch_and_delete(authority: Authority, security: str) -> None:
    messages = [b"Subject: %d\r\n\r\n" % n + b"x" * 100_000 + b"\r\n" for n in range(10)]
    tls = authority.issue().server_context()
    with ScriptedPop3Server(mailbox(*messages), tls=tls, implicit_tls=security == "ssl") as server:
        with Pop3Session.open(Endpoint("localhost", server.port, security), timeout=10) as session:
            session.login("user", "secret")
            assert raws(session, 10) == messages
            session.delete([1])
            session.quit()
        assert len(server.uids("user")) == 9
        assert server.commands.count("CAPA") == (2 if security == "starttls" else 1)


def test_what_was_announced_before_encryption_is_forgotten(authority: Authority) -> None:
    faults = [
        Fault("CAPA", Say(b"+OK\r\nSTLS\r\nSASL PLAIN\r\nPIPELINING\r\n.\r\n"), nth=1),
        Fault("CAPA", Say(b"-ERR\r\n")),
    ]
    with ScriptedPop3Server(mailbox(), tls=authority.issue().server_context(), faults=faults) as server:
        with Pop3Session.open(Endpoint("localhost", server.port, "starttls"), timeout=10) as session:
            assert session.capabilities == {}
            session.login("user", "secret")
        assert "USER user" in server.commands


def test_text_injected_before_the_handshake_ends_the_session(authority: Authority) -> None:
    faults = [Fault("STLS", Say(b"+OK begin\r\n+OK injected\r\n"))]
    server = ScriptedPop3Server(mailbox(), tls=authority.issue().server_context(), faults=faults)
    with server, pytest.raises(SessionBroken) as caught:
        Pop3Session.open(Endpoint("localhost", server.port, "starttls"), timeout=10)
    assert (caught.value.kind, caught.value.reason) == ("tls", "injected")


def test_no_password_is_sent_where_encryption_was_asked_for_and_is_not_offered(authority: Authority) -> None:
    stripped = ScriptedPop3Server(mailbox())
    refusing = ScriptedPop3Server(
        mailbox(), tls=authority.issue().server_context(), faults=[Fault("STLS", Say(b"-ERR not now\r\n"))]
    )
    for server in (stripped, refusing):
        with server:
            with pytest.raises(CommandRefused) as caught:
                Pop3Session.open(Endpoint("localhost", server.port, "starttls"), timeout=10)
            assert (caught.value.kind, caught.value.reason) == ("tls", "no_starttls")
        assert not any(command.startswith(("USER", "AUTH")) for command in server.commands)
