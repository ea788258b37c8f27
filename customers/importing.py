"""CSV files of leads and contacts: columns guessed, rows checked one by one and saved in batches (R28)."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.addresses import normalize_address
from accounts.models import Organization, User
from accounts.spreadsheets import restored
from customers.changes import change_customer, check_addresses, create_customers
from customers.guessing import guess
from customers.locks import addresses_change
from customers.models import Customer, CustomerAddress

#: What a column can be, as people read it.
FIELDS = {
    "kind": "Lead or contact",
    "name": "Full name",
    "first_name": "First name",
    "last_name": "Last name",
    "company": "Company",
    "email": "E-mail",
    "phone": "Phone",
    "owner": "Owner",
    "notes": "Notes",
}
#: How other programs head such columns, in small letters and without anything else.
_HEADINGS = {
    "kind": "kind type recordtype lifecyclestage leadorcontact",
    "name": "name fullname contactname leadname displayname personname",
    "first_name": "firstname givenname forename vorname prenom personfirstname",
    "last_name": "lastname surname familyname nachname nom personlastname",
    "company": "company companyname organization organisation organizationname account accountname firma societe "
    "associatedcompany primaryassociatedcompany",
    "email": "email emailaddress emails mail primaryemail workemail secondaryemail additionalemails otheremail "
    "emailvalue emailaddresses personemail personemailwork personemailhome personemailother",
    "phone": "phone phonenumber telephone tel mobile mobilephone telefon businessphone workphone phonevalue "
    "personphone personphonework",
    "owner": "owner owneremail contactowner leadowner accountowner personowner recordowner assignedto",
    "notes": "notes note description comments comment",
}
_FIELD_OF = {heading: name for name, headings in _HEADINGS.items() for heading in headings.split()}
_KINDS = {"lead": "lead", "leads": "lead", "contact": "contact", "contacts": "contact", "customer": "contact"}
_SEPARATORS = re.compile(r"[;,\s]+")
_DELIMITERS = ",;\t|"
_QUOTED = re.compile('"[^"]*"')
#: In characters; more would not fit into the columns.
_LONGEST_NAME = 100
_LONGEST = {"company": 200, "phone": 50, "notes": 20_000}
_BATCH = 500
_SNIFFED_BYTES = 1 << 16
_MOST_COLUMNS = 200
#: In characters, with all the lines that it takes.
_LONGEST_ROW = 1_000_000


class Unreadable(Exception):
    """The file can't be imported at all; `str()` is a sentence for people that says why."""


@dataclass(frozen=True)
class Table:
    """How a file is to be read, found out from its beginning."""

    encoding: str
    delimiter: str
    columns: list[str]

    @classmethod
    def of(cls, file: IO[bytes]) -> Table:
        """Of an open file, which is read from its beginning.

        Raises:
            Unreadable: it is empty, no text, or its first row names no columns.
        """
        file.seek(0)
        head = file.read(_SNIFFED_BYTES)
        encoding = _encoding(head)
        first = head.decode(encoding, "ignore").lstrip("\r\n").partition("\n")[0]
        if "\0" in first:
            raise Unreadable("This is no CSV file. Save the table as CSV (comma-separated values) first.")
        delimiter = max(_DELIMITERS, key=_QUOTED.sub("", first).count)
        columns = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
        if not any(columns):
            raise Unreadable("The first row has to name the columns, and it is empty.")
        if len(columns) > _MOST_COLUMNS:
            raise Unreadable(f"There are {len(columns)} columns; at most {_MOST_COLUMNS} are read.")
        return cls(encoding, delimiter, columns)

    def rows(self, file: IO[bytes]) -> Iterator[tuple[int, list[str] | None]]:
        """The rows behind the first one, each with the number of the line it ends in; None for one that can't be read.

        Raises:
            Unreadable: a row is so long that this can be no table of people.
        """
        file.seek(0)
        text = io.TextIOWrapper(file, encoding=self.encoding, errors="replace", newline="")
        length = 0

        def lines() -> Iterator[str]:
            nonlocal length
            while line := text.readline(_LONGEST_ROW + 1):
                length += len(line)
                if length > _LONGEST_ROW:
                    raise Unreadable(f"Behind line {reader.line_num} a row is longer than {_LONGEST_ROW:,} characters.")
                yield line.replace("\0", "")

        reader = csv.reader(lines(), delimiter=self.delimiter)
        try:
            has_head = False
            while True:
                length = 0
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error:
                    yield reader.line_num, None
                    continue
                if any(cell.strip() for cell in cells):
                    if has_head:
                        yield reader.line_num, cells
                    has_head = True
        finally:
            if not file.closed:
                text.detach()


