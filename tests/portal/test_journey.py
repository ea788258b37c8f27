"""From an empty installation to a colleague's shared mail, in a real browser, with a real worker and POP3 server.

With `CRM_MAIL_SCREENSHOTS` naming a folder, the pictures of the documentation are taken on the way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import Organization, User
from accounts.organizations import invite
from tests import factories
from tests.portal import chromium
from tests.portal.hands import Hands, Keyboard, Mouse, check_accessible
from tests.processes import worker
from tests.servers import ScriptedPop3Server, SmtpSink

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
]
ADDRESS = "john@our.example"
#: What somebody may have to type until the first mail is read.
MOST_FIELDS = 12
PASSWORD = "a long enough phrase"


@pytest.fixture
def live_server(django_db_setup: None) -> Iterator[LiveServer]:
    """A server of each journey's own: it remembers that it was set up."""
    server = LiveServer("localhost")
    yield server
    server.stop()


@pytest.fixture
def server() -> Iterator[ScriptedPop3Server]:
    """A POP3 server with mail of a customer, a stranger and a colleague."""
    with ScriptedPop3Server() as server:
        server.add_mailbox(
            ADDRESS,
            "secret",
            [
                factories.raw_message(
                    sender="Bea Stone <bea@acme.example>",
                    to=["john@our.example"],
                    subject="Your offer",
                    text="We take forty pieces.",
                    html='<p>We take <b>forty</b> pieces.</p><img src="https://pixel.example/x.gif"><script>alert(1)</script>',
                    attachments=[("order.pdf", "application/pdf", b"%PDF-1.4")],
                ),
                factories.raw_message(sender="spam@nobody.example", to=["john@our.example"], subject="Buy now"),
                factories.raw_message(sender="boss@our.example", to=["john@our.example"], subject="Salary"),
            ],
        )
        yield server


def smtp_server() -> SmtpSink:
    """The outgoing server of the same provider."""
    return SmtpSink(users={ADDRESS: "secret"})


def picture(page: Page, name: str) -> None:
    """Take a picture for the documentation, if one is wanted; narrow and dark ones are named for what they are."""
    folder = os.environ.get("CRM_MAIL_SCREENSHOTS")
    assert page.viewport_size is not None
    if page.viewport_size["width"] < 600:
        name = f"phone-dark-{name}"
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def set_up(hands: Hands) -> None:
    """The first run: whose installation it is, and its administrator (R3)."""
    hands.page.wait_for_url("**/setup/")
    check_accessible(hands.page)
    hands.type("[name=name]", "Our Company")
    hands.choose("[name=time_zone]", "Europe/Berlin")
    hands.type("[id=id_domains_chips]", "our.example")
    hands.type("[name=admin_name]", "John")
    hands.type("[name=admin_email]", "john@our.example")
    hands.type("[name=password]", PASSWORD)
    hands.type("[name=password_again]", PASSWORD)
    picture(hands.page, "setup")
    hands.press("button", "Set up CRM Mail")
    expect(hands.page.get_by_text("Get started")).to_be_visible()
    check_accessible(hands.page)


def connect_mailbox(hands: Hands, pop3: ScriptedPop3Server, smtp: SmtpSink) -> None:
    """From the first page to a mailbox that is fetched (R4, R6, R7, R9, R12, R13)."""
    page = hands.page
    hands.press("link", "Set up your CRM Mail account")
    expect(page.get_by_label("Your CRM Mail address")).to_have_value("john@our.example")
    check_accessible(page)
    hands.press("button", "Set up")

    hands.type("E-mail address", "john@our.example")
    expect(page.get_by_text("Nothing is known about the mail servers")).to_be_visible()
    expect(page.locator("[name=incoming_username]")).to_have_value("john@our.example")
    check_accessible(page)
    hands.type("Incoming server", "127.0.0.1")
    hands.choose("[name=incoming_security]", "None")
    hands.type("[name=incoming_port]", str(pop3.port))
    hands.type("[name=incoming_password]", "secret")
    hands.type("Outgoing server", "127.0.0.1")
    hands.choose("[name=outgoing_security]", "None")
    hands.type("[name=outgoing_port]", str(smtp.port))
    hands.tick("[name=allow_plain_text]")
    hands.press("button", "Test account")
    expect(page.locator("#tested")).to_contain_text("3 messages are on the server.")
    expect(page.locator("#tested")).to_contain_text("Both servers work.")
    check_accessible(page)
    picture(page, "test-account")

    hands.press("button", "Add Account")
    expect(page.locator(".field .errorlist", has_text="Choose Public, Custom or Private")).to_be_visible()
    check_accessible(page)
    hands.tick("Public – Complete Sharing")
    picture(page, "add-account")
    hands.press("button", "Add Account")
    expect(page.locator("#runs tbody tr").first).to_contain_text("Done", timeout=30_000)
    expect(page.locator("#runs")).to_contain_text("Working")
    check_accessible(page)
    picture(page, "mailbox")


