"""Finding the servers of an address that no known provider has: published, announced, or by who receives its mail (R7)."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.exception
import dns.rdata
import dns.resolver
import pytest
from pytest_django import Settings

from accounts import discovery, https
from accounts.discovery import Found, Source, find, read_configuration
from tests.certificates import Authority

ADDRESS = "bea@firm.example"
CONFIGURATION = """<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1"><emailProvider id="firm.example"><domain>firm.example</domain>
<incomingServer type="imap"><hostname>imap.firm.example</hostname><port>993</port><socketType>SSL</socketType></incomingServer>
<incomingServer type="pop3"><hostname>pop.firm.example</hostname><port>110</port><socketType>STARTTLS</socketType></incomingServer>
<incomingServer type="pop3"><hostname>Pops.firm.example.</hostname><port>995</port><socketType>SSL</socketType>
<username>%EMAILLOCALPART%</username></incomingServer>
<outgoingServer type="smtp"><hostname>smtp.%EMAILDOMAIN%</hostname><port>587</port><socketType>STARTTLS</socketType></outgoingServer>
</emailProvider></clientConfig>"""
PUBLISHED = {
    "incoming_host": "pops.firm.example",
    "incoming_port": 995,
    "incoming_security": "ssl",
    "incoming_username": "bea",
    "outgoing_host": "smtp.firm.example",
    "outgoing_port": 587,
    "outgoing_security": "starttls",
}


@pytest.fixture(autouse=True)
def _looks_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look-ups are on, and nothing answers unless a test says so."""
    settings.LOOK_UP_SERVERS = True
    monkeypatch.setattr(socket, "getaddrinfo", _unknown)
    announce(monkeypatch, {})


def _unknown(*_: object, **__: object) -> Any:
    raise socket.gaierror(socket.EAI_NONAME, "unknown")