def guess_mapping(columns: Sequence[str]) -> list[str]:
    """For each column the field of `FIELDS` that its heading speaks of, empty where it speaks of none.

    Several columns can be addresses; of any other field the first one is taken.
    """
    mapping: list[str] = []
    for column in columns:
        plain = re.sub(r"[\W\d_]+", "", column.lower())
        found = _FIELD_OF.get(plain, "")
        mapping.append(found if found == "email" or found not in mapping else "")
    return mapping


@dataclass
class Tally:
    """How an import went, in rows."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.created + self.updated + self.unchanged + self.skipped + self.failed


@dataclass
class _Row:
    number: int
    cells: list[str]
    fields: dict[str, Any]
    addresses: list[str]

    @property
    def keys(self) -> list[str]:
        """What makes it the same record as another: an address, or without one the name and company."""
        names = (self.fields["last_name"], self.fields.get("first_name", ""), self.fields.get("company", ""))
        return self.addresses or ["\0".join(names)]


class RowRefused(Exception):
    """A row can't be imported; `str()` says why."""


@dataclass(frozen=True)
class Refusal:
    """A row that is not imported: the line it ends in, its cells, and why."""

    line: int
    cells: Sequence[str]
    why: str


@dataclass
class Batch:
    """Rows that are saved in one transaction, with those refused among them, up to and including `line` of the file."""

    line: int = 0
    rows: list[_Row] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def refuse(self, line: int, cells: Sequence[str], why: str) -> None:
        """Note that a row can't be imported."""
        self.refused.append(Refusal(line, cells, why))


