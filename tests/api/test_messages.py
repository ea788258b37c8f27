"""`messages/` and `threads/`: what is seen, by whom, and what owners do (R20–R26, R30–R32)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import Mailbox, User
from customers.models import Customer
from fetcher import deletion
from fetcher.models import SeenUid
from mail.arranging import Wanted, arrange_labels
from mail.models import Label, Message, Thread
from sharing import searching
from sharing.policies import keep_private
from tests import factories
from tests.api.clients import ROOT, program, results

pytestmark = pytest.mark.django_db
MESSAGES = ROOT + "messages/"
BEA = "Bea <bea@acme.example>"


@dataclass
class World:
    """John shares (Public), Adam looks on, Bea is a contact."""

    john: User
    adam: User
    mailbox: Mailbox
    bea: Customer
    owner: APIClient
    viewer: APIClient


@pytest.fixture
def world() -> World:
    """A small one."""
    organization = factories.organization(time_zone="Europe/Berlin")
    john = factories.user(organization=organization, name="John", email="john@our.example")
    adam = factories.user(organization=organization, name="Adam", mail_account=True)
    return World(
        john=john,
        adam=adam,
        mailbox=factories.mailbox(owner=john),
        bea=factories.customer(organization=organization, addresses=["bea@acme.example"], last_name="Bea"),
        owner=program(john),
        viewer=program(adam),
    )


def full(world: World) -> Message:
    """A message with everything."""
    return factories.message(
        mailbox=world.mailbox,
        sender=BEA,
        to=["John <john@our.example>"],
        cc=["x@else.example"],
        bcc=["hidden@else.example"],
        subject="The offer",
        text="Dear John",
        html='<p>Dear <b>John</b><script>alert(1)</script><img src="http://track.example/1.gif"></p>',
        attachments=[("../offer.pdf", "application/pdf", b"%PDF-offer"), ("page.html", "text/html", b"<script>")],
        message_id="offer@acme.example",
        headers={"Delivered-To": "john@our.example"},
    )


def test_a_message_is_listed_with_the_contracts_shapes(world: World) -> None:
    message = full(world)
    listed = results(world.owner, "messages/")
    assert listed == [
        {
            "id": message.pk,
            "mailbox": world.mailbox.pk,
            "owner": world.john.pk,
            "direction": "received",
            "message_id": message.message_id,
            "subject": "The offer",
            "from": {"name": "Bea", "address": "bea@acme.example"},
            "to": [{"name": "John", "address": "john@our.example"}],
            "cc": [{"name": "", "address": "x@else.example"}],
            "bcc": [{"name": "", "address": "hidden@else.example"}],
            "date": listed[0]["date"],
            "snippet": message.snippet,
            "customers": [{"id": world.bea.pk, "kind": "contact", "name": "Bea"}],
            "thread": message.thread_id,
            "has_attachments": True,
            "is_private": False,
            "folder": message.folder_id,
            "labels": [],
            "is_read": False,
            "is_starred": False,
            "status": None,
        }
    ]
    assert "offer@acme.example" in message.message_id
    assert datetime.fromisoformat(listed[0]["date"]) == message.date


def test_a_viewer_gets_nothing_that_is_the_owners_alone(world: World) -> None:
    """sharing.md, *What a viewer who is not the owner gets*."""
    message = full(world)
    own = world.owner.get(f"{MESSAGES}{message.pk}/").json()
    seen = world.viewer.get(f"{MESSAGES}{message.pk}/").json()
    hidden = {"bcc", "folder", "labels", "is_read", "is_starred"}
    assert {name for name in seen if seen[name] != own[name]} == hidden
    assert {seen[name] for name in hidden} == {None}
    for path in ("", f"{message.pk}/", f"{message.pk}/raw/", "?search=hidden"):
        assert b"hidden@else.example" not in world.viewer.get(MESSAGES + path).content


def test_an_opened_message_has_text_safe_html_and_attachments(world: World) -> None:
    """R32."""
    message = full(world)
    seen = world.viewer.get(f"{MESSAGES}{message.pk}/").json()
    assert seen["text"].strip() == "Dear John"
    assert "<b>John</b>" in seen["html"]
    assert "script" not in seen["html"]
    assert "track.example" not in seen["html"]
    assert "track.example" in world.viewer.get(f"{MESSAGES}{message.pk}/?images=1").json()["html"]
    assert [set(attachment) for attachment in seen["attachments"]] == [{"id", "name", "content_type", "size"}] * 2
    assert seen["attachments"][0]["size"] == 10


def test_raw_is_as_received_less_what_is_withheld(world: World) -> None:
    raw = factories.raw_message(sender=BEA, bcc=["hidden@else.example"], headers={"Delivered-To": "john@our.example"})
    message = factories.file_raw(world.mailbox, raw)
    answer = world.owner.get(f"{MESSAGES}{message.pk}/raw/", headers={"Accept": "message/rfc822"})
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, raw, "message/rfc822")
    seen = world.viewer.get(f"{MESSAGES}{message.pk}/raw/").content
    assert b"hidden@else.example" not in seen
    assert b"Delivered-To" not in seen
    assert seen.endswith(raw.partition(b"\r\n\r\n")[2])


def test_attachments_are_downloads_and_never_pages(world: World) -> None:
    message = full(world)
    pdf, page = message.attachments.all()
    answer = world.viewer.get(f"{MESSAGES}{message.pk}/attachments/{pdf.pk}/")
    assert (answer.status_code, answer.content) == (200, b"%PDF-offer")
    assert answer["Content-Disposition"].startswith("attachment")
    assert "/" not in answer["Content-Disposition"]
    answer = world.viewer.get(f"{MESSAGES}{message.pk}/attachments/{page.pk}/")
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    other = factories.message(mailbox=world.mailbox, sender=BEA)
    assert world.viewer.get(f"{MESSAGES}{other.pk}/attachments/{pdf.pk}/").status_code == 404


def test_what_is_not_visible_is_404_everywhere(world: World) -> None:
    message = full(world)
    attachment = message.attachments.first()
    factories.share(world.mailbox, "private")
    one = f"{MESSAGES}{message.pk}/"
    for path in ("", "raw/", f"attachments/{attachment.pk}/", "visibility/", "openings/"):
        answer = world.viewer.get(one + path)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
    unknown = world.viewer.get(f"{MESSAGES}{message.pk + 1000}/")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Not found."})
    assert results(world.viewer, "messages/") == []


def test_opening_somebody_elses_is_noted_for_its_owner(world: World) -> None:
    """R26."""
    message = full(world)
    attachment = message.attachments.first()
    one = f"{MESSAGES}{message.pk}/"
    world.owner.get(one)
    world.viewer.get(MESSAGES)
    world.viewer.get(one + "visibility/")
    assert results(world.owner, f"messages/{message.pk}/openings/") == []
    world.viewer.get(one)
    world.viewer.get(one + "raw/")
    world.viewer.get(f"{one}attachments/{attachment.pk}/")
    openings = results(world.owner, f"messages/{message.pk}/openings/")
    assert [opening["viewer"] for opening in openings] == [{"id": world.adam.pk, "name": "Adam"}] * 3
    assert world.viewer.get(one + "openings/").status_code == 404


def test_visibility_is_explained_and_viewers_are_named_to_the_owner(world: World) -> None:
    """R26."""
    message = full(world)
    seen = world.viewer.get(f"{MESSAGES}{message.pk}/visibility/").json()
    assert (seen["visible"], seen["rule"], seen["viewers"]) == (True, 8, None)
    assert seen["reason"]
    own = world.owner.get(f"{MESSAGES}{message.pk}/visibility/").json()
    assert (own["rule"], own["viewers"]) == (2, [{"id": world.adam.pk, "name": "Adam"}])


def test_the_owner_moves_labels_marks_and_keeps_private(world: World) -> None:
    message = full(world)
    account = world.john.mail_account
    arrange_labels(account, [Wanted(name="Hot")])
    label = Label.objects.get()
    trash = account.folders.get(kind="trash")
    changes = {"folder": trash.pk, "labels": [label.pk], "is_read": True, "is_starred": True, "is_private": True}
    answer = world.owner.patch(f"{MESSAGES}{message.pk}/", changes)
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in changes} == changes
    assert [row["id"] for row in results(world.owner, "messages/", folder=trash.pk)] == [message.pk]
    assert [row["id"] for row in results(world.owner, "messages/", label=label.pk)] == [message.pk]
    assert world.viewer.get(f"{MESSAGES}{message.pk}/").status_code == 404
    lifted = {"folder": account.folders.get(kind="inbox").pk, "is_private": False}
    assert world.owner.patch(f"{MESSAGES}{message.pk}/", lifted).status_code == 200
    assert world.viewer.get(f"{MESSAGES}{message.pk}/").status_code == 200


def test_only_the_owner_changes_or_deletes(world: World) -> None:
    message = full(world)
    one = f"{MESSAGES}{message.pk}/"
    assert world.viewer.patch(one, {"is_read": True}).status_code == 404
    assert world.viewer.delete(one).status_code == 404
    assert world.viewer.patch(f"{ROOT}threads/{message.thread_id}/", {"is_private": True}).status_code == 404
    message.refresh_from_db()
    assert not message.is_read


@pytest.mark.parametrize("field", ["owner", "mailbox", "thread", "subject", "date", "direction", "is_draft", "id"])
def test_nothing_else_is_assigned(world: World, field: str) -> None:
    message = full(world)
    answer = world.owner.patch(f"{MESSAGES}{message.pk}/", {field: 1})
    assert (answer.status_code, set(answer.json())) == (400, {field})


def test_somebody_elses_folder_or_label_and_drafts_are_refused(world: World) -> None:
    message = full(world)
    theirs = world.adam.mail_account
    arrange_labels(theirs, [Wanted(name="Mine")])
    drafts = world.john.mail_account.folders.get(kind="drafts")
    for body in (
        {"folder": theirs.folders.get(kind="inbox").pk},
        {"labels": [theirs.labels.get().pk]},
        {"folder": drafts.pk},
        {"folder": None},
        {"folder": "x"},
    ):
        answer = world.owner.patch(f"{MESSAGES}{message.pk}/", body)
        assert (answer.status_code, set(answer.json())) == (400, set(body))
    message.refresh_from_db()
    assert message.folder.kind == "inbox"


def test_a_first_delete_moves_to_trash_and_a_second_deletes_for_good(world: World) -> None:
    """R10: only the second step lets the fetcher delete on the server."""
    message = full(world)
    one = f"{MESSAGES}{message.pk}/"
    mailbox = world.mailbox
    mailbox.delete_policy = "when_deleted"
    mailbox.save()
    assert world.owner.delete(one).status_code == 204
    assert world.owner.get(one).json()["folder"] == world.john.mail_account.folders.get(kind="trash").pk
    assert world.viewer.get(one).status_code == 404
    assert not deletion.deletable(mailbox).exists()
    assert world.owner.delete(one).status_code == 204
    assert world.owner.get(one).status_code == 404
    assert deletion.deletable(mailbox).count() == 1
    assert SeenUid.objects.get().message is None
    assert not Thread.objects.exists()


def test_a_private_conversation_stays_private_after_its_last_message_is_gone(world: World) -> None:
    message = full(world)
    thread = world.owner.patch(f"{ROOT}threads/{message.thread_id}/", {"is_private": True})
    assert thread.json() == {"id": message.thread_id, "is_private": True}
    for _ in range(2):
        world.owner.delete(f"{MESSAGES}{message.pk}/")
    answer = factories.message(mailbox=world.mailbox, sender=BEA, references=["offer@acme.example"])
    assert answer.thread_id == thread.json()["id"]
    assert world.viewer.get(f"{MESSAGES}{answer.pk}/").status_code == 404


def test_a_thread_kept_private_hides_all_of_it(world: World) -> None:
    first = full(world)
    second = factories.message(mailbox=world.mailbox, sender=BEA, references=["offer@acme.example"])
    assert second.thread_id == first.thread_id
    url = f"{ROOT}threads/{first.thread_id}/"
    world.owner.patch(url, {"is_private": True})
    assert results(world.viewer, "messages/") == []
    world.owner.patch(url, {"is_private": False})
    assert len(results(world.viewer, "messages/", thread=first.thread_id)) == 2
    answer = world.owner.patch(url, {"owner": world.adam.pk, "is_private": True})
    assert (answer.status_code, set(answer.json())) == (400, {"owner"})


class TestFilters:
    """Each narrows what is visible, and none tells of what is not."""

    @pytest.fixture
    def ids(self, world: World) -> dict[str, int]:
        """Four messages by name."""
        sent = factories.message(mailbox=world.mailbox, sender="john@our.example", to=["bea@acme.example"])
        early = factories.message(
            mailbox=world.mailbox, sender=BEA, subject="Early bird", date=datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
        )
        dan = factories.message(mailbox=world.mailbox, sender="dan@nobody.example", text="Zebra crossing")
        return {"full": full(world).pk, "sent": sent.pk, "early": early.pk, "dan": dan.pk}

    @pytest.mark.parametrize(
        ("parameters", "found"),
        [
            ({}, {"full", "sent", "early", "dan"}),
            ({"search": "OFFER dear"}, {"full"}),
            ({"search": "bea@acme.example"}, {"full", "sent", "early"}),
            ({"search": "from:bea@acme.example"}, {"full", "early"}),
            ({"search": "zebra"}, {"dan"}),
            ({"search": "zebra dear"}, set()),
            ({"search": "100%_"}, set()),
            ({"direction": "sent"}, {"sent"}),
            ({"until": "2026-01-31"}, set()),
            ({"until": "2026-02-01"}, {"early"}),
            ({"since": "2026-02-01", "until": "2026-02-01"}, {"early"}),
            ({"since": "2026-01-31T23:30:00Z", "until": "2026-01-31T23:30:00Z"}, {"early"}),
            ({"since": "2026-02-01T00:31:00+01:00"}, {"full", "sent", "dan"}),
        ],
    )
    def test_narrow(self, world: World, ids: dict[str, int], parameters: dict[str, str], found: set[str]) -> None:
        """For the owner; days are the organisation's."""
        rows = results(world.owner, "messages/", **parameters)
        assert {row["id"] for row in rows} == {ids[name] for name in found}

    def test_by_customer_holds_correspondence(self, world: World, ids: dict[str, int]) -> None:
        """Not where they are merely copied."""
        factories.message(mailbox=world.mailbox, sender="dan@nobody.example", cc=["bea@acme.example"])
        rows = results(world.owner, "messages/", customer=world.bea.pk)
        assert {row["id"] for row in rows} == {ids["full"], ids["sent"], ids["early"]}
        assert results(world.owner, "messages/", customer=world.bea.pk + 99) == []

    def test_by_somebody_elses_folder_or_label_finds_nothing(self, world: World, ids: dict[str, int]) -> None:
        """Where others keep mail is theirs to know."""
        inbox = world.john.mail_account.folders.get(kind="inbox")
        arrange_labels(world.john.mail_account, [Wanted(name="Hot")])
        label = Label.objects.get()
        world.owner.patch(f"{MESSAGES}{ids['full']}/", {"labels": [label.pk]})
        assert results(world.owner, "messages/", folder=inbox.pk)
        assert results(world.viewer, "messages/", folder=inbox.pk) == []
        assert results(world.viewer, "messages/", label=label.pk) == []
        assert results(world.viewer, "messages/", mailbox=world.mailbox.pk)

    @pytest.mark.parametrize(
        ("parameter", "value"),
        [
            ("customer", "x"),
            ("mailbox", "0"),
            ("folder", "1.5"),
            ("thread", str(10**30)),
            ("direction", "up"),
            ("since", "yesterday"),
            ("until", "2026-13-01"),
            ("since", "0001-01-01"),
            ("until", "9999-12-31"),
            ("search", "\x00"),
            ("search", "before:31.12.2026"),
            ("search", "label:unknown"),
        ],
    )
    def test_that_are_not_usable_are_named(self, world: World, parameter: str, value: str) -> None:
        """400 with the parameter."""
        answer = world.viewer.get(MESSAGES, {parameter: value})
        assert (answer.status_code, set(answer.json())) == (400, {parameter})


