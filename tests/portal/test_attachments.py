"""What is attached: downloads with safe names and types, previews, messages inside messages, all of it as one archive (R32)."""

from __future__ import annotations

import io
import zipfile

import pytest
from django.http import HttpResponse
from django.urls import reverse

from accounts.models import Mailbox, User
from mail.files import can_run, preview_of, storable_names
from mail.images import MAX_PIXELS, read_picture
from mail.models import Message
from sharing.audit import openings_of
from tests import factories
from tests.mail.shapes import PNG
from tests.portal.browsers import browser, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> Mailbox:
    """Ann's Public mailbox, with a contact who writes to her."""
    owner = factories.user(name="Ann", email="ann@our.example")
    factories.customer(organization=owner.organization, last_name="Stone", addresses=["bea@acme.example"])
    return factories.mailbox(owner=owner, mode="public", email_address="ann@our.example")


@pytest.fixture
def ben(ann: Mailbox) -> User:
    """Ann's colleague."""
    return factories.user(organization=ann.owner.organization, name="Ben", mail_account=True)


def message_with(ann: Mailbox, *attachments: tuple[str, str, bytes]) -> Message:
    """A message of Bea's; the first attachment is at place 2."""
    return factories.message(mailbox=ann, sender="bea@acme.example", attachments=attachments)


def preview(user: User, message: Message, place: str = "2") -> HttpResponse:
    """The answer to *View*."""
    answer: HttpResponse = browser(user).get(reverse("attachment-preview", args=[message.pk, place]))
    return answer


# --- previews -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "data", "served"),
    [
        ("a.png", "image/png", PNG, "image/png"),
        ("a.gif", "image/png", b"GIF89a\x01\x00\x01\x00", "image/gif"),
        ("a.png", "application/octet-stream", PNG, "image/png"),
        ("a.pdf", "application/pdf", b"%PDF-1.4 words", "application/pdf"),
        ("a.txt", "text/plain", b"words", "text/plain; charset=utf-8"),
        ("a.html", "text/html", b"<script>1</script>", "text/plain; charset=utf-8"),
        ("a.svg", "image/svg+xml", b"<svg onload='alert(1)'/>", "text/plain; charset=utf-8"),
        ("a.json", "application/json", b"{}", "text/plain; charset=utf-8"),
    ],
)
def test_what_can_be_shown_is_shown_as_what_it_is(
    ann: Mailbox, name: str, given: str, data: bytes, served: str
) -> None:
    """R32: under a policy that lets it do nothing, and never as a page of ours."""
    answer = preview(ann.owner, message_with(ann, (name, given, data)))
    assert answer["Content-Type"] == served
    assert answer["Content-Disposition"].startswith("inline")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    ("name", "given", "data"),
    [
        ("a.png", "image/png", b"<script>1</script>"),
        ("a.png", "image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\xff" * 8),
        ("a.png", "image/png", b""),
        ("a.svg.png", "image/png", b"<svg onload='alert(1)'/>"),
        ("a.pdf", "application/pdf", b"<html><script>1</script>"),
        ("a.zip", "application/zip", b"PK\x03\x04"),
        ("a.exe", "application/octet-stream", b"MZ"),
        ("a.xhtml", "application/xhtml+xml", b"<html/>"),
    ],
)
def test_what_lies_about_itself_or_is_something_else_can_only_be_downloaded(
    ann: Mailbox, name: str, given: str, data: bytes
) -> None:
    """R32."""
    message = message_with(ann, (name, given, data))
    assert preview(ann.owner, message).status_code == 404
    assert browser(ann.owner).get(reverse("attachment", args=[message.pk, "2"])).content == data


@pytest.mark.parametrize("data", ["Grüße – „ja“".encode(), "Grüße – „ja“".encode("cp1252")])
def test_a_text_is_read_in_the_charset_that_it_is_in(ann: Mailbox, data: bytes) -> None:
    """R32: as the text of a message is."""
    assert preview(ann.owner, message_with(ann, ("a.txt", "text/plain", data))).content.decode() == "Grüße – „ja“"


def test_a_long_text_is_shown_as_far_as_a_page_goes(ann: Mailbox) -> None:
    """R32: the download has all of it."""
    assert len(preview(ann.owner, message_with(ann, ("a.txt", "text/plain", b"x" * (3 << 20)))).content) == 1 << 20


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (PNG, (1, 1)),
        (b"GIF89a\x02\x00\x03\x00", (2, 3)),
        (b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xc0\x00\x11\x08\x00\x05\x00\x04\x03", (4, 5)),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x05\0\0\x06\0\0", (6, 7)),
        (b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x08\x00\x09\x00", (8, 9)),
        (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x09\x80\x02\x00", (10, 11)),
    ],
)
def test_a_picture_is_known_by_its_bytes(data: bytes, size: tuple[int, int]) -> None:
    """R32."""
    picture = read_picture(data)
    assert picture is not None
    assert (picture.width, picture.height) == size


@pytest.mark.parametrize(
    "data", [PNG[:20], b"\xff\xd8\xff" * 1000, b"\xff\xd8" + b"\xff" * 5000, b"RIFF1234WEBP", b"<svg>"]
)
def test_what_is_no_picture_is_none(data: bytes) -> None:
    """R32."""
    assert read_picture(data) is None


