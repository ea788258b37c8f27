"""Recipients as people type them: names and addresses, separated by commas, semicolons or line ends. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import quote

from mail.address_list import parse_address_list

_SPECIAL = frozenset('"(),:;<>@[\\]')
#: What somebody typed for one person; a separator inside quotes or angle brackets is none. A quote that is escaped opens
#: nothing: so text is looked through to its end once, not once for each of its quotes.
_ENTRY = re.compile(r'(?:"(?:[^"\\]|\\.)*+"|<[^<>]*+>|\\[^,;\n]|[^,;\n])++')


@dataclass(frozen=True, slots=True)
class Person:
    """A name, possibly empty, and a normalised address."""

    name: str
    address: str

    def __str__(self) -> str:
        """As it can be typed, and read again by `read_people`."""
        return f'"{quote(self.name)}" <{self.address}>' if self.name else self.address


def read_people(typed: str) -> tuple[list[Person], list[str]]:
    """The people in a field, each address once, and the entries that name nobody, as they were typed."""
    people: dict[str, Person] = {}
    unread = []
    for entry in _ENTRY.findall(typed.replace("\r", "\n")):
        found = list(parse_address_list(entry, str))
        if len(found) == 1 and is_plain(found[0][1]):
            name, address = found[0]
            people.setdefault(address, Person(header_text(name), address))
        elif entry.strip():
            unread.append(entry.strip())
    return list(people.values()), unread


def is_plain(address: str) -> bool:
    """Whether a normalised address can stand in a header and an envelope as it is, without quotes (RFC 5321 section 4.1.2).

    Those that would need quotes are next to unknown in practice, and few servers take them.
    """
    local = address.rpartition("@")[0]
    return bool(local) and not _SPECIAL.intersection(local)


def typed(people: Iterable[Person]) -> str:
    """People as they stand in a field."""
    return ", ".join(map(str, people))


def header_text(text: str) -> str:
    """`text` fit for a header: on one line, no control character, no half of a character; spaces as they were typed."""
    return "".join(" " if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} else c for c in text).strip()
