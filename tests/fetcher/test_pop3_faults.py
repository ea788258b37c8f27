"""POP3 servers that misbehave: each fault ends soon, with its kind and a sentence for people, and loses nothing."""

from __future__ import annotations

import threading
import time

import pytest

from crm_mail.demo.pop3_server import Pop3Server
from fetcher.pop3 import Limits, Pop3Error, SessionBroken
from tests.fetcher.test_pop3 import raws, signed_in, unknown
from tests.servers import (
    Cut,
    Do,
    Edit,
    Endless,
    Fault,
    Misdeed,
    Say,
    ScriptedPop3Server,
    Stall,
    Trickle,
    mailbox,
)

MESSAGES = [b"Subject: %d\r\n\r\n" % n + b"%d " % n * 50 + b"\r\n" for n in range(1, 11)]
SOON = 0.3


def everything(server: Pop3Server, *, timeout: float = 10, seconds: float = 20) -> None:
    """All that a poll does, in so much time."""
    with unknown(server, timeout=timeout, deadline=time.monotonic() + seconds) as session:
        session.login("user", "secret")
        count, _ = session.stat()
        session.uidl()
        list(session.retrieve(range(1, count + 1)))
        session.delete([1])
        session.quit()


CONVERSATION = ["GREETING", "CAPA", "AUTH", "STAT", "UIDL", "LIST", "RETR", "DELE", "QUIT"]
BAD = [
    pytest.param(Cut(), "network", id="cut"),
    pytest.param(Cut(after=2), "network", id="cut in mid line"),
    pytest.param(Stall(), "timeout", id="silent"),
    pytest.param(Stall(after=2), "timeout", id="silent in mid line"),
    pytest.param(Say(b""), "timeout", id="nothing"),
    pytest.param(Say(b"\r\n"), "protocol", id="empty line"),
    pytest.param(Say(b"bonjour\r\n"), "protocol", id="nonsense"),
    pytest.param(Endless(b"+OK ", b"x"), "protocol", id="line without end"),
    pytest.param(Trickle(seconds=SOON / 2), "timeout", id="a byte now and then"),
]


@pytest.mark.parametrize("command", CONVERSATION)
@pytest.mark.parametrize(("misdeed", "kind"), BAD)
def test_a_fault_at_any_point_ends_the_session_with_its_kind(command: str, misdeed: Misdeed, kind: str) -> None:
    if command == "GREETING" and kind == "protocol" and not isinstance(misdeed, Endless):
        kind = "not_pop3"
    if command == "QUIT" and misdeed == Say(b""):
        kind = "network"  # a server hangs up after QUIT
    seconds = 0.6 if isinstance(misdeed, Trickle) else 20
    server = ScriptedPop3Server(mailbox(*MESSAGES), faults=[Fault(command, misdeed)])
    with server, pytest.raises(SessionBroken) as caught:
        everything(server, timeout=SOON if kind == "timeout" else 10, seconds=seconds)
    assert caught.value.kind == kind
    assert caught.value.sentence.endswith(".")
    if command != "QUIT":
        assert server.uids("user") == [f"u{n}" for n in range(1, 11)]


def test_a_cut_before_the_greeting() -> None:
    server = ScriptedPop3Server(mailbox(), faults=[Fault("CONNECT", Cut())])
    with server, pytest.raises(SessionBroken) as caught:
        unknown(server)
    assert caught.value.kind == "network"


@pytest.mark.parametrize("command", ["CAPA", "UIDL", "LIST", "RETR"])
@pytest.mark.parametrize(
    ("misdeed", "kind"),
    [
        pytest.param(Say(b"+OK\r\n"), "timeout", id="+OK and nothing"),
        pytest.param(Cut(after=-3), "network", id="cut before the final dot"),
        pytest.param(Stall(after=-3), "timeout", id="silent before the final dot"),
    ],
)
def test_a_listing_or_message_that_does_not_end(command: str, misdeed: Misdeed, kind: str) -> None:
    boxes = mailbox(*[MESSAGES[0]] * 2 * Limits().window)
    server = ScriptedPop3Server(boxes, faults=[Fault(command, misdeed)])
    with server, pytest.raises(SessionBroken) as caught:
        everything(server, timeout=SOON if kind == "timeout" else 10)
    assert caught.value.kind == kind