def test_a_picture_that_would_fill_the_memory_is_not_shown() -> None:
    """attacks.md: bombs when previewing."""
    side = int(MAX_PIXELS**0.5) + 1
    assert read_picture(PNG[:16] + side.to_bytes(4) * 2) is None


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "name", "expected"),
    [
        ("message/rfc822", "x", "message"),
        ("application/octet-stream", "old.EML", "message"),
        ("application/pdf", "x.exe", "pdf"),
        ("application/zip", "x.pdf", ""),
        ("text/calendar", "x.ics", "text"),
        ("application/msword", "x.doc", ""),
    ],
)
def test_the_kind_of_preview_follows_the_type_or_where_that_says_nothing_the_name(
    content_type: str, name: str, expected: str
) -> None:
    """R32."""
    assert preview_of(content_type, name) == expected


@pytest.mark.parametrize("name", ["a.exe", "invoice.pdf.SCR", "a.docm", "a.html", "a.lnk", "a.iso"])
def test_what_can_run_says_so(ann: Mailbox, name: str) -> None:
    """attacks.md: types that lie."""
    assert can_run(name)
    assert "can run a program" in page(ann.owner, "message", message_with(ann, (name, "application/pdf", b"%PDF")).pk)
    assert not can_run(name + ".txt")


def test_names_in_an_archive_can_be_stored_anywhere() -> None:
    """attacks.md: paths, reserved names; and no two are the same."""
    given = ["a.txt", "A.TXT", "a.txt", "../b", "CON.txt", "aux", "x:y?.pdf", " . ", ".profile", "a\u202eb"]
    assert list(storable_names(given)) == [
        "a.txt", "A (2).TXT", "a (3).txt", "_b", "_CON.txt", "_aux", "x_y_.pdf", "attachment", "profile", "a_b",
    ]  # fmt: skip


# --- all at once ----------------------------------------------------------------------------------------------------


def test_everything_attached_comes_as_one_archive(ann: Mailbox, ben: User) -> None:
    """R32: sent while it is packed; noted as an opening like every other."""
    files = [
        ("offer.pdf", "application/pdf", b"%PDF" * 50_000),
        ("offer.pdf", "text/plain", b"two"),
        ("c.txt", "text/plain", b""),
    ]
    message = message_with(ann, *files)
    answer = browser(ben).get(reverse("attachments", args=[message.pk]))
    assert answer.streaming
    packed = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
    assert packed.testzip() is None
    assert {name: packed.read(name) for name in packed.namelist()} == {
        "offer.pdf": files[0][2],
        "offer (2).pdf": b"two",
        "c.txt": b"",
    }
    assert openings_of(message).count() == 1
    assert "Download all as ZIP" in page(ben, "message", message.pk)


def test_without_attachments_there_is_no_archive(ann: Mailbox) -> None:
    """Nothing to pack is nothing there."""
    page(ann.owner, "attachments", message_with(ann).pk, status=404)


# --- messages inside messages ---------------------------------------------------------------------------------------


def inside(levels: int) -> bytes:
    """A message in a message in a message …"""
    raw = factories.raw_message(subject="Level 0", text="Innermost", bcc=["hidden@acme.example"])
    for level in range(1, levels + 1):
        raw = factories.raw_message(
            subject=f"Level {level}", attachments=[("inner.eml", "application/octet-stream", raw)]
        )
    return raw


def test_an_attached_message_opens_as_one(ann: Mailbox, ben: User) -> None:
    """R32: for whoever may see the outer one, and whole: the hidden recipients inside are part of what was sent on."""
    raw = factories.raw_message(
        subject="The old offer",
        html="<p>Old <img src='https://acme.example/x.png'> words</p><script>1</script>",
        bcc=["hidden@acme.example"],
        attachments=[("plan.pdf", "application/pdf", b"%PDF-1.4")],
    )
    message = message_with(ann, ("old.eml", "application/octet-stream", raw))
    assert reverse("attached-message", args=[message.pk, "2"]) in page(ben, "message", message.pk)
    shown = page(ben, "attached-message", message.pk, "2")
    for words in ("The old offer", "hidden@acme.example", "1 remote image not loaded", "plan.pdf"):
        assert words in shown
    frame = page(ben, "attached-message-html", message.pk, "2")
    assert "words" in frame
    assert "acme.example/x.png" not in frame
    assert "<script" not in frame
    assert "acme.example/x.png" in page(ben, "attached-message-html", message.pk, "2", images="")
    assert browser(ben).get(reverse("attachment", args=[message.pk, "2.4"])).content == b"%PDF-1.4"
    assert "The old offer" in page(ben, "attached-message-full", message.pk, "2")
    assert openings_of(message).exists()


def test_messages_are_opened_to_a_bounded_depth(ann: Mailbox) -> None:
    """attacks.md: message/rfc822 in itself."""
    message = factories.file_raw(ann, inside(7))
    for depth in range(1, 6):
        assert f"Level {7 - depth}" in page(ann.owner, "attached-message", message.pk, ".".join(["2"] * depth))
    page(ann.owner, "attached-message", message.pk, ".".join(["2"] * 6), status=404)


@pytest.mark.parametrize("place", ["0", "1", "3", "2.1", "2.9", "99"])
def test_what_is_no_message_does_not_open_as_one(ann: Mailbox, place: str) -> None:
    """Unknown is 404."""
    message = message_with(ann, ("a.pdf", "application/pdf", b"%PDF"))
    for name in ("attached-message", "attached-message-html", "attached-message-full"):
        page(ann.owner, name, message.pk, place, status=404)
