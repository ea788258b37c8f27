"""Each fault of a server ends in a stated state of the mailbox, a sentence and a time to try again; nothing is lost (R16–R18).

What it does to a session alone is in `test_pop3_faults`; here is what the owner of the mailbox sees, and that once the
fault is over every message is there, exactly once.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.utils import timezone

from accounts.mailboxes import change_mailbox
from accounts.models import Mailbox
from fetcher.pop3_wire import Limits
from mail import blobs
from mail.models import Message
from tests import factories, servers
from tests.fetching import fetch
from tests.servers import Cut, Do, Edit, Endless, Fault, Misdeed, Say, ScriptedPop3Server, Stall, Trickle

pytestmark = pytest.mark.django_db

RAWS = [factories.raw_message(subject=f"Message {n}", text="x" * 200) for n in range(1, 8)]
SOON = 0.4
#: Minutes until the next try after a first failure: the interval, or what the kind of error calls for.
INTERVAL, MINUTE, HOUR = (4.7, 5.3), (0.9, 1.1), (56, 61)


@pytest.fixture(autouse=True)
def _impatient(settings: LazySettings) -> None:
    settings.MAIL_SERVER_TIMEOUT = SOON


@pytest.fixture
def server() -> Iterator[ScriptedPop3Server]:
    """A server with seven messages."""
    with ScriptedPop3Server(servers.mailbox(*RAWS)) as server:
        yield server


def minutes_left(mailbox: Mailbox) -> float:
    """Until the next try."""
    return (mailbox.next_fetch_at - timezone.now()).total_seconds() / 60


def recover(server: ScriptedPop3Server) -> None:
    """No fault any more, and no session that still holds the mailbox."""
    server.faults.clear()
    server.mailboxes["user"].is_open = False


def assert_all_is_stored_once(mailbox: Mailbox) -> None:
    """What is here is what the server has, and another poll adds nothing."""
    run = fetch(mailbox)
    assert (mailbox.state, mailbox.last_error, mailbox.error_kind, run.error) == ("ok", "", "", "")
    assert fetch(mailbox).new == 0
    assert sorted(blobs.read(message) for message in Message.objects.all()) == sorted(RAWS)


AT_THE_START = ["GREETING", "CAPA", "AUTH", "STAT", "UIDL"]
BREAKS = [
    pytest.param(Cut(), "network", "was cut", id="cut"),
    pytest.param(Cut(after=3), "network", "was cut", id="cut in mid line"),
    pytest.param(Cut(after=3, reset=True), "network|cut", "was cut|closed the connection", id="reset"),
    pytest.param(Stall(), "timeout", "did not answer in time", id="silent"),
    pytest.param(Say(b"+"), "timeout", "did not answer in time", id="half a word"),
    pytest.param(Say(b"\0\xff\r\n"), "protocol|not_pop3", "POP3", id="rubbish"),
    pytest.param(Endless(b"+OK ", b"x"), "protocol", "POP3 does not know", id="line without end"),
]


@pytest.mark.parametrize("command", AT_THE_START)
@pytest.mark.parametrize(("misdeed", "kind", "says"), BREAKS)
def test_a_session_that_breaks_before_the_first_message_is_tried_again_after_the_interval(
    server: ScriptedPop3Server, command: str, misdeed: Misdeed, kind: str, says: str
) -> None:
    """R18: connect, greeting, sign-in, listing."""
    server.faults.append(Fault(command, misdeed))
    mailbox = factories.mailbox_on(server.port)
    run = fetch(mailbox)
    assert (run.state, run.new, mailbox.state) == ("failed", 0, "error")
    assert re.fullmatch(kind, mailbox.error_kind)
    assert re.search(says, mailbox.last_error)
    assert INTERVAL[0] < minutes_left(mailbox) < INTERVAL[1]
    recover(server)
    assert_all_is_stored_once(mailbox)


@pytest.mark.parametrize("command", ["CONNECT", "QUIT"])
def test_a_cut_before_the_greeting_is_an_error_and_one_at_the_end_is_none(
    server: ScriptedPop3Server, command: str
) -> None:
    """R18: without the answer to QUIT only deletions are uncertain."""
    server.faults.append(Fault(command, Cut(), nth=1))
    mailbox = factories.mailbox_on(server.port)
    run = fetch(mailbox)
    assert (mailbox.state, run.new) == (("error", 0) if command == "CONNECT" else ("ok", len(RAWS)))
    assert_all_is_stored_once(mailbox)


@pytest.mark.parametrize(
    ("misdeed", "kind"),
    [
        pytest.param(Cut(after=60), "network", id="cut"),
        pytest.param(Stall(after=60), "timeout", id="silent"),
        pytest.param(Say(b"OK\r\n"), "protocol", id="no status"),
        pytest.param(Endless(b"+OK\r\n", b"x" * 1000), "too_big", id="a line and a message without end"),
        pytest.param(Endless(b"+OK\r\n\r\n", b"x\r\n"), "too_big", id="a message without end"),
    ],
)
def test_what_came_whole_before_a_message_that_breaks_off_stays(
    server: ScriptedPop3Server, settings: LazySettings, misdeed: Misdeed, kind: str
) -> None:
    """R16: messages 1 to 3 are stored at once; the rest comes with the next poll."""
    settings.MAX_MESSAGE_BYTES = 20_000
    server.faults.append(Fault("RETR", misdeed, argument="4", nth=1))
    mailbox = factories.mailbox_on(server.port)
    run = fetch(mailbox)
    assert (run.state, mailbox.state) == ("failed", "error")
    assert mailbox.error_kind == kind
    recover(server)
    stored = [blobs.read(message) for message in Message.objects.order_by("pk")]
    assert stored[:3] == RAWS[:3]
    if kind != "too_big":
        assert_all_is_stored_once(mailbox)
    else:
        # The endless one counts as too large: it is recorded by its headers, and no poll hangs on it again.
        assert len(stored) == 4
        fetch(mailbox)
        assert (mailbox.state, fetch(mailbox).new, Message.objects.count()) == ("ok", 0, len(RAWS))


@pytest.mark.parametrize(
    ("answer", "kind", "says", "minutes"),
    [
        (b"-ERR [IN-USE] locked", "in_use", "Another program has this mailbox open", MINUTE),
        (b"-ERR [SYS/TEMP] busy", "sys_temp", "passing problem", INTERVAL),
        (b"-ERR [SYS/PERM] broken", "sys_perm", "Ask its operator", HOUR),
        (b"-ERR [LOGIN-DELAY] too soon", "login_delay", "more time between two sign-ins", INTERVAL),
        (b"-ERR mailbox is locked by another session", "in_use", "Another program", MINUTE),
        (b"-ERR <b>please</b> try again later\x07", "sys_temp", "“<b>please</b> try again later”", INTERVAL),
    ],
)
def test_a_refused_sign_in_that_is_no_matter_of_the_password_is_tried_again(
    server: ScriptedPop3Server, answer: bytes, kind: str, says: str, minutes: tuple[float, float]
) -> None:
    """R18; RFC 2449 section 8, RFC 3206. The server's words are shown, without control characters."""
    server.faults.append(Fault("AUTH", Say(answer + b"\r\n")))
    mailbox = factories.mailbox_on(server.port)
    fetch(mailbox)
    assert (mailbox.state, mailbox.error_kind) == ("error", kind)
    assert says in mailbox.last_error
    assert mailbox.last_error.isprintable()
    assert minutes[0] < minutes_left(mailbox) < minutes[1]
    recover(server)
    assert_all_is_stored_once(mailbox)


