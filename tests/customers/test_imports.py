"""Uploaded files on their way into the records: checked, imported, stopped, and gone on with (R28)."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.mailboxes import NotPossible
from accounts.models import User
from accounts.spreadsheets import as_csv
from customers import importing, imports
from customers.importing import Unreadable
from customers.models import Customer, CustomerImport, ImportChunk
from customers.tasks import work_on_imports
from tests import factories

pytestmark = pytest.mark.django_db
State = CustomerImport.State

TABLE = "Name,Email\nBea Stone,bea@acme.example\nNobody,no address\nCarl,carl@acme.example\n"


@pytest.fixture
def rep() -> User:
    """Who imports."""
    return factories.user()


def checked(rep: User, text: str = TABLE) -> CustomerImport:
    """A file that was uploaded and checked with the columns as guessed."""
    work = factories.upload(rep, text)
    imports.check(work, work.mapping, kind="lead", updates=True)
    imports.work_on(work.pk)
    work.refresh_from_db()
    return work


def imported(work: CustomerImport) -> CustomerImport:
    """The same, imported."""
    imports.start(work)
    imports.work_on(work.pk)
    work.refresh_from_db()
    return work


def names() -> list[str]:
    """Who is there."""
    return [str(customer) for customer in Customer.objects.order_by("id")]


def test_a_check_says_what_an_import_does_and_saves_nothing(rep: User) -> None:
    """R28: a dry run with errors by row."""
    work = checked(rep)
    assert (work.state, work.created, work.failed, names()) == (State.CHECKED, 2, 1, [])
    assert [(row.line, row.why) for row in work.refused_rows.all()] == [(3, "“no address” is not an e-mail address.")]
    work = imported(work)
    assert (work.state, work.created, work.failed, names()) == (State.DONE, 2, 1, ["Bea Stone", "Carl"])
    assert {customer.kind for customer in Customer.objects.all()} == {"lead"}
    assert work.position == work.size
    assert not ImportChunk.objects.exists()


def test_a_file_is_kept_in_pieces(rep: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker holds of it at once does not grow with it, wherever the server had put it."""
    monkeypatch.setattr(imports, "_CHUNK_BYTES", 16)
    work = factories.upload(rep, TABLE)
    pieces = [bytes(chunk.data) for chunk in work.chunks.order_by("number")]
    assert b"".join(pieces) == TABLE.encode()
    assert {len(piece) for piece in pieces[:-1]} == {16}


def test_rows_with_errors_can_be_corrected_and_imported(rep: User) -> None:
    """R28: the error file."""
    work = imported(checked(rep))
    text = "".join(as_csv(imports.refused(work)))
    assert list(csv.reader(io.StringIO(text.lstrip("\ufeff"))))[1][:3] == ["Nobody", "no address", "3"]
    again = imported(checked(rep, text.replace("no address", "dan@acme.example")))
    assert (again.created, again.failed, names()[-1]) == (1, 0, "Nobody")


