"""Home and customers' mail in a single place, in a real browser, with a real worker and POP3 server (R33, R34)."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect
from pytest_django.live_server_helper import LiveServer

from mail.models import Folder, Message
from mail.notifying import Kind, note
from sharing.models import CaughtUp
from tests import factories
from tests.portal import chromium
from tests.portal.hands import check_accessible
from tests.portal.test_in_chromium import portal, window  # noqa: F401 - a fixture
from tests.processes import worker
from tests.servers import ScriptedPop3Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
]

BEA = "Bea Stone <bea@acme.example>"


def test_customers_mail_is_put_into_a_folder_before_and_after(portal: LiveServer) -> None:  # noqa: F811
    """R33: turned on, with what is there already; then fetched mail is found in the folder, a stranger's in the Inbox."""
    with ScriptedPop3Server() as server:
        server.add_mailbox(
            "user",
            "secret",
            [
                factories.raw_message(sender=BEA, subject="Just fetched"),
                factories.raw_message(sender="shop@news.example", subject="Buy now"),
            ],
        )
        mailbox = factories.mailbox_on(server.port)
        factories.customer(organization=mailbox.owner.organization, addresses=["bea@acme.example"])
        factories.message(mailbox=mailbox, sender=BEA, subject="Here before")
        with worker(), window(mailbox.owner, portal) as page:
            page.goto(portal.url + reverse("mailbox-sharing", args=[mailbox.pk]))
            assert not page.get_by_label("Folder", exact=True).last.is_visible()
            page.get_by_label("Consolidate all my customers’ emails in a single place").check()
            page.get_by_text("Their mail goes there instead of into your Inbox.").click()
            page.fill("[name=consolidate-folder]", "Clients")
            check_accessible(page)
            page.locator("#advanced").get_by_role("button", name="Save").click()
            page.get_by_text("new mail from customers goes into the folder “Clients”").wait_for()
            page.get_by_role("button", name="Move mail that is already here, too").click()
            page.get_by_text("1 message that was here before is in “Clients” now.").wait_for()
            page.goto(portal.url + reverse("mailbox", args=[mailbox.pk]))
            page.get_by_role("button", name="Fetch now").click()
            expect(page.locator("#runs tbody tr").first).to_contain_text("Done", timeout=30_000)
            clients = Folder.objects.get(name="Clients")
            page.goto(portal.url + reverse("mail-folder", args=[clients.pk]))
            for subject in ("Just fetched", "Here before"):
                page.get_by_text(subject).first.wait_for()
            assert page.get_by_text("Buy now").count() == 0
    assert Message.objects.get(subject="Buy now").folder.kind == Folder.Kind.INBOX


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)], ids=["wide-light", "phone-dark"])
def test_home_stays_true_while_it_is_open(portal: LiveServer, width: int, dark: bool) -> None:  # noqa: F811
    """R34: mail that arrives is on it a minute later, and in the counters; dismissing by keyboard can be undone."""
    mailbox = factories.mailbox(mode="private")
    owner, organization = mailbox.owner, mailbox.owner.organization
    colleague = factories.mailbox(owner=factories.user(organization=organization, name="Zoe"), mode="public")
    CaughtUp.objects.create(reader=owner, until=timezone.now())
    factories.customer(organization=organization, addresses=["bea@acme.example"], first_name="Bea", last_name="Stone")
    with window(owner, portal, width=width, dark=dark) as page:
        page.clock.install()
        page.goto(portal.url)
        page.get_by_text("Nobody waits for you").wait_for()
        page.get_by_text("All read").wait_for()
        check_accessible(page)
        factories.message(mailbox=mailbox, sender=BEA, subject="When do you deliver?", date=timezone.now())
        shared = factories.message(mailbox=colleague, sender=BEA, subject="To Zoe", date=timezone.now())
        note(owner, Kind.ANSWERED, actor=colleague.owner, message=shared)
        page.clock.fast_forward(61_000)
        waiting = page.get_by_label("Waiting for you")
        waiting.get_by_role("link", name="When do you deliver?").wait_for()
        waiting.get_by_role("link", name="Zoe answered mail of yours").wait_for()
        expect(page.get_by_label("Unread customer mail")).to_contain_text("1 yours")
        expect(page.get_by_label("Unread customer mail")).to_contain_text("1 shared")
        for counter in ("mail", "shared", "notifications"):
            expect(page.locator(f"#unread-{counter}")).to_contain_text("1")
        check_accessible(page)
        dismissing = page.get_by_role("button", name="“When do you deliver?” needs no answer")
        dismissing.focus()
        page.keyboard.press("Enter")
        page.get_by_text("It is off the list until the customer writes again.").wait_for()
        page.get_by_text("Nobody waits for you").wait_for()
        page.get_by_role("status").get_by_role("button", name="Undo").click()
        waiting.get_by_role("link", name="When do you deliver?").wait_for()


def test_without_a_script_home_leads_on(portal: LiveServer) -> None:  # noqa: F811
    """What htmx would put in is a link away."""
    mailbox = factories.mailbox()
    factories.customer(organization=mailbox.owner.organization, addresses=["bea@acme.example"])
    factories.message(mailbox=mailbox, sender=BEA, subject="When do you deliver?")
    with window(mailbox.owner, portal, javascript=False) as page:
        page.goto(portal.url)
        page.get_by_role("link", name="Waiting for your answer").click()
        page.get_by_role("button", name="“When do you deliver?” needs no answer").click()
        page.get_by_text("Nobody waits for you").wait_for()
