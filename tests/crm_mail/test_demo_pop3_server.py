"""The demonstration's POP3 server, seen by the standard library's client; and the SMTP server that tests send to."""

from __future__ import annotations

import poplib
import smtplib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_mail.demo.pop3_server import Pop3Server
from tests.certificates import Authority
from tests.servers import SmtpSink

MESSAGES = [b"Subject: one\r\n\r\n.dot\r\nbody\r\n", b"Subject: two\r\n\r\n" + b"x" * 500 + b"\r\n", b""]


@pytest.fixture
def server() -> Iterator[Pop3Server]:
    with Pop3Server() as server:
        server.add_mailbox("user", "secret", MESSAGES)
        yield server


def client(server: Pop3Server) -> poplib.POP3:
    pop = poplib.POP3("127.0.0.1", server.port, timeout=10)
    pop.user("user")
    pop.pass_("secret")
    return pop


def test_the_standard_client_reads_everything(server: Pop3Server) -> None:
    pop = client(server)
    assert pop.stat() == (3, sum(map(len, MESSAGES)))
    assert pop.list()[1] == [b"%d %d" % (n, len(raw)) for n, raw in enumerate(MESSAGES, 1)]
    assert pop.uidl()[1] == [f"{n} {uid}".encode() for n, uid in enumerate(server.uids("user"), 1)]
    assert [b"\r\n".join([*pop.retr(n)[1], b""]) if raw else b"" for n, raw in enumerate(MESSAGES, 1)] == MESSAGES
    assert pop.top(1, 1)[1] == [b"Subject: one", b"", b".dot"]
    assert {"PIPELINING", "UIDL", "TOP", "RESP-CODES", "SASL"} <= set(pop.capa())
    pop.quit()


def test_deletion_happens_on_quit_alone_and_can_be_taken_back(server: Pop3Server) -> None:
    first, second, third = server.uids("user")
    pop = client(server)
    pop.dele(1)
    with pytest.raises(poplib.error_proto):
        pop.retr(1)
    assert pop.stat()[0] == 2
    pop.rset()
    pop.dele(2)
    pop.quit()
    assert server.uids("user") == [first, third]
    assert second not in server.uids("user")


def test_a_session_that_breaks_off_deletes_nothing_and_frees_the_mailbox(server: Pop3Server) -> None:
    pop = client(server)
    pop.dele(1)
    with pytest.raises(poplib.error_proto, match="IN-USE"):
        client(server)
    pop.close()
    for thread in threading.enumerate():
        if thread.name.startswith("conversation"):
            thread.join()
    assert client(server).stat()[0] == 3


def test_mail_that_comes_meanwhile_waits_for_the_next_session(server: Pop3Server) -> None:
    pop = client(server)
    server.deliver("user", b"new\r\n", "new-uid")
    assert pop.stat()[0] == 3
    pop.dele(1)
    pop.quit()
    assert server.uids("user")[-1] == "new-uid"
    assert client(server).stat()[0] == 3


def test_a_wrong_password_and_a_wrong_name_are_answered_alike(server: Pop3Server) -> None:
    answers = set()
    for user, password in (("user", "wrong"), ("nobody", "secret")):
        pop = poplib.POP3("127.0.0.1", server.port, timeout=10)
        pop.user(user)
        with pytest.raises(poplib.error_proto) as caught:
            pop.pass_(password)
        answers.add(str(caught.value))
        pop.close()
    assert len(answers) == 1


def test_encryption_from_the_start_or_on_request(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusting = ssl.create_default_context(cafile=str(authority.file))
    tls = authority.issue().server_context()
    with Pop3Server(tls=tls) as server:
        pop = poplib.POP3("localhost", server.port, timeout=10)
        assert "STLS" in pop.capa()
        pop.stls(trusting)
        assert "STLS" not in pop.capa()
        pop.quit()
    with Pop3Server(tls=tls, implicit_tls=True) as server:
        poplib.POP3_SSL("localhost", server.port, context=trusting, timeout=10).quit()


def test_stopping_ends_every_connection_and_thread() -> None:
    before = set(threading.enumerate())
    with Pop3Server() as server:
        server.add_mailbox("user", "secret")
        pop = client(server)
    assert set(threading.enumerate()) <= before
    with pytest.raises((poplib.error_proto, OSError)):
        pop.noop()
    pop.close()


def test_the_smtp_sink_keeps_what_it_takes_and_refuses_as_told() -> None:
    with SmtpSink(users={"user": "secret"}, replies={"gone@x.example": "550 no such user"}) as sink:
        with smtplib.SMTP("127.0.0.1", sink.port, timeout=10) as smtp:
            with pytest.raises(smtplib.SMTPAuthenticationError):
                smtp.login("user", "wrong")
            smtp.login("user", "secret")
            refused = smtp.sendmail("a@x.example", ["b@x.example", "gone@x.example"], b"Subject: a\r\n\r\n.b\r\n")
        assert list(refused) == ["gone@x.example"]
        (accepted,) = sink.wait_for(1)
    assert (accepted.sender, accepted.recipients, accepted.user) == ("a@x.example", ["b@x.example"], "user")
    assert accepted.raw == b"Subject: a\r\n\r\n.b\r\n"


def test_the_smtp_sink_encrypts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusting = ssl.create_default_context(cafile=str(authority.file))
    tls = authority.issue().server_context()
    with SmtpSink(tls=tls) as sink, smtplib.SMTP("localhost", sink.port, timeout=10) as smtp:
        smtp.starttls(context=trusting)
        smtp.sendmail("a@x.example", ["b@x.example"], b"a\r\n")
        assert len(sink.wait_for(1)) == 1
    with SmtpSink(tls=tls, implicit_tls=True) as sink:
        with smtplib.SMTP_SSL("localhost", sink.port, context=trusting, timeout=10) as smtp:
            smtp.sendmail("a@x.example", ["b@x.example"], b"a\r\n")
        assert len(sink.wait_for(1)) == 1
