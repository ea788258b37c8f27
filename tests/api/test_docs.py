"""The page that shows the API: it works under the policy of all other pages."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from tests.api.clients import ROOT
from tests.portal import chromium


@pytest.mark.django_db
def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline() -> None:
    page = Client().get(ROOT + "docs/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "https://" not in text
    assert "<style" not in text
    assert "<script>" not in text
    assert "unsafe" not in page["Content-Security-Policy"]


@pytest.mark.browser
@pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
def test_the_page_renders_every_resource_under_the_content_security_policy(live_server: LiveServer) -> None:
    with chromium.page() as page:
        page.goto(f"{live_server.url}{ROOT}docs/")
        page.wait_for_selector(".opblock")
        shown = page.locator(".opblock-summary-path").all_inner_texts()
        assert len(shown) > 35
        page.locator(".opblock-summary").first.click()
        page.wait_for_selector(".opblock.is-open .responses-table")
