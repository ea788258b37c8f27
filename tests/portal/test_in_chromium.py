"""What only a real browser shows: hostile mail that does nothing, and the small scripts at work (R8, R15, R32)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from fetcher.models import FetchRun
from tests import factories
from tests.portal.browsers import browser
from tests.portal.test_reading import HOSTILE

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; name one with CHROMIUM"),
]


@contextmanager
def window(user: User, live_server: LiveServer) -> Iterator[Page]:
    """A browser window of somebody who has signed in. The database is out of reach of the test while it is open."""
    session = browser(user).cookies[settings.SESSION_COOKIE_NAME].value
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        context = chromium.new_context(base_url=live_server.url)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
        yield context.new_page()
        chromium.close()


def test_hostile_mail_runs_nothing_and_asks_for_nothing(live_server: LiveServer) -> None:
    """R32: also as raw HTML in the frame, had the sanitiser let it through."""
    mailbox = factories.mailbox()
    message = factories.message(mailbox=mailbox, html=HOSTILE)
    with window(mailbox.owner, live_server) as page:
        asked: list[str] = []
        dialogs: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        frame_address = reverse("message-html", args=[message.pk])
        page.goto(reverse("message", args=[message.pk]))
        page.frame_locator("iframe").get_by_text("Harmless words").wait_for()
        assert page.evaluate("document.querySelector('iframe').contentDocument") is None
        page.route(
            f"**{frame_address}",
            lambda route: route.fulfill(response=route.fetch(), body=f"<html><body>{HOSTILE}</body></html>"),
        )
        page.reload()
        page.frame_locator("iframe").get_by_text("Harmless words").wait_for()
        page.wait_for_load_state("networkidle")
        assert dialogs == []
        assert [url for url in asked if not url.startswith(live_server.url)] == []


def test_the_form_of_an_account_shows_what_applies(live_server: LiveServer) -> None:
    """R8, R9, R11, R21."""
    user = factories.user(mail_account=True)
    with window(user, live_server) as page:
        page.goto(reverse("mailbox-add"))
        assert page.input_value("#id_incoming_port") == "995"
        assert not page.is_visible("#id_allow_plain_text")
        page.select_option("#id_incoming_security", "starttls")
        page.select_option("#id_outgoing_security", "starttls")
        assert page.input_value("#id_incoming_port") == "110"
        assert page.input_value("#id_outgoing_port") == "587"
        page.fill("#id_incoming_port", "2110")
        page.select_option("#id_incoming_security", "none")
        assert page.input_value("#id_incoming_port") == "2110"
        assert page.is_visible("#id_allow_plain_text")
        assert not page.is_visible("#id_used_by_other_clients")
        page.fill("#id_incoming_host", "pop.gmail.com")
        assert page.is_visible("#id_used_by_other_clients")
        assert not page.is_visible("#id_outgoing_password")
        page.uncheck("#id_use_same_credentials")
        assert page.is_visible("#id_outgoing_password")
        page.check("[name=sharing_mode][value=public]")
        for number in range(6):
            page.fill("#id_excluded_domains_chips", f"d{number}.example")
            page.keyboard.press("Enter")
        assert page.get_by_text("At most 5.").is_visible()
        page.get_by_role("button", name="Add Account").click()
        assert page.get_by_text("You can exclude at most 5 domains; these are 6").is_visible()


def test_the_progress_of_a_fetch_is_asked_for_again_and_again(live_server: LiveServer) -> None:
    """R15."""
    mailbox = factories.mailbox()
    with window(mailbox.owner, live_server) as page:
        page.goto(reverse("mailbox", args=[mailbox.pk]))
        progress = reverse("mailbox-progress", args=[mailbox.pk])
        page.get_by_role("button", name="Fetch now").click()
        for _ in range(2):
            with page.expect_response(lambda response: response.url.endswith(progress)):
                page.get_by_text("Waiting for a worker").first.wait_for()
    assert FetchRun.objects.count() == 1
