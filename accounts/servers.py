"""The only place that opens a socket to a host that a user named.

Whoever may type a server name could otherwise use this program to look around in the network it runs in. So a name is
resolved here, every address it has is checked, and the connection goes to the very address that was checked: a name
that changes between check and connection changes nothing. Only addresses of the public internet pass, on ports that
mail uses; `settings.ALLOWED_MAIL_NETWORKS` names further networks, where any port passes. Certificates are always
verified.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import idna
from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: What mail servers listen on: SMTP, POP3, SMTP over TLS, submission, POP3 over TLS, and the usual alternative to 25.
MAIL_PORTS = frozenset({25, 110, 465, 587, 995, 2525})

#: More addresses than this are not tried; a name with hundreds of them would only cost time.
MAX_ADDRESSES = 8

#: The most characters that are shown of what a server says.
WORDS_LIMIT = 200

#: The addresses of names, each until a moment on the monotonic clock. They are checked at every connection all the same.
_known_names: dict[str, tuple[float, list[Address]]] = {}
_NAMES_KNOWN = 4_096
_SECONDS_KNOWN = 60.0

_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # RFC 6890; one cloud keeps its metadata service here
        "192.88.99.0/24",  # RFC 7526: 6to4 relays
        "168.63.129.16/32",  # a public number that means the host itself inside one large cloud
        "2001::/23",  # RFC 2928: Teredo and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # RFC 3056: 6to4 hides any IPv4 address in an IPv6 one
        "3fff::/20",  # RFC 9637: documentation
    )
)

# OpenSSL's X509_V_ERR_ codes.
_CERTIFICATE_ERRORS = {
    9: "certificate_not_yet_valid",
    10: "certificate_expired",
    62: "certificate_name",
    64: "certificate_name",
    18: "certificate_issuer",
    19: "certificate_issuer",
    20: "certificate_issuer",
    21: "certificate_issuer",
}
_TLS_REASONS = {
    "UNSUPPORTED_PROTOCOL": "tls_too_old",
    "NO_PROTOCOLS_AVAILABLE": "tls_too_old",
    "TLSV1_ALERT_PROTOCOL_VERSION": "tls_too_old",
    "WRONG_VERSION_NUMBER": "no_tls",
    "PACKET_LENGTH_TOO_LONG": "no_tls",
    "HTTP_REQUEST": "no_tls",
}
_SYSTEM_ERRORS = (
    (TimeoutError, "timeout"),
    (ConnectionRefusedError, "refused"),
    (ConnectionError, "cut"),
)

_SENTENCES = {
    "host_invalid": "“{host}” is not a server name. It should look like pop.example.com.",
    "unknown_host": "There is no server named {host}. Check the spelling.",
    "address_not_allowed": "{host} is not a mail server on the public internet, so CRM Mail does not connect to it. "
    "An operator can allow its network.",
    "port_not_allowed": "Port {port} is not one that mail servers use. Usual are 995 and 110 for incoming, "
    "465 and 587 for outgoing mail.",
    "refused": "{host} refused the connection on port {port}. Check the port and the security setting.",
    "unreachable": "{host} can't be reached just now. Check the server name, or try again later.",
    "timeout": "{host} did not answer on port {port} in time. Check the server name and the port, or try again later.",
    "name_timeout": "The name {host} could not be looked up in time. Try again later.",
    "name_failed": "The name {host} could not be looked up just now. Try again later.",
    "cut": "{host} closed the connection on port {port} during the start of encryption. "
    "Check the port and the security setting.",
    "certificate_expired": "The certificate of {host} has expired. Its operator must renew it.",
    "certificate_not_yet_valid": "The certificate of {host} is not valid yet. Its operator must look at its dates.",
    "certificate_name": "The certificate that was shown for {host} belongs to another name. Check the server name.",
    "certificate_issuer": "The certificate of {host} was issued by somebody unknown here, so it can't be trusted. "
    "An operator can add its authority.",
    "certificate": "The certificate of {host} can't be trusted.",
    "tls_too_old": "{host} only offers encryption that is too old to be safe (older than TLS 1.2).",
    "no_tls": "{host} does not speak SSL on port {port}. Try STARTTLS, or port 995 for incoming and 465 for "
    "outgoing mail.",
    "tls": "An encrypted connection to {host} could not be agreed on. Check the port and the security setting.",
}


def safe_words(raw: bytes) -> str:
    """A server's words as they can be shown: printable, on one line, at most `WORDS_LIMIT` long. Not HTML-escaped."""
    text = raw[: 4 * WORDS_LIMIT].decode("utf-8", "replace")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text.strip()[:WORDS_LIMIT].rstrip()