def read_first_mail(hands: Hands) -> None:
    """From the account's page to a message of its first fetch (R30, R32)."""
    page = hands.page
    mail = re.compile("^Mail")
    if not page.get_by_role("link", name=mail).first.is_visible():
        hands.press("button", "Menu")
    hands.press("link", mail)
    expect(page.get_by_role("link", name="Your offer")).to_be_visible()
    check_accessible(page)
    picture(page, "inbox")
    hands.press("link", "Your offer")
    expect(page.frame_locator("iframe").locator("body")).to_contain_text("We take forty pieces.")
    check_accessible(page)
    assert hands.typed <= MOST_FIELDS


def test_to_the_first_mail_read_with_the_keyboard_on_a_phone_in_the_dark(
    live_server: LiveServer, server: ScriptedPop3Server
) -> None:
    """R3-R13: without touching the page otherwise, at 360 pixels."""
    with worker(), smtp_server() as smtp, chromium.page(width=360, height=740, dark=True) as page:
        page.goto(live_server.url)
        hands = Keyboard(page)
        set_up(hands)
        connect_mailbox(hands, server, smtp)
        read_first_mail(hands)


def test_from_an_empty_installation_to_shared_mail(live_server: LiveServer, server: ScriptedPop3Server) -> None:
    """R3, R4, R6, R13, R15, R21, R30, R32."""
    live = live_server.url
    with worker(), smtp_server() as smtp, chromium.page() as page:
        page.goto(live)
        hands = Mouse(page)
        set_up(hands)
        connect_mailbox(hands, server, smtp)
        hands.press("link", "Settings")
        expect(page.get_by_role("heading", name="Email Settings")).to_be_visible()
        check_accessible(page)
        picture(page, "email-settings")
        read_first_mail(hands)

        page.goto(f"{live}/contacts/new/")
        page.get_by_label("First name").fill("Bea")
        page.get_by_label("Last name").fill("Stone")
        page.locator("[name=addresses]").evaluate("field => { field.value = 'bea@acme.example' }")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#emails")).to_contain_text("Your offer")

        john = User.objects.get()
        invitation, token = invite(john, email="adam@our.example", name="Adam")
        assert invitation.organization == Organization.objects.get()

    with chromium.page() as page:
        page.goto(f"{live}/invitation/{token}/")
        page.locator("[name=name]").fill("Adam")
        for field in page.locator("input[type=password]").all():
            field.fill(PASSWORD)
        page.get_by_role("button").last.click()
        page.goto(f"{live}/contacts/")
        picture(page, "contacts")
        page.get_by_role("link", name="Bea Stone").click()
        expect(page.locator("#emails")).to_contain_text("Your offer")
        expect(page.locator("#emails")).to_contain_text("John")
        picture(page, "contact")
        page.get_by_role("link", name="Your offer").click()
        frame = page.frame_locator("iframe")
        expect(frame.locator("body")).to_contain_text("We take forty pieces.")
        assert frame.locator("script").count() == 0
        expect(page.locator("main")).to_contain_text("order.pdf")
        expect(page.get_by_role("link", name="Show images")).to_be_visible()
        picture(page, "message")
        page.goto(f"{live}/mail/")
        assert "Salary" not in page.content()
