"""The page that shows the API: it works under the policy of all other pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests.api.clients import ROOT

CHROMIUM = os.environ.get("CRM_MAIL_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.django_db
def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline() -> None:
    page = Client().get(ROOT + "docs/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "https://" not in text
    assert "<style" not in text
    assert "<script>" not in text
    assert "unsafe" not in page["Content-Security-Policy"]


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a real browser that keeps what it complained about in `page.complaints`."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.complaints = []
        opened.on("console", lambda message: opened.complaints.append(message.text))
        opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
        yield opened
        browser.close()


@pytest.mark.browser
def test_the_page_renders_every_resource_under_the_content_security_policy(
    page: Any, live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    page.goto(f"{live_server.url}{ROOT}docs/")
    page.wait_for_selector(".opblock")
    shown = page.locator(".opblock-summary-path").all_inner_texts()
    assert len(shown) > 35
    page.locator(".opblock-summary").first.click()
    page.wait_for_selector(".opblock.is-open .responses-table")
    assert [text for text in page.complaints if "Content Security Policy" in text or "Error" in text] == []