def test_pages_hold_messages_of_the_same_second_once_each(world: World) -> None:
    for _ in range(5):
        factories.message(mailbox=world.mailbox, sender=BEA)
    rows = results(world.viewer, "messages/", page_size=2)
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    assert len(rows) == 5


def test_pages_of_a_search_lose_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is looked at for one: a page may be short, or empty, while `next` leads on."""
    for number in range(7):
        message = factories.message(mailbox=world.mailbox, sender=BEA, subject=f"Pipes {number}")
        if number % 3:
            keep_private(world.mailbox.owner, message, True)
    monkeypatch.setattr(searching, "JUDGED", 2)
    rows = results(world.viewer, "messages/", search="pipes", page_size=1)
    assert [row["subject"] for row in rows] == ["Pipes 6", "Pipes 3", "Pipes 0"]
    answer = world.viewer.get(MESSAGES, {"search": "pipes", "page_size": 2})
    assert answer.json()["previous"] is None
    assert world.viewer.get(MESSAGES, {"search": "pipes", "cursor": "x"}).status_code == 400


def test_what_a_search_means_is_worked_out_once(world: World) -> None:
    """However often a look narrows what it goes through: who `customer:` names is one query."""
    full(world)
    plain, named = (_queries(world.viewer, f"messages/?search={text}") for text in ("offer", "offer customer:bea"))
    assert named == plain + 1


def test_the_best_match_may_come_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what one look finds, page by page, and again of what is older."""
    for number in range(5):
        subject = f"Pipes {number}" if number % 2 else str(number)
        factories.message(mailbox=world.mailbox, sender=BEA, subject=subject, text="pipes")
    rows = results(world.viewer, "messages/", search="pipes", order="best", page_size=2)
    assert [row["subject"] for row in rows] == ["Pipes 3", "Pipes 1", "4", "2", "0"]
    monkeypatch.setattr(searching, "JUDGED", 3)
    rows = results(world.viewer, "messages/", search="pipes", order="best", page_size=2)
    assert [row["subject"] for row in rows] == ["Pipes 3", "4", "2", "Pipes 1", "0"]
    following = world.viewer.get(MESSAGES, {"search": "pipes", "order": "best", "page_size": 2}).json()["next"]
    assert world.viewer.get(following.replace("order=best", "order=newest")).status_code == 400


