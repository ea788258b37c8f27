"""One message on screen: its page, its frame, its parts, and who may (R26, R31, R32)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from accounts.models import Mailbox, User
from customers.models import Customer
from mail.models import Message, Thread
from sharing.audit import openings_of
from sharing.models import AuditEntry
from tests import factories
from tests.portal.browsers import browser, page, queries_of

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32


@pytest.fixture
def ann() -> Mailbox:
    """Ann's Public mailbox."""
    owner = factories.user(name="Ann", email="ann@our.example")
    return factories.mailbox(owner=owner, mode="public", email_address="ann@our.example", name="Ann's POP3")


@pytest.fixture
def ben(ann: Mailbox) -> User:
    """Ann's colleague."""
    return factories.user(organization=ann.owner.organization, name="Ben", email="ben@our.example", mail_account=True)


@pytest.fixture
def bea(ann: Mailbox) -> Customer:
    """A contact of theirs."""
    return factories.customer(
        organization=ann.owner.organization, first_name="Bea", last_name="Stone", addresses=["bea@acme.example"]
    )


def with_image(mailbox: Mailbox, *, html: str, disposition: str = "inline") -> Message:
    """A message with one image that has a Content-ID."""
    raw = (
        "From: bea@acme.example\r\nTo: ann@our.example\r\nSubject: Picture\r\nMessage-ID: <pic@acme>\r\n"
        "Date: Mon, 02 Nov 2026 09:30:00 +0000\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/related; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/html\r\n\r\n{html}\r\n"
        "--b\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\n"
        f'Content-Disposition: {disposition}; filename="logo.png"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n"
    )
    return factories.file_raw(mailbox, raw.encode())


# --- one message ----------------------------------------------------------------------------------------------------


def test_the_header_shows_from_to_cc_and_whose_mailbox(ann: Mailbox, ben: User, bea: Customer) -> None:
    """R32."""
    message = factories.message(
        mailbox=ann,
        sender="Bea Stone <bea@acme.example>",
        to=["ann@our.example"],
        cc=["Dan <dan@nobody.example>"],
        subject="An offer",
    )
    shown = page(ben, "message", message.pk)
    for expected in ("An offer", "bea@acme.example", "ann@our.example", "dan@nobody.example", "In Ann's mailbox"):
        assert expected in shown


def test_a_display_name_never_hides_the_address(ann: Mailbox) -> None:
    """sharing.md, example 18: who wrote is always shown."""
    message = factories.message(mailbox=ann, sender='"bea@acme.example" <evil@lawyers.example>')
    assert "evil@lawyers.example" in page(ann.owner, "message", message.pk)


def test_hidden_recipients_are_shown_to_the_owner_only(ann: Mailbox, ben: User, bea: Customer) -> None:
    """sharing.md: no Bcc; nor the raw headers that tell of one."""
    message = factories.message(
        mailbox=ann,
        sender="ann@our.example",
        to=["bea@acme.example"],
        bcc=["secret@boss.example"],
        headers={"Delivered-To": "secret-box@our.example", "X-Original-To": "secret-alias@our.example"},
    )
    for name in ("message", "message-raw", "message-source"):
        assert "secret" in page(ann.owner, name, message.pk)
        assert "secret" not in page(ben, name, message.pk)


def test_plain_text_is_shown_escaped_with_its_links(ann: Mailbox) -> None:
    """R32."""
    message = factories.message(
        mailbox=ann, text='<script>alert(1)</script>\nSee https://acme.example/?a=1&b="x and javascript:alert(1).'
    )
    shown = page(ann.owner, "message", message.pk)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert 'href="https://acme.example/?a=1&amp;b="' in shown
    assert "<script>alert" not in shown
    assert 'href="javascript' not in shown


def test_a_message_without_headers_is_shown_as_far_as_it_goes(ann: Mailbox) -> None:
    """R16."""
    message = factories.file_raw(ann, b"\r\njust a body\r\n")
    shown = page(ann.owner, "message", message.pk)
    assert "(no subject)" in shown
    assert "just a body" in shown
    assert "(unknown sender)" in page(ann.owner, "mail")


