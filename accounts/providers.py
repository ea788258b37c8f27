"""What is known about mail providers' servers: guesses that fill in a form, always editable (R7, R9, R11)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from accounts.addresses import domain_covers, domain_of

GMAIL_HOSTS = frozenset({"pop.gmail.com", "pop.googlemail.com"})
RECENT_TAG = "recent:"
#: The port that goes with each choice of security (R8).
INCOMING_PORTS = {"ssl": 995, "starttls": 110, "none": 110}
OUTGOING_PORTS = {"ssl": 465, "starttls": 587, "none": 587}

_TABLE = Path(__file__).with_name("providers.toml")
_POP_LABELS = ("pop", "pop3", "pops", "incoming", "in")


@dataclass(frozen=True, slots=True)
class Provider:
    """A mail provider: its servers, and what its customers must know. The table `providers.toml` explains the fields.

    Where `unavailable` says why no mail can be fetched, there are no servers.
    """

    key: str
    name: str
    domains: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    incoming: str = ""
    outgoing: str = ""
    outgoing_port: int = 465
    app_password: str = ""
    app_password_url: str = ""
    enable_pop: str = ""
    caution: str = ""
    unavailable: str = ""

    def outgoing_settings(self) -> dict[str, str | int]:
        """The fields of a mailbox that name the outgoing server."""
        return {
            "outgoing_host": self.outgoing,
            "outgoing_port": self.outgoing_port,
            "outgoing_security": "ssl" if self.outgoing_port == 465 else "starttls",
        }

    def settings(self, address: str) -> dict[str, str | int]:
        """The fields of a mailbox with this address; none where the provider offers no POP3."""
        if self.unavailable:
            return {}
        return {
            "incoming_host": self.incoming,
            "incoming_port": INCOMING_PORTS["ssl"],
            "incoming_security": "ssl",
            "incoming_username": address,
            **self.outgoing_settings(),
        }


@cache
def providers() -> tuple[Provider, ...]:
    """The shipped table."""
    table: dict[str, dict[str, Any]] = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    for fields in table.values():
        fields |= {name: tuple(fields.get(name, ())) for name in ("domains", "mx")}
    return tuple(Provider(key, **fields) for key, fields in table.items())


def provider_of(address: str) -> Provider | None:
    """The provider at whose own domain an address is."""
    domain = domain_of(address).lower()
    return next((each for each in providers() if domain in each.domains), None)


def provider_behind(mail_exchangers: list[str]) -> Provider | None:
    """The provider that receives the mail of a domain with these MX names: the one whose name is the longest match."""
    found = [
        (len(suffix), each)
        for each in providers()
        for suffix in each.mx
        for name in mail_exchangers
        if domain_covers(suffix, name.rstrip(".").lower())
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def provider_at(incoming_host: str) -> Provider | None:
    """The provider whose POP3 server this is; of several that share it the first in the table."""
    host = _plain(incoming_host)
    if host in GMAIL_HOSTS:
        host = "pop.gmail.com"
    return next((each for each in providers() if each.incoming and each.incoming == host), None)


def is_gmail(host: str) -> bool:
    """Whether `host` is Gmail's POP3 server, the only one that knows the `recent:` tag (R11)."""
    return _plain(host) in GMAIL_HOSTS


def guess_outgoing(incoming_host: str) -> dict[str, str | int]:
    """The outgoing fields of a mailbox that go with `incoming_host`: from the table, else the host alone by custom.

    By custom `pop.x.example` has `smtp.x.example`, and `mail.x.example` is both. Empty where nothing is known.
    """
    known = provider_at(incoming_host)
    if known is not None:
        return known.outgoing_settings()
    host = _plain(incoming_host)
    label, _, rest = host.partition(".")
    if "." not in rest:
        return {}
    if label in _POP_LABELS:
        return {"outgoing_host": f"smtp.{rest}"}
    return {"outgoing_host": host} if label == "mail" else {}


def _plain(host: str) -> str:
    return host.strip().rstrip(".").lower()
