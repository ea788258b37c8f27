"""E-mail addresses and domains, compared as the sharing contract compares them. Pure: no Django here.

*Comparing addresses* (sharing.md): local part and domain lower-cased; the domain in its IDNA ASCII form without trailing
dot; nothing else is folded.
"""

from __future__ import annotations

import re
from functools import lru_cache

import idna

ADDRESS_LIMIT = 320
DOMAIN_LIMIT = 253

#: Providers whose addresses anybody can have; none can be an organisation's own domain (R3).
PUBLIC_PROVIDER_DOMAINS = frozenset(
    """
    126.com 163.com aim.com aol.com arcor.de att.net bellsouth.net bigpond.com bluewin.ch btinternet.com comcast.net
    cox.net duck.com fastmail.com fastmail.fm free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net
    googlemail.com hey.com hotmail.co.uk hotmail.com hotmail.de hotmail.fr icloud.com interia.pl laposte.net libero.it
    live.com live.de mac.com mail.com mail.de mail.ru me.com msn.com naver.com o2.pl onet.pl orange.fr outlook.com
    outlook.de posteo.de proton.me protonmail.com qq.com rediffmail.com rocketmail.com seznam.cz sina.com t-online.de
    tuta.io tutanota.com verizon.net virgilio.it wanadoo.fr web.de wp.pl yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com
    yahoo.de yahoo.fr yandex.com yandex.ru ymail.com zoho.com zohomail.com
    """.split()
)

#: Suffixes of two labels under which strangers register their domains; a single label is always such a suffix.
PUBLIC_SUFFIXES = frozenset(
    """
    ac.jp ac.nz ac.uk ac.za asn.au co.at co.id co.il co.in co.jp co.ke co.kr co.nz co.th co.uk co.za com.ar com.au
    com.br com.cn com.co com.eg com.es com.hk com.mx com.my com.ng com.pe com.ph com.pk com.pl com.pt com.sa com.sg
    com.tr com.tw com.ua com.vn edu.au edu.cn firm.in gen.in go.jp gov.au gov.br gov.cn gov.in gov.uk id.au ind.in
    ltd.uk me.uk ne.jp net.au net.br net.cn net.in net.nz net.uk nhs.uk nom.br or.at or.jp or.kr org.au org.br org.cn
    org.in org.nz org.uk org.za plc.uk sch.uk
    """.split()
)

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class DomainRefused(ValueError):
    """The text is no domain whose mail can be excluded; `str()` is a sentence for people."""


def normalize_domain(text: str) -> str | None:
    """`text` as a lower-case ASCII domain without `@` before or dot behind it; None when it is no domain."""
    name = text.strip().removeprefix("@").rstrip(".")
    if not name or len(name) > DOMAIN_LIMIT:
        return None
    try:
        name = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError, IndexError):
        return None
    if len(name) > DOMAIN_LIMIT or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        return None
    return name


def normalize_address(text: str) -> str | None:
    """`text` as it is stored and compared; None when it has no local part and domain."""
    text = text.strip()
    if len(text) > ADDRESS_LIMIT:
        return None
    local, at, domain = text.rpartition("@")
    normalized = normalize_domain(domain) if at else None
    if (
        not local
        or normalized is None
        or any(character.isspace() or not character.isprintable() for character in local)
    ):
        return None
    address = f"{local.lower()}@{normalized}"
    return address if len(address) <= ADDRESS_LIMIT else None


def domain_of(address: str) -> str:
    """The domain of a normalised address."""
    return address.rpartition("@")[2]


def domain_covers(domain: str, address_domain: str) -> bool:
    """Whether `domain` covers an address at `address_domain`: it is that domain or a parent of it (both normalised)."""
    return address_domain == domain or address_domain.endswith(f".{domain}")


def check_excluded_domain(text: str) -> str:
    """`text` as a domain that can be excluded from sharing (sharing.md, example 20).

    Raises:
        DomainRefused: it is an address, a suffix under which strangers have their domains, or no domain.
    """
    shown = text.strip()
    if "@" in shown.removeprefix("@"):
        raise DomainRefused(f"“{shown}” is an e-mail address. Enter only what stands after the @.")
    domain = normalize_domain(shown)
    if domain is None:
        raise DomainRefused(f"“{shown}” is not a domain. Write it like acme.com.")
    if "." not in domain or domain in PUBLIC_SUFFIXES:
        raise DomainRefused(f"“{shown}” is not one company's domain but a suffix of many. Write it like acme.com.")
    return domain


@lru_cache(maxsize=4096)
def is_public_provider(domain: str) -> bool:
    """Whether anybody can have an address at this normalised domain."""
    return any(domain_covers(provider, domain) for provider in PUBLIC_PROVIDER_DOMAINS)