def test_the_conversation_holds_what_the_viewer_may_see_and_no_count_of_the_rest(
    ann: Mailbox, ben: User, bea: Customer
) -> None:
    """sharing.md: no other message of the thread that fails the rule."""
    cleo = factories.mailbox(owner=factories.user(organization=ann.owner.organization, name="Cleo"), mode="private")
    first = factories.message(mailbox=ann, sender="bea@acme.example", message_id="a@x", text="first words")
    factories.message(mailbox=ann, sender="bea@acme.example", message_id="b@x", references=["a@x"], text="second words")
    factories.message(
        mailbox=cleo, sender="bea@acme.example", message_id="c@x", references=["a@x"], text="hidden words"
    )
    factories.message(mailbox=ann, sender="dan@x.example", message_id="d@x", references=["a@x"], text="private words")
    shown = page(ben, "message", first.pk)
    assert "second words" in shown
    assert "hidden words" not in shown
    assert "private words" not in shown
    assert "Cleo" not in shown
    assert "private words" in page(ann.owner, "message", first.pk)


def test_a_message_takes_a_bounded_number_of_queries(ann: Mailbox, ben: User, bea: Customer) -> None:
    """No query for each message of the conversation or each recipient."""
    message = factories.message(mailbox=ann, sender="bea@acme.example", message_id="a@x")
    factories.message(mailbox=ann, sender="bea@acme.example", references=["a@x"], text="the first answer")
    few = queries_of(ben, "message", message.pk)
    for number in range(12):
        factories.message(
            mailbox=ann,
            sender="bea@acme.example",
            references=["a@x"],
            cc=[f"c{number}@x.example"],
            text=f"answer {number}",
        )
    assert queries_of(ben, "message", message.pk) == few


def test_the_reading_pane_gets_the_message_without_the_page_around_it(ann: Mailbox, ben: User, bea: Customer) -> None:
    """R31: the same message by either way; only for the pane of the list, and kept apart by caches."""
    message = factories.message(mailbox=ann, sender="bea@acme.example", subject="Rocks", text="Ten of them")
    client, address = browser(ben), reverse("message", args=[message.pk])
    pane = client.get(address, headers={"HX-Request": "true", "HX-Target": "reading-pane"})
    other = client.get(address, headers={"HX-Request": "true", "HX-Target": "elsewhere"}).content.decode()
    assert "<main" not in pane.content.decode()
    assert "<main" in other
    for shown in (pane.content.decode(), other):
        assert "Rocks" in shown
        assert "Ten of them" in shown
        assert "Why can I see this?" in shown
    assert {"HX-Request", "HX-Target"} <= set(pane["Vary"].split(", "))


# --- HTML -----------------------------------------------------------------------------------------------------------

HOSTILE = """
<script>alert(1)</script><img src=x onerror=alert(1)><svg onload=alert(1)><svg><script>alert(2)</script></svg>
<math><mtext><table><mglyph><style><img src=x onerror=alert(3)></style></mglyph></table></mtext></math>
<a href="javascript:alert(4)">a</a><a href=" java&#10;script:alert(5)">b</a>
<a href="data:text/html,<script>x</script>">c</a>
<iframe src="https://evil.example/f"></iframe><object data="https://evil.example/o"></object>
<embed src=//evil.example/e>
<form action="https://evil.example/form"><input name=q><button>go</button></form><base href="https://evil.example/">
<meta http-equiv="refresh" content="0;url=https://evil.example/m"><link rel=stylesheet href="https://evil.example/l.css">
<style>@import "https://evil.example/s.css"; body{background:url(https://evil.example/b)}</style>
<div style="position:fixed;top:0;left:0;background-image:url(https://evil.example/u)" onclick="alert(6)">overlay</div>
<img src="https://evil.example/track.gif"><img srcset="https://evil.example/set.gif 2x">
<video poster="//evil.example/p"></video>
<!-- <img src=x onerror=alert(7)> --><![CDATA[<script>alert(8)</script>]]><p>Harmless words</p>
"""


def frame(user: User, message: Message, **query: str) -> str:
    """What the sandboxed frame holds."""
    return page(user, "message-html", message.pk, **query)


