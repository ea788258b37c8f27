"""The Email tab in a real browser: by keyboard, by mouse, on a phone, without a script, and while mail arrives (R31)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Locator, Page, Request, Route, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import Mailbox
from mail import boxes
from mail.arranging import add_folder, add_label
from mail.deeds import move_message
from mail.models import Folder, Message
from mail.tasks import carry_out_deeds
from portal.boxes import AT_A_TIME
from sender.models import Outgoing
from tests import factories
from tests.portal import chromium
from tests.portal.browsers import browser
from tests.portal.hands import check_accessible
from tests.portal.test_in_chromium import portal  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
]

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
#: A little longer than an open list waits before it looks for new mail.
A_LOOK = 21_000


@pytest.fixture
def ann() -> Mailbox:
    """Ann's mailbox."""
    return factories.mailbox(owner=factories.user(name="Ann"), email_address="ann@our.example")


def arrive(mailbox: Mailbox, number: int, **fields: Any) -> Message:
    """File a message as a fetch does; the higher its number, the newer it is."""
    date = START + timedelta(minutes=number)
    return factories.message(mailbox=mailbox, subject=f"Number {number}", date=date, **fields)


@contextmanager
def inbox(mailbox: Mailbox, portal: LiveServer, address: str = "", **options: Any) -> Iterator[Page]:  # noqa: F811
    """The Inbox in the browser of the mailbox's owner, or another page."""
    session = browser(mailbox.owner).cookies[settings.SESSION_COOKIE_NAME].value
    with chromium.page(**options) as page:
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": portal.url}])
        page.goto(portal.url + (address or reverse("mail")))
        yield page


def shown(page: Page, *numbers: int) -> None:
    """See that the list shows these messages, in this order."""
    expect(page.locator("#conversations .conversation__subject")).to_have_text([f"Number {each}" for each in numbers])


def row(page: Page, number: int) -> Any:
    """The conversation with this message."""
    return page.locator("#conversations > [data-item]").filter(has_text=f"Number {number}")


def looks(request: Request) -> bool:
    """Whether an open list looks for what is new."""
    return "since=" in request.url


def keys(page: Page, *pressed: str) -> None:
    """Press one key after the other."""
    for key in pressed:
        page.keyboard.press(key)


def test_a_morning_by_keyboard_alone(portal: LiveServer, ann: Mailbox) -> None:  # noqa: F811
    """R31: reading, starring, moving, deleting, undoing, going about; the place in the list is kept."""
    add_folder(ann.owner.mail_account, "Offers")
    for number in range(1, 6):
        arrive(ann, number)
    with inbox(ann, portal) as page:
        keys(page, "j", "j", "s")
        expect(row(page, 4).locator(".star")).to_have_attribute("aria-pressed", "true")
        expect(row(page, 4).locator(".conversation__link")).to_be_focused()
        keys(page, "Enter")
        expect(page.locator("#reading-pane h2").first).to_have_text("Number 4")
        expect(row(page, 4)).to_have_attribute("aria-current", "true")
        expect(row(page, 4)).not_to_have_class(re.compile("is-unread"))
        expect(page).to_have_title("(4) Inbox · CRM Mail")
        keys(page, "e")
        shown(page, 5, 3, 2, 1)
        expect(page.locator("#reading-pane [data-nothing]")).to_be_visible()
        expect(row(page, 3).locator(".conversation__link")).to_be_focused()
        keys(page, "z")
        shown(page, 5, 4, 3, 2, 1)
        page.get_by_text("Undone.").wait_for()
        keys(page, "j", "x", "j", "x", "Shift+I")
        expect(row(page, 5)).not_to_have_class(re.compile("is-unread"))
        expect(row(page, 3)).to_have_class(re.compile("is-unread"))
        keys(page, "v")
        expect(page.get_by_role("button", name="Sent", exact=True)).to_be_focused()
        keys(page, "Tab", "Tab", "Enter")
        page.get_by_text("1 message moved to Offers.").wait_for()
        keys(page, "?")
        expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Go to Trash")
        keys(page, "g", "t")  # nothing: a dialog is open
        keys(page, "Escape", "g", "t")
        expect(page.get_by_role("heading", name="Trash", level=1)).to_be_visible()