@pytest.mark.parametrize("cut", [0, 1, 3, 5, 20, 60, -1, -2, -3, -4, -5])
@pytest.mark.parametrize("reset", [False, True])
def test_a_message_that_is_cut_at_any_byte_is_not_taken_for_a_message(cut: int, reset: bool) -> None:
    faults = [Fault("RETR", Cut(after=cut, reset=reset), argument="4")]
    got = []
    with ScriptedPop3Server(mailbox(*MESSAGES), faults=faults) as server, signed_in(server) as session:
        with pytest.raises(SessionBroken) as caught:
            got.extend(session.retrieve(range(1, 11)))
        assert caught.value.kind == "network"
        assert caught.value.while_pipelining
        with pytest.raises(SessionBroken) as again:
            session.quit()
        assert again.value.kind == "network"
    taken = [item.raw for item in got]
    # A reset may overtake what was sent before it.
    assert taken == MESSAGES[: len(taken)]
    assert reset or len(taken) == 3


def test_a_refusal_in_mid_pipeline_concerns_its_message_alone() -> None:
    faults = [
        Fault("RETR", Say(b"-ERR [SYS/TEMP] try later\r\n"), argument="3"),
        Fault("RETR", Say(b"-ERR <b>gone</b>\r\n"), argument="7"),
    ]
    with ScriptedPop3Server(mailbox(*MESSAGES), faults=faults) as server, signed_in(server) as session:
        items = list(session.retrieve(range(1, 11)))
        session.quit()
    assert [item.number for item in items if item.raw is None] == [3, 7]
    assert [item.error.kind for item in items if item.error] == ["sys_temp", "refused"]
    assert [item.raw for item in items if item.raw] == [raw for n, raw in enumerate(MESSAGES, 1) if n not in {3, 7}]


@pytest.mark.parametrize("told", [b"1", b"0", b"999", b"x", b"", b"99999999999999999999999"])
def test_sizes_that_lie_change_nothing(told: bytes) -> None:
    lie = Edit(lambda reply: b" ".join([*reply.split(b" ")[:2], told]) + b"\r\n")
    with (
        ScriptedPop3Server(mailbox(*MESSAGES), faults=[Fault("LIST", lie)]) as server,
        signed_in(server, limits=Limits(window_bytes=500)) as session,
    ):
        assert raws(session, 10) == MESSAGES


@pytest.mark.parametrize("told", [b"+OK", b"+OK 3", b"+OK many 5", b"+OK -1 5"])
def test_a_stat_that_says_nothing_is_none(told: bytes) -> None:
    faults = [Fault("STAT", Say(told + b"\r\n"))]
    with ScriptedPop3Server(mailbox(), faults=faults) as server, signed_in(server) as session:
        with pytest.raises(SessionBroken) as caught:
            session.stat()
        assert caught.value.kind == "protocol"


def test_listing_sizes_may_be_refused() -> None:
    boxes = mailbox(*MESSAGES * 10)
    faults = [Fault("LIST", Say(b"-ERR\r\n"))]
    with ScriptedPop3Server(boxes, faults=faults) as server, signed_in(server) as session:
        assert raws(session, 100) == MESSAGES * 10
        assert raws(session, 2) == MESSAGES[:2]


def test_a_message_larger_than_it_was_said_to_be_is_cut_and_the_session_goes_on() -> None:
    large = b"Subject: large\r\n\r\n" + b"x" * 900_000 + b"\r\n"
    boxes = mailbox(MESSAGES[0], large, MESSAGES[2])
    faults = [Fault("LIST", Say(b"+OK 2 100\r\n"), argument="2")]
    with (
        ScriptedPop3Server(boxes, faults=faults) as server,
        signed_in(server, limits=Limits(message=1000, drained=1 << 20)) as session,
    ):
        first, second, third = session.retrieve([1, 2, 3])
        session.quit()
    assert (first.raw, third.raw) == (MESSAGES[0], MESSAGES[2])
    assert (second.raw, second.is_complete, second.size) == (b"Subject: large\r\n\r\n", False, len(large))


def test_a_message_without_end_gives_its_headers_and_ends_the_session() -> None:
    endless = Endless(b"+OK\r\nSubject: endless\r\n\r\n", b"more\r\n")
    got = []
    with (
        ScriptedPop3Server(mailbox(*MESSAGES), faults=[Fault("RETR", endless, argument="2")]) as server,
        signed_in(server, limits=Limits(message=10_000, drained=1 << 20)) as session,
    ):
        with pytest.raises(SessionBroken) as caught:
            got.extend(session.retrieve(range(1, 11)))
        assert caught.value.kind == "too_big"
        with pytest.raises(SessionBroken) as again:
            session.quit()
        assert again.value.kind == "too_big"
    assert [(item.number, item.raw, item.is_complete) for item in got] == [
        (1, MESSAGES[0], True),
        (2, b"Subject: endless\r\n\r\n", False),
    ]


