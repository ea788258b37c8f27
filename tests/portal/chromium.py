"""A real browser: Debian's Chromium driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.patience import PATIENCE

PROGRAM = os.environ.get("CRM_MAIL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
_OPTIONS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Milliseconds.
expect.set_options(timeout=1000 * PATIENCE)
_running = ExitStack()


@contextmanager
def page(
    *, width: int = 1280, height: int = 900, dark: bool = False, javascript: bool = True, spotless: bool = True
) -> Iterator[Page]:
    """The page of a new profile. A test that ends with errors in its console fails, unless it need not be `spotless`.

    The tests of a module share one browser and nothing that it remembers; `quit_browser` ends it.
    """
    with _browser().new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        java_script_enabled=javascript,
    ) as context:
        context.set_default_timeout(1000 * PATIENCE)
        opened = context.new_page()
        complaints: list[str] = []
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        yield opened
    assert not spotless or complaints == [], complaints


@cache
def _browser() -> Browser:
    # Playwright leaves an event loop in this thread, beside which Django would refuse the queries of the tests.
    patch = _running.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    playwright = _running.enter_context(sync_playwright())
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = playwright.chromium.launch(executable_path=PROGRAM, args=[*_OPTIONS, *sandbox])
    return _running.enter_context(browser)


def quit_browser() -> None:
    """End the browser that pages were opened in, if there is one."""
    _browser.cache_clear()
    _running.close()