def announce(monkeypatch: pytest.MonkeyPatch, records: dict[tuple[str, str], list[str]]) -> None:
    """Have the resolver answer with these records, by name and type."""

    def resolve(name: str, kind: str, **_: object) -> list[dns.rdata.Rdata]:
        if (name, kind) not in records:
            raise dns.resolver.NXDOMAIN
        return [dns.rdata.from_text("IN", kind, text) for text in records[name, kind]]

    monkeypatch.setattr(dns.resolver, "resolve", resolve)


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def body(text: str | bytes, status: int = 200) -> Answer:
    """Answer with a document."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", "https://elsewhere.example/")
        handler.end_headers()
        handler.wfile.write(text if isinstance(text, bytes) else text.encode())

    return answer


@contextmanager
def publishing(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, settings: Settings, folder: Path, *names: str
) -> Iterator[list[tuple[str, str]]]:
    """A web server for `names`, on loopback with a certificate for them; yields what it was asked: host and path."""
    asked: list[tuple[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.headers["Host"], self.path))
            answer(self)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    authority = Authority(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = authority.issue(*names).server_context()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()

    def look_up(host: str, *_: object, **__: object) -> list[Any]:
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(https, "PORT", server.server_address[1])
    settings.MAIL_CA_FILE = str(authority.file)
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("autoconfig.firm.example", "/mail/config-v1.1.xml"),
        ("firm.example", "/.well-known/autoconfig/mail/config-v1.1.xml"),
    ],
)
def test_what_the_domain_publishes_is_taken_and_the_address_is_told_to_nobody(
    name: str, path: str, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    """R7: POP3 with SSL before STARTTLS."""
    with publishing(body(CONFIGURATION), monkeypatch, settings, tmp_path, name) as asked:
        assert find(ADDRESS) == Found(ADDRESS, Source.PUBLISHED, None, PUBLISHED)
    assert asked == [(name, path)]


@pytest.mark.parametrize(
    "answer",
    [
        body("", 404),
        body(CONFIGURATION, 302),
        body("no XML"),
        body(b"\xff\xfe\x00"),
        body(CONFIGURATION + " " * discovery.MAX_BYTES),
        body(CONFIGURATION.replace("<clientConfig", '<!DOCTYPE x [<!ENTITY a "b">]><clientConfig', 1)),
        lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300),
        lambda handler: handler.wfile.write(b"not HTTP\r\n"),
    ],
    ids=["unknown", "redirection", "text", "not UTF-8", "too long", "entities", "too many headers", "not HTTP"],
)
def test_anything_else_is_nothing(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    """R7: hostile answers are read as none."""
    with publishing(answer, monkeypatch, settings, tmp_path, "firm.example"):
        assert find(ADDRESS) == Found(ADDRESS)


def test_a_server_that_trickles_is_cut_off(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    """R7: the time is that of the whole look-up, not of each byte."""
    over = threading.Event()

    def trickle(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while not over.wait(0.05):
                handler.wfile.write(b" ")
        except OSError:
            over.set()

    monkeypatch.setattr(discovery, "SECONDS", 1.0)
    with publishing(trickle, monkeypatch, settings, tmp_path, "firm.example"):
        assert find(ADDRESS) == Found(ADDRESS)
        assert over.wait(10)


def test_a_private_web_server_is_not_asked(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    """attacks: a name that somebody typed must not reach into the network."""
    with publishing(body(CONFIGURATION), monkeypatch, settings, tmp_path, "firm.example") as asked:
        settings.ALLOWED_MAIL_NETWORKS = []
        assert find(ADDRESS) == Found(ADDRESS)
    assert asked == []


def test_without_encryption_nothing_is_proposed() -> None:
    """R8."""
    plain = CONFIGURATION.replace(">SSL<", ">plain<").replace(">STARTTLS<", ">plain<")
    assert read_configuration(plain, ADDRESS) == {}


@pytest.mark.parametrize("host", ["", "a b", "x" * 300, "pop.firm.example/../", "<b>"])
def test_hosts_that_are_none_are_left_out(host: str) -> None:
    text = f"""<clientConfig><incomingServer type="pop3"><hostname>{host.replace("<", "&lt;")}</hostname>
    <port>995</port><socketType>SSL</socketType></incomingServer></clientConfig>"""
    assert read_configuration(text, ADDRESS) == {}


def test_announced_servers_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7; RFC 6186, RFC 8314: by priority, SSL before STARTTLS; a dot says that a service is not offered."""
    announce(
        monkeypatch,
        {
            ("_pop3s._tcp.firm.example", "SRV"): ["20 1 995 second.firm.example.", "10 1 1995 first.firm.example."],
            ("_pop3._tcp.firm.example", "SRV"): ["10 1 110 pop.firm.example."],
            ("_submissions._tcp.firm.example", "SRV"): ["0 0 0 ."],
            ("_submission._tcp.firm.example", "SRV"): ["0 1 587 smtp.firm.example."],
        },
    )
    assert find(ADDRESS) == Found(
        ADDRESS,
        Source.DNS,
        None,
        {
            "incoming_host": "first.firm.example",
            "incoming_port": 1995,
            "incoming_security": "ssl",
            "incoming_username": ADDRESS,
            "outgoing_host": "smtp.firm.example",
            "outgoing_port": 587,
            "outgoing_security": "starttls",
        },
    )


def test_who_receives_the_mail_of_the_domain_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7."""
    announce(monkeypatch, {("firm.example", "MX"): ["1 aspmx.l.google.com.", "5 alt1.aspmx.l.google.com."]})
    found = find(ADDRESS)
    assert (found.source, found.settings["incoming_host"]) == (Source.RECEIVES, "pop.gmail.com")
    assert found.settings["incoming_username"] == ADDRESS


def test_a_known_provider_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7."""
    monkeypatch.setattr(discovery, "_look_up", lambda _: pytest.fail("a look-up"))
    assert find("bea@gmail.com").source == Source.KNOWN


def test_look_ups_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.LOOK_UP_SERVERS = False
    monkeypatch.setattr(discovery, "_look_up", lambda _: pytest.fail("a look-up"))
    assert find(ADDRESS) == Found(ADDRESS)