@pytest.mark.parametrize("answer", [b"-ERR [AUTH] no", b"-ERR invalid password", b"-ERR"])
def test_a_rejected_password_stops_polling(server: ScriptedPop3Server, answer: bytes) -> None:
    """R18."""
    server.faults.append(Fault("AUTH", Say(answer + b"\r\n")))
    mailbox = factories.mailbox_on(server.port)
    fetch(mailbox)
    assert (mailbox.state, mailbox.error_kind, mailbox.next_fetch_at) == (
        "password_rejected",
        "password_rejected",
        None,
    )


@pytest.mark.parametrize("banner", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail.example ESMTP\r\n"])
def test_another_service_is_told_without_its_words(server: ScriptedPop3Server, banner: bytes) -> None:
    """R12: an error is no port scanner."""
    server.faults.append(Fault("GREETING", Say(banner)))
    mailbox = factories.mailbox_on(server.port)
    fetch(mailbox)
    assert (mailbox.state, mailbox.error_kind) == ("error", "not_pop3")
    assert mailbox.last_error == "This is not a POP3 server. Check the server name and the port."


@pytest.mark.parametrize("without", [[], ["CAPA"], ["PIPELINING"], ["TOP"], ["SASL"], ["CAPA", "TOP", "SASL"]])
def test_an_old_server_is_fetched_like_any_other(without: list[str]) -> None:
    """R15: RFC 1939 alone is enough."""
    with ScriptedPop3Server(servers.mailbox(*RAWS), without=without) as server:
        assert_all_is_stored_once(factories.mailbox_on(server.port))


@pytest.mark.parametrize("misdeed", [Trickle(), Edit(lambda reply: reply.replace(b"+OK", b"+OK  \tfine "))])
def test_odd_packets_and_words_change_nothing(server: ScriptedPop3Server, misdeed: Misdeed) -> None:
    """A byte a packet, status lines with text: all of RFC 1939 section 3."""
    server.faults.append(Fault("RETR", misdeed))
    assert_all_is_stored_once(factories.mailbox_on(server.port))


def test_a_listing_without_end_is_refused_and_stores_nothing(server: ScriptedPop3Server) -> None:
    """Bounded: a UIDL of more than half a million lines."""
    listing = b"".join(b"%d u%d\r\n" % (n, n) for n in range(1, Limits().listed + 2))
    server.faults.append(Fault("UIDL", Say(b"+OK\r\n" + listing + b".\r\n")))
    mailbox = factories.mailbox_on(server.port)
    fetch(mailbox)
    assert (mailbox.state, mailbox.error_kind, Message.objects.count()) == ("error", "too_big", 0)
    recover(server)
    assert_all_is_stored_once(mailbox)


def test_a_mailbox_that_another_client_empties_in_mid_session(server: ScriptedPop3Server) -> None:
    """The messages that are refused are tried again, and are found gone."""
    server.faults += [Fault("RETR", Say(b"-ERR no such message\r\n"), argument=str(n)) for n in range(4, 8)]
    mailbox = factories.mailbox_on(server.port)
    run = fetch(mailbox)
    assert (run.state, run.new, mailbox.state) == ("done", 3, "ok")
    assert "did not hand out 4 of its messages" in run.error
    server.faults.clear()
    server.mailboxes["user"].messages.clear()
    run = fetch(mailbox)
    assert (run.state, run.new, run.error, Message.objects.count()) == ("done", 0, "", 3)


def test_deletions_that_are_acknowledged_and_not_done_are_tried_again(server: ScriptedPop3Server) -> None:
    """R10: nothing is stored twice because a server brings its messages back."""
    before = list(server.mailboxes["user"].messages)
    mailbox = factories.mailbox_on(server.port, delete_policy="after_fetch")
    assert fetch(mailbox).deleted == len(RAWS)
    server.mailboxes["user"].messages[:] = before
    run = fetch(mailbox)
    assert (run.new, run.deleted, Message.objects.count()) == (0, len(RAWS), len(RAWS))
    assert server.uids("user") == []


def test_a_server_that_breaks_under_pipelining_is_asked_for_one_message_at_a_time() -> None:
    """RFC 2449 section 6.6 is promised by servers that lose commands; the next poll does without, for a day."""
    with ScriptedPop3Server(servers.mailbox(*RAWS), drops_pipelined=True) as server:
        mailbox = factories.mailbox_on(server.port, delete_policy="after_fetch")
        fetch(mailbox)
        assert (mailbox.state, mailbox.error_kind) == ("error", "pipelining")
        assert mailbox.last_error.endswith("It is tried again in a minute, asking for one message at a time.")
        assert MINUTE[0] < minutes_left(mailbox) < MINUTE[1]
        run = fetch(mailbox)
        assert (run.new, run.deleted, mailbox.state) == (len(RAWS), len(RAWS), "ok")
        assert mailbox.one_by_one_until > timezone.now()
        server.deliver("user", factories.raw_message(subject="Later"), "later")
        assert fetch(mailbox).new == 1


def test_deletions_that_break_under_pipelining_go_one_at_a_time_next(server: ScriptedPop3Server) -> None:
    """R10: they would fail at every poll."""
    mailbox = factories.mailbox_on(server.port)
    fetch(mailbox)
    Mailbox.objects.update(delete_policy="after_fetch")
    server.drops_pipelined = True
    assert (fetch(mailbox).deleted, mailbox.state) == (0, "ok")
    assert fetch(mailbox).deleted == len(RAWS)


def test_a_connection_that_was_cut_after_some_messages_is_no_reason_to_doubt_pipelining(
    server: ScriptedPop3Server,
) -> None:
    """Networks break; asking one by one would make a first import take days."""
    server.faults.append(Fault("RETR", Cut(), argument="5"))
    mailbox = factories.mailbox_on(server.port)
    fetch(mailbox)
    assert (mailbox.error_kind, mailbox.one_by_one_until) == ("network", None)


def test_new_settings_are_a_new_server(server: ScriptedPop3Server) -> None:
    """What was learned of the old one does not hold."""
    mailbox = factories.mailbox_on(server.port)
    Mailbox.objects.update(one_by_one_until=timezone.now())
    change_mailbox(mailbox, incoming_host="localhost")
    assert mailbox.one_by_one_until is None


@pytest.mark.parametrize("meddle", ["empties", "delivers"])
def test_what_happens_on_the_server_in_mid_session_loses_nothing(server: ScriptedPop3Server, meddle: str) -> None:
    """R16: a session sees the mailbox as it was at its start (RFC 1939 section 5)."""
    late = factories.raw_message(subject="Late")

    def deed() -> None:
        if meddle == "delivers":
            server.deliver("user", late, "late")
        else:
            server.mailboxes["user"].messages.clear()

    server.faults.append(Fault("RETR", Do(deed), argument="1", nth=1))
    mailbox = factories.mailbox_on(server.port)
    fetch(mailbox)
    fetch(mailbox)
    stored = sorted(blobs.read(message) for message in Message.objects.all())
    assert stored == sorted([*RAWS, late] if meddle == "delivers" else RAWS)


LARGE = factories.raw_message(subject="Large", attachments=[("a.bin", "application/octet-stream", bytes(2 << 20))])


def test_a_large_message_passes_through_a_file_and_is_kept_as_it_was(server: ScriptedPop3Server) -> None:
    """R16: the bytes, and what is read in them."""
    server.deliver("user", LARGE, "large")
    fetch(factories.mailbox_on(server.port))
    message = Message.objects.get(subject="Large")
    assert blobs.read(message) == LARGE
    assert (message.size, message.attachments.get().size) == (len(LARGE), 2 << 20)


def test_a_full_disk_loses_nothing(server: ScriptedPop3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """R16: what came before the large message is stored; the rest comes once there is room."""
    server.deliver("user", LARGE, "large")
    mailbox = factories.mailbox_on(server.port)
    with monkeypatch.context() as full:
        # Whatever is written there meets *no space left on device*.
        full.setattr(tempfile, "TemporaryFile", lambda: io.BufferedWriter(io.FileIO("/dev/full", "w")))
        with pytest.raises(OSError, match="No space left"):
            fetch(mailbox)
    mailbox.refresh_from_db()
    assert (mailbox.state, mailbox.error_kind) == ("error", "storage")
    assert "could not keep what it fetched" in mailbox.last_error
    assert INTERVAL[0] < minutes_left(mailbox) < INTERVAL[1]
    recover(server)
    run = fetch(mailbox)
    assert (mailbox.state, run.error, fetch(mailbox).new) == ("ok", "", 0)
    assert sorted(blobs.read(message) for message in Message.objects.all()) == sorted([*RAWS, LARGE])