def test_only_a_search_has_an_order(world: World) -> None:
    for query in ({"order": "best"}, {"order": "random", "search": "pipes"}):
        answer = world.viewer.get(MESSAGES, query)
        assert (answer.status_code, set(answer.json())) == (400, {"order"})


def _queries(client: APIClient, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(ROOT + path).status_code == 200
    return len(captured)


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("messages/", 7),
        ("messages/?search=offer customer:bea -customer:mallory in:inbox -label:hot&order=best", 12),
        ("contacts/{bea}/emails/", 8),
        ("contacts/", 5),
        ("mailboxes/", 5),
        ("users/", 4),
    ],
)
def test_the_number_of_queries_does_not_grow_with_the_list(world: World, path: str, most: int) -> None:
    world.john.role = "admin"
    world.john.save()
    arrange_labels(world.john.mail_account, [Wanted("Hot", colour="#c2413b")])
    factories.customer(organization=world.john.organization, last_name="Mallory")
    path = path.format(bea=world.bea.pk)

    def more(number: int) -> None:
        for _ in range(number):
            full(world)
            owner = factories.user(organization=world.john.organization)
            factories.mailbox(owner=owner, excluded_domains=["a.example"])
            factories.customer(organization=world.john.organization, addresses=["a@b.example"])

    more(2)
    few = _queries(world.owner, path)
    more(8)
    assert _queries(world.owner, path) == few <= most


def test_answers_are_kept_by_no_cache(world: World) -> None:
    message: Any = full(world)
    for path in ("messages/", f"messages/{message.pk}/", f"messages/{message.pk}/raw/", "messages/0/"):
        assert world.viewer.get(ROOT + path)["Cache-Control"] == "private, no-store"
