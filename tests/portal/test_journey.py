"""From an empty installation to a colleague's shared mail, in a real browser, with a real worker and POP3 server.

With `CRM_MAIL_SCREENSHOTS` naming a folder, the pictures of the documentation are taken on the way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organization, User
from accounts.organizations import invite
from tests import factories
from tests.portal import chromium
from tests.processes import worker
from tests.servers import ScriptedPop3Server, SmtpSink

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
]
PASSWORD = "a long enough phrase"


@pytest.fixture(autouse=True)
def _synchronous_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright runs an event loop in this thread; Django would refuse queries beside it."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture
def server() -> Iterator[ScriptedPop3Server]:
    """A POP3 server with mail of a customer, a stranger and a colleague."""
    with ScriptedPop3Server() as server:
        server.add_mailbox(
            "john",
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


def picture(page: Page, name: str) -> None:
    """Take a picture for the documentation, if one is wanted."""
    folder = os.environ.get("CRM_MAIL_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_from_an_empty_installation_to_shared_mail(live_server: object, server: ScriptedPop3Server) -> None:
    """R3, R4, R6, R13, R15, R21, R30, R32."""
    live = live_server.url
    with worker(), SmtpSink(users={"john": "secret"}) as smtp, chromium.page() as page:
        page.goto(live)
        page.wait_for_url("**/setup/")
        picture(page, "setup")
        page.get_by_label("Organisation", exact=False).first.fill("Our Company")
        page.locator("[name=time_zone]").select_option("Europe/Berlin")
        page.locator("[name=domains]").evaluate("field => { field.value = 'our.example' }")
        page.locator("[name=admin_name]").fill("John")
        page.locator("[name=admin_email]").fill("john@our.example")
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("[name=password_again]").fill(PASSWORD)
        page.get_by_role("button", name="Set up").click()
        page.wait_for_url(f"{live}/")

        page.goto(f"{live}/settings/email/")
        page.get_by_role("link", name="Set up my CRM Mail account").click()
        page.get_by_label("Your CRM Mail address").fill("john.mail@our.example")
        page.get_by_role("button", name="Set up").click()

        page.get_by_label("Account name").fill("My mailbox")
        page.get_by_label("E-mail address").fill("john@our.example")
        page.get_by_label("Incoming server").fill("127.0.0.1")
        page.locator("[name=incoming_security]").select_option("none")
        page.locator("[name=incoming_port]").fill(str(server.port))
        page.locator("[name=incoming_username]").fill("john")
        page.locator("[name=incoming_password]").fill("secret")
        page.locator("[name=outgoing_host]").fill("127.0.0.1")
        page.locator("[name=outgoing_security]").select_option("none")
        page.locator("[name=outgoing_port]").fill(str(smtp.port))
        page.locator("[name=allow_plain_text]").check()
        page.get_by_role("button", name="Test account").click()
        expect(page.locator("#tested")).to_contain_text("3 messages are on the server.")
        expect(page.locator("#tested")).to_contain_text("Both servers work.")
        picture(page, "test-account")
        page.get_by_role("button", name="Add Account").click()
        expect(page.get_by_text("Choose Public, Custom or Private")).to_be_visible()
        page.locator("[name=incoming_password]").fill("secret")
        page.get_by_label("Public – Complete Sharing").check()
        picture(page, "add-account")
        page.get_by_role("button", name="Add Account").click()
        expect(page.locator("#runs tbody tr").first).to_contain_text("Done", timeout=30_000)
        expect(page.locator("#runs")).to_contain_text("Working")
        picture(page, "mailbox")

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