def test_a_worker_that_dies_loses_nothing_and_repeats_nothing(rep: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """R17: what is counted is saved; the next worker goes on behind it."""
    monkeypatch.setattr(importing, "_BATCH", 2)
    text = "Name,Email\n" + "".join(f"P{n},{'' if n == 3 else f'p{n}@acme.example'}\n" for n in range(9)) + ",\n,x\n"
    work = checked(rep, text)
    imports.start(work)
    saved = importing.Import.save

    def dies(deed: importing.Import, batch: importing.Batch) -> None:
        saved(deed, batch)
        if batch.line > 5:
            raise SystemExit

    monkeypatch.setattr(importing.Import, "save", dies)
    with pytest.raises(SystemExit):
        imports.work_on(work.pk)
    assert names() == ["P0", "P1", "P2", "P3"]
    monkeypatch.setattr(importing.Import, "save", saved)

    work_on_imports()
    assert names() == ["P0", "P1", "P2", "P3"], "whoever held it may still be at work"
    CustomerImport.objects.update(held_until=timezone.now() - timedelta(seconds=1))
    work_on_imports()
    work.refresh_from_db()
    assert (work.state, work.created, work.failed) == (State.DONE, 9, 1)
    assert names() == [f"P{n}" for n in range(9)]
    assert work.refused_rows.count() == 1


def test_what_is_held_by_another_worker_is_left_alone(rep: User) -> None:
    """A doubled hint does nothing."""
    work = checked(rep)
    imports.start(work)
    CustomerImport.objects.update(held_until=timezone.now() + timedelta(minutes=1))
    imports.work_on(work.pk)
    assert names() == []


def test_an_import_is_cancelled_between_two_batches(rep: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """R28: what is imported by then stays, and is counted."""
    monkeypatch.setattr(importing, "_BATCH", 1)
    work = checked(rep)
    imports.start(work)
    saved = imports._save

    def cancelled(work: CustomerImport, *rest: Any) -> None:
        saved(work, *rest)
        if work.created:
            imports.cancel(work)

    monkeypatch.setattr(imports, "_save", cancelled)
    imports.work_on(work.pk)
    work.refresh_from_db()
    assert (work.state, work.created, names()) == (State.CANCELLED, 1, ["Bea Stone"])
    assert not ImportChunk.objects.exists()
    with pytest.raises(NotPossible, match="cancelled"):
        imports.start(work)
    with pytest.raises(NotPossible):
        imports.cancel(work)


def test_a_check_that_is_cancelled_goes_back_to_the_columns(rep: User) -> None:
    """Nothing is lost by stopping a check."""
    work = factories.upload(rep, TABLE)
    imports.check(work, work.mapping, kind="lead", updates=True)
    imports.cancel(work)
    work.refresh_from_db()
    assert work.state == State.UPLOADED
    assert work.chunks.exists()


def test_an_import_that_never_gets_on_is_given_up(rep: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that kills its worker does not do so for ever."""
    work = checked(rep)
    imports.start(work)
    with monkeypatch.context() as broken:
        broken.setattr(importing.Import, "save", lambda *_: 1 / 0)
        for _ in range(imports.MOST_TRIES):
            with pytest.raises(ZeroDivisionError):
                imports.work_on(work.pk)
            CustomerImport.objects.update(held_until=None)
    imports.work_on(work.pk)
    work.refresh_from_db()
    assert (work.state, names()) == (State.FAILED, [])


@pytest.mark.parametrize("row", ["x" * 2_000_000, '"a\n",' * 400_000], ids=["one line", "many lines"])
def test_a_row_without_end_is_not_read_to_its_end(rep: User, row: str) -> None:
    """What comes from outside is bounded: some fifty megabytes may be one row."""
    work = factories.upload(rep, f"Name,Email\nBea,bea@acme.example\n{row}")
    assert imports.samples(work)[0] == ["Bea"]
    imports.check(work, work.mapping, kind="lead", updates=True)
    imports.work_on(work.pk)
    work.refresh_from_db()
    assert (work.state, work.created, names()) == (State.FAILED, 0, [])


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (["name", "name"], "Two columns"),
        (["", ""], "No column is a name"),
        (["name"], "each column"),
        (["name", "is_admin"], "each column"),
    ],
)
def test_columns_that_make_no_sense_are_refused(rep: User, mapping: list[str], words: str) -> None:
    """R28."""
    work = factories.upload(rep, TABLE)
    with pytest.raises(Unreadable, match=words):
        imports.check(work, mapping, kind="lead", updates=True)
    work.refresh_from_db()
    assert work.state == State.UPLOADED


def test_a_file_that_is_too_large_or_empty_is_not_kept(rep: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes from outside is bounded."""
    monkeypatch.setattr(imports, "MOST_BYTES", 10)
    for data, words in ((b"Name,Email\n", "larger"), (b"", "empty")):
        with pytest.raises(Unreadable, match=words):
            imports.upload(rep, SimpleUploadedFile("people.csv", data))
    assert not CustomerImport.objects.exists()


def test_old_imports_are_forgotten_but_for_those_at_work(rep: User) -> None:
    """What they refused may hold what nobody wants to keep."""
    checked(rep)
    going = checked(rep)
    imports.start(going)
    CustomerImport.objects.update(uploaded_at=timezone.now() - imports.KEPT_FOR)
    assert imports.forget_old() == 1
    assert CustomerImport.objects.get() == going
