"""CSV files of leads and contacts: encodings, columns, rows that are wrong, and importing twice (R28)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Organization
from customers.importing import Import, Table, Unreadable, guess_mapping
from customers.models import Customer
from mail.models import Correspondence
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def ours() -> Organization:
    """The organisation that imports."""
    return factories.organization()


def run(ours: Organization, text: str | bytes, **options: Any) -> tuple[Import, list[tuple[int, str]]]:
    """Import a file's text; what came of it, and the lines that were refused."""
    file = io.BytesIO(text.encode() if isinstance(text, str) else text)
    refused: list[tuple[int, str]] = []
    table = Table.of(file)
    work = Import(ours, guess_mapping(table.columns), **options)
    for batch in work.batches(table.rows(file)):
        work.save(batch)
        refused += [(refusal.line, refusal.why) for refusal in sorted(batch.refused, key=lambda each: each.line)]
    return work, refused


def told(work: Import) -> tuple[int, ...]:
    """Created, updated, unchanged, skipped, failed."""
    tally = work.tally
    return tally.created, tally.updated, tally.unchanged, tally.skipped, tally.failed


TABLE = """First Name,Last Name,Email,Additional emails,Company name,Phone Number,Type,Contact owner,Notes
Bea,Stone,BEA@Acme.example,b@home.example; bea@acme.example,Acme,555,Lead,rep@our.example,"Likes
tea"
,Carl,,,Lawyers,,contact,,
"""


def test_a_table_of_another_crm_is_understood(ours: Organization) -> None:
    """R28: columns by their usual names, several addresses in several columns, line breaks in cells."""
    rep = factories.user(organization=ours, email="rep@our.example")
    work, refused = run(ours, TABLE)
    assert (told(work), refused) == ((2, 0, 0, 0, 0), [])
    bea = Customer.objects.get(last_name="Stone")
    assert (bea.first_name, bea.kind, bea.company, bea.phone, bea.owner, bea.notes) == (
        "Bea",
        "lead",
        "Acme",
        "555",
        rep,
        "Likes\ntea",
    )
    assert [(str(each), each.is_primary) for each in bea.addresses.all()] == [
        ("bea@acme.example", True),
        ("b@home.example", False),
    ]
    assert Customer.objects.get(last_name="Carl").kind == "contact"


@pytest.mark.parametrize(
    ("headings", "mapping"),
    [
        (
            "First Name,Middle Name,Last Name,Organization Name,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Value",
            ["first_name", "", "last_name", "company", "", "email", "phone"],
        ),
        (
            "Person - Name,Person - Email - Work,Person - Phone - Work,Organization - Name,Person - Owner",
            ["name", "email", "phone", "company", "owner"],
        ),
        ("First Name,Last Name,E-mail Address,E-mail 2 Address", ["first_name", "last_name", "email", "email"]),
        ("Lead Owner,Secondary Email,Mobile,Account Name", ["owner", "email", "phone", "company"]),
    ],
)
def test_headings_of_other_programs_are_understood(headings: str, mapping: list[str]) -> None:
    """R28: address books and CRMs as they export today."""
    assert guess_mapping(Table.of(io.BytesIO(headings.encode())).columns) == mapping


def test_a_delimiter_inside_quotation_marks_is_none(ours: Organization) -> None:
    """R28."""
    _, refused = run(ours, '"Notes, remarks, and more";Name;Email\n;Bea Stone;bea@acme.example\n')
    assert (refused, Customer.objects.get().primary_address) == ([], "bea@acme.example")


