"""Uploaded CSV files on their way into the records: checked first, imported by a worker, stopped at any time (R28).

A batch of rows, the count of them and the line that it reaches are one transaction. So a worker that is killed loses
nothing and repeats nothing, and whoever looks at the row sees how far it is.
"""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import IO

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from accounts.mailboxes import NotPossible
from accounts.models import User
from customers.importing import (
    FIELDS,
    Batch,
    Import,
    Refusal,
    Table,
    Tally,
    Unreadable,
    guess_mapping,
    with_refusals,
)
from customers.models import CustomerImport, ImportChunk, RefusedRow

log = logging.getLogger(__name__)

State = CustomerImport.State
MOST_BYTES = 50 << 20
#: So long a worker that is not heard of holds an import: much longer than a batch takes.
HELD_FOR = timedelta(minutes=2)
#: So often an import that does not get on is tried.
MOST_TRIES = 5
#: So long an import is shown, with the rows that it refused, and a file waits for its columns to be chosen.
KEPT_FOR = timedelta(days=30)
_CHUNK_BYTES = 1 << 20
_SAMPLES = 3
_SAMPLED_ROWS = 50
_COUNTS = tuple(asdict(Tally()))


#: Sent inside the transaction in which a worker ends an import, done or failed, with the `work`.
import_ended = Signal()


class _Stopped(Exception):
    """Somebody cancelled the import, or another worker holds it now."""


def upload(user: User, file: UploadedFile[bytes]) -> CustomerImport:
    """Keep a file, its columns guessed; nothing is imported yet.

    Raises:
        Unreadable: it is too large, or no table.
    """
    if not file.size:
        raise Unreadable("The file is empty.")
    if file.size > MOST_BYTES:
        raise Unreadable(f"The file is larger than {MOST_BYTES >> 20} MB. Split it into several.")
    table = Table.of(file.file)  # type: ignore[arg-type]
    with transaction.atomic():
        made = CustomerImport.objects.create(
            organization=user.organization,
            user=user,
            name=(file.name or "")[-200:],
            size=file.size,
            headings=table.columns,
            mapping=guess_mapping(table.columns),
        )
        file.seek(0)
        # Not `chunks()`: what an upload has in memory comes in one.
        for number, data in enumerate(iter(partial(file.read, _CHUNK_BYTES), b"")):
            ImportChunk.objects.create(of=made, number=number, data=data)
    return made


@contextmanager
def _opened(work: CustomerImport, chunks: int | None = None) -> Iterator[IO[bytes]]:
    """The uploaded file, or its first `chunks` only."""
    with tempfile.SpooledTemporaryFile(max_size=_CHUNK_BYTES) as file:
        # One at a time: a driver holds all rows of an answer, and more than once each.
        for pk in list(work.chunks.order_by("number").values_list("pk", flat=True)[:chunks]):
            file.write(work.chunks.values_list("data", flat=True).get(pk=pk))
        yield file


def samples(work: CustomerImport) -> list[list[str]]:
    """For each column the first values that say anything; none once the file is gone."""
    if work.is_over:
        return []
    rows: list[list[str]] = []
    with _opened(work, chunks=1) as file, suppress(Unreadable):  # which the check will say
        rows.extend(cells or [] for _, cells in islice(Table.of(file).rows(file), _SAMPLED_ROWS))
    values = [[row[number].strip() for row in rows if number < len(row)] for number in range(len(work.headings))]
    return [list(dict.fromkeys(filter(None, each)))[:_SAMPLES] for each in values]


def check(work: CustomerImport, mapping: Sequence[str], *, kind: str, updates: bool) -> None:
    """Have every row checked, with the columns as `mapping` says; nothing is saved by it.

    Raises:
        Unreadable: the columns make no sense.
        NotPossible: it was begun meanwhile.
    """
    if len(mapping) != len(work.headings) or set(mapping) - FIELDS.keys() - {""}:
        raise Unreadable("Say of each column what it is.")
    once = [name for name in mapping if name and name != "email"]
    twice = next((name for name in once if once.count(name) > 1), None)
    if twice:
        raise Unreadable(f"Two columns are “{FIELDS[twice]}”. Only e-mail addresses can be in several.")
    Import(work.organization, mapping)
    _move(work, (State.UPLOADED, State.CHECKED), State.CHECKING, mapping=list(mapping), kind=kind, updates=updates)


def start(work: CustomerImport) -> None:
    """Have a checked file imported.

    Raises:
        NotPossible: it was not checked, or begun before.
    """
    _move(work, (State.CHECKED,), State.IMPORTING)


def cancel(work: CustomerImport) -> None:
    """Stop it. What is imported by now stays; a check goes back to the choice of columns.

    Raises:
        NotPossible: it is over.
    """
    with transaction.atomic():
        try:
            _move(work, (State.CHECKING,), State.UPLOADED)
        except NotPossible:
            left = CustomerImport.objects.filter(pk=work.pk).exclude(state__in=CustomerImport.OVER)
            if not left.update(state=State.CANCELLED, holder=None, held_until=None):
                raise
            ImportChunk.objects.filter(of=work).delete()


