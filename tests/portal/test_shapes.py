"""R16, R32: awkward mail is filed and shown in the real page, each shape with what its reader must see."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from accounts.models import Mailbox
from mail.html_text import html_to_text
from tests import factories
from tests.mail.shapes import Shape, shapes
from tests.portal.browsers import browser

pytestmark = pytest.mark.django_db

SHAPES = shapes()


@pytest.fixture
def ann() -> Mailbox:
    """Ann's mailbox."""
    owner = factories.user(name="Ann", email="ann@our.example")
    return factories.mailbox(owner=owner, email_address="ann@our.example")


def test_there_are_a_hundred_shapes_and_no_two_alike() -> None:
    """The corpus only counts if it is what it says."""
    assert len({shape.name for shape in SHAPES}) == len(SHAPES) >= 100


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_each_shape_shows_what_there_is_to_read(ann: Mailbox, shape: Shape) -> None:
    """On the page with its frame, as plain text, in full for printing, and as its original."""
    message = factories.file_raw(ann, shape.raw)
    client = browser(ann.owner)
    page = client.get(reverse("message", args=[message.pk])).content.decode()
    frame = re.search(r'<iframe[^>]* src="([^"]*)"', page)
    seen = html_to_text(page)
    if frame:
        seen += html_to_text(client.get(frame[1]).content.decode())
    for words in shape.shows:
        assert _flat(words) in _flat(seen), words
    for words in shape.lacks:
        assert _flat(words) not in _flat(seen), words
    for name, query in (("message", "?text"), ("message-full", ""), ("message-source", ""), ("message-raw", "")):
        assert client.get(reverse(name, args=[message.pk]) + query).status_code == 200, name
    for place in re.findall(r"/attachments/([0-9.]+)/\"", page):
        assert client.get(reverse("attachment", args=[message.pk, place])).status_code == 200, place
    for place in re.findall(r"/inside/([0-9.]+)/\"", page):
        assert client.get(reverse("attached-message", args=[message.pk, place])).status_code == 200, place


def _flat(text: str) -> str:
    return " ".join(text.split())