def test_the_owner_is_known_by_address_or_by_a_name_that_one_colleague_has(ours: Organization) -> None:
    """R28: other CRMs export names."""
    rep = factories.user(organization=ours, email="rep@our.example", name="Paula Public")
    for _ in range(2):
        factories.user(organization=ours, name="Sam Same")
    factories.user(name="Strange Stranger")
    rows = ["paula public", "REP@our.example", "Sam Same", "Strange Stranger"]
    _, refused = run(ours, "Name,Owner\n" + "".join(f"P{n},{row}\n" for n, row in enumerate(rows)))
    assert [line for line, _ in refused] == [4, 5]
    assert {customer.owner for customer in Customer.objects.all()} == {rep}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encoding_and_delimiter_are_found_out(ours: Organization, encoding: str, delimiter: str) -> None:
    """R28: as spreadsheets save it."""
    lines = (["Nachname", "E-Mail", "Firma"], ["Müller", "m@acme.example", "Öl & Söhne"])
    text = "".join(delimiter.join(line) + "\r\n" for line in lines)
    _, refused = run(ours, text.encode(encoding))
    assert not refused
    made = Customer.objects.get()
    assert (made.last_name, made.company, made.primary_address) == ("Müller", "Öl & Söhne", "m@acme.example")


def test_each_wrong_row_is_named_and_the_others_are_imported(ours: Organization) -> None:
    """R28: a line number and what is wrong."""
    rows = [
        "Last name,Email,Company,Type,Owner",
        "Good,good@acme.example,,,",
        "Bad,not an address,,,",
        "Slip,x@@acme.example,,,",
        ",,Nobody Ltd,,",
        "Odd,odd@acme.example,,friend,",
        "Theirs,t@acme.example,,,boss@other.example",
        f"Long,l@acme.example,{'x' * 201},,",
        "Much,m@acme.example,,,,more",
        ",only.address@acme.example,,,",
        f'Huge,"{"h" * 200_000}",,,',
        "Last,last@acme.example,,,",
    ]
    work, refused = run(ours, "\n".join(rows))
    assert set(Customer.objects.values_list("last_name", flat=True)) == {"Good", "Address", "Last"}
    assert told(work) == (3, 0, 0, 0, 8)
    words = (
        "“not an address” is not an e-mail",
        "“x@@acme.example” is not",
        "neither a name",
        "“friend”",
        "boss@other",
        "200 characters",
        "6 cells",
        "too long",
    )
    assert [number for number, _ in refused] == [3, 4, 5, 6, 7, 8, 9, 11]
    for (_, why), word in zip(refused, words, strict=True):
        assert word in why


def test_importing_twice_changes_nothing_the_second_time(ours: Organization) -> None:
    """R28: with and without addresses; the same person twice in a file is one record."""
    factories.user(organization=ours, email="rep@our.example")
    text = TABLE + ",Stone,b@home.example,,,777,,,\n,Carl,,,Lawyers,,,,\n"
    assert told(run(ours, text)[0]) == (2, 1, 1, 0, 0)
    before = list(Customer.objects.order_by("id").values())
    assert [customer["phone"] for customer in before] == ["777", ""]
    work, _ = run(ours, TABLE.replace("555", "777") + ",Stone,b@home.example,,,777,,,\n")
    assert told(work) == (0, 0, 3, 0, 0)
    assert list(Customer.objects.order_by("id").values()) == before


def test_what_is_there_is_updated_or_left_alone_as_chosen(ours: Organization) -> None:
    """R28: empty cells change nothing, new addresses are added, a contact does not become a lead again."""
    bea = factories.customer(organization=ours, last_name="Stone", phone="1", addresses=["bea@acme.example"])
    text = "Last name,Email,Phone,Company,Type\nStein,new@x.example bea@acme.example,,Acme,lead\n"
    assert told(run(ours, text, updates=False)[0]) == (0, 0, 0, 1, 0)
    bea.refresh_from_db()
    assert bea.last_name == "Stone"
    assert told(run(ours, text)[0]) == (0, 1, 0, 0, 0)
    bea.refresh_from_db()
    assert (bea.last_name, bea.phone, bea.company, bea.kind) == ("Stein", "1", "Acme", "contact")
    assert [str(each) for each in bea.addresses.all()] == ["bea@acme.example", "new@x.example"]