def _move(work: CustomerImport, before: Sequence[State], after: State, **fields: object) -> None:
    """From one state to another, with nothing counted yet."""
    zero = dict.fromkeys((*_COUNTS, "line", "position", "tries"), 0) | {"holder": None, "held_until": None}
    with transaction.atomic():
        if not CustomerImport.objects.filter(pk=work.pk, state__in=before).update(state=after, **zero, **fields):
            work.refresh_from_db()
            raise NotPossible(f"This import is {work.get_state_display()}.")
        RefusedRow.objects.filter(of=work).delete()


def work_on(pk: int) -> None:
    """Go on with an import that waits for a worker, to its end; nothing happens if another worker holds it."""
    holder = uuid.uuid4()
    if not CustomerImport.objects.working().free().filter(pk=pk).update(holder=holder, held_until=_soon()):
        return
    work = CustomerImport.objects.select_related("organization").filter(pk=pk, holder=holder).first()
    if work is None:
        return  # It was cancelled since.
    try:
        _finish(work, _worked_on(work))
    except _Stopped:
        log.info("import %s was cancelled or taken over at line %s", pk, work.line)


def _worked_on(work: CustomerImport) -> State:
    """Do it, as far as it can be done; the state in which it is then."""
    work.tries += 1
    if work.tries > MOST_TRIES:
        log.error("import %s was given up after %s tries", work.pk, MOST_TRIES)
        return State.FAILED
    CustomerImport.objects.filter(pk=work.pk, holder=work.holder).update(tries=work.tries)
    is_dry = work.state == State.CHECKING
    if is_dry:
        # What a check would have created is known to nobody but the worker that began it.
        _begin_again(work)
    try:
        _take(work, is_dry=is_dry)
    except Unreadable as error:
        log.info("import %s can't go on: %s", work.pk, error)
        return State.FAILED
    return State.CHECKED if is_dry else State.DONE


def unfinished() -> list[int]:
    """The imports that wait for a worker, by id."""
    return list(CustomerImport.objects.working().free().values_list("pk", flat=True))


def forget_old() -> int:
    """Delete imports that nobody will ask for any more, with what they refused. How many."""
    old = CustomerImport.objects.filter(uploaded_at__lte=timezone.now() - KEPT_FOR).exclude(
        state__in=CustomerImport.WORKING
    )
    count = old.count()
    old.delete()
    return count


def refused(work: CustomerImport) -> Iterator[list[str]]:
    """The rows of a file with what could not be imported and why."""
    rows = work.refused_rows.order_by("id").iterator(chunk_size=1_000)
    return with_refusals(work.headings, (Refusal(row.line, row.cells, row.why) for row in rows))


def _soon() -> object:
    return timezone.now() + HELD_FOR


def _begin_again(work: CustomerImport) -> None:
    with transaction.atomic():
        _hold(work)
        work.refused_rows.all().delete()
        for name in (*_COUNTS, "line", "position"):
            setattr(work, name, 0)
        work.save(update_fields=[*_COUNTS, "line", "position"])


def _take(work: CustomerImport, *, is_dry: bool) -> None:
    counted = Tally(**{name: getattr(work, name) for name in _COUNTS})
    with _opened(work) as file:
        table = Table.of(file)
        deed = Import(
            work.organization, work.mapping, kind=work.kind, updates=work.updates, is_dry=is_dry, tally=counted
        )
        done = work.line
        for batch in deed.batches(row for row in table.rows(file) if row[0] > done):
            _save(work, deed, batch, file.tell())


def _save(work: CustomerImport, deed: Import, batch: Batch, position: int) -> None:
    with transaction.atomic():
        _hold(work)
        deed.save(batch)
        RefusedRow.objects.bulk_create(
            RefusedRow(of=work, line=each.line, cells=list(each.cells), why=each.why) for each in batch.refused
        )
        counts = asdict(deed.tally) | {"line": max(work.line, batch.line), "position": position}
        if not deed.is_dry:
            counts["tries"] = 0
        for name, value in counts.items():
            setattr(work, name, value)
        work.save(update_fields=list(counts))


def _hold(work: CustomerImport) -> None:
    """Renew the hold on it, first thing in a transaction: who cancels it then waits, or was first."""
    mine = CustomerImport.objects.filter(pk=work.pk, state=work.state, holder=work.holder)
    if not mine.update(held_until=_soon()):
        raise _Stopped


def _finish(work: CustomerImport, state: State) -> None:
    with transaction.atomic():
        _hold(work)
        fields: dict[str, object] = {"state": state, "holder": None, "held_until": None}
        if work.state == State.CHECKING and state == State.FAILED:
            # Nothing of what would have been done was done.
            fields |= dict.fromkeys(set(_COUNTS) - {"failed"}, 0)
        for name, value in fields.items():
            setattr(work, name, value)
        work.save(update_fields=list(fields))
        if work.is_over:
            work.chunks.all().delete()
            import_ended.send(sender=CustomerImport, work=work)
