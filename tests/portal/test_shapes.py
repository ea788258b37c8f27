"""R16, R32: awkward mail is filed and shown in the real page, each shape with what its reader must see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Mailbox
from mail.html_text import html_to_text
from tests import factories
from tests.mail.shapes import Shape, shapes
from tests.portal.browsers import browser

pytestmark = pytest.mark.django_db

SHAPES = shapes()
FAMILIES = {family: list(found) for family, found in groupby(SHAPES, key=lambda shape: shape.family)}


@pytest.fixture
def ann() -> Mailbox:
    """Ann's mailbox."""
    owner = factories.user(name="Ann", email="ann@our.example")
    return factories.mailbox(owner=owner, email_address="ann@our.example")


def test_there_are_a_hundred_shapes_and_no_two_alike() -> None:
    """The corpus only counts if it is what it says."""
    assert len({shape.name for shape in SHAPES}) == len(SHAPES) >= 100


@pytest.mark.parametrize("family", FAMILIES)
def test_each_shape_shows_what_there_is_to_read(ann: Mailbox, family: str) -> None:
    """On the page with its frame, as plain text, and in full for printing."""
    client = browser(ann.owner)
    assert [fault for shape in FAMILIES[family] for fault in faults_of(client, ann, shape)] == []


def test_what_is_missing_is_found_out(ann: Mailbox) -> None:
    """The test above can fail."""
    wrong = Shape("wrong", SHAPES[0].raw, shows=("Not in it",), lacks=(SHAPES[0].shows[0],))
    assert len(list(faults_of(browser(ann.owner), ann, wrong))) == 2


def faults_of(client: Client, ann: Mailbox, shape: Shape) -> Iterator[tuple[str, str]]:
    """What is wrong when a message of this shape is filed and looked at."""
    message = factories.file_raw(ann, shape.raw)
    page = client.get(reverse("message", args=[message.pk])).content.decode()
    frame = re.search(r'<iframe[^>]* src="([^"]*)"', page)
    seen = _flat(html_to_text(page))
    if frame:
        seen += _flat(html_to_text(client.get(frame[1]).content.decode()))
    yield from ((shape.name, f"does not show {words!r}") for words in shape.shows if _flat(words) not in seen)
    yield from ((shape.name, f"shows {words!r}") for words in shape.lacks if _flat(words) in seen)
    also = [reverse("message-full", args=[message.pk])]
    also += [reverse("message", args=[message.pk]) + "?text"] if frame else []
    parts = {"attachment": r"/attachments/([0-9.]+)/\"", "attached-message": r"/inside/([0-9.]+)/\""}
    also += [
        reverse(name, args=[message.pk, place])
        for name, link in parts.items()
        for place in list(dict.fromkeys(re.findall(link, page)))[:3]
    ]
    yield from ((shape.name, f"{path} is broken") for path in also if client.get(path).status_code != 200)


def _flat(text: str) -> str:
    return " ".join(text.split())