def test_hostile_html_is_harmless_in_the_page_and_in_the_frame(ann: Mailbox) -> None:
    """R32."""
    message = factories.message(mailbox=ann, html=HOSTILE)
    shown = frame(ann.owner, message).lower()
    assert "harmless words" in shown
    body = shown.split("<body>")[1]
    for danger in (
        "<script",
        "<svg",
        "<math",
        "<iframe",
        "<object",
        "<embed",
        "<form",
        "<input",
        "<base",
        "<meta",
        "<link",
    ):
        assert danger not in body
    assert not re.search(r"<[^>]*\son\w+\s*=", body)
    assert not re.search(r'href="\s*(java|data)', body)
    for danger in ("evil.example", "position:", "url("):
        assert danger not in body
    assert (
        "harmless words" not in page(ann.owner, "message", message.pk).lower().split("<iframe")[1].split("</iframe>")[0]
    )


def test_the_frame_has_a_policy_of_its_own_and_only_we_may_frame_it(ann: Mailbox) -> None:
    """R32: sanitised and framed, neither trusted alone."""
    message = factories.message(mailbox=ann, html="<p>Hello</p>")
    answer = browser(ann.owner).get(reverse("message-html", args=[message.pk]))
    policy = answer["Content-Security-Policy"]
    for directive in (
        "default-src 'none'",
        "img-src data:;",
        "form-action 'none'",
        "frame-ancestors 'self'",
        "sandbox",
    ):
        assert directive in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "script-src" not in policy
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer["Cache-Control"]
    sandbox = page(ann.owner, "message", message.pk).split('sandbox="')[1].split('"')[0]
    assert set(sandbox.split()) == {"allow-popups", "allow-popups-to-escape-sandbox"}


def test_remote_images_are_loaded_only_when_asked_for(ann: Mailbox) -> None:
    """R32."""
    message = factories.message(mailbox=ann, html='<p>x</p><img src="https://acme.example/logo.png">')
    assert "acme.example" not in frame(ann.owner, message)
    shown = page(ann.owner, "message", message.pk)
    assert "1 remote image not loaded" in shown
    assert f'href="{reverse("message", args=[message.pk])}?images"' in shown
    assert "https://acme.example/logo.png" in frame(ann.owner, message, images="")
    asked = browser(ann.owner).get(reverse("message-html", args=[message.pk]) + "?images")
    assert "img-src data: https:" in asked["Content-Security-Policy"]
    reloaded = page(ann.owner, "message", message.pk, images="")
    assert reverse("message-html", args=[message.pk]) + "?images" in reloaded
    assert "not loaded" not in reloaded


def test_one_can_switch_to_the_plain_text_and_back(ann: Mailbox) -> None:
    """R32."""
    message = factories.message(mailbox=ann, text="The plain words", html="<p>The rich words</p>")
    assert "<iframe" in page(ann.owner, "message", message.pk)
    plain = page(ann.owner, "message", message.pk, text="")
    assert "The plain words" in plain
    assert "<iframe" not in plain
    assert "Show as HTML" in plain


def test_html_that_is_too_deep_is_not_shown_but_its_text_is(ann: Mailbox) -> None:
    """R32: 100,000 nested tags would hold a worker for half a minute."""
    message = factories.message(mailbox=ann, text="The plain words", html="<div>" * 100_000)
    shown = page(ann.owner, "message", message.pk)
    assert "too large or too deeply nested" in shown
    assert "The plain words" in shown
    assert "<iframe" not in shown


def test_inline_images_are_in_the_frame_and_not_below_it_again(ann: Mailbox) -> None:
    """R32."""
    message = with_image(ann, html='<p>x</p><img src="cid:logo">')
    assert "data:image/png;base64," in frame(ann.owner, message)
    assert "logo.png" not in page(ann.owner, "message", message.pk)
    assert "logo.png" in page(ann.owner, "message", message.pk, text="")


def test_an_inline_image_that_the_html_does_not_show_can_be_downloaded(ann: Mailbox) -> None:
    """R32: nothing that came with a message is out of reach."""
    assert "logo.png" in page(ann.owner, "message", with_image(ann, html="<p>no picture</p>").pk)


# --- parts and originals --------------------------------------------------------------------------------------------


def download(user: User, message: Message) -> object:
    """The answer to clicking the first attachment."""
    return browser(user).get(reverse("attachment", args=[message.pk, message.attachments.get().part]))