def test_a_row_that_fits_two_records_is_refused(ours: Organization) -> None:
    """R28: a person decides, by merging."""
    for number in (1, 2):
        factories.customer(organization=ours, addresses=[f"{number}@acme.example"])
    work, refused = run(ours, "Name,Email\nBea,1@acme.example;2@acme.example\n")
    assert told(work) == (0, 0, 0, 0, 1)
    assert "Merge them" in refused[0][1]


def test_a_dry_run_tells_the_same_and_saves_nothing(ours: Organization) -> None:
    """R28: also of a row that meets an earlier one of the same file."""
    factories.user(organization=ours, email="rep@our.example")
    text = TABLE + ",Stone,b@home.example,,,777,,,\n,X,nonsense,,,,,,\n"
    dry, refused = run(ours, text, is_dry=True)
    assert not Customer.objects.exists()
    wet, refused_too = run(ours, text)
    assert told(dry) == told(wet) == (2, 1, 0, 0, 1)
    assert refused == refused_too


def test_imported_customers_have_the_mail_that_is_stored_already(ours: Organization) -> None:
    """R29."""
    mailbox = factories.mailbox(owner=factories.user(organization=ours))
    factories.message(mailbox=mailbox, sender="bea@acme.example")
    run(ours, "Name,Email\nBea Stone,bea@acme.example\n")
    assert Correspondence.objects.get().customer.name == "Bea Stone"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"PK\x03\x04\0\0\0", "no CSV"),
        (b"Phone,Company\n1,Acme\n", "No column is a name"),
        (b"a," * 300, "at most 200"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_plain_words(ours: Organization, text: bytes, words: str) -> None:
    """R28."""
    with pytest.raises(Unreadable, match=words):
        run(ours, text)


def test_another_organizations_records_are_not_met(ours: Organization) -> None:
    """R1."""
    theirs = factories.customer(
        organization=factories.organization(domain="theirs.example"), last_name="Stone", addresses=["bea@acme.example"]
    )
    assert told(run(ours, "Last name,Email\nTaken,bea@acme.example\nStone,\n")[0]) == (2, 0, 0, 0, 0)
    theirs.refresh_from_db()
    assert theirs.last_name == "Stone"


def test_the_command_imports_and_writes_the_wrong_rows_into_a_file(ours: Organization, tmp_path: Path) -> None:
    """R28, interface.md: one summary line, exit 1 if a row failed; the error file can be corrected and imported."""
    file, errors, out = tmp_path / "in.csv", tmp_path / "errors.csv", io.StringIO()
    file.write_text("Name,Email\nBea Stone,bea@acme.example\nCarl,nonsense\n")
    options = {"organization": ours.name, "stdout": out}
    with pytest.raises(CommandError, match="1 of 2 rows"):
        call_command("import_customers", str(file), dry_run=True, **options)
    assert not Customer.objects.exists()
    with pytest.raises(CommandError, match="1 of 2 rows"):
        call_command("import_customers", str(file), errors=errors, **options)
    assert "1 created, 0 updated, 0 unchanged, 0 skipped, 1 not imported" in out.getvalue()
    with errors.open(newline="", encoding="utf-8-sig") as source:
        rows = list(csv.reader(source))
    assert rows[0] == ["Name", "Email", "Line", "Error"]
    assert rows[1][:3] == ["Carl", "nonsense", "3"]
    errors.write_text(errors.read_text().replace("Carl,nonsense", "Carl,carl@acme.example"))
    call_command("import_customers", str(errors), **options)
    assert Customer.objects.count() == 2


@pytest.mark.parametrize(
    ("name", "organization", "words"), [("no.csv", None, "No such file"), ("in.csv", "Nobody", "no organisation")]
)
def test_the_command_says_what_is_not_there(
    ours: Organization, tmp_path: Path, name: str, organization: str | None, words: str
) -> None:
    """R28."""
    (tmp_path / "in.csv").write_text("Name\nBea\n")
    with pytest.raises(CommandError, match=words):
        call_command("import_customers", str(tmp_path / name), organization=organization or ours.name)
