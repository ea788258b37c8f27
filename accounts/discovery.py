"""The mail servers of an address: from the shipped table, else what its domain publishes, else who receives its mail (R7).

A look-up tells the resolver and the domain's own web server that somebody asks about the domain, never the address. It
goes to addresses of the public internet only, and `settings.LOOK_UP_SERVERS` switches it off. What comes back is a
proposal: nothing is connected to or sent before somebody has seen it in the form.
"""

from __future__ import annotations

import http.client
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from xml.etree import ElementTree as ET

import dns.exception
import dns.resolver
from django.conf import settings

from accounts import https
from accounts.addresses import domain_of
from accounts.providers import Provider, provider_behind, provider_of
from accounts.servers import Endpoint, ServerError, ascii_host

log = logging.getLogger(__name__)

#: Seconds that all look-ups for an address take at most, together.
SECONDS = 5.0
#: Bytes of a published configuration that are read at most.
MAX_BYTES = 64 * 1024

#: What https://www.bucksch.org/1/projects/thunderbird/autoconfiguration/config-file-format.html calls them. One without
#: encryption is never proposed.
_SECURITY = {"SSL": "ssl", "STARTTLS": "starttls"}
#: The services of RFC 6186 and RFC 8314, the best first, with the security of each.
_SRV_INCOMING = (("_pop3s._tcp", "ssl"), ("_pop3._tcp", "starttls"))
_SRV_OUTGOING = (("_submissions._tcp", "ssl"), ("_submission._tcp", "starttls"))

Settings = dict[str, str | int]


class Source(StrEnum):
    """Where the servers of an address were found."""

    KNOWN = "known"
    PUBLISHED = "published"
    DNS = "dns"
    RECEIVES = "receives"
    NOWHERE = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What is known about the mail servers of an address; `settings` are fields of a mailbox, none if nothing is."""

    address: str
    source: Source = Source.NOWHERE
    provider: Provider | None = None
    settings: Settings = field(default_factory=dict)

    @property
    def domain(self) -> str:
        """The domain that was asked about."""
        return domain_of(self.address)


def find(address: str) -> Found:
    """Find the servers of a normalised address, in at most `SECONDS`. Never raises for what others answer."""
    provider = provider_of(address)
    if provider is not None:
        return Found(address, Source.KNOWN, provider, provider.settings(address))
    return _look_up(address) if settings.LOOK_UP_SERVERS else Found(address)


def _look_up(address: str) -> Found:
    """What the domain publishes and announces, and who receives its mail, all asked at once."""
    domain = _host(domain_of(address))
    if not domain:
        return Found(address)
    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor(4, thread_name_prefix="look-up of mail servers") as pool:
        own = pool.submit(_published, f"autoconfig.{domain}", "/mail/config-v1.1.xml", address, until)
        known = pool.submit(_published, domain, "/.well-known/autoconfig/mail/config-v1.1.xml", address, until)
        announced = pool.submit(_announced, domain, address)
        receiving = pool.submit(_mail_exchangers, domain)
    for source, servers in (
        (Source.PUBLISHED, own.result() or known.result()),
        (Source.DNS, announced.result()),
    ):
        if servers:
            return Found(address, source, None, servers)
    provider = provider_behind(receiving.result())
    return Found(address, Source.RECEIVES, provider, provider.settings(address)) if provider else Found(address)


def read_configuration(text: str, address: str) -> Settings:
    """The POP3 and SMTP servers of a published configuration, as fields of a mailbox; empty where there is no POP3.

    Anything that is not such a configuration is read as an empty one, above all one that defines entities.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return {}
    try:
        root = ET.fromstring(text)  # noqa: S314 - what makes XML dangerous, entities, was refused above
    except (ET.ParseError, ValueError):
        return {}
    incoming = _best_server(root, "incomingServer", "pop3", address)
    outgoing = _best_server(root, "outgoingServer", "smtp", address)
    if not incoming:
        return {}
    found = {f"incoming_{name}": value for name, value in incoming.items()}
    found |= {f"outgoing_{name}": value for name, value in outgoing.items() if name != "username"}
    return found


def _best_server(root: ET.Element, kind: str, protocol: str, address: str) -> Settings:
    local, _, domain = address.rpartition("@")
    offered: list[Settings] = []
    for server in root.iter(kind):
        security = _SECURITY.get(_text(server, "socketType").upper())
        port = _text(server, "port")
        if server.get("type") != protocol or security is None or not (port.isascii() and port.isdigit()):
            continue
        host = _host(_text(server, "hostname").replace("%EMAILDOMAIN%", domain))
        if not host or not 0 < int(port[:6]) < 65536:
            continue
        username = _text(server, "username") or "%EMAILADDRESS%"
        for placeholder, value in {
            "%EMAILADDRESS%": address,
            "%EMAILLOCALPART%": local,
            "%EMAILDOMAIN%": domain,
        }.items():
            username = username.replace(placeholder, value)
        offered.append({"host": host, "port": int(port), "security": security, "username": username[:320]})
    return min(offered, key=lambda server: server["security"] != "ssl", default={})


def _text(server: ET.Element, name: str) -> str:
    return (server.findtext(name) or "").strip()[:1000]


def _host(name: str) -> str:
    try:
        return ascii_host(Endpoint(name, https.PORT, "ssl"))
    except ServerError:
        return ""


def _published(host: str, path: str, address: str, until: float) -> Settings:
    """What a web server publishes about a domain's mail servers. Redirections are not followed."""
    try:
        with https.connection(host, until) as sock:
            sock.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: text/xml, application/xml\r\n\r\n".encode())
            response = http.client.HTTPResponse(sock, method="GET")
            response.begin()
            body = response.read(MAX_BYTES + 1) if response.status == http.HTTPStatus.OK else b""
        return read_configuration(body.decode(), address) if len(body) <= MAX_BYTES else {}
    except (ServerError, OSError, http.client.HTTPException, ValueError) as error:
        log.debug("no configuration at %s: %s", host, error)
        return {}


def _announced(domain: str, address: str) -> Settings:
    """The servers that SRV records announce (RFC 6186, RFC 8314)."""
    found: Settings = {}
    for side, services in (("incoming", _SRV_INCOMING), ("outgoing", _SRV_OUTGOING)):
        for service, security in services:
            records = sorted(_records(f"{service}.{domain}", "SRV"), key=lambda record: record.priority)
            host = _host(records[0].target.to_text(omit_final_dot=True)) if records else ""
            if host:
                found |= {f"{side}_host": host, f"{side}_port": records[0].port, f"{side}_security": security}
                break
        if not found:
            return {}
    return found | {"incoming_username": address}


def _mail_exchangers(domain: str) -> list[str]:
    return [record.exchange.to_text() for record in _records(domain, "MX")]


def _records(name: str, kind: str) -> list[Any]:
    try:
        return list(dns.resolver.resolve(name, kind, lifetime=SECONDS / 4, search=False))
    except (dns.exception.DNSException, OSError) as error:
        log.debug("no %s records of %s: %s", kind, name, error)
        return []
