"""Answering a customer in a real browser, through a real worker and SMTP server, to what arrives (R24, R35, R36)."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from mail.models import Message
from mail.parsing import parse
from sender.composing import save_draft
from sender.models import Outgoing
from sender.tasks import dispatch_due
from tests import factories
from tests.portal import chromium
from tests.portal.browsers import browser
from tests.portal.hands import check_accessible
from tests.portal.test_in_chromium import portal, window  # noqa: F401 - a fixture
from tests.processes import worker
from tests.sender.senders import sender_on, server, written

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
]
HOSTILE = '<p>Hi</p><img src=x onerror="parent.hacked=1"><script>parent.hacked=1</script><b onclick="x()">there</b>'
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def shared_message(user: User) -> Message:
    """What a colleague of the user shares: mail from Bea."""
    rep = factories.user(organization=user.organization, name="Paula Public")
    factories.customer(
        organization=user.organization, first_name="Bea", last_name="Stone", addresses=["bea@acme.example"]
    )
    mailbox = factories.mailbox(owner=rep, email_address="paula@our.example")
    return factories.message(mailbox=mailbox, sender="Bea Stone <bea@acme.example>", subject="Offer", html=HOSTILE)


def editor(page: Page) -> None:
    """Wait for the editor, and write at its beginning."""
    expect(page.get_by_role("toolbar", name="Format")).to_be_visible()
    page.frame_locator("[data-editor]").locator("#editor").press("Control+Home")


def due_now() -> None:
    """The ten seconds of undoing are over."""
    Outgoing.objects.filter(status=Outgoing.Status.QUEUED).update(due_at=timezone.now())
    dispatch_due()


def test_a_colleagues_customer_is_answered_and_the_answer_arrives(portal: LiveServer) -> None:  # noqa: F811
    """R24, R35: formatted, to one more whom the field completes, with a dropped file; undone once, then sent."""
    with server() as sink, worker():
        user = sender_on(sink.port, email_address="rep@our.example")
        message = shared_message(user)
        factories.customer(organization=user.organization, last_name="Carlsen", addresses=["carl@acme.example"])
        with window(user, portal) as page:
            page.goto(portal.url + reverse("message", args=[message.pk]))
            page.keyboard.press("r")
            expect(page.get_by_text("Paula Public shares")).to_be_visible()
            editor(page)
            page.keyboard.type("Dear Bea, ")
            page.get_by_role("button", name="Bold").click()
            page.keyboard.type("yes")
            page.keyboard.press("Control+b")
            page.keyboard.press("Enter")
            page.keyboard.type("Rep")
            page.get_by_role("combobox", name="To").fill("carls")
            page.get_by_role("option", name="Carlsen").wait_for()
            page.keyboard.press("Enter")
            page.evaluate(
                """() => {
                    const carried = new DataTransfer();
                    carried.items.add(new File(["forty pieces"], "order.txt", {type: "text/plain"}));
                    document.getElementById("compose").dispatchEvent(
                        new DragEvent("drop", {dataTransfer: carried, bubbles: true, cancelable: true}));
                }"""
            )
            expect(page.locator("#compose-files")).to_contain_text("order.txt")
            expect(page.locator("#compose-status")).to_contain_text("Saved")
            check_accessible(page)
            assert page.evaluate("window.hacked") is None
            page.get_by_role("button", name="Send", exact=True).click()
            page.get_by_role("button", name="Undo").click()
            editor(page)
            page.keyboard.type("Hello. ")
            page.keyboard.press("Control+Enter")
            expect(page.get_by_text("Your message is being sent.")).to_be_visible()
            due_now()
            [arrived] = sink.wait_for(1)
            page.goto(portal.url + reverse("message", args=[message.pk]))
            expect(page.locator("main")).to_contain_text("Rep")
    assert sorted(arrived.recipients) == ["bea@acme.example", "carl@acme.example"]
    read = parse(arrived.raw)
    assert (read.subject, [part.name for part in read.attachments]) == ("Re: Offer", ["order.txt"])
    assert read.text.startswith("Hello. Dear Bea, yes\nRep\n")
    assert b"<b>yes</b>" in arrived.raw
    assert b"<div>Rep</div>" in arrived.raw
    assert b"script" not in arrived.raw
    assert read.in_reply_to == message.message_id


def test_a_draft_is_written_with_the_keyboard_on_a_phone_and_found_again(portal: LiveServer) -> None:  # noqa: F811
    """R35: dark, 360 pixels; what was typed is there after the page was left, with a pasted image in its place."""
    user = sender_on(25)
    with window(user, portal) as page:
        page.set_viewport_size({"width": 360, "height": 740})
        page.emulate_media(color_scheme="dark")
        page.goto(portal.url + reverse("home"))
        page.keyboard.press("c")
        page.get_by_role("combobox", name="To").fill("dan@elsewhere.example,")
        page.keyboard.press("Tab")
        page.get_by_role("textbox", name="Subject").fill("Greetings")
        editor(page)
        page.keyboard.type("See: ")
        frame = page.frame_locator("[data-editor]").locator("#editor")
        paper = "root => getComputedStyle(root.ownerDocument.documentElement).backgroundColor"
        assert frame.evaluate(paper) == "rgb(28, 31, 38)"
        frame.evaluate(
            """(root, bytes) => {
                const carried = new DataTransfer();
                carried.items.add(new File([Uint8Array.from(bytes)], "p.png", {type: "image/png"}));
                root.dispatchEvent(new ClipboardEvent("paste", {clipboardData: carried, bubbles: true, cancelable: true}));
            }""",
            list(PIXEL),
        )
        expect(frame.locator("img")).to_have_count(1)
        frame.evaluate(
            """root => {
                const carried = new DataTransfer();
                carried.setData("text/html", "<span style='color: #333'>Pasted</span>");
                root.dispatchEvent(new ClipboardEvent("paste", {clipboardData: carried, bubbles: true, cancelable: true}));
            }"""
        )
        expect(frame).to_contain_text("Pasted")
        assert frame.evaluate(paper) == "rgb(255, 255, 255)"
        page.keyboard.press("Control+s")
        expect(page.locator("#compose-status")).to_contain_text("Saved")
        check_accessible(page)
        page.reload()
        expect(page.get_by_role("textbox", name="Subject")).to_have_value("Greetings")
        expect(page.frame_locator("[data-editor]").locator("#editor")).to_contain_text("See:")
        assert page.frame_locator("[data-editor]").locator("img").evaluate("image => image.naturalWidth") == 1
    draft = Outgoing.objects.get()
    assert draft.to == "dan@elsewhere.example"
    assert 'src="cid:' in draft.html


def test_without_the_script_mail_is_written_as_plain_text(portal: LiveServer) -> None:  # noqa: F811
    """R35: a form with fields and buttons."""
    user = sender_on(25)
    draft = written(user, text="Hello")
    session = browser(user).cookies[settings.SESSION_COOKIE_NAME].value
    with chromium.page(javascript=False) as page:
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": portal.url}])
        page.goto(portal.url + reverse("draft", args=[draft.pk]))
        page.get_by_label("Message").fill("Dear Bea")
        page.get_by_role("button", name="Save draft").click()
        expect(page.get_by_label("Message")).to_have_value("Dear Bea")
        page.get_by_role("button", name="Send", exact=True).click()
    assert Outgoing.objects.get().status == Outgoing.Status.QUEUED


def test_who_is_signed_out_keeps_what_they_write_and_has_it_saved_once_they_are_back(portal: LiveServer) -> None:  # noqa: F811
    """R35: the session ends, one signs in in another tab, and goes on with the same page."""
    user = sender_on(25)
    user.set_password("a long enough one")
    user.save()
    draft = written(user, to="", html="<div><b>Dear</b> Bea</div>")
    with window(user, portal, spotless=False) as page:
        page.goto(portal.url + reverse("draft", args=[draft.pk]))
        expect(page.get_by_role("combobox", name="To")).to_be_focused()
        page.keyboard.type("bea@acme.example,")
        editor(page)
        expect(page.locator("#compose-status")).to_contain_text("Saved")
        Session.objects.all().delete()
        page.keyboard.type("Kept. ")
        expect(page.get_by_role("alert")).to_contain_text("You are signed out.")
        expect(page.locator("#compose-status")).to_have_text("Not saved: you are signed out.")
        page.evaluate(
            """() => {
                const carried = new DataTransfer();
                carried.items.add(new File(["x"], "order.txt"));
                document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: carried, bubbles: true}));
            }"""
        )
        expect(page.locator("#compose-files")).to_contain_text("Could not be attached.")
        check_accessible(page)
        page.get_by_role("button", name="Dismiss order.txt").click()
        page.get_by_role("button", name="Send", exact=True).click()
        with page.expect_popup() as opened:
            page.get_by_role("link", name="Sign in").click()
        with opened.value as other:
            other.get_by_label("Email").fill(user.email)
            other.get_by_label("Password").fill("a long enough one")
            other.get_by_role("button", name="Sign in").click()
            expect(other.get_by_role("navigation", name="Main")).to_be_visible()
        # Without a screen every window is in front all the time.
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.locator("#compose-status")).to_contain_text("Saved")
        assert Outgoing.objects.get().text == "Kept. Dear Bea"
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.get_by_text("Your message is being sent.")).to_be_visible()
    assert Outgoing.objects.get().status == Outgoing.Status.QUEUED


def test_sending_waits_for_files_that_are_on_their_way(portal: LiveServer) -> None:  # noqa: F811
    """R35: one that was pasted is under way, one is too large; nothing goes out without a word about it."""
    user = sender_on(25)
    draft = written(user, text="See attached.")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    with window(user, portal, spotless=False) as page:
        page.goto(portal.url + reverse("draft", args=[draft.pk]))
        page.route("**/files/", hold)
        page.evaluate(
            """() => {
                const carried = new DataTransfer();
                carried.items.add(new File(["forty pieces"], "order.txt", {type: "text/plain"}));
                carried.items.add(new File(["forty pieces"], "refused.txt", {type: "text/plain"}));
                document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: carried, bubbles: true}));
            }"""
        )
        expect(page.get_by_label("Attaching order.txt")).to_be_visible()
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.locator("#compose-status")).to_have_text("Waiting for the files …")
        held.pop().continue_()
        expect(page.get_by_label("Attaching refused.txt")).to_be_visible()
        held.pop().fulfill(status=400, body="This file is too large.")
        expect(page.locator("#compose-files")).to_contain_text("This file is too large.")
        expect(page.locator("#compose-question")).to_have_text("Not every file could be attached.")
        page.get_by_role("button", name="Send anyway").click()
        expect(page.get_by_text("Your message is being sent.")).to_be_visible()
    assert [part.name for part in Message.objects.get().attachments.all()] == ["order.txt"]


def test_what_seems_forgotten_is_asked_for_once(portal: LiveServer) -> None:  # noqa: F811
    """R35: no subject, and an attachment that the text speaks of; the quote and the signature speak of none."""
    user = sender_on(25)
    draft = written(user, subject="", html="<div>Hi</div><div>I wrote:</div><blockquote>attached</blockquote>")
    with window(user, portal) as page:
        page.goto(portal.url + reverse("draft", args=[draft.pk]))
        editor(page)
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.locator("#compose-question")).to_have_text("It has no subject.")
        check_accessible(page)
        editor(page)
        page.keyboard.type("See attached. ")
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.locator("#compose-question")).to_have_text("You write of an attachment, and nothing is attached.")
        page.get_by_role("button", name="Send anyway").click()
        expect(page.get_by_text("Your message is being sent.")).to_be_visible()
    assert Outgoing.objects.get().status == Outgoing.Status.QUEUED


def test_another_window_is_told_and_keeps_what_was_written_there(portal: LiveServer) -> None:  # noqa: F811
    """R35: both texts are there in the end."""
    user = sender_on(25)
    draft = written(user, html="<div>Both</div>")
    with window(user, portal, spotless=False) as page:
        page.goto(portal.url + reverse("draft", args=[draft.pk]))
        editor(page)
        save_draft(draft, 0, html="<div>From there</div>")
        page.keyboard.type("From here. ")
        expect(page.get_by_role("alert")).to_contain_text("changed or sent in another window")
        check_accessible(page)
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_role("button", name="Keep mine as a new draft").click()
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.frame_locator("[data-editor]").locator("#editor")).to_contain_text("From here. Both")
    assert {text.strip() for text in Outgoing.objects.values_list("text", flat=True)} == {
        "From there",
        "From here. Both",
    }


def test_nothing_is_lost_when_the_page_is_left_at_once(portal: LiveServer) -> None:  # noqa: F811
    """R35: before the pause after which a draft saves itself; the notice that undoes sending goes when it is of no use."""
    user = sender_on(25)
    draft = written(user)
    with window(user, portal) as page:
        page.clock.install()
        page.goto(portal.url + reverse("draft", args=[draft.pk]))
        page.get_by_role("textbox", name="Subject").fill("Left")
        page.get_by_role("link", name="Home").click()
        page.wait_for_url(portal.url + reverse("home"))
        # What the page sends as it is left travels beside the requests of the next one, and may come in after them.
        page.evaluate(
            """async (url) => {
                for (let tries = 0; tries < 200; tries += 1) {
                    if ((await (await fetch(url)).text()).includes('value="Left"')) return;
                }
            }""",
            reverse("draft", args=[draft.pk]),
        )
        page.goto(portal.url + reverse("draft", args=[draft.pk]))
        expect(page.get_by_role("textbox", name="Subject")).to_have_value("Left")
        page.get_by_role("textbox", name="Subject").press("Enter")
        page.keyboard.press("Control+Enter")
        undo = page.get_by_role("button", name="Undo")
        undo.focus()
        page.clock.fast_forward(11_000)
        expect(undo).to_have_count(0)
        expect(page.locator("main")).to_be_focused()
