"""Messages as bytes: what was typed is what a reader finds, whatever was typed (R35)."""

from __future__ import annotations

import email
import email.policy
import re
import time
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mail.mime import leaves
from mail.parsing import parse
from sender.addressing import Person, header_text, read_people, typed
from sender.building import File, Letter, build, needs_utf8, new_content_id, new_message_id

WHEN = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
REP = Person("Rep", "rep@our.example")
BEA = Person("Bea", "bea@acme.example")

_any = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
#: What has broken mail programs before, beside anything at all.
words = _any | st.sampled_from(
    [
        "x\r\nBcc: evil@x.example",
        "x\nSubject: other\n\nbody",
        "\0\x1b[31m\x7f\x85\u2028Bcc: evil@x.example",
        "=?utf-8?q?a?= =?utf-8?b?Yg==?=",
        "a" * 900,
        "ü" * 300,
        "Doe, Jane (Sales) <evil@x.example>; \"x\\",
        " two  spaces ",
        "@",
    ]
)  # fmt: skip


def letter(**fields: object) -> Letter:
    """A message from Rep to Bea."""
    return Letter(**{"message_id": "1@our.example", "date": WHEN, "sender": REP, "to": [BEA]} | fields)  # type: ignore[arg-type]


def flat(text: str) -> str:
    """`text` with each run of spaces as one: folding may add or take spaces (RFC 5322 section 2.2.3)."""
    return " ".join(text.split())


def lines(raw: bytes) -> list[bytes]:
    """The lines of a message; there is no other line end than CRLF."""
    found = raw.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in found)
    return found


#: Invisible marks, most of which turn the direction of text: our parser takes them out of a subject.
_TURNING = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@example(subject="\u200e", name="", text="", html="")
@given(subject=words.map(lambda text: text[:900]), name=words.map(lambda text: text[:200]), text=words, html=words)
def test_every_message_reads_back_as_it_was_typed_one_header_per_header(
    subject: str, name: str, text: str, html: str
) -> None:
    """By the standard library and by our own parser, which share no code."""
    people = [Person(name, "bea@acme.example"), Person("", "carl@x.example")]
    raw = build(
        letter(subject=subject, sender=Person(name, "rep@our.example"), to=people, cc=people, text=text, html=html)
    )
    assert max(map(len, lines(raw))) <= 998
    by_library = email.message_from_bytes(raw)
    names = [header for header in by_library if header not in {"Content-Type", "Content-Transfer-Encoding"}]
    assert names == ["MIME-Version", "Date", "From", "To", "Cc", "Subject", "Message-ID"]
    assert flat(str(make_header(decode_header(by_library["Subject"])))) == flat(header_text(subject))
    for header, expected in (("From", ["rep@our.example"]), ("To", ["bea@acme.example", "carl@x.example"])):
        found = getaddresses([by_library[header]])
        assert [address for _, address in found] == expected
        assert flat(str(make_header(decode_header(found[0][0])))) == flat(header_text(name))
    modern = email.message_from_bytes(raw, policy=email.policy.default)
    body = modern.get_body(("plain",))
    assert body is not None
    assert body.get_content().replace("\r\n", "\n").rstrip("\n") == text.replace("\r\n", "\n").replace(
        "\r", "\n"
    ).rstrip("\n")
    ours = parse(raw)
    assert flat(ours.subject) == flat(_TURNING.sub(" ", header_text(subject)))
    assert [person.address for person in ours.participants if person.role == "to"] == [
        "bea@acme.example",
        "carl@x.example",
    ]
    assert ours.has_all_participants


@given(
    st.lists(
        st.builds(
            Person, words.map(header_text).map(flat).map(lambda name: name[:200].strip()), st.just("bea@acme.example")
        ),
        max_size=1,
    )
)
def test_people_are_read_again_as_they_are_shown(people: list[Person]) -> None:
    """What a draft shows in a field is what it reads from there."""
    assert read_people(typed(people)) == (people, [])


