"""Reading mail on screen: one's own by folder (R4, R31)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Mailbox, User
from customers.models import Customer
from mail import boxes
from mail.arranging import add_label
from mail.boxes import Box, folders_of, labels_of, page_of
from mail.deeds import delete_message, label_message, mark_message, move_message
from mail.models import Folder, Message
from portal import boxes as pages
from sender.models import Outgoing
from tests import factories
from tests.portal.browsers import browser, page, queries_of

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def ann() -> Mailbox:
    """Ann's Public mailbox."""
    owner = factories.user(name="Ann", email="ann@our.example")
    return factories.mailbox(owner=owner, mode="public", email_address="ann@our.example", name="Ann's POP3")


@pytest.fixture
def ben(ann: Mailbox) -> User:
    """Ann's colleague."""
    return factories.user(organization=ann.owner.organization, name="Ben", email="ben@our.example", mail_account=True)


@pytest.fixture
def bea(ann: Mailbox) -> Customer:
    """A contact of theirs."""
    return factories.customer(
        organization=ann.owner.organization, first_name="Bea", last_name="Stone", addresses=["bea@acme.example"]
    )


def part(target: str) -> dict[str, str]:
    """The headers with which htmx asks for a part of a page."""
    return {"HX-Request": "true", "HX-Target": target}


def rows_in(shown: str) -> list[str]:
    """The conversations of a page."""
    return re.findall(r'<li class="conversation[^>]*data-item.*?</li>', shown, re.DOTALL)


def subjects(shown: str) -> list[str]:
    """What the conversations of a page are about, if that is a number."""
    return re.findall(r'conversation__subject">(Number \d)<', shown)


# --- folders --------------------------------------------------------------------------------------------------------


def test_without_a_crm_mail_account_the_mail_page_prompts_to_set_one_up() -> None:
    """R4."""
    assert reverse("mail-account") in page(factories.user(), "mail").split("<main")[1]


def test_the_inbox_lists_ones_own_mail_newest_first_with_the_customers_name(ann: Mailbox, bea: Customer) -> None:
    """R31."""
    factories.message(mailbox=ann, sender="Bea <bea@acme.example>", subject="Older", date=START)
    factories.message(mailbox=ann, sender="x@y.example", subject="Newer", date=START + timedelta(hours=1))
    shown = page(ann.owner, "mail")
    assert shown.index("Newer") < shown.index("Older")
    assert "Bea Stone" in shown


def test_unread_mail_stands_out_until_its_owner_opens_it(ann: Mailbox) -> None:
    """R31."""
    message = factories.message(mailbox=ann)
    assert "is-unread" in page(ann.owner, "mail")
    page(ann.owner, "message", message.pk)
    assert "is-unread" not in page(ann.owner, "mail")


def test_a_colleagues_opening_marks_nothing_as_read(ann: Mailbox, ben: User, bea: Customer) -> None:
    """sharing.md: the read state is the owner's."""
    message = factories.message(mailbox=ann, sender="bea@acme.example")
    page(ben, "message", message.pk)
    message.refresh_from_db()
    assert not message.is_read


def test_each_folder_has_its_page_and_mail_of_others_is_in_none(ann: Mailbox, ben: User, bea: Customer) -> None:
    """R4, R31."""
    received = factories.message(mailbox=ann, sender="bea@acme.example", subject="Received")
    factories.message(mailbox=ann, sender="ann@our.example", to=["bea@acme.example"], subject="Sent by me")
    folders = {folder.kind: folder for folder in Folder.objects.filter(account__user=ann.owner)}
    Message.objects.filter(pk=received.pk).update(folder=folders["trash"])
    assert "Received" in page(ann.owner, "mail-folder", folders["trash"].pk)
    assert "Sent by me" in page(ann.owner, "mail-folder", folders["sent"].pk)
    assert "Received" not in page(ann.owner, "mail")
    assert "Sent by me" not in page(ben, "mail")