def test_nothing_fires_while_somebody_types(portal: LiveServer, ann: Mailbox) -> None:  # noqa: F811
    """R31."""
    with inbox(ann, portal, reverse("mail-arrange")) as page:
        page.get_by_label("Name").first.click()
        page.keyboard.type("e g i ? z")
        expect(page.get_by_label("Name").first).to_have_value("e g i ? z")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_several_are_deleted_and_undone_by_mouse(portal: LiveServer, ann: Mailbox) -> None:  # noqa: F811
    """R31: a click with Shift takes all between."""
    for number in range(1, 6):
        arrive(ann, number)
    with inbox(ann, portal) as page:
        row(page, 4).get_by_role("checkbox").click()
        row(page, 2).get_by_role("checkbox").click(modifiers=["Shift"])
        expect(page.locator("input[name=thread]:checked")).to_have_count(3)
        check_accessible(page)
        page.get_by_role("button", name="Delete (to Trash)").click()
        shown(page, 5, 1)
        page.get_by_text("3 messages moved to Trash.").wait_for()
        expect(page.locator(".mail-folders__link[aria-current]")).to_contain_text("2")
        page.get_by_role("button", name="Undo").click()
        shown(page, 5, 4, 3, 2, 1)


def test_conversations_are_dragged_onto_folders_and_labels(portal: LiveServer, ann: Mailbox) -> None:  # noqa: F811
    """R31: what is ticked goes together, another one alone; where nothing can be put, nothing is taken."""
    add_folder(ann.owner.mail_account, "Offers")
    add_label(ann.owner.mail_account, "Urgent", "#c2413b")
    for number in range(1, 6):
        arrive(ann, number)
    with inbox(ann, portal) as page:
        beside = page.get_by_role("navigation", name="Folders and labels")
        for number in (5, 3):
            row(page, number).get_by_role("checkbox").check()
        row(page, 2).locator(".conversation__subject").drag_to(beside.get_by_role("link", name="Urgent"))
        page.get_by_text("1 message labelled Urgent.").wait_for()
        expect(row(page, 2).locator(".conversation__tags")).to_contain_text("Urgent")
        for number in (5, 3):
            row(page, number).get_by_role("checkbox").check()
        row(page, 3).locator(".conversation__subject").drag_to(beside.get_by_role("link", name="Offers"))
        page.get_by_text("2 messages moved to Offers.").wait_for()
        shown(page, 4, 2, 1)
        row(page, 4).locator(".conversation__subject").drag_to(beside.get_by_role("link", name="Drafts"))
        row(page, 4).locator(".conversation__subject").drag_to(beside.get_by_role("link", name="Trash"))
        page.get_by_text("1 message moved to Trash.").wait_for()
        shown(page, 2, 1)
        page.get_by_role("button", name="Undo").click()
        shown(page, 4, 2, 1)
    assert Message.objects.filter(folder__name="Offers").count() == 2


