"""The POP3 session against a real Dovecot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from accounts.servers import Endpoint
from bench.corpus import generate
from fetcher.pop3 import Pop3Error, Pop3Session
from tests import dovecot

pytestmark = [pytest.mark.dovecot, pytest.mark.skipif(not dovecot.installed(), reason="Dovecot is not installed")]


@pytest.fixture(scope="module")
def corpus() -> list[bytes]:
    return list(generate(200, seed=7, customers=20, attachments=0.05))


@pytest.fixture(scope="module")
def server(corpus: list[bytes]) -> Iterator[dovecot.Dovecot]:
    with dovecot.Dovecot() as server:
        server.add_messages("corpus", corpus)
        yield server


@pytest.fixture(params=["none", "starttls", "ssl"])
def endpoint(request: pytest.FixtureRequest, server: dovecot.Dovecot, settings: Settings) -> Endpoint:
    settings.MAIL_CA_FILE = str(server.ca_file)
    return Endpoint("localhost", server.tls_port if request.param == "ssl" else server.port, request.param)


@pytest.mark.parametrize("pipelining", [True, False])
def test_every_byte_of_a_mailbox_arrives(endpoint: Endpoint, pipelining: bool, corpus: list[bytes]) -> None:
    with Pop3Session.open(endpoint, timeout=20, pipelining=pipelining) as session:
        session.login("corpus", dovecot.PASSWORD)
        numbers = [number for number, _ in session.uidl()]
        got = [bytes(item.raw) for item in session.retrieve(numbers)]
        session.quit()
    assert got == corpus


def test_dovecot_pipelines_and_its_listings_agree(endpoint: Endpoint, corpus: list[bytes]) -> None:
    with Pop3Session.open(endpoint, timeout=20) as session:
        session.login("corpus", dovecot.PASSWORD)
        assert session.is_pipelining
        listing = session.uidl()
        assert session.stat() == (len(corpus), sum(map(len, corpus)))
        assert session.sizes() == {n: len(raw) for n, raw in enumerate(corpus, 1)}
        assert session.uidl([len(corpus)]) == listing[-1:]
        assert session.headers(3) == corpus[2][: corpus[2].index(b"\r\n\r\n") + 4]


def test_deletion_needs_quit(server: dovecot.Dovecot, endpoint: Endpoint, corpus: list[bytes]) -> None:
    user = f"deleting-{endpoint.security}"
    server.add_messages(user, corpus[:5])
    with Pop3Session.open(endpoint, timeout=20) as session:
        session.login(user, dovecot.PASSWORD)
        assert session.delete([1, 2, 9]) == [1, 2]
    with Pop3Session.open(endpoint, timeout=20) as session:
        session.login(user, dovecot.PASSWORD)
        assert session.stat()[0] == 5
        assert session.delete([1, 2]) == [1, 2]
        session.quit()
    with Pop3Session.open(endpoint, timeout=20) as session:
        session.login(user, dovecot.PASSWORD)
        assert session.stat()[0] == 3


def test_dovecot_rejects_a_wrong_password(endpoint: Endpoint) -> None:
    with Pop3Session.open(endpoint, timeout=20) as session, pytest.raises(Pop3Error) as caught:
        session.login("corpus", "wrong")
    assert caught.value.kind == "password_rejected"