class ServerError(Exception):
    """A server could not be connected to.

    `kind` is a stable word for programs, one of the keys of `_SENTENCES`; `sentence` is for people. Neither holds
    an address, a banner or a secret.
    """

    def __init__(self, kind: str, host: str, port: int) -> None:
        self.kind = kind
        self.sentence = _SENTENCES[kind].format(host=_printable(host), port=port)
        super().__init__(self.sentence)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect to, and how: `security` is `ssl`, `starttls` or `none`, as in `Mailbox.Security`."""

    host: str
    port: int
    security: str

    def __post_init__(self) -> None:
        if self.security not in {"ssl", "starttls", "none"}:
            raise ValueError(f"unknown security {self.security!r}")


def connect(
    endpoint: Endpoint,
    *,
    timeout: float,
    ports: Collection[int] = MAIL_PORTS,
    networks: Collection[Network] | None = None,
) -> socket.socket:
    """Open a connection; for `ssl` the encrypted one, for `starttls` a plain one that `start_tls` encrypts later.

    Steps: read the name, resolve it, keep the addresses that are allowed, try those one after the other, shake hands.
    All of it together takes at most `timeout` seconds, which is then the socket's timeout for each operation. `ports`
    are those that may be connected to on the public internet; `networks` are further ones, where any port passes, at
    first `settings.ALLOWED_MAIL_NETWORKS`.

    Raises:
        ServerError: with the reason for people.
    """
    until = time.monotonic() + timeout
    host = ascii_host(endpoint)
    further = settings.ALLOWED_MAIL_NETWORKS if networks is None else networks
    candidates = [address for address in _resolve(host, endpoint, until) if is_allowed(address, further)]
    if not candidates:
        raise ServerError("address_not_allowed", endpoint.host, endpoint.port)
    candidates = [address for address in candidates if _port_fits(address, endpoint.port, ports, further)]
    if not candidates:
        raise ServerError("port_not_allowed", endpoint.host, endpoint.port)
    try:
        sock = _connect_first(candidates[:MAX_ADDRESSES], endpoint, until)
    except ServerError:
        _known_names.pop(host, None)
        raise
    if endpoint.security != "ssl":
        sock.settimeout(timeout)
        return sock
    sock.settimeout(_left(until, "timeout", endpoint))
    encrypted = start_tls(sock, endpoint)
    encrypted.settimeout(timeout)
    return encrypted


def start_tls(sock: socket.socket, endpoint: Endpoint) -> ssl.SSLSocket:
    """Encrypt a connection within its timeout, for `ssl` at once, for `starttls` after the server agreed.

    On failure the socket is closed: what was said on it so far is worth nothing.

    Raises:
        ServerError: the handshake failed; the kind tells a wrong name from a wrong date from no TLS at all.
    """
    with _explained(endpoint, sock):
        return tls_context().wrap_socket(sock, server_hostname=ascii_host(endpoint))


def tls_context() -> ssl.SSLContext:
    """The one way certificates are judged: verified, TLS 1.2 or later, `settings.MAIL_CA_FILE` beside the system's."""
    return _tls_context(settings.MAIL_CA_FILE)


def is_allowed(address: Address, further: Collection[Network]) -> bool:
    """Whether an address is public or in one of the `further` networks."""
    return _is_in(address, further) or is_public(address)