def test_a_whole_folder_is_chosen_by_its_number_and_trash_emptied(
    portal: LiveServer,  # noqa: F811
    ann: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R10, R31: further rows come by scrolling; deleting for good asks in a dialog that says what it means."""
    monkeypatch.setattr(boxes, "PER_PAGE", 3)
    for number in range(1, 8):
        arrive(ann, number)
    with inbox(ann, portal) as page:
        shown(page, 7, 6, 5, 4, 3, 2, 1)
        page.get_by_label("Select all conversations shown").check()
        page.get_by_label("Select all 7 messages in Inbox").check()
        page.get_by_role("button", name="Delete (to Trash)").click()
        page.get_by_text("7 messages moved to Trash.").wait_for()
        page.get_by_text("Nothing here").wait_for()
        page.get_by_role("link", name="Trash").click()
        page.get_by_role("button", name="Empty Trash").click()
        dialog = page.get_by_role("dialog", name="Delete 7 messages for good?")
        expect(dialog).to_contain_text("The mail server keeps its copy")
        check_accessible(page)
        dialog.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Empty Trash").click()
        dialog.get_by_role("button", name="Delete for good").click()
        page.get_by_text("7 messages deleted for good.").wait_for()
        page.get_by_text("Trash is empty").wait_for()
    carry_out_deeds()
    assert not Message.objects.exists()


def test_mail_arrives_while_the_list_is_open(portal: LiveServer, ann: Mailbox) -> None:  # noqa: F811
    """R31: rows come to their places; what is ticked and where the focus is stays; a hint if one has scrolled."""
    for number in range(1, 25):
        arrive(ann, number, message_id=f"{number}@x")
    with inbox(ann, portal) as page:
        page.clock.install()
        page.reload()
        row(page, 23).get_by_role("checkbox").check()
        row(page, 23).locator(".conversation__link").focus()
        newest = arrive(ann, 40)
        page.clock.fast_forward(A_LOOK)
        expect(page.locator(".conversation__subject").first).to_have_text("Number 40")
        expect(page).to_have_title("(25) Inbox · CRM Mail")
        expect(row(page, 23).locator(".conversation__link")).to_be_focused()
        expect(row(page, 23).get_by_role("checkbox")).to_be_checked()
        arrive(ann, 41, references=["23@x"])  # an answer: its conversation comes to the top
        page.clock.fast_forward(A_LOOK)
        first = page.locator("#conversations > [data-item]").first
        expect(first).to_contain_text("Number 41")
        expect(first.get_by_role("checkbox")).to_be_checked()
        expect(first.locator(".conversation__link")).to_be_focused()
        expect(page.locator("#conversations > [data-item]")).to_have_count(25)
        page.locator("#mail-scroll").evaluate("pane => pane.scrollTo(0, 600)")
        before = row(page, 15).bounding_box()
        arrive(ann, 42)
        page.clock.fast_forward(A_LOOK)
        hint = page.get_by_role("button", name="1 new message")
        expect(hint).to_be_visible()
        assert row(page, 15).bounding_box()["y"] == pytest.approx(before["y"], abs=1)
        hint.click()
        expect(hint).to_be_hidden()
        expect(row(page, 42)).to_be_in_viewport()
    assert newest.thread_id != Message.objects.latest("pk").thread_id


def test_what_becomes_of_unsent_mail_is_seen_while_the_list_is_open(portal: LiveServer, ann: Mailbox) -> None:  # noqa: F811
    """R36: its mark comes and goes by itself; then nothing more is asked."""
    outgoing = factories.outgoing(ann, "queued", subject="Number 1")
    for number in range(2, 4):
        arrive(ann, number, sender="ann@our.example", to=["bea@acme.example"])
    sent = Folder.objects.get(account__user=ann.owner, kind="sent")
    asked: list[str] = []
    with inbox(ann, portal, reverse("mail-folder", args=[sent.pk])) as page:
        page.clock.install()
        page.reload()
        page.on("request", lambda request: asked.append(request.url) if looks(request) else None)
        row(page, 1).get_by_role("checkbox").check()
        expect(row(page, 1).locator(".badge--warn")).to_have_count(0)
        Outgoing.objects.update(words="Greylisted")
        page.clock.fast_forward(A_LOOK)
        expect(row(page, 1).locator(".badge--warn")).to_have_text("Not sent yet")
        expect(row(page, 1).get_by_role("checkbox")).to_be_checked()
        Outgoing.objects.update(status="failed")
        page.clock.fast_forward(A_LOOK)
        expect(row(page, 1).locator(".badge--warn")).to_have_text("Not sent")
        with page.expect_request(looks):
            page.clock.fast_forward(A_LOOK)
        # However many there are, the address does not become longer than a server takes.
        row(page, 1).evaluate(
            """(row, count) => {
                for (let id = 1; id <= count; id++) {
                    const another = Object.assign(row.cloneNode(true), { id: `conversation-${9_000_000 + id}` });
                    another.dataset.unsent = "";
                    row.after(another);
                }
            }""",
            AT_A_TIME + 1,
        )
        with page.expect_request(looks):
            page.clock.fast_forward(A_LOOK)
    thread = f"row={outgoing.message.thread_id}"
    assert [thread in url for url in asked] == [True, True, False, False]
    assert [url.count("row=") for url in asked] == [1, 1, 0, AT_A_TIME]


def test_what_arrives_during_a_drag_waits_for_its_end(portal: LiveServer, ann: Mailbox) -> None:  # noqa: F811
    """R31, R36: the row stays in hand, what came is shown afterwards, and the list goes on being looked at."""
    outgoing = factories.outgoing(ann, "queued", subject="Number 1")
    add_label(ann.owner.mail_account, "Urgent", "#c2413b")
    folders = {each.kind: each for each in Folder.objects.filter(account__user=ann.owner)}
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    def drag(number: int) -> None:
        """Take a row in hand, then let the answers come that were held back, and see them handled."""
        row(page, number).locator(".conversation__subject").hover()
        page.mouse.down()
        page.mouse.move(500, 500, steps=5)
        expect(page.locator("#drag-words")).to_have_text(f"Number {number}")
        page.evaluate("delete document.body.dataset.answered")
        held.pop().continue_()
        expect(page.locator("body")).to_have_attribute("data-answered", "")

    def drop(target: Locator) -> None:
        target.hover()
        page.mouse.up()
        expect(page.locator("#drag-words, .is-target")).to_have_count(0)

    with inbox(ann, portal, reverse("mail-folder", args=[folders["sent"].pk])) as page:
        page.clock.install()
        page.reload()
        page.evaluate("addEventListener('htmx:afterRequest', () => { document.body.dataset.answered = '' })")
        page.route(lambda url: "since=" in url, hold)
        urgent = page.get_by_role("navigation", name="Folders and labels").get_by_role("link", name="Urgent")
        heading = page.get_by_role("heading", name="Sent", level=1)

        # Onto a label: the row is shown anew, another comes.
        Outgoing.objects.update(words="Greylisted")
        arrive(ann, 2, sender="ann@our.example", to=["bea@acme.example"])
        with page.expect_request(looks):
            page.clock.fast_forward(A_LOOK)
        drag(1)
        shown(page, 1)
        drop(urgent)
        page.get_by_text("1 message labelled Urgent.").wait_for()
        expect(page.locator(".conversation__subject").filter(has_text="Number 2")).to_be_visible()
        expect(row(page, 1).locator(".conversation__tags")).to_contain_text("Not sent yet")

        # Onto nothing: the row is gone.
        move_message(outgoing.message, folders["trash"])
        with page.expect_request(looks):
            page.clock.fast_forward(A_LOOK)
        drag(1)
        expect(row(page, 1)).to_be_visible()
        drop(heading)
        shown(page, 2)

        # What was done to the row just before is answered: the row is another one now.
        page.route(re.compile(r"/mail/\d+/$"), hold)
        row(page, 2).locator(".star").click()
        drag(2)
        expect(row(page, 2).locator(".star")).to_have_attribute("aria-pressed", "true")
        drop(heading)
        with page.expect_request(looks):
            page.clock.fast_forward(A_LOOK)


def test_the_address_says_what_is_open_and_back_goes_back(portal: LiveServer, ann: Mailbox) -> None:  # noqa: F811
    """R31: also after a reload."""
    for number in (1, 2):
        arrive(ann, number, html=f"<p>Words of {number}</p>")
    with inbox(ann, portal) as page:
        page.get_by_role("link", name="Unread", exact=True).click()
        page.wait_for_url("**/mail/?show=unread")
        row(page, 2).locator(".conversation__link").click()
        expect(page.locator("#reading-pane h2").first).to_have_text("Number 2")
        page.wait_for_url(re.compile(r"\?show=unread&message=\d+$"))
        expect(row(page, 2)).not_to_have_class(re.compile("is-unread"))
        row(page, 1).locator(".conversation__link").click()
        expect(page.locator("#reading-pane h2").first).to_have_text("Number 1")
        page.reload()
        expect(page.locator("#reading-pane h2").first).to_have_text("Number 1")
        page.go_back()
        expect(page.locator("#reading-pane h2").first).to_have_text("Number 2")
        page.go_back()
        expect(page.locator("#reading-pane [data-nothing]")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone_one_pane_at_a_time(portal: LiveServer, ann: Mailbox, dark: bool) -> None:  # noqa: F811
    """R31: list, message, and back to where one was; folders from a button."""
    add_label(ann.owner.mail_account, "Hot", "#c2413b")
    for number in (1, 2):
        arrive(ann, number, html="<p>Words</p>")
    with inbox(ann, portal, width=360, height=740, dark=dark) as page:
        check_accessible(page)
        row(page, 2).locator(".conversation__link").click()
        expect(page.locator("#reading-pane h2").first).to_have_text("Number 2")
        expect(page.locator("#mail-list")).to_be_hidden()
        check_accessible(page)
        page.get_by_role("link", name="Back to Inbox").click()
        expect(page.locator("#mail-list")).to_be_visible()
        expect(page.locator(".mailbox__reading")).to_be_hidden()
        expect(row(page, 2).locator(".conversation__link")).to_be_focused()
        row(page, 1).get_by_role("checkbox").check()
        page.get_by_role("button", name="Mark as read").click()
        expect(row(page, 1)).not_to_have_class(re.compile("is-unread"))
        page.get_by_role("button", name="Folders and labels").click()
        expect(page.get_by_role("link", name="Hot")).to_be_visible()
        check_accessible(page)
        page.get_by_role("link", name="Trash").click()
        page.get_by_text("Trash is empty").wait_for()


def test_on_a_tablet_two_panes_and_folders_from_a_button(portal: LiveServer, ann: Mailbox) -> None:  # noqa: F811
    """R31."""
    arrive(ann, 1)
    with inbox(ann, portal, width=1000, height=800, dark=True) as page:
        row(page, 1).locator(".conversation__link").click()
        expect(page.locator("#reading-pane h2").first).to_have_text("Number 1")
        expect(page.locator("#mail-list")).to_be_visible()
        expect(page.locator("#mail-folders")).to_be_hidden()
        check_accessible(page)
        page.get_by_role("button", name="Folders and labels").click()
        expect(page.locator("#mail-folders")).to_be_visible()


def test_without_a_script_links_and_forms_do_it(portal: LiveServer, ann: Mailbox) -> None:  # noqa: F811
    """R31: reading, deleting, undoing."""
    for number in (1, 2):
        arrive(ann, number)
    with inbox(ann, portal, javascript=False) as page:
        row(page, 2).get_by_role("checkbox").check()
        page.get_by_role("button", name="Delete (to Trash)").click()
        page.get_by_text("1 message moved to Trash.").wait_for()
        shown(page, 1)
        page.get_by_role("button", name="Undo").click()
        shown(page, 2, 1)
        row(page, 1).locator(".conversation__link").click()
        expect(page.get_by_role("heading", name="Number 1", level=1)).to_be_visible()