@pytest.mark.parametrize(
    ("given", "served"),
    [
        ("application/pdf", "application/pdf"),
        ("image/png", "image/png"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("application/xhtml+xml", "application/octet-stream"),
        ("text/javascript", "application/octet-stream"),
        ("application/x-msdownload", "application/octet-stream"),
    ],
)
def test_attachments_are_downloads_whose_type_no_browser_runs(ann: Mailbox, given: str, served: str) -> None:
    """R32."""
    message = factories.message(mailbox=ann, attachments=[("file.bin", given, b"<script>1</script>")])
    answer = download(ann.owner, message)
    assert answer["Content-Type"] == served
    assert answer["Content-Disposition"] == 'attachment; filename="file.bin"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert answer.content == b"<script>1</script>"


@pytest.mark.parametrize(
    "name",
    [
        "Angebot für Müller.pdf",
        "../../etc/passwd",
        "..\\..\\boot.ini",
        "a\u202efdp.exe",
        'quo"te.txt',
        "x" * 1000 + ".pdf",
        "CON.txt",
        "semi;colon.txt",
        "日本語.txt",
    ],
)
def test_an_attachments_name_is_safe_whatever_it_was(ann: Mailbox, name: str) -> None:
    """R32."""
    message = factories.message(mailbox=ann, attachments=[(name, "application/pdf", b"%PDF")])
    header = download(ann.owner, message)["Content-Disposition"]
    assert header.startswith("attachment; filename")
    assert header.isascii()
    assert not set(header) & set("\r\n\0")
    stored = message.attachments.get().name
    assert not set(stored) & set("/\\\u202e\0")
    assert len(header) < 2000


def test_the_original_is_shown_as_text_and_can_be_downloaded_unchanged(ann: Mailbox) -> None:
    """R16, R32."""
    raw = factories.raw_message(to=["ann@our.example"], html="<script>alert(1)</script>")
    message = factories.file_raw(ann, raw)
    answer = browser(ann.owner).get(reverse("message-raw", args=[message.pk]))
    assert answer.content == raw
    assert answer["Content-Disposition"] == f'attachment; filename="message-{message.pk}.eml"'
    assert answer["Content-Type"] == "application/octet-stream"
    shown = page(ann.owner, "message-source", message.pk)
    assert "Message-ID: &lt;" in shown
    assert "<script>alert(1)" not in shown


def test_a_huge_original_is_cut_on_the_page(ann: Mailbox) -> None:
    """R32."""
    message = factories.file_raw(ann, b"Subject: big\r\n\r\n" + b"<" * (1 << 21))
    shown = page(ann.owner, "message-source", message.pk)
    assert "Only the beginning is shown" in shown
    assert shown.count("&lt;") < (1 << 20)


# --- sharing --------------------------------------------------------------------------------------------------------


def test_a_viewer_reads_why_and_the_owner_who(ann: Mailbox, ben: User, bea: Customer) -> None:
    """R26: asked for from the message's page, which doesn't work it out for everybody who never asks."""
    message = factories.message(mailbox=ann, sender="bea@acme.example")
    assert "Why can I see this?" in page(ben, "message", message.pk)
    owner = page(ann.owner, "message", message.pk)
    assert "Who can see this?" in owner
    assert "Why can I see this?" not in owner
    assert "The mailbox is Public" in page(ben, "message-sharing", message.pk)
    assert "You, and Ben" in page(ann.owner, "message-sharing", message.pk)
    part = browser(ben).get(reverse("message-sharing", args=[message.pk]), headers={"HX-Request": "true"})
    assert "The mailbox is Public" in part.content.decode()
    assert "<main" not in part.content.decode()


@pytest.mark.parametrize("name", ["message", "message-html", "message-full", "message-raw", "message-source"])
def test_every_way_to_open_a_message_is_noted_for_its_owner(ann: Mailbox, ben: User, bea: Customer, name: str) -> None:
    """R26: the frame's address alone is an opening too."""
    message = factories.message(mailbox=ann, sender="bea@acme.example", html="<p>x</p>")
    page(ben, name, message.pk)
    assert [opening.actor for opening in openings_of(message)] == [ben]
    assert "Ben" in page(ann.owner, "message-openings", message.pk)


def test_a_page_with_its_frame_is_one_opening_and_the_owners_own_are_none(
    ann: Mailbox, ben: User, bea: Customer
) -> None:
    """R26."""
    message = factories.message(mailbox=ann, sender="bea@acme.example", html="<p>x</p>")
    for user in (ben, ann.owner):
        page(user, "message", message.pk)
        page(user, "message-html", message.pk)
    assert openings_of(message).count() == 1


def test_a_download_is_noted_too(ann: Mailbox, ben: User, bea: Customer) -> None:
    """R26."""
    message = factories.message(
        mailbox=ann, sender="bea@acme.example", attachments=[("a.pdf", "application/pdf", b"%PDF")]
    )
    download(ben, message)
    assert openings_of(message).count() == 1


def test_only_the_owner_reads_who_opened_a_message(ann: Mailbox, ben: User, bea: Customer) -> None:
    """R26."""
    message = factories.message(mailbox=ann, sender="bea@acme.example")
    page(ben, "message-openings", message.pk, status=404)


@pytest.mark.parametrize("kept", ["message", "thread"])
def test_the_owner_keeps_a_message_or_its_conversation_private_and_lifts_that(
    ann: Mailbox, ben: User, bea: Customer, kept: str
) -> None:
    """R26."""
    message = factories.message(mailbox=ann, sender="bea@acme.example")
    deed = reverse(f"{kept}-private", args=[message.pk if kept == "message" else message.thread_id])
    page(ben, "message", message.pk)
    shown = browser(ann.owner).post(deed, {"private": "1"}, follow=True).content.decode()
    assert "Stop keeping" in shown
    page(ben, "message", message.pk, status=404)
    assert "Only you." in page(ann.owner, "message-sharing", message.pk)
    browser(ann.owner).post(deed)
    page(ben, "message", message.pk)
    assert AuditEntry.objects.filter(actor=ann.owner, action__in=["kept_private", "privacy_lifted"]).count() == 2


# --- others ---------------------------------------------------------------------------------------------------------


def test_what_a_user_may_not_see_does_not_exist_by_any_address(ann: Mailbox, ben: User, bea: Customer) -> None:
    """sharing.md: every page, part and deed of a hidden message is 404, and leaves no trace in the log."""
    cleo = factories.mailbox(owner=factories.user(organization=ann.owner.organization), mode="private")
    hidden = factories.message(
        mailbox=cleo, sender="bea@acme.example", html="<p>x</p>", attachments=[("a.pdf", "application/pdf", b"%PDF")]
    )
    attachment = hidden.attachments.get().part
    admin = factories.user(organization=ben.organization, role=User.Role.ADMIN)
    stranger = factories.user(organization=factories.organization(domain="theirs.example"), role=User.Role.ADMIN)
    unknown = factories.message(mailbox=ann).pk + 1000
    for user in (ben, admin, stranger):
        answers = {}
        for pk in (hidden.pk, unknown, 10**30):
            for name in (
                "message", "message-html", "message-full", "message-raw", "message-source", "message-sharing",
                "message-openings", "attachments",
            ):  # fmt: skip
                answers[name, pk] = browser(user).get(reverse(name, args=[pk]))
            answers["attachment", pk] = browser(user).get(reverse("attachment", args=[pk, attachment]))
            answers["message-private", pk] = browser(user).post(reverse("message-private", args=[pk]))
        for pk in (hidden.thread_id, 10**30):
            answers["thread-private", pk] = browser(user).post(reverse("thread-private", args=[pk]), {"private": "1"})
        assert {key: answer.status_code for key, answer in answers.items()} == dict.fromkeys(answers, 404)
        bodies = {bytes(answer.content) for (name, _), answer in answers.items() if name == "message"}
        assert len({re.sub(rb"(nonce|csrf\w*)[^>]*", b"", body) for body in bodies}) == 1
    assert not AuditEntry.objects.filter(action=AuditEntry.Action.MESSAGE_OPENED).exists()


def test_a_viewer_cannot_keep_or_mark_what_is_shared_with_them(ann: Mailbox, ben: User, bea: Customer) -> None:
    """R26: for the owner only, also where the message is visible."""
    message = factories.message(mailbox=ann, sender="bea@acme.example")
    for url in (reverse("message-private", args=[message.pk]), reverse("thread-private", args=[message.thread_id])):
        assert browser(ben).post(url, {"private": "1"}).status_code == 404
    assert not Message.objects.get().is_private
    assert not Thread.objects.filter(is_private=True).exists()


def test_an_attachment_is_reached_through_its_own_message_only(ann: Mailbox, ben: User, bea: Customer) -> None:
    """The attachment's number with the number of a message that one may see opens nothing."""
    cleo = factories.mailbox(owner=factories.user(organization=ann.owner.organization), mode="private")
    hidden = factories.message(mailbox=cleo, attachments=[("a.pdf", "application/pdf", b"%PDF")])
    visible = factories.message(mailbox=ann, sender="bea@acme.example")
    page(ben, "attachment", visible.pk, hidden.attachments.get().part, status=404)


def test_a_link_that_was_kept_answers_404_once_the_owner_turns_private(ann: Mailbox, ben: User, bea: Customer) -> None:
    """sharing.md, example 15."""
    message = factories.message(mailbox=ann, sender="bea@acme.example", html="<p>x</p>")
    for name in ("message", "message-html", "message-full", "message-raw", "message-source"):
        page(ben, name, message.pk)
    factories.share(ann, "private")
    for name in ("message", "message-html", "message-full", "message-raw", "message-source"):
        page(ben, name, message.pk, status=404)


@pytest.mark.parametrize("name", ["message-private", "thread-private"])
def test_nothing_is_kept_private_by_following_a_link(ann: Mailbox, name: str) -> None:
    """A GET changes nothing."""
    message = factories.message(mailbox=ann)
    page(ann.owner, name, message.pk if name == "message-private" else message.thread_id, status=405)


# --- an unknown sender ----------------------------------------------------------------------------------------------


def test_an_unknown_sender_becomes_a_lead_or_contact_in_one_click(ann: Mailbox) -> None:
    """R27: name and company guessed, the mail listed at once; a second click finds the record."""
    message = factories.message(mailbox=ann, sender='"Stone, Rocky" <rocky@quarry.example>', subject="A first word")
    assert "rocky@quarry.example is on no record" in page(ann.owner, "message", message.pk)
    for notice in ("guessed from the message", "is known already"):
        answer = browser(ann.owner).post(reverse("message-customer", args=[message.pk]), {"kind": "lead"}, follow=True)
        shown = answer.content.decode()
        assert notice in shown
        assert "A first word" in shown
    made = Customer.objects.get(last_name="Stone", first_name="Rocky")
    assert (made.kind, made.company, made.owner, made.primary_address) == (
        "lead",
        "Quarry",
        ann.owner,
        "rocky@quarry.example",
    )
    assert "is on no record" not in page(ann.owner, "message", message.pk)


@pytest.mark.parametrize("sender", ["ben@our.example", "x@our.example", "ann@our.example", ""])
def test_who_cannot_be_a_customer_is_not_offered_as_one(ann: Mailbox, ben: User, sender: str) -> None:
    """sharing.md: an internal address never makes a correspondent."""
    message = factories.message(mailbox=ann, sender=sender)
    assert "is on no record" not in page(ann.owner, "message", message.pk)
    answer = browser(ann.owner).post(reverse("message-customer", args=[message.pk]), {"kind": "lead"}, follow=True)
    assert "t be a customer" in answer.content.decode()
    assert not Customer.objects.exists()


def test_only_the_owner_makes_a_customer_of_the_sender(ann: Mailbox, ben: User) -> None:
    """R23: others can't see mail of strangers at all."""
    message = factories.message(mailbox=ann, sender="rocky@quarry.example")
    assert browser(ben).post(reverse("message-customer", args=[message.pk])).status_code == 404
    assert not Customer.objects.exists()


# --- remote images, by sender ---------------------------------------------------------------------------------------


PICTURED = '<p>x</p><img src="https://acme.example/logo.png">'


def test_a_senders_images_are_always_shown_to_whoever_chose_so_and_to_nobody_else(
    ann: Mailbox, ben: User, bea: Customer
) -> None:
    """R32: remembered by sender, a thing of the reader's own; taken back on any message or in the settings."""
    first = factories.message(mailbox=ann, sender="bea@acme.example", html=PICTURED)
    second = factories.message(mailbox=ann, sender="Bea <BEA@acme.example>", html=PICTURED)
    other = factories.message(mailbox=ann, sender="carl@acme.example", html=PICTURED)
    assert "Always show images from bea@acme.example" in page(ben, "message", first.pk)
    browser(ben).post(reverse("message-images", args=[first.pk]))
    for message in (first, second):
        assert reverse("message-html", args=[message.pk]) + "?images" in page(ben, "message", message.pk)
        assert "You always see the remote images of bea@acme.example" in page(ben, "message", message.pk)
        assert "1 remote image not loaded" in page(ann.owner, "message", message.pk)
    assert "1 remote image not loaded" in page(ann.owner, "message", other.pk)
    assert "bea@acme.example" in page(ben, "image-senders")
    assert "bea@acme.example" not in page(ann.owner, "image-senders")
    browser(ben).post(reverse("message-images", args=[second.pk]), {"stop": "1"})
    assert "1 remote image not loaded" in page(ben, "message", first.pk)


def test_a_sender_is_taken_back_in_the_settings_by_its_owner_only(ann: Mailbox, ben: User, bea: Customer) -> None:
    """R32."""
    message = factories.message(mailbox=ann, sender="bea@acme.example", html=PICTURED)
    browser(ben).post(reverse("message-images", args=[message.pk]))
    remembered = str(ben.image_senders.get().pk)
    browser(ann.owner).post(reverse("image-senders"), {"sender": remembered})
    assert ben.image_senders.exists()
    browser(ben).post(reverse("image-senders"), {"sender": remembered})
    assert not ben.image_senders.exists()


def test_a_message_without_a_sender_has_nobody_to_remember(ann: Mailbox) -> None:
    """R32: else everybody without an address would be one sender."""
    message = factories.message(mailbox=ann, sender="", html=PICTURED)
    assert "Always show images" not in page(ann.owner, "message", message.pk)
    browser(ann.owner).post(reverse("message-images", args=[message.pk]))
    assert not ann.owner.image_senders.exists()


# --- in full, and the conversation ----------------------------------------------------------------------------------


def test_the_whole_message_is_a_page_of_its_own_for_reading_and_printing(
    ann: Mailbox, ben: User, bea: Customer
) -> None:
    """R32: under the frame's policy, nothing folded, and hidden recipients to the owner only."""
    message = factories.message(
        mailbox=ann,
        sender="bea@acme.example",
        bcc=["hidden@acme.example"],
        subject="<b>Rocks</b>",
        html="<p>Ten</p><blockquote type=cite>How many?</blockquote><script>1</script>",
        attachments=[("plan.pdf", "application/pdf", b"%PDF")],
    )
    answer = browser(ben).get(reverse("message-full", args=[message.pk]))
    shown = answer.content.decode()
    assert "sandbox allow-popups" in answer["Content-Security-Policy"]
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    for words in ("&lt;b&gt;Rocks&lt;/b&gt;", "Ten", "How many?", "plan.pdf", "bea@acme.example"):
        assert words in shown
    for absent in ("<details", "<script", "hidden@acme.example", "<nav"):
        assert absent not in shown
    assert "hidden@acme.example" in page(ann.owner, "message-full", message.pk)
    assert "Please find our offer attached." in page(ben, "message-full", message.pk, text="")


def test_a_line_of_the_conversation_opens_in_its_place(ann: Mailbox, ben: User, bea: Customer) -> None:
    """R31: earlier lines above, later ones below; what htmx puts there is the message alone, and an opening."""
    first, second, third = (
        factories.message(
            mailbox=ann,
            sender="bea@acme.example",
            text=f"Words {number}",
            message_id=f"{number}@x",
            references=["1@x"] if number > 1 else [],
            date=START + timedelta(hours=number),
        )
        for number in (1, 2, 3)
    )
    shown = page(ben, "message", second.pk)
    places = [shown.index(f'id="message-{first.pk}"'), shown.index("<article"), shown.index(f'id="message-{third.pk}"')]
    assert places == sorted(places)
    part = (
        browser(ben)
        .get(reverse("message", args=[first.pk]), headers={"HX-Request": "true", "HX-Target": f"message-{first.pk}"})
        .content.decode()
    )
    assert part.strip().startswith("<article")
    assert "Words 1" in part
    assert "<aside" not in part
    assert openings_of(first).count() == 1


def test_html_without_looks_of_its_own_follows_dark_mode(ann: Mailbox) -> None:
    """R32: designed mail stays on white paper."""
    plain = factories.message(mailbox=ann, html="<p>Just <b>words</b></p>")
    designed = factories.message(mailbox=ann, html="<p style='color: #333'>Words</p>")
    assert "message__frame--plain" in page(ann.owner, "message", plain.pk)
    assert "color-scheme:light dark" in frame(ann.owner, plain)
    assert "message__frame--plain" not in page(ann.owner, "message", designed.pk)
    assert "color-scheme:light;" in frame(ann.owner, designed)