@lru_cache(maxsize=4_096)
def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet: no loopback, private, link-local, shared, multicast, reserved.

    IPv4 addresses inside IPv6 ones (mapped, NAT64) are judged as the IPv4 address that they reach.
    """
    address = _unwrapped(address)
    if any(address in network for network in _NOT_PUBLIC):
        return False
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return address.version == 4 or address in _PUBLIC_V6


def ascii_host(endpoint: Endpoint) -> str:
    """The host as it goes to DNS and into the TLS handshake: lower case, IDNA 2008, no final dot, no brackets.

    Raises:
        ServerError: it is not a host name.
    """
    host = _ascii(endpoint.host)
    if host is None:
        raise ServerError("host_invalid", endpoint.host, endpoint.port)
    return host


@lru_cache(maxsize=4_096)
def _ascii(written: str) -> str | None:
    host = written.strip().rstrip(".")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if _literal(host) is not None:
        return host
    try:
        encoded = idna.encode(host, uts46=True).decode() if not host.isascii() else host.lower()
    except idna.IDNAError:
        return None
    labels = encoded.split(".")
    fits = len(encoded) <= 253 and all(0 < len(label) <= 63 for label in labels)
    return encoded if fits and all(c.isalnum() or c in "-_." for c in encoded) else None


def _resolve(host: str, endpoint: Endpoint, until: float) -> list[Address]:
    """All addresses of `host`, in the system's order. Numbers spelled oddly (0x7f.1, 2130706433) end up here resolved.

    The system's resolver knows no timeout: it runs in a thread of its own, which is left alone when time is up. What it
    found is good for a minute: thousands of mailboxes are on a few hosts.
    """
    literal = _literal(host)
    if literal is not None:
        return [literal]
    until_known, known = _known_names.get(host, (0.0, []))
    if until_known > time.monotonic():
        return known
    answer: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            answer.put(list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            answer.put(error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, "not a name"))

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    try:
        found = answer.get(timeout=_left(until, "name_timeout", endpoint))
    except queue.Empty:
        raise ServerError("name_timeout", endpoint.host, endpoint.port) from None
    if isinstance(found, OSError):
        kind = "name_failed" if found.errno == socket.EAI_AGAIN else "unknown_host"
        raise ServerError(kind, endpoint.host, endpoint.port) from None
    if len(_known_names) >= _NAMES_KNOWN:
        _known_names.clear()
    _known_names[host] = (time.monotonic() + _SECONDS_KNOWN, found)
    return found


def _connect_first(candidates: list[Address], endpoint: Endpoint, until: float) -> socket.socket:
    """A connection to the first address that answers; each gets its share of the time that is left."""
    for place, address in enumerate(candidates):
        share = _left(until, "timeout", endpoint) / (len(candidates) - place)
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            with _explained(endpoint, sock):
                sock.settimeout(share)
                sock.connect((str(address), endpoint.port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except ServerError:
            if place == len(candidates) - 1:
                raise
        else:
            return sock
    raise ServerError("unreachable", endpoint.host, endpoint.port)


@contextmanager
def _explained(endpoint: Endpoint, sock: socket.socket) -> Iterator[None]:
    """Turn what the system says into a `ServerError`, and close the socket on any failure."""
    try:
        yield
    except OSError as error:
        sock.close()
        raise ServerError(_kind(error), endpoint.host, endpoint.port) from error
    except BaseException:
        sock.close()
        raise


def _kind(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_ERRORS.get(error.verify_code, "certificate")
    if isinstance(error, ssl.SSLEOFError):
        return "cut"
    if isinstance(error, ssl.SSLError):
        return _TLS_REASONS.get(error.reason or "", "tls")
    for kind_of_error, kind in _SYSTEM_ERRORS:
        if isinstance(error, kind_of_error):
            return kind
    return "unreachable"


def _left(until: float, kind: str, endpoint: Endpoint) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise ServerError(kind, endpoint.host, endpoint.port)
    return left


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_in(address: Address, networks: Collection[Network]) -> bool:
    address = _unwrapped(address)
    return any(address in network for network in networks)


def _port_fits(address: Address, port: int, ports: Collection[int], further: Collection[Network]) -> bool:
    return port in ports or (1 <= port <= 65535 and _is_in(address, further))


def _printable(host: str) -> str:
    return "".join(c for c in host if c.isprintable())[:253]


@lru_cache(maxsize=16)
def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Cached: reading the system's certificates takes longer than a whole quiet poll may."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(ca_file)
    return context