@pytest.mark.parametrize("limits", [Limits(listing=100_000), Limits(listed=1000)])
def test_a_listing_of_a_million_lines_is_refused(limits: Limits) -> None:
    listing = b"".join(b"%d u%d\r\n" % (n, n) for n in range(1, 20_000))
    faults = [Fault("UIDL", Say(b"+OK\r\n" + listing + b".\r\n"))]
    with ScriptedPop3Server(mailbox(), faults=faults) as server, signed_in(server, limits=limits) as session:
        with pytest.raises(SessionBroken) as caught:
            session.uidl()
        assert caught.value.kind == "too_big"


def test_a_listing_that_is_none() -> None:
    for line in (b"x y", b"-1 u", b"", b"99999999999 u"):
        faults = [Fault("UIDL", Say(b"+OK\r\n" + line + b"\r\n.\r\n"))]
        with ScriptedPop3Server(mailbox(), faults=faults) as server, signed_in(server) as session:
            with pytest.raises(SessionBroken) as caught:
                session.uidl()
            assert caught.value.kind == "protocol"


def test_pipelining_that_loses_commands_is_told_and_works_without() -> None:
    with ScriptedPop3Server(mailbox(*MESSAGES), drops_pipelined=True) as server:
        with signed_in(server, timeout=SOON) as session, pytest.raises(SessionBroken) as caught:
            list(session.retrieve(range(1, 11)))
        assert caught.value.while_pipelining
    server = ScriptedPop3Server(mailbox(*MESSAGES), drops_pipelined=True)
    with server, signed_in(server, pipelining=False) as session:
        assert raws(session, 10) == MESSAGES


def test_nothing_of_a_broken_session_is_read_later() -> None:
    lines = b"+OK\r\n" * 20
    faults = [Fault("RETR", Say(b"nonsense\r\n" + lines), argument="1")]
    with ScriptedPop3Server(mailbox(*MESSAGES), faults=faults) as server, signed_in(server) as session:
        for ask in (lambda: list(session.retrieve([1, 2])), session.stat, session.quit, lambda: session.delete([1])):
            with pytest.raises(SessionBroken) as caught:
                ask()
            assert caught.value.kind == "protocol"


def test_one_byte_now_and_then_ends_with_the_deadline() -> None:
    faults = [Fault("RETR", Trickle(seconds=0.02))]
    began = time.monotonic()
    server = ScriptedPop3Server(mailbox(*MESSAGES), faults=faults)
    with server, pytest.raises(SessionBroken) as caught:
        everything(server, seconds=0.8)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - began < 5


def test_a_stalled_server_goes_on_when_it_wakes_in_time() -> None:
    wake = threading.Event()
    faults = [Fault("RETR", Stall(after=30, until=wake), argument="2")]
    with ScriptedPop3Server(mailbox(*MESSAGES), faults=faults) as server, signed_in(server) as session:
        fetched = session.retrieve(range(1, 11))
        assert next(fetched).raw == MESSAGES[0]
        server.wait_for("RETR 2")
        wake.set()
        assert [item.raw for item in fetched] == MESSAGES[1:]


def test_mail_that_comes_during_a_session_is_seen_by_the_next() -> None:
    server = ScriptedPop3Server(mailbox(*MESSAGES))
    server.faults = [Fault("RETR", Do(lambda: server.deliver("user", b"new\r\n", "new")), argument="1")]
    with server:
        with signed_in(server) as session:
            assert raws(session, 10) == MESSAGES
            assert session.stat()[0] == 10
            session.quit()
        with signed_in(server) as session:
            assert session.uidl()[-1] == (11, "new")


def test_deletion_is_uncertain_without_the_answer_to_quit() -> None:
    for misdeed, kind in ((Cut(), "network"), (Say(b"-ERR some not deleted\r\n"), "refused"), (Stall(), "timeout")):
        faults = [Fault("QUIT", misdeed)]
        with (
            ScriptedPop3Server(mailbox(*MESSAGES), faults=faults) as server,
            signed_in(server, timeout=SOON if kind == "timeout" else 10) as session,
        ):
            session.delete([1])
            with pytest.raises(Pop3Error) as caught:
                session.quit()
            assert caught.value.kind == kind


@pytest.mark.parametrize(
    "greeting",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail.example ESMTP\r\n", b"* OK IMAP4rev1\r\n", b"SSH-2.0-OpenSSH\r\n"],
)
def test_another_service_is_not_pop3_and_its_words_are_kept_back(greeting: bytes) -> None:
    server = ScriptedPop3Server(mailbox(), faults=[Fault("GREETING", Say(greeting))])
    with server, pytest.raises(SessionBroken) as caught:
        unknown(server)
    assert caught.value.kind == "not_pop3"
    assert caught.value.words == ""
