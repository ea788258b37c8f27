"""Who somebody unknown is, guessed from the name and address in a message. Pure: no Django, no database."""

from __future__ import annotations

import re
from typing import NamedTuple

from accounts.addresses import PUBLIC_SUFFIXES, domain_of, is_public_provider

_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|[\"“”]")
#: After these a name goes on with a company, a service or a title.
_BEYOND = re.compile(r"\s[|–—/-]\s|\s(?:via|at|from)\s", re.IGNORECASE)
_COMPANY_FORM = re.compile(r"(?:inc|ltd|llc|gmbh|ag|sa|bv|plc|co|corp)\.?", re.IGNORECASE)
_IN_LOCAL_PART = re.compile(r"[._+\-\d]+")


class Guess(NamedTuple):
    """A first guess that somebody will correct; the last name is never empty."""

    first_name: str
    last_name: str
    company: str


def guess(name: str, address: str) -> Guess:
    """Who may be behind a display name and a normalised address, fit for the fields of a record.

    The company is that of the address's domain, unless anybody can have an address there.
    """
    words = _words(name)
    if not words:
        words = [word.capitalize() for word in _IN_LOCAL_PART.split(address.partition("@")[0]) if word]
    *first, last = words or [address]
    return Guess(" ".join(first)[:100], last[:100], _company(domain_of(address))[:200])


def _words(name: str) -> list[str]:
    """The display name's words, the last name last; none where it is no name but an address."""
    plain = _BEYOND.split(_ASIDE.sub(" ", name))[0].strip(" '")
    if "@" in plain:
        return []
    last, comma, first = (part.strip() for part in plain.partition(","))
    if comma and first and "," not in first and not _COMPANY_FORM.fullmatch(first):
        return [*first.split(), last] if last else first.split()
    return (last if comma else plain).split()


def _company(domain: str) -> str:
    if not domain or is_public_provider(domain):
        return ""
    labels = domain.split(".")
    while len(labels) > 2 and ".".join(labels[1:]) not in PUBLIC_SUFFIXES:
        labels = labels[1:]
    try:
        label = labels[0].encode("ascii").decode("idna")
    except UnicodeError:
        label = labels[0]
    return " ".join(word.capitalize() for word in label.split("-") if word)