@dataclass
class Import:
    """One import of rows into an organisation.

    `kind` is that of new records which don't say theirs. `updates` says whether a record that is known by an address (or,
    without addresses, by name and company) gets what the row says; empty cells change nothing. Else it is left alone.
    A dry run saves nothing.
    """

    organization: Organization
    mapping: Sequence[str]
    kind: str = "contact"
    updates: bool = True
    is_dry: bool = False
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        """Look up what all rows need.

        Raises:
            Unreadable: nothing in the rows would say who somebody is.
        """
        if not {"email", "name", "last_name"} & set(self.mapping):
            raise Unreadable("No column is a name or an e-mail address. Say which one is.")
        colleagues = User.objects.for_organization(self.organization).filter(is_active=True)
        names = Counter(user.name.lower() for user in colleagues)
        self._owners = {user.name.lower(): user.pk for user in colleagues if names[user.name.lower()] == 1}
        self._owners |= {user.email: user.pk for user in colleagues}
        self._would_be: set[str] = set()

    def batches(self, rows: Iterable[tuple[int, list[str] | None]]) -> Iterator[Batch]:
        """The rows, checked, in portions that `save` takes; within one no record occurs twice."""
        batch = Batch()
        for line, cells in rows:
            try:
                row = self._read(line, cells)
            except RowRefused as error:
                row, why = None, str(error)
            if len(batch.rows) + len(batch.refused) == _BATCH or (row and batch.keys.intersection(row.keys)):
                yield batch
                batch = Batch()
            batch.line = line
            if row:
                batch.rows.append(row)
                batch.keys.update(row.keys)
            else:
                batch.refuse(line, cells or [], why)
        yield batch

    def _read(self, number: int, cells: list[str] | None) -> _Row:
        if cells is None:
            raise RowRefused("The row can't be read: a cell is too long, or a quotation mark is missing.")
        if any(cell.strip() for cell in cells[len(self.mapping) :]):
            raise RowRefused(f"There are {len(cells)} cells, but {len(self.mapping)} columns.")
        given: dict[str, str] = {}
        texts: list[str] = []
        for name, cell in zip(self.mapping, cells, strict=False):
            text = restored(cell.strip())
            if name == "email":
                several = [part for part in _SEPARATORS.split(text) if part]
                texts += several if all("@" in part for part in several) else [text]
            elif name and text:
                given[name] = text
        try:
            addresses = check_addresses(texts)
        except ValidationError as error:
            raise RowRefused(error.messages[0]) from error
        return _Row(number, cells, self._fields(given, addresses), addresses)

    def _fields(self, given: dict[str, str], addresses: Sequence[str]) -> dict[str, Any]:
        texts = self._named(given, addresses) | {name: given[name] for name in _LONGEST if name in given}
        for name, text in texts.items():
            if len(text) > _LONGEST.get(name, _LONGEST_NAME):
                raise RowRefused(f"{FIELDS[name]} is longer than {_LONGEST.get(name, _LONGEST_NAME)} characters.")
        fields: dict[str, Any] = texts
        if "kind" in given:
            if given["kind"].lower() not in _KINDS:
                raise RowRefused(f"“{given['kind']}” is neither lead nor contact.")
            fields["kind"] = _KINDS[given["kind"].lower()]
        if "owner" in given:
            owner = self._owners.get(normalize_address(given["owner"]) or given["owner"].lower())
            if owner is None:
                raise RowRefused(
                    f"“{given['owner']}” is no active colleague, or several. Name the owner by e-mail address."
                )
            fields["owner_id"] = owner
        return fields

    @staticmethod
    def _named(given: dict[str, str], addresses: Sequence[str]) -> dict[str, str]:
        if "last_name" in given:
            return {name: given[name] for name in ("first_name", "last_name") if name in given}
        name = given.get("name") or given.get("first_name", "")
        if not name and not addresses:
            raise RowRefused("There is neither a name nor an e-mail address.")
        guessed = guess(name, addresses[0] if addresses else "")
        return {"first_name": guessed.first_name, "last_name": guessed.last_name}

    def save(self, batch: Batch) -> None:
        """Save a batch in one transaction and count it; what the records that are there refuse is added to its refused."""
        with transaction.atomic():
            if not self.is_dry:
                addresses_change(self.organization.pk)
            known = self._known(batch.rows)
            ids = {pk for found in known.values() for pk in found}
            held = Customer.objects.filter(pk__in=ids).order_by("pk").prefetch_related("addresses")
            there = (held if self.is_dry else held.select_for_update()).in_bulk()
            fresh = []
            for row in batch.rows:
                found = {pk for key in row.keys for pk in known.get(key, ()) if pk in there}
                if len(found) > 1:
                    many = f"Its addresses are on {len(found)} records. Merge them first."
                    batch.refuse(row.number, row.cells, many)
                elif found:
                    self._meet(row, there[found.pop()], batch)
                elif self._would_be.intersection(row.keys):
                    self._count(is_changed=True)
                else:
                    fresh.append(row)
            self.tally.created += len(fresh)
            self.tally.failed += len(batch.refused)
            if self.is_dry:
                self._would_be.update(key for row in fresh for key in row.keys)
            else:
                create_customers(
                    (Customer(**{"organization": self.organization, "kind": self.kind} | row.fields), row.addresses)
                    for row in fresh
                )

    def _known(self, batch: Sequence[_Row]) -> dict[str, set[int]]:
        """The records that are there, by the keys of the rows."""
        known: dict[str, set[int]] = {}
        addresses = [address for row in batch for address in row.addresses]
        held = CustomerAddress.objects.filter(organization=self.organization, address__in=addresses)
        for address, pk in held.values_list("address", "customer_id"):
            known.setdefault(address, set()).add(pk)
        nameless = [row for row in batch if not row.addresses]
        if nameless:
            same = Customer.objects.for_organization(self.organization).filter(
                last_name__in={row.fields["last_name"] for row in nameless}
            )
            for pk, *names in same.order_by("-id").values_list("pk", "last_name", "first_name", "company"):
                known["\0".join(names)] = {pk}
        return known

    def _meet(self, row: _Row, customer: Customer, batch: Batch) -> None:
        """A row of a record that is there."""
        changed = {name: value for name, value in row.fields.items() if value and getattr(customer, name) != value}
        if customer.kind == Customer.Kind.CONTACT:
            changed.pop("kind", None)
        have = [str(address) for address in customer.addresses.all()]
        new = [address for address in row.addresses if address not in have]
        if self.updates and (changed or new) and not self.is_dry:
            try:
                change_customer(customer, addresses=[*have, *new] if new else None, **changed)
            except ValidationError as error:
                batch.refuse(row.number, row.cells, error.messages[0])
                return
        self._count(is_changed=bool(changed or new))

    def _count(self, *, is_changed: bool) -> None:
        if not self.updates:
            self.tally.skipped += 1
        elif is_changed:
            self.tally.updated += 1
        else:
            self.tally.unchanged += 1


def with_refusals(columns: Sequence[str], refusals: Iterable[Refusal]) -> Iterator[list[str]]:
    """The rows of a file that says what was refused and why; corrected, it can be imported as it is."""
    yield [*columns, "Line", "Error"]
    for refusal in refusals:
        missing = len(columns) - len(refusal.cells)
        yield [*refusal.cells, *[""] * missing, str(refusal.line), refusal.why]


def _encoding(head: bytes) -> str:
    """UTF-16 where a byte order mark says so, UTF-8 where it can be, else what Windows programs save."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 8:
            return "windows-1252"
    return "utf-8-sig"
