"""The pages of importing and exporting leads and contacts (R28)."""

from __future__ import annotations

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from customers import imports
from customers.models import Customer, CustomerImport
from sharing.models import AuditEntry
from tests import factories
from tests.portal.browsers import browser, page

pytestmark = pytest.mark.django_db
State = CustomerImport.State

TABLE = "Full name;Mail;Rating\nBea Stone;bea@acme.example;good\nNobody;no address;\n"


@pytest.fixture
def ann() -> User:
    """Who imports."""
    return factories.user(name="Ann", role=User.Role.ADMIN)


@pytest.fixture
def work(ann: User) -> CustomerImport:
    """Her upload."""
    return factories.upload(ann, TABLE)


def chosen(**changes: str) -> dict[str, str]:
    """The form of the columns as it is guessed."""
    return {"column_0": "name", "column_1": "email", "column_2": "", "kind": "contact", "updates": "yes"} | changes


def test_a_file_is_uploaded_and_its_columns_are_guessed(ann: User) -> None:
    """R28: each column with what is in it."""
    answer = browser(ann).post(
        reverse("imports"), {"file": SimpleUploadedFile("people.csv", TABLE.encode())}, follow=True
    )
    text = answer.content.decode()
    assert "Full name" in text
    assert "Bea Stone, Nobody" in text
    form = answer.context["form"]
    assert [form[f"column_{number}"].value() for number in range(3)] == ["name", "email", ""]
    assert not Customer.objects.exists()


def test_what_is_no_table_is_refused_beside_the_field(ann: User) -> None:
    """A workbook is not a CSV file."""
    for data, words in ((b"PK\3\4\0\0", "no CSV file"), (b"", "empty")):
        answer = browser(ann).post(reverse("imports"), {"file": SimpleUploadedFile("people.xlsx", data)})
        assert words in answer.context["form"].errors["file"][0]
    assert "Choose a file" in browser(ann).post(reverse("imports")).content.decode()
    assert not CustomerImport.objects.exists()


def test_what_is_far_too_large_is_cut_off_as_it_comes(
    ann: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """What comes from outside is bounded; the form still says why."""
    monkeypatch.setattr(imports, "MOST_BYTES", 100_000)
    settings.MAX_UPLOAD_BYTES = 200_000
    file = SimpleUploadedFile("people.csv", b"Name,Email\n" * 100_000)
    answer = browser(ann).post(reverse("imports"), {"file": file})
    assert "larger than" in answer.context["form"].errors["file"][0]
    assert answer.context["form"].files["file"].size < 300_000


def test_an_import_is_checked_then_confirmed_then_done(ann: User, work: CustomerImport) -> None:
    """R28: dry run, progress, errors by row."""
    client, where = browser(ann), work.get_absolute_url()
    assert client.post(where, chosen()).status_code == 302
    going = client.get(where).content.decode()
    assert reverse("import-progress", args=[work.pk]) in going
    assert 'max="%d"' % work.size in going  # noqa: UP031
    imports.work_on(work.pk)
    assert client.get(reverse("import-progress", args=[work.pk]))["HX-Refresh"] == "true"
    checked = client.get(where).content.decode()
    assert "Import 1 row<" in checked
    assert "“no address” is not an e-mail address" in checked
    assert "Nobody · no address" in checked
    assert not Customer.objects.exists()
    client.post(reverse("import-start", args=[work.pk]))
    imports.work_on(work.pk)
    assert Customer.objects.get().name == "Bea Stone"
    assert "What was imported" in client.get(where).content.decode()
    answer = client.get(reverse("import-errors", args=[work.pk]))
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))  # type: ignore[attr-defined]
    assert [row[:2] for row in rows] == [["Full name", "Mail"], ["Nobody", "no address"]]


def test_columns_that_make_no_sense_are_refused_above_the_form(ann: User, work: CustomerImport) -> None:
    """R28."""
    answer = browser(ann).post(work.get_absolute_url(), chosen(column_2="name"))
    assert "Two columns are “Full name”" in answer.content.decode()
    work.refresh_from_db()
    assert work.state == State.UPLOADED


def test_what_can_no_longer_be_done_is_said(ann: User, work: CustomerImport) -> None:
    """Two windows, or the back button."""
    client = browser(ann)
    client.post(reverse("import-cancel", args=[work.pk]))
    for name in ("import-start", "import-cancel"):
        answer = client.post(reverse(name, args=[work.pk]), follow=True)
        assert "This import is cancelled." in answer.content.decode()
    assert "This import is cancelled." in client.post(work.get_absolute_url(), chosen(), follow=True).content.decode()


def test_nobody_else_sees_an_import(ann: User, work: CustomerImport) -> None:
    """The file may hold more than the records; not even another administrator's eyes are asked for."""
    admin = factories.user(organization=ann.organization, role="admin")
    page(admin, "import", work.pk, status=404)
    assert "people.csv" not in page(admin, "imports")
    assert "people.csv" in page(ann, "imports")


def test_importing_is_for_administrators(ann: User, work: CustomerImport) -> None:
    """product.md, People: members have no such page, not even of what they uploaded before, and no way to it."""
    User.objects.filter(pk=ann.pk).update(role=User.Role.MEMBER)
    for name, ids in (
        ("imports", []),
        ("import", [work.pk]),
        ("import-progress", [work.pk]),
        ("import-errors", [work.pk]),
    ):
        page(ann, name, *ids, status=404)
    assert reverse("imports") not in page(ann, "customer-list", "contacts")
    for name in ("import", "import-start", "import-cancel"):
        assert browser(ann).post(reverse(name, args=[work.pk]), chosen()).status_code == 404
    work.refresh_from_db()
    assert work.state == State.UPLOADED


def test_an_export_holds_what_the_list_is_narrowed_to(ann: User) -> None:
    """R28."""
    for name, company in (("Bea", "Acme"), ("Carl", "Other")):
        factories.customer(organization=ann.organization, last_name=name, company=company)
    factories.customer(organization=factories.organization(domain="rival.example"), last_name="Rival", company="Acme")
    link = page(ann, "customer-list", "contacts", search="acme")
    assert f"{reverse('customer-export', args=['contacts'])}?search=acme" in link
    answer = browser(ann).get(reverse("customer-export", args=["contacts"]), {"search": "acme"})
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))  # type: ignore[attr-defined]
    assert [row[2] for row in rows] == ["Last name", "Bea"]
    (entry,) = AuditEntry.objects.all()
    assert (entry.action, entry.in_words) == ("customers_exported", "filters: search acme, what: contacts")


def test_an_export_asks_no_more_of_the_database_for_more_records(ann: User) -> None:
    """Owners and addresses come along."""

    client, url = browser(ann), reverse("customer-export", args=["contacts"])

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            b"".join(client.get(url).streaming_content)  # type: ignore[attr-defined]
        return len(queries)

    factories.customer(organization=ann.organization, owner=ann)
    asked()
    one = asked()
    for _ in range(5):
        factories.customer(organization=ann.organization, owner=ann)
    assert asked() == one
