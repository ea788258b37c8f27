"""What our reader of messages makes of mail, beside what the standard library makes of it; each difference is a decision.

`email` with `policy.default` is the reference. On the corpus of business mail there is no difference. Where mail is broken
or odd they differ, and the table says why ours is what somebody who reads that mail wants.
"""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from bench.corpus import generate
from mail.parsing import parse, read_html


def theirs(raw: bytes) -> EmailMessage:
    """The message as the standard library reads it."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def read_by_us(raw: bytes) -> dict[str, object]:
    """What is compared, as we read it."""
    parsed = parse(raw)
    return {
        "subject": parsed.subject,
        "message_id": parsed.message_id,
        "references": list(parsed.references),
        "date": parsed.date,
        "people": [(who.role, who.name, who.address) for who in parsed.participants],
        "text": lines(parsed.text),
        "html": lines(read_html(raw)),
        "attachments": [(each.name, each.content_type, each.size) for each in parsed.attachments],
    }


def read_by_them(raw: bytes) -> dict[str, object]:
    """The same, as the standard library reads it."""
    message = theirs(raw)
    text, html = message.get_body(["plain"]), message.get_body(["html"])
    people = [
        (role.replace("-", "_"), address.display_name, address.addr_spec.lower())
        for role in ("from", "sender", "reply-to", "to", "cc", "bcc")
        for header in message.get_all(role, [])
        for address in header.addresses
    ]
    return {
        "subject": str(message.get("subject", "")),
        "message_id": str(message.get("message-id", "")).strip("<> "),
        "references": [each.strip("<>") for each in str(message.get("references", "")).split()],
        "date": _aware(message["date"].datetime) if message["date"] else None,
        "people": people,
        "text": lines(text.get_content() if text is not None else ""),
        "html": lines(html.get_content() if html is not None else ""),
        "attachments": [
            (each.get_filename(), each.get_content_type(), len(each.get_payload(decode=True) or b""))
            for each in message.iter_attachments()
        ],
    }


def lines(text: str) -> list[str]:
    """Text by lines, however these end."""
    return text.strip().splitlines()


def _aware(date: datetime | None) -> datetime | None:
    """A time whose zone is unknown ("-0000") is in UTC (RFC 5322 section 3.3); the library leaves that to its caller."""
    return date.replace(tzinfo=UTC) if date and date.tzinfo is None else date


def test_on_business_mail_nothing_differs() -> None:
    """Correct first: threads, encoded words, six charsets, attachments."""
    for raw in generate(300, 7, 40, 0.1):
        assert read_by_us(raw) == read_by_them(raw)


FROM = b"From: Bea <bea@acme.example>\r\n"
MIXED = FROM + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
REPLACED = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "raw",
    [
        FROM + "Subject: Grüße\r\n\r\nx\r\n".encode(),
        b'From: "=?utf-8?q?B=C3=A9a?=" <bea@acme.example>\r\n\r\nx\r\n',
        FROM + b"Subject: a=?utf-8?q?=C3=BC?=b\r\n\r\nx\r\n",
        FROM + b"Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8gd29ybGQ\r\n",
        FROM + b"Content-Transfer-Encoding: base64\r\n\r\nSGVs*bG8gd29ybGQ=\r\n--\r\n",
        FROM + b"Date: 2026-11-02T09:30:00Z\r\n\r\nx\r\n",
        FROM + b"Date: Mon, 02 Nov 2026 09:30:00\r\n\r\nx\r\n",
        b"From: Bea <bea@acme.example>\nSubject: hi\n\nx\n",
        b"From bea Mon Nov 2\r\nFrom: Bea <bea@acme.example>\r\nSubject: hi\r\n\r\nx\r\n",
        b"From: Bea <bea@acme.example>\r\nFrom: Eve <eve@evil.example>\r\n\r\nx\r\n",
        b"To: Team: a@x.example, b@x.example;\r\n\r\nx\r\n",
        FROM + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n",
    ],
)
def test_on_much_that_is_broken_nothing_differs_either(raw: bytes) -> None:
    """Where two readers agree what a mistake means, there is no reason for a third opinion."""
    assert read_by_us(raw) == read_by_them(raw)


@pytest.mark.parametrize(
    ("raw", "field", "ours", "library"),
    [
        pytest.param(
            FROM + "Subject: Grüße\r\n\r\nx\r\n".encode("latin-1"),
            "subject",
            "Grüße",
            f"Gr{REPLACED * 2}e",
            id="bytes of no declared charset in a header are guessed, as mail programs do",
        ),
        pytest.param(
            FROM + b"Content-Type: text/plain; charset=us-ascii\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n",
            "text",
            ["Grüße"],
            [f"Gr{REPLACED * 4}e"],
            id="so are those of a body that calls itself ASCII",
        ),
        pytest.param(
            FROM + b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\x93quoted\x94\r\n",
            "text",
            ["\N{LEFT DOUBLE QUOTATION MARK}quoted\N{RIGHT DOUBLE QUOTATION MARK}"],
            ["\x93quoted\x94"],
            id="ISO 8859-1 is read as Windows 1252, its superset that is meant (WHATWG Encoding)",
        ),
        pytest.param(
            FROM + b"Content-Type: text/plain; charset=gb2312\r\n\r\n" + "镕".encode("gb18030") + b"\r\n",
            "text",
            ["镕"],
            [f"{REPLACED}F"],
            id="so is GB 2312 as GB 18030",
        ),
        pytest.param(
            FROM + b"Content-Type: text/plain; charset=utf-7\r\n\r\n+ADw-script+AD4-\r\n",
            "text",
            ["+ADw-script+AD4-"],
            ["<script>"],
            id="UTF-7 hides markup from filters and is not decoded (WHATWG Encoding)",
        ),
        pytest.param(
            MIXED + b"Content-Disposition: attachment; filename=my offer.pdf\r\n"
            b"Content-Type: application/pdf\r\n\r\nx\r\n--b--\r\n",
            "attachments",
            [("my offer.pdf", "application/pdf", 1)],
            [("my", "application/pdf", 1)],
            id="a file name with spaces that somebody forgot to quote is whole",
        ),
        pytest.param(
            MIXED + b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n--b--\r\n",
            "attachments",
            [("part-2.eml", "message/rfc822", 23)],
            [(None, "message/rfc822", 0)],
            id="an attached message is a file with a name and a size",
        ),
        pytest.param(
            MIXED + b"\r\nmore\r\n--b--\r\n",
            "text",
            ["text", "more"],
            ["text"],
            id="a second text, as mailing lists append it, is text and no file",
        ),
        pytest.param(
            FROM + b"Content-Type: text/html\r\n\r\n<p>Hi</p>\r\n",
            "text",
            ["Hi"],
            [],
            id="of HTML alone there is a text to search and to preview",
        ),
        pytest.param(
            FROM + b"Content-Type: multipart/mixed\r\n\r\ntext\r\n",
            "text",
            ["text"],
            [],
            id="a multipart without boundary is the text that it contains",
        ),
        pytest.param(
            b"From : Bea <bea@acme.example>\r\nSubject : hi\r\n\r\nx\r\n",
            "subject",
            "hi",
            "",
            id="a blank before the colon is obsolete and allowed (RFC 5322 section 4.5)",
        ),
        pytest.param(
            b"From: Doe, Bea <bea@acme.example>\r\n\r\nx\r\n",
            "people",
            [("from", "Bea", "bea@acme.example")],
            [("from", "", "doe"), ("from", "Bea", "bea@acme.example")],
            id="a word is no address",
        ),
        pytest.param(
            FROM + b"this is no header\r\nSubject: hi\r\n\r\nx\r\n",
            "subject",
            "hi",
            "",
            id="a line that is no field does not end the header: what follows it would be hidden from the sharing rule",
        ),
    ],
)
def test_where_they_differ_ours_serves_the_reader(raw: bytes, field: str, ours: object, library: object) -> None:
    """Each difference on purpose; a change on either side shows here."""
    assert read_by_us(raw)[field] == ours
    assert read_by_them(raw)[field] == library


def test_an_unknown_charset_is_guessed_where_the_library_gives_up() -> None:
    """R16: shown as far as possible."""
    raw = FROM + b"Content-Type: text/plain; charset=nonsense\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    assert read_by_us(raw)["text"] == ["Grüße"]
    with pytest.raises(LookupError):
        read_by_them(raw)
