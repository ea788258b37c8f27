"""R31: searching in a real browser, with the keyboard alone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect
from pytest_django.live_server_helper import LiveServer

from tests import factories
from tests.portal import chromium
from tests.portal.hands import Keyboard, check_accessible
from tests.portal.test_in_chromium import portal, window  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
]

BEA = '"Bea Stone" <bea@acme.example>'


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)], ids=["wide-light", "phone-dark"])
def test_searching_with_the_keyboard(portal: LiveServer, width: int, dark: bool) -> None:  # noqa: F811
    """Results come as one types; the best match can come first; one is opened, and the back button brings them back."""
    mailbox = factories.mailbox(mode="private")
    colleague = factories.mailbox(
        owner=factories.user(organization=mailbox.owner.organization, name="Zoe"), mode="public"
    )
    factories.customer(organization=mailbox.owner.organization, addresses=["bea@acme.example"], last_name="Stone")
    now = timezone.now()
    factories.message(mailbox=mailbox, sender=BEA, subject="Offer of steel pipes", date=now - timedelta(days=9))
    factories.message(
        mailbox=mailbox,
        sender=BEA,
        subject="When do you deliver?",
        text="We wait for the steel, and for pipes.",
        date=now,
    )
    factories.message(
        mailbox=colleague, sender=BEA, subject="To Zoe", text="Größe of the stéel", date=now,
        attachments=[("steel-drawings.pdf", "application/pdf", b"..")],
    )  # fmt: skip
    with window(mailbox.owner, portal, width=width, dark=dark) as page:
        hands = Keyboard(page)
        page.goto(f"{portal.url}/search/")
        page.get_by_role("heading", name="What you can ask for").wait_for()
        box = page.get_by_role("searchbox", name="Search mail")
        expect(box).to_be_focused()
        check_accessible(page)
        page.keyboard.type("stee", delay=20)
        rows = page.locator(".search-results .mail-row")
        expect(rows).to_have_count(3)
        expect(page).to_have_url(f"{portal.url}/search/?q=stee")
        page.keyboard.type("l pip", delay=20)
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("When do you deliver?")
        expect(page.locator("#results mark").first).to_be_visible()
        expect(box).to_be_focused()
        hands.press("link", "Best match")
        expect(rows.first).to_contain_text("Offer of steel pipes")
        check_accessible(page)
        page.keyboard.press("/")
        expect(box).to_be_focused()
        page.keyboard.press("End")
        page.keyboard.type("es", delay=20)
        expect(page).to_have_url(re.compile(r"/search/\?q=steel(\+|%20)pipes&order=best$"))
        expect(rows.first).to_contain_text("Offer of steel pipes")
        hands.press("link", "Offer of steel pipes")
        page.get_by_role("heading", name="Offer of steel pipes").first.wait_for()
        page.go_back()
        expect(rows).to_have_count(2)
        expect(box).to_have_value("steel pipes")
        expect(page.get_by_role("link", name="Best match")).to_have_attribute("aria-current", "true")
        page.get_by_role("link", name="All I can see").wait_for()
        check_accessible(page)
        box.fill("steel from:zoe is:blue")
        page.get_by_role("alert").wait_for()
        check_accessible(page)
