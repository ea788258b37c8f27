"""A real browser: Debian's Chromium driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

PROGRAM = os.environ.get("CRM_MAIL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
#: How long, in milliseconds, a page may take to show what a test waits for.
_PATIENCE = 15_000
_OPTIONS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def page(
    *, width: int = 1280, height: int = 900, dark: bool = False, javascript: bool = True, spotless: bool = True
) -> Iterator[Page]:
    """A page of a fresh browser. A test that ends with errors in its console fails, unless it need not be `spotless`."""
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=[*_OPTIONS, *sandbox])
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
        )
        context.set_default_timeout(_PATIENCE)
        opened = context.new_page()
        complaints: list[str] = []
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        yield opened
        browser.close()
        assert not spotless or complaints == [], complaints
