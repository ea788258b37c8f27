"""How people work a page: with a mouse, or with the keyboard alone; and whether everybody can."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

#: More controls than any page has.
_MOST_TABS = 150
#: Frames hold mail, which is not ours to word. Nothing need be loaded for rules about sound and turned screens.
_AXE_OPTIONS = {"resultTypes": ["violations"], "iframes": False, "preload": False}


def check_accessible(page: Page) -> None:
    """See that axe-core finds nothing serious on the page, and that nothing of it is wider than the window."""
    found = Axe().run(page, options=_AXE_OPTIONS).response["violations"]
    serious = [
        f"{page.url}: {violation['help']}: {node['html']} {node['failureSummary']}"
        for violation in found
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]
    assert not serious, "\n".join(serious)
    assert page.viewport_size is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"], page.url


class Hands(ABC):
    """Works the controls of a page and counts the fields that it types into."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.typed = 0

    def type(self, field: str, text: str) -> None:
        """Write into the field with this label or selector, in place of what is there."""
        self.typed += 1
        self._type(self._field(field), text)

    def press(self, role: str, name: str | re.Pattern[str]) -> None:
        """Press the first button, or follow the first link, with `name` in its name."""
        self._press(self.page.get_by_role(role, name=name).first)  # type: ignore[arg-type]

    def tick(self, field: str) -> None:
        """Tick a box, or take one of several choices."""
        self._tick(self._field(field))

    @abstractmethod
    def choose(self, select: str, label: str) -> None:
        """Take what begins with `label` from a list."""

    def _write(self, text: str) -> None:
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Tab")

    def _field(self, field: str) -> Locator:
        return self.page.locator(field) if field.startswith("[") else self.page.get_by_label(field).first

    @abstractmethod
    def _type(self, field: Locator, text: str) -> None: ...

    @abstractmethod
    def _press(self, control: Locator) -> None: ...

    @abstractmethod
    def _tick(self, field: Locator) -> None: ...


class Mouse(Hands):
    """Clicks, and types where it clicked."""

    def choose(self, select: str, label: str) -> None:
        """Open the list and click."""
        chosen = self._field(select)
        words = chosen.locator("option").all_inner_texts()
        chosen.select_option(label=next(each for each in words if each.startswith(label)))

    def _type(self, field: Locator, text: str) -> None:
        field.click()
        self._write(text)

    def _press(self, control: Locator) -> None:
        control.click()

    def _tick(self, field: Locator) -> None:
        field.check()


class Keyboard(Hands):
    """Goes from control to control with Tab and never touches the page otherwise."""

    def choose(self, select: str, label: str) -> None:
        """Type the beginning of a choice."""
        self._reach(self._field(select))
        self.page.keyboard.type(label)

    def _type(self, field: Locator, text: str) -> None:
        self._reach(field)
        self._write(text)

    def _press(self, control: Locator) -> None:
        self._reach(control)
        self.page.keyboard.press("Enter")

    def _tick(self, field: Locator) -> None:
        self._reach(field)
        self.page.keyboard.press("Space")

    def _reach(self, control: Locator) -> None:
        control.wait_for()
        for _ in range(_MOST_TABS):
            if control.evaluate("control => control === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab never reaches {control}")
