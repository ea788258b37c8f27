"""What an import of 100,000 rows costs, two in a hundred of them bad: time, memory, and the file of errors (R28)."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import Organization, User
from customers import imports
from customers.models import Customer, CustomerAddress, CustomerImport
from tests import factories
from tests.processes import ROOT, environment

HEADINGS = ["First name", "Last name", "Company", "E-mail", "Additional e-mails", "Phone", "Notes"]
BAD = 0.02
#: In megabytes: so much more a worker may hold at all the rows than at a tenth of them.
MOST_GROWTH = 16
_WORK = "import django; django.setup(); from customers.imports import work_on; work_on({})"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds, those of the processor, the most megabytes that it held, and how it ended."""

    seconds: float
    cpu: float
    megabytes: float
    status: int

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.cpu:.1f} s of them in Python, {self.megabytes:.0f} MB at most"


def write(path: Path, rows: int, seed: int) -> list[int]:
    """A file as another CRM exports it; the lines of the rows that can't be imported."""
    rng = random.Random(seed)
    bad: list[int] = []
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        for number in range(rows):
            address = f"person{number}@customer{number % 9_000}.example"
            second = f"p{number}@home.example" if number % 10 == 3 else ""
            row = [f"First{number}", f"Last{number % 997}", f"Company {number % 9_000}", address, second]
            row += [f"+49 30 {number:07}", "Met at the fair. " * (number % 5)]
            if rng.random() < BAD:
                bad.append(number + 2)
                row = _spoilt(row, rng)
            writer.writerow(row)
    return bad


def _spoilt(row: list[str], rng: random.Random) -> list[str]:
    """The row with one of the faults that files have."""
    first, last, company, address, second, phone, notes = row
    return rng.choice(
        [
            [first, last, company, address.replace("@", " at "), second, phone, notes],
            [first, last, company, f"{address}, x@@example", second, phone, notes],
            ["", "", company, "", "", phone, notes],
            [first, last, company, address, second, phone * 6, notes],
            [*row, "a cell too many"],
        ]
    )


def run(rows: int, seed: int) -> bool:
    """Import by a worker and by the command, each twice, and look at what is there; whether all of it was right."""
    with tempfile.TemporaryDirectory() as folder:
        small, whole = Path(folder) / "small.csv", Path(folder) / "whole.csv"
        write(small, rows // 10, seed)
        bad = write(whole, rows, seed)
        few = _worked(_uploaded(_owner("small"), small), _checked)
        by_worker = list(_by_worker(whole, rows, bad, few))
        return all([*by_worker, *_by_command(whole, rows, bad)])


def _by_worker(whole: Path, rows: int, bad: Sequence[int], few: Cost) -> Iterator[bool]:
    """As from the browser: uploaded, checked, imported."""
    owner = _owner("worker")
    work = _uploaded(owner, whole)
    check = _worked(work, _checked)
    print(f"check of {rows:,} rows: {check}")
    yield _right((work.created, work.failed) == (rows - len(bad), len(bad)), "it foresees what the import does")
    cost = _worked(work, imports.start)
    print(f"import of {rows:,} rows: {cost}")
    yield _right((work.created, work.failed) == (rows - len(bad), len(bad)), f"{work.created:,} records")
    lines = list(work.refused_rows.order_by("line").values_list("line", flat=True))
    yield _right(lines == bad, f"the file of errors has {len(lines):,} rows: just those that are bad")
    growth = max(check.megabytes, cost.megabytes) - few.megabytes
    yield _right(growth <= MOST_GROWTH, f"{growth:.0f} MB more than with a tenth of the rows")
    before = _state(owner.organization)
    again = _uploaded(owner, whole)
    _worked(again, _checked)
    print(f"the same once more: {_worked(again, imports.start)}")
    yield _right((again.created, again.updated, again.unchanged) == (0, 0, rows - len(bad)), "nothing to change")
    yield _right(_state(owner.organization) == before, "nothing changed")


def _by_command(whole: Path, rows: int, bad: Sequence[int]) -> Iterator[bool]:
    """`manage.py import_customers`."""
    organization = _owner("command").organization
    errors = whole.with_name("errors.csv")
    command = (
        "manage.py",
        "import_customers",
        str(whole),
        "--organization",
        organization.name,
        "--errors",
        str(errors),
    )
    print(f"the command: {(cost := _cost(*command))}")
    made = Customer.objects.for_organization(organization).count()
    yield _right(cost.status == 1 and made == rows - len(bad), f"{made:,} records")
    with errors.open(newline="", encoding="utf-8-sig") as file:
        lines = [int(row[-2]) for row in list(csv.reader(file))[1:]]
    yield _right(lines == bad, f"its file of errors has {len(lines):,} rows: just those that are bad")
    before = _state(organization)
    print(f"once more: {_cost(*command)}")
    yield _right(_state(organization) == before, "nothing changed")


def _owner(name: str) -> User:
    return factories.user(organization=factories.organization(domain=f"{name}.example", name=f"Import by {name}"))


def _uploaded(owner: User, path: Path) -> CustomerImport:
    return imports.upload(owner, SimpleUploadedFile(path.name, path.read_bytes(), "text/csv"))


def _checked(work: CustomerImport) -> None:
    imports.check(work, work.mapping, kind="contact", updates=True)


def _worked(work: CustomerImport, begin: Callable[[CustomerImport], None]) -> Cost:
    """Begin it and have a worker of its own do it; what that took."""
    begin(work)
    cost = _cost("-c", _WORK.format(work.pk))
    work.refresh_from_db()
    return cost


def _cost(*arguments: str) -> Cost:
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode)


def _state(organization: Organization) -> int:
    """A number that is another one as soon as any record or address is."""
    customers = Customer.with_deleted.for_organization(organization).order_by("pk").values_list()
    addresses = CustomerAddress.objects.filter(organization=organization).order_by("pk").values_list()
    state = 0
    for rows in (customers, addresses):
        for row in rows.iterator(chunk_size=5_000):
            state = hash((state, row))
    return state


def _right(is_right: bool, what: str) -> bool:
    print(f"  {'ok' if is_right else 'NOT OK'}: {what}", flush=True)
    return is_right
