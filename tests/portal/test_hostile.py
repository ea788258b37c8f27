"""R32: hostile HTML opened in a real browser, in the real pages: nothing runs, nothing is asked of anybody else, nothing escapes.

The suite opens some of the samples; `make hostile` opens them all, in every view.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from playwright.sync_api import Frame, Page, Request
from pytest_django.live_server_helper import LiveServer

from accounts.models import Mailbox
from mail.models import Message
from tests import factories
from tests.mail.hostile import SAMPLES
from tests.portal import chromium
from tests.portal.test_in_chromium import window

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
]

#: One page shows so many: one message, and the others of its conversation, opened.
GROUP = 25
ALL = os.environ.get("CRM_MAIL_HOSTILE") == "all"
CHOSEN = list(enumerate(SAMPLES))[:: 1 if ALL else len(SAMPLES) // GROUP + 1]
GROUPS = [CHOSEN[start : start + GROUP] for start in range(0, len(CHOSEN), GROUP)]
in_groups = pytest.mark.parametrize("samples", GROUPS, ids=lambda samples: f"from-{samples[0][0]}")
WORDS = "Harmless words"
#: The place of the attached message: behind the text, the HTML and what holds them.
INNER = "4"

#: The elements of the page with what could run or lead away, the content of frames left out; htmx marks what it has seen,
#: and the list of shortcuts is made by the portal's own script.
_STRUCTURE = """root => [...root.querySelectorAll("*")]
  .filter(element => !element.closest(".navigation__count, .toasts, #shortcuts, head"))
  .map(element => [element.tagName, element.id, ...element.getAttributeNames().filter(name => name.startsWith("on")),
    element.getAttribute("href") ?? "", element.getAttribute("src") ?? "", element.getAttribute("action") ?? ""].join(" "))"""


@pytest.fixture(scope="module")
def portal(django_db_setup: None) -> Iterator[LiveServer]:
    """A server of these tests' own."""
    server = LiveServer("localhost")
    yield server
    server.stop()


@dataclass
class Witness:
    """Sees everything that a page does: what runs in any frame, what is asked for, what opens, what leads away."""

    page: Page
    home: str
    images_asked: bool = False
    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.context.expose_binding(
            "canary", lambda source, *_: self.found.append(f"ran in {source['frame'].url}")
        )
        self.page.on("dialog", lambda dialog: (self.found.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("popup", lambda popup: self.found.append(f"window {popup.url}"))
        self.page.on("download", lambda download: self.found.append(f"download {download.url}"))
        self.page.on("request", self._asked)
        # Nothing is to be reached, also when a picture may be asked for.
        self.page.route(lambda url: not url.startswith(self.home), lambda route: route.abort())

    def _asked(self, request: Request) -> None:
        if request.url.startswith((self.home, "data:image/")):
            return
        if self.images_asked and request.resource_type == "image" and urlsplit(request.url).scheme in {"http", "https"}:
            return
        self.found.append(f"asked for {request.url} as {request.resource_type}")

    def go(self, path: str) -> str:
        """Open a page of the portal; what the server has sent."""
        answer = self.page.goto(self.home + path)
        assert answer is not None
        assert answer.status == 200, path
        return answer.text()


@pytest.fixture
def box() -> Mailbox:
    """The mailbox that is written to."""
    return factories.mailbox()


def filed(box: Mailbox, samples: Sequence[tuple[int, str]]) -> list[Message]:
    """A conversation with a message for each sample, which holds the sample once more in an attached message."""
    return [
        factories.message(
            mailbox=box,
            sender="bea@acme.example",
            subject=f"Sample {number}",
            text="Plain",
            html=sample.replace("\0", "\ufffd"),
            references=[f"root{samples[0][0]}@x"],
            attachments=[
                ("inner.eml", "application/octet-stream", factories.raw_message(subject="Inner", html=sample))
            ],
        )
        for number, sample in samples
    ]


def frames_of(page: Page, path: str) -> list[Frame]:
    """The frames of a page other than the page itself, each of which must be of the portal's own addresses."""
    frames = [frame for frame in page.frames if frame is not page.main_frame]
    assert all(path in frame.url for frame in frames), [frame.url for frame in frames]
    return frames


def unchanged(page: Page, sent: str) -> None:
    """The page outside of the frames must be what the server has sent."""
    there = page.evaluate(_STRUCTURE, page.query_selector("html"))
    then = page.evaluate(
        f"text => ({_STRUCTURE})(new DOMParser().parseFromString(text, 'text/html').documentElement)", sent
    )
    assert there == then


@in_groups
def test_nothing_comes_of_it_in_a_conversation(
    portal: LiveServer, box: Mailbox, samples: Sequence[tuple[int, str]]
) -> None:
    """The page of a message with all others of its conversation opened."""
    messages = filed(box, samples)
    last = messages[-1]
    path = reverse("message", args=[last.pk])
    with window(box.owner, portal, spotless=False) as page:
        witness = Witness(page, portal.url)
        sent = witness.go(path)
        unchanged(page, sent)
        # Opened one by one: a browser asks for so many at once that the oldest would wait too long.
        for number, line in enumerate(page.locator("details.line > summary").all(), 2):
            line.click()
            page.locator("iframe").nth(number - 1).wait_for(state="attached")
        page.wait_for_load_state("networkidle")
        frames = frames_of(page, "/mail/messages/")
        assert len(frames) == len(messages)
        for frame in frames:
            frame.get_by_text(WORDS).first.wait_for(state="attached")
        assert page.url == portal.url + path
        assert page.title() == f"{last.subject} · CRM Mail"
        assert (witness.found, len(page.context.pages)) == ([], 1), [message.subject for message in messages]


#: Each way to see one message by itself: whether it has a frame, and whether remote images are asked for.
VIEWS = (
    ("message", True, True),
    ("message-full", False, False),
    ("message-full", False, True),
    ("attached-message", True, False),
    ("attached-message-full", False, False),
)


@in_groups
def test_nothing_comes_of_it_alone(portal: LiveServer, box: Mailbox, samples: Sequence[tuple[int, str]]) -> None:
    """Each view by itself, on the screen and as it is printed; where remote images are asked for, they alone are."""
    messages = filed(box, samples if ALL else samples[::5])
    with window(box.owner, portal, spotless=False) as page:
        witness = Witness(page, portal.url)
        for view, framed, images in VIEWS:
            witness.images_asked = images
            for message in messages:
                place = [INNER] if view.startswith("attached") else []
                path = reverse(view, args=[message.pk, *place]) + ("?images" if images else "")
                sent = witness.go(path)
                shown = frames_of(page, f"/{message.pk}/") if framed else [page.main_frame]
                assert len(page.frames) == 1 + framed
                shown[0].get_by_text(WORDS).first.wait_for(state="attached")
                if framed:
                    unchanged(page, sent)
                page.emulate_media(media="print")
                page.emulate_media(media="screen")
                assert page.url == portal.url + path
                assert (witness.found, len(page.context.pages)) == ([], 1), (view, message.subject)
