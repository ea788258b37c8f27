"""Connecting to servers that users named: only where mail servers may be, only with certificates that hold."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from pytest_django import Settings

from accounts import servers
from accounts.servers import Endpoint, ServerError, connect, is_public
from tests.certificates import Authority
from tests.servers import Cut, Fault, Say, ScriptedPop3Server, Stall

INSIDE = [
    "127.0.0.1",
    "127.1.2.3",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST.",
    "[::1]",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "100::1",
]
OUTSIDE = ["8.8.8.8", "93.184.215.14", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001:80b::200e", "64:ff9b::808:808"]


@pytest.fixture
def loopback_is_inside(settings: Settings) -> None:
    settings.ALLOWED_MAIL_NETWORKS = []


@pytest.fixture
def authority(tmp_path: Path, settings: Settings) -> Authority:
    authority = Authority(tmp_path)
    settings.MAIL_CA_FILE = str(authority.file)
    return authority


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """A name server of the test's own: for each name its answers, one after the other."""
    zone: dict[str, list[list[str]]] = {}

    def look_up(host: str, port: int | None, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        if host not in zone:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        answers = zone[host]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(0, 0, 0, "", (address, 0)) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(servers, "_known_names", {})
    return zone


def failure(host: str, port: int = 995, security: str = "none", timeout: float = 5.0) -> ServerError:
    with pytest.raises(ServerError) as caught:
        connect(Endpoint(host, port, security), timeout=timeout).close()
    return caught.value


# --- where to -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("loopback_is_inside")
@pytest.mark.parametrize("host", INSIDE)
def test_nothing_inside_is_connected_to_however_it_is_spelled(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(socket.socket, "connect", fail)
    error = failure(host)
    assert error.kind in {"address_not_allowed", "unknown_host", "host_invalid"}


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.usefixtures("loopback_is_inside")
def test_a_name_that_points_inside_is_refused_without_telling_where(addresses: dict[str, list[list[str]]]) -> None:
    addresses["mail.example.com"] = [["10.1.2.3", "::1"]]
    error = failure("mail.example.com")
    assert error.kind == "address_not_allowed"
    assert "10.1" not in error.sentence


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    addresses: dict[str, list[list[str]]], settings: Settings
) -> None:
    settings.ALLOWED_MAIL_NETWORKS = [ipaddress.ip_network("127.0.0.1/32")]
    with ScriptedPop3Server() as good, ScriptedPop3Server(host="127.0.0.2") as bad:
        addresses["rebinding.example"] = [["127.0.0.1"], ["127.0.0.2"]]
        connect(Endpoint("rebinding.example", good.port, "none"), timeout=5).close()
        good.wait_for("CONNECT")
        assert bad.connections == 0


def test_what_a_name_stands_for_is_known_for_a_minute_and_checked_every_time(
    addresses: dict[str, list[list[str]]], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALLOWED_MAIL_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    with ScriptedPop3Server() as server:
        addresses["pop.example"] = [["127.0.0.1"], ["127.0.0.2"]]
        for _ in range(2):
            connect(Endpoint("pop.example", server.port, "none"), timeout=5).close()
            server.wait_for("CONNECT")
        settings.ALLOWED_MAIL_NETWORKS = []
        assert failure("pop.example", server.port).kind == "address_not_allowed"
        settings.ALLOWED_MAIL_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
        now = time.monotonic
        monkeypatch.setattr(servers.time, "monotonic", lambda: now() + 61)
        assert failure("pop.example", server.port).kind == "refused"


def test_a_name_whose_server_is_gone_is_looked_up_again(
    addresses: dict[str, list[list[str]]], settings: Settings
) -> None:
    settings.ALLOWED_MAIL_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    with ScriptedPop3Server(host="127.0.0.2") as moved:
        addresses["pop.example"] = [["127.0.0.3"], ["127.0.0.2"]]
        assert failure("pop.example", moved.port).kind == "refused"
        connect(Endpoint("pop.example", moved.port, "none"), timeout=5).close()
        moved.wait_for("CONNECT")


def test_only_the_allowed_ones_of_several_addresses_are_tried(
    addresses: dict[str, list[list[str]]], settings: Settings
) -> None:
    settings.ALLOWED_MAIL_NETWORKS = [ipaddress.ip_network("127.0.0.1/32")]
    with ScriptedPop3Server() as server:
        addresses["mixed.example"] = [["127.0.0.2", "10.0.0.1", "127.0.0.1"]]
        connect(Endpoint("mixed.example", server.port, "none"), timeout=5).close()
        server.wait_for("CONNECT")


def test_the_next_address_is_tried_when_one_refuses(addresses: dict[str, list[list[str]]]) -> None:
    with ScriptedPop3Server() as server:
        addresses["two.example"] = [["127.0.0.3", "127.0.0.1"]]
        connect(Endpoint("two.example", server.port, "none"), timeout=5).close()
        server.wait_for("CONNECT")


@pytest.mark.parametrize("port", [22, 80, 143, 443, 3306, 5432, 6379, 8000, 0, 65536, -1])
def test_other_ports_of_public_addresses_are_refused(port: int) -> None:
    assert failure("8.8.8.8", port).kind == "port_not_allowed"


def test_any_port_will_do_in_a_network_that_is_allowed_explicitly() -> None:
    with ScriptedPop3Server() as server:
        connect(Endpoint("127.0.0.1", server.port, "none"), timeout=5).close()
        connect(Endpoint("::ffff:127.0.0.1", server.port, "none"), timeout=5).close()
        server.wait_for("CONNECT")
    assert failure("127.0.0.1", 0).kind == "port_not_allowed"


@pytest.mark.parametrize(
    "host",
    ["", " ", ".", "a..b", "-", "a b", "http://pop.example.com", "a/b", "a@b", "a:110", "x" * 64, "a\0b", "é" * 64],
)
def test_what_is_no_host_name_is_refused(host: str) -> None:
    assert failure(host).kind in {"host_invalid", "unknown_host"}


def test_names_of_other_scripts_are_looked_up_as_idna(addresses: dict[str, list[list[str]]]) -> None:
    addresses["xn--fa-hia.example"] = [["127.0.0.1"]]
    with ScriptedPop3Server() as server:
        connect(Endpoint(" Faß.example. ", server.port, "none"), timeout=5).close()
        server.wait_for("CONNECT")


@pytest.mark.usefixtures("addresses")
def test_an_unknown_host_is_told() -> None:
    error = failure("no-such-host.example")
    assert (error.kind, error.sentence) == (
        "unknown_host",
        "There is no server named no-such-host.example. Check the spelling.",
    )


def test_a_name_server_that_hangs_does_not_hold_anybody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(20) and [])
    began = time.monotonic()
    assert failure("slow.example", timeout=0.2).kind == "name_timeout"
    assert time.monotonic() - began < 5
    answered.set()


def test_a_name_server_with_a_passing_problem_is_not_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert failure("pop.example.com").kind == "name_failed"


def test_a_closed_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    error = failure("127.0.0.1", port)
    assert error.kind == "refused"
    assert str(port) in error.sentence


# --- encryption -----------------------------------------------------------------------------------


def tls_failure(tls: ssl.SSLContext, host: str = "localhost") -> str:
    with ScriptedPop3Server(tls=tls, implicit_tls=True) as server:
        return failure(host, server.port, "ssl").kind


def test_a_good_certificate_is_taken_and_the_connection_encrypted(authority: Authority) -> None:
    with ScriptedPop3Server(tls=authority.issue().server_context(), implicit_tls=True) as server:
        for host in ("localhost", "127.0.0.1", "LocalHost."):
            sock = connect(Endpoint(host, server.port, "ssl"), timeout=5)
            assert isinstance(sock, ssl.SSLSocket)
            assert sock.version() in {"TLSv1.2", "TLSv1.3"}
            assert sock.recv(3) == b"+OK"
            assert sock.gettimeout() == 5
            sock.close()


def test_each_bad_certificate_is_told_apart(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger", "Stranger")
    assert tls_failure(authority.issue(ends_in_days=-1).server_context()) == "certificate_expired"
    assert tls_failure(authority.issue(starts_in_days=1).server_context()) == "certificate_not_yet_valid"
    assert tls_failure(authority.issue("other.example").server_context()) == "certificate_name"
    assert tls_failure(authority.issue("localhost").server_context(), "127.0.0.1") == "certificate_name"
    assert tls_failure(stranger.issue().server_context()) == "certificate_issuer"


def test_encryption_that_is_too_old_is_refused(authority: Authority) -> None:
    old = authority.issue().server_context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert tls_failure(old) == "tls_too_old"


def test_a_server_that_does_not_encrypt_is_told() -> None:
    with ScriptedPop3Server() as server:
        assert failure("localhost", server.port, "ssl").kind == "no_tls"


def test_a_server_that_hangs_up_or_is_silent_in_the_handshake_is_told() -> None:
    with ScriptedPop3Server(faults=[Fault("CONNECT", Cut())]) as server:
        assert failure("localhost", server.port, "ssl").kind == "cut"
    with ScriptedPop3Server(faults=[Fault("CONNECT", Stall())]) as server:
        assert failure("localhost", server.port, "ssl", timeout=0.2).kind == "timeout"


def test_a_failed_handshake_closes_the_connection(authority: Authority) -> None:
    with ScriptedPop3Server(faults=[Fault("CONNECT", Say(b"+OK\r\n"))]) as server:
        endpoint = Endpoint("localhost", server.port, "starttls")
        sock = connect(endpoint, timeout=5)
        with pytest.raises(ServerError):
            servers.start_tls(sock, endpoint)
        assert sock.fileno() == -1


def test_the_systems_authorities_stay_trusted_beside_ours(authority: Authority) -> None:
    ours = servers.tls_context()
    system = ssl.create_default_context()
    assert ours.verify_mode == ssl.CERT_REQUIRED
    assert ours.check_hostname
    assert ours.cert_store_stats()["x509_ca"] == system.cert_store_stats()["x509_ca"] + 1
    assert servers.tls_context() is ours


@pytest.mark.parametrize("kind", servers._SENTENCES)
def test_every_kind_has_a_sentence(kind: str) -> None:
    sentence = ServerError(kind, "pop.example.com\n", 995).sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_security_that_does_not_exist_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="security"):
        Endpoint("pop.example.com", 995, "tls")