def test_a_long_folder_goes_on_by_a_cursor_with_and_without_javascript(
    ann: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R31: each message once, the newest first, however many there are."""
    monkeypatch.setattr(boxes, "PER_PAGE", 2)
    for number in range(5):
        factories.message(mailbox=ann, subject=f"Number {number}", date=START + timedelta(hours=number // 2))
    client, address, found = browser(ann.owner), reverse("mail"), []
    while address:
        shown = client.get(address).content.decode()
        assert "<main" in shown
        fragment = client.get(address, headers=part("further-from-2")).content.decode()
        assert "<main" not in fragment
        assert subjects(fragment) == subjects(shown)
        found += subjects(shown)
        more = re.search(r'href="\?([^"]*cursor=[^"]*)"', shown)
        address = f"{reverse('mail')}?{unescape(more[1])}" if more else ""
    assert found == [f"Number {number}" for number in (4, 3, 2, 1, 0)]
    assert subjects(client.get(reverse("mail"), {"cursor": "nonsense"}).content.decode()) == found[:2]


def test_going_back_gets_the_whole_page(ann: Mailbox) -> None:
    """R31: the browser's history asks through htmx, too."""
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<main" in browser(ann.owner).get(reverse("mail"), headers=headers).content.decode()


# --- conversations --------------------------------------------------------------------------------------------------


def test_a_conversation_is_one_row_with_its_people_and_number_of_messages(ann: Mailbox, ben: User) -> None:
    """R31: the newest message says what it is about; what others have of it is not counted."""
    bens = factories.mailbox(owner=ben)
    for mailbox in (ann, bens):
        factories.message(mailbox=mailbox, sender="Carl <carl@x.example>", message_id="a@x", subject="Plan", date=START)
    answer = {"references": ["a@x"], "date": START + timedelta(hours=1)}
    factories.message(mailbox=ann, sender="ann@our.example", to=["carl@x.example"], subject="Re: Plan", **answer)
    factories.message(
        mailbox=ann,
        sender="Dora <dora@x.example>",
        references=["a@x"],
        subject="Re: Plan again",
        date=START + timedelta(hours=2),
    )
    rows = rows_in(page(ann.owner, "mail"))
    assert len(rows) == 1
    assert "Carl, me, Dora" in rows[0]
    assert 'conversation__count">3<' in rows[0]
    assert "Re: Plan again" in rows[0]


def test_a_conversation_over_the_end_of_a_page_is_listed_once(ann: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """R31."""
    monkeypatch.setattr(boxes, "PER_PAGE", 2)
    factories.message(mailbox=ann, message_id="old@x", subject="Number 0", date=START)
    for number in (1, 2):
        factories.message(mailbox=ann, subject=f"Number {number}", date=START + timedelta(hours=number))
    factories.message(mailbox=ann, references=["old@x"], subject="Number 3", date=START + timedelta(hours=3))
    box = Box(ann.owner, Folder.objects.get(account__user=ann.owner, kind="inbox"))
    first = page_of(box)
    second = page_of(box, first.cursor)
    assert [str(row.latest) for row in (*first.rows, *second.rows)] == ["Number 3", "Number 2", "Number 1"]
    assert second.cursor == ""


def test_a_long_conversation_does_not_end_the_list(ann: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """R31: hundreds of messages are one row, and what is older follows."""
    monkeypatch.setattr(boxes, "LOOKED_AT", 2)
    factories.message(mailbox=ann, subject="Older", date=START)
    for number in range(12):
        factories.message(mailbox=ann, references=["long@x"], date=START + timedelta(hours=1 + number))
    box = Box(ann.owner, Folder.objects.get(account__user=ann.owner, kind="inbox"))
    assert [row.count for row in page_of(box).rows] == [12, 1]


def test_marks_are_those_of_the_messages_in_the_list(ann: Mailbox) -> None:
    """R31: a conversation in two folders is starred in one."""
    factories.message(mailbox=ann, message_id="a@x", attachments=[("a.pdf", "application/pdf", b"%PDF")])
    sent = factories.message(mailbox=ann, sender="ann@our.example", to=["Carl <c@x.example>"], references=["a@x"])
    mark_message(sent, is_starred=True)
    folders = {each.kind: each for each in Folder.objects.filter(account__user=ann.owner)}
    inbox, out = (page_of(Box(ann.owner, folders[kind])).rows[0] for kind in ("inbox", "sent"))
    assert (inbox.is_unread, inbox.is_starred, inbox.has_attachments, inbox.count) == (True, False, True, 2)
    assert (out.is_unread, out.is_starred, out.has_attachments, out.people) == (False, True, False, ["Carl"])


def test_a_draft_leads_to_its_editor(ann: Mailbox) -> None:
    """R35."""
    draft = factories.outgoing(ann, subject="Number 1").message
    shown = page(ann.owner, "mail-folder", Folder.objects.get(account__user=ann.owner, kind="drafts").pk)
    assert subjects(shown) == ["Number 1"]
    assert f'href="{reverse("draft", args=[draft.pk])}"' in rows_in(shown)[0]


def test_labels_and_starred_mail_are_lists_without_trash(ann: Mailbox) -> None:
    """R31."""
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    kept, gone, other = (factories.message(mailbox=ann, subject=word) for word in ("Kept", "Gone", "Other"))
    for message in (kept, gone):
        label_message(message, [label])
        mark_message(message, is_starred=True)
    delete_message(gone)
    for shown in (page(ann.owner, "mail-label", label.pk), page(ann.owner, "mail-starred")):
        assert len(rows_in(shown)) == 1
        assert "Kept" in rows_in(shown)[0]
    assert "Hot" in next(row for row in rows_in(page(ann.owner, "mail")) if "Kept" in row)
    assert other.subject in page(ann.owner, "mail")


def test_only_unread_mail_if_asked_for(ann: Mailbox) -> None:
    """R31."""
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    read, unread = factories.message(mailbox=ann, subject="Seen"), factories.message(mailbox=ann, subject="Fresh")
    mark_message(read, is_read=True)
    for message in (read, unread):
        label_message(message, [label])
    for shown in (page(ann.owner, "mail", show="unread"), page(ann.owner, "mail-label", label.pk, show="unread")):
        assert ["Fresh" in row for row in rows_in(shown)] == [True]


def test_unread_mail_is_counted_by_folder_and_label_and_in_the_title(
    ann: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R31: what is in Trash is no label's; very many are “more than”."""
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    messages = [factories.message(mailbox=ann) for _ in range(3)]
    for message in messages:
        label_message(message, [label])
    delete_message(messages[0])
    assert [each.unread for each in labels_of(ann.owner)] == [2]  # type: ignore[attr-defined]
    assert {str(each): each.unread for each in folders_of(ann.owner)} == {  # type: ignore[attr-defined]
        "Inbox": 2,
        "Sent": 0,
        "Drafts": 0,
        "Trash": 1,
    }
    assert "<title>(2) Inbox · CRM Mail</title>" in page(ann.owner, "mail")
    monkeypatch.setattr(boxes, "COUNTED", 1)
    monkeypatch.setattr(pages, "COUNTED", 1)
    assert "<title>(1+) Inbox · CRM Mail</title>" in page(ann.owner, "mail")


# --- what arrives while a list is open ------------------------------------------------------------------------------


def test_new_mail_comes_as_rows_and_nothing_as_nothing(ann: Mailbox) -> None:
    """R31: one indexed query beside the sign-in says that there is nothing."""
    old = factories.message(mailbox=ann, subject="Number 1")
    client, address = browser(ann.owner), reverse("mail")
    quiet = client.get(address, {"since": old.pk}, headers=part("mail-arrivals"))
    assert (quiet.status_code, quiet.content) == (204, b"")
    with CaptureQueriesContext(connection) as queries:
        client.get(address, {"since": old.pk}, headers=part("mail-arrivals"))
    assert len([query for query in queries if "mail_message" in query["sql"]]) == 1
    new = factories.message(mailbox=ann, subject="Number 2")
    shown = client.get(address, {"since": old.pk}, headers=part("mail-arrivals")).content.decode()
    assert subjects(shown) == ["Number 2"]
    assert f'value="{new.pk}" data-arrived="1"' in shown
    assert "<title>(2) Inbox" in shown
    assert 'id="mail-folders"' in shown


def test_conversations_are_shown_as_they_are_now(ann: Mailbox, ben: User) -> None:
    """R31: those that left the list say so; others' are not there."""
    here, gone = factories.message(mailbox=ann, subject="Number 1"), factories.message(mailbox=ann)
    theirs = factories.message(mailbox=factories.mailbox(owner=ben))
    delete_message(gone)
    asked = {"row": [here.thread_id, gone.thread_id, theirs.thread_id]}
    shown = browser(ann.owner).get(reverse("mail"), asked, headers=part("mail-arrivals")).content.decode()
    assert subjects(shown) == ["Number 1"]
    assert re.findall(r'id="conversation-(\d+)" hx-swap-oob="delete"', shown) == [
        str(gone.thread_id),
        str(theirs.thread_id),
    ]


def test_somebody_elses_folder_does_not_exist(ann: Mailbox, ben: User) -> None:
    """R1."""
    for folder in Folder.objects.filter(account__user=ann.owner):
        page(ben, "mail-folder", folder.pk, status=404)


def test_lists_take_as_many_queries_for_many_messages_as_for_one(ann: Mailbox, bea: Customer) -> None:
    """No query a row."""
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    folders = {each.kind: each.pk for each in Folder.objects.filter(account__user=ann.owner)}
    places: list[tuple[str, list[int]]] = [("mail", []), ("mail-label", [label.pk]), ("mail-starred", [])]
    places.append(("mail-folder", [folders["sent"]]))

    def arrive(count: int) -> None:
        for _ in range(count):
            message = factories.message(mailbox=ann, sender="bea@acme.example")
            label_message(message, [label])
            mark_message(message, is_starred=True)
            factories.message(mailbox=ann, sender="ann@our.example", to=["bea@acme.example"])

    arrive(1)
    one = [queries_of(ann.owner, name, *ids) for name, ids in places]
    arrive(boxes.PER_PAGE)
    assert [queries_of(ann.owner, name, *ids) for name, ids in places] == one


@pytest.mark.parametrize(
    ("status", "words", "says"),
    [
        ("queued", "", ""),
        ("queued", "Greylisted", "Not sent yet"),
        ("failed", "No", "Not sent"),
        ("unknown", "Maybe", "Maybe sent"),
    ],
)
def test_what_did_not_get_through_is_marked_in_the_list_and_opens_beside_it(
    ann: Mailbox, status: str, words: str, says: str
) -> None:
    """R36: nobody has to open each message to see that."""
    outgoing = factories.outgoing(ann, status)
    Outgoing.objects.update(words=words)
    sent = Folder.objects.get(account__user=ann.owner, kind="sent")
    [row] = rows_in(page(ann.owner, "mail-folder", sent.pk))
    assert re.findall(r'badge--warn">(.*?)<', row) == ([says] if says else [])
    assert f'hx-get="{reverse("message", args=[outgoing.pk])}"' in row


def test_what_is_being_sent_is_asked_for_again_as_long_as_it_is(ann: Mailbox) -> None:
    """R36: with what is new, in one request; what is not there any more is taken from the list."""
    outgoing = factories.outgoing(ann, "queued")
    sent = Folder.objects.get(account__user=ann.owner, kind="sent")
    client = browser(ann.owner)
    address, thread = reverse("mail-folder", args=[sent.pk]), outgoing.message.thread_id
    asked = {"since": outgoing.pk, "row": thread}
    for status, goes_on in (("queued", True), ("sending", True), ("failed", False), ("unknown", False)):
        Outgoing.objects.update(status=status)
        for shown in (
            page(ann.owner, "mail-folder", sent.pk),
            client.get(address, asked, headers=part("mail-arrivals")).content.decode(),
        ):
            assert (" data-unsent" in rows_in(shown)[0]) is goes_on, status
    new = factories.message(mailbox=ann, sender="ann@our.example", to=["bea@acme.example"], subject="Also new")
    shown = client.get(address, asked, headers=part("mail-arrivals")).content.decode()
    assert len(rows_in(shown)) == 2
    assert f'value="{new.pk}" data-arrived="1"' in shown
    move_message(outgoing.message, Folder.objects.get(account__user=ann.owner, kind="trash"))
    shown = client.get(address, {"since": new.pk, "row": thread}, headers=part("mail-arrivals")).content.decode()
    assert (rows_in(shown), f'id="conversation-{thread}" hx-swap-oob="delete"' in shown) == ([], True)


def test_the_marks_of_a_list_cost_a_query_at_most(ann: Mailbox) -> None:
    """R36."""
    sent = Folder.objects.get(account__user=ann.owner, kind="sent")

    def queries() -> int:
        factories.outgoing(ann, "failed")
        return queries_of(ann.owner, "mail-folder", sent.pk)

    assert queries() == queries()