def test_addresses_are_typed_in_any_usual_way() -> None:
    people, unread = read_people(
        'Bea Doe <bea@acme.example>, "Doe, Carl" <Carl@X.example>;\ndan@y.example, bob, <>, bea@ACME.example'
    )
    assert people == [
        Person("Bea Doe", "bea@acme.example"),
        Person("Doe, Carl", "carl@x.example"),
        Person("", "dan@y.example"),
    ]
    assert unread == ["bob", "<>"]


@pytest.mark.parametrize(
    "entry", ["a@b.example c@d.example", "a@b@c.example", "bea@", "@acme.example", "a b@c.example", '"']
)
def test_what_is_no_address_is_named_not_left_out(entry: str) -> None:
    assert read_people(entry) == ([], [entry])


@pytest.mark.parametrize("start", ['"', ""])
def test_as_much_as_fits_in_a_field_is_read_in_no_time(start: str) -> None:
    """What opens and never closes is looked through once."""
    began = time.process_time()
    for piece in ('\\"', '"', "<", '"<', "\\", '",', '<\\>"', "(", '("'):
        read_people(start + piece * (100_000 // len(piece)))
    assert time.process_time() - began < 3


def test_a_domain_in_another_script_goes_out_in_ascii() -> None:
    assert read_people("bea@bücher.example")[0] == [Person("", "bea@xn--bcher-kva.example")]


def test_an_address_in_another_script_stands_as_it_is() -> None:
    """RFC 6532; only servers with SMTPUTF8 take it."""
    raw = build(letter(to=[Person("Bücher", "bücher@acme.example")]))
    assert "bücher@acme.example".encode() in raw
    assert [p.address for p in parse(raw).participants if p.role == "to"] == ["bücher@acme.example"]
    assert needs_utf8("bücher@acme.example")
    assert not needs_utf8("bea@acme.example")


def test_ids_are_at_the_senders_domain_and_not_to_be_guessed() -> None:
    ids = {new_message_id("rep@our.example") for _ in range(100)}
    assert len(ids) == 100
    assert all(one.endswith("@our.example") and len(one.partition("@")[0]) >= 32 for one in ids)


def test_an_answer_names_its_conversation() -> None:
    """RFC 5322 section 3.6.4."""
    raw = build(letter(in_reply_to="2@x.example", references=[f"{n}@x.example" * 5 for n in range(20)]))
    read = parse(raw)
    assert read.in_reply_to == "2@x.example"
    assert len(read.references) == 20
    assert max(map(len, lines(raw))) <= 998


@pytest.mark.parametrize(
    "name",
    ["offer.pdf", "Angebot für Ötzi.pdf", "a" * 190 + ".pdf", 'q"uo\\te.pdf', "x\r\nBcc: a@b.example.pdf", "見積.pdf"],
)
def test_attachments_keep_their_bytes_and_their_names(name: str) -> None:
    """RFC 2231 for names that are not ASCII."""
    data = bytes(range(256)) * 300
    raw = build(letter(text="See there", files=[File(name, "application/pdf", "1@our.example", False, data)]))
    assert max(map(len, lines(raw))) <= 998
    message = email.message_from_bytes(raw, policy=email.policy.default)
    [attachment] = message.iter_attachments()
    assert attachment.get_content() == data
    assert attachment.get_content_type() == "application/pdf"
    assert attachment.get_filename() == header_text(name)
    [ours] = parse(raw).attachments
    assert (ours.size, ours.is_inline) == (len(data), False)
    assert "Bcc" not in message


def test_images_of_the_html_stand_beside_it_and_attachments_after() -> None:
    """RFC 2387."""
    image = File("logo.png", "image/png", new_content_id("rep@our.example"), True, b"\x89PNG")
    mail = File("forwarded.eml", "message/rfc822", "2@our.example", False, b"Subject: x\r\n\r\ny")
    raw = build(letter(text="Hi", html=f'<p>Hi <img src="cid:{image.content_id}"></p>', files=[image, mail]))
    message = email.message_from_bytes(raw)
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/octet-stream",
    ]
    found = parse(raw).attachments
    assert [(part.name, part.is_inline) for part in found] == [("logo.png", True), ("forwarded.eml", False)]
    assert found[0].content_id == image.content_id
    assert [part.content_type for part in leaves(raw)][:2] == ["text/plain", "text/html"]
