"""Reading messages: as far as they can be read, within bounds, never raising."""

import base64
import random
import time
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail import mime, parsing
from mail.mime import MAX_FIELD_BYTES, MAX_FIELDS
from mail.parsing import MAX_PARTICIPANTS, ParsedMessage, cut_part, parse, read_html, without_hidden_headers

PLAIN = (
    b"Received: by mx.our.example; Mon, 23 Nov 2026 10:00:05 +0100\r\n"
    b"Received: by old.example; Mon, 23 Nov 2020 10:00:05 +0100\r\n"
    b"From: =?utf-8?q?B=C3=A9a?= <Bea@Acme.Example>\r\n"
    b"To: John <john@our.example>, john@our.example\r\n"
    b"Cc: x@eu.lawyers.example\r\n"
    b"Subject: =?iso-8859-1?q?Gr=FC=DFe?=\r\n =?iso-8859-1?q?_aus?= =?utf-8?b?IEvDtg==?= x\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0100\r\n"
    b"Message-ID: <1@acme.example>\r\n"
    b"In-Reply-To: <0@our.example>\r\n"
    b"References: <a@our.example> <0@our.example>\r\n"
    b"\r\n"
    b"Hello John\r\n> you wrote\r\nBye\r\n"
)
MIXED = (
    b'From: bea@acme.example\nContent-Type: multipart/mixed; boundary="b 1"\n\npreamble\n--b 1\n'
    b"Content-Type: multipart/alternative; boundary=b2\n\n"
    b"--b2\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n"
    + base64.encodebytes("Привет".encode("koi8-r"))
    + b"--b2\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>=C3=9C</p>\n--b2--\n"
    b"--b 1\nContent-Type: image/png\nContent-ID: <logo@x>\nContent-Disposition: inline\n"
    b"Content-Transfer-Encoding: base64\n\naGVsbG8=\n"
    b"--b 1\nContent-Type: application/pdf\nContent-Disposition: attachment;\n filename*0*=utf-8''Angebot%20f;\n"
    b" filename*1*=%C3%BCr.pdf\n\n%PDF\n"
    b"--b 1\nContent-Type: message/rfc822\n\nSubject: inner\n\n--not a boundary\n--b 1--\nepilogue"
)


def quickly(raw, limit=1.0):
    """What `raw` says, read in `limit` seconds of processor time."""
    started = time.process_time()
    parsed = parse(raw)
    assert time.process_time() - started < limit
    return parsed


def test_a_plain_message_is_read_whole():
    message = parse(PLAIN)
    assert message.message_id == "1@acme.example"
    assert message.in_reply_to == "0@our.example"
    assert message.references == ("a@our.example", "0@our.example")
    assert message.subject == "Grüße aus Kö x"
    assert message.date == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert message.received_date == datetime(2026, 11, 23, 9, 0, 5, tzinfo=UTC)
    assert [(p.role, p.name, p.address, p.domain) for p in message.participants] == [
        ("from", "Béa", "bea@acme.example", "acme.example"),
        ("to", "John", "john@our.example", "our.example"),
        ("cc", "", "x@eu.lawyers.example", "eu.lawyers.example"),
    ]
    assert message.text == "Hello John\n> you wrote\nBye\n"
    assert message.snippet == "Hello John Bye"
    assert read_html(PLAIN) == ""
    assert message.notes == ()


def test_alternatives_inline_images_and_attachments_are_told_apart():
    message = parse(MIXED)
    assert message.text == "Привет"
    assert read_html(MIXED) == "<p>Ü</p>"
    assert [(a.number, a.name, a.content_type, a.size, a.content_id, a.is_inline) for a in message.attachments] == [
        (4, "part-4.png", "image/png", 5, "logo@x", True),
        (5, "Angebot für.pdf", "application/pdf", 4, "", False),
        (6, "part-6.eml", "message/rfc822", 32, "", False),
    ]


def test_a_part_is_cut_out_of_the_raw_message_byte_by_byte():
    assert cut_part(MIXED, 4) == (b"hello", "image/png")
    assert cut_part(MIXED, 5) == (b"%PDF", "application/pdf")
    assert cut_part(MIXED, 6) == (b"Subject: inner\n\n--not a boundary", "message/rfc822")


@pytest.mark.parametrize("number", [-1, 0, 1, 7, 10**9])
def test_a_part_that_is_not_there_is_a_lookup_error(number):
    with pytest.raises(LookupError):
        cut_part(MIXED, number)


def test_text_is_taken_from_html_where_there_is_no_other():
    message = parse(b"Content-Type: text/html\n\n<style>p{}</style><p>Hello&nbsp;you</p><!-- no --><p>Bye</p>")
    assert message.text == "Hello you\n\nBye"


def test_html_hung_behind_a_text_does_not_take_its_place():
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\na < b\n--b\nContent-Type: text/html\n\n<p>List</p>\n--b--"
    )
    assert parse(raw).text == "a < b\nList"
    assert read_html(raw).endswith("a &lt; b</div><p>List</p>")


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (b"text/plain; charset=iso-8859-1", "\u201cGrüße\u201d".encode("cp1252")),
        (b"text/plain; charset=utf-8", "“Grüße”".encode()),
        (b"text/plain; charset=nonsense", "“Grüße”".encode()),
        (b"text/plain; charset=unknown-8bit", "“Grüße”".encode("cp1252")),
        (b"text/plain", "“Grüße”".encode()),
        (b"text/plain; charset=us-ascii", "“Grüße”".encode()),
        (b'text/plain; charset="a\0b"', "“Grüße”".encode()),
        (b"text/plain; charset=punycode", "“Grüße”".encode()),
        (b"TEXT/PLAIN ; format=flowed; CHARSET = 'utf-8'", "“Grüße”".encode()),
    ],
)
def test_a_charset_that_lies_or_is_none_does_not_garble_the_text(head, text):
    assert parse(b"Content-Type: " + head + b"\n\n" + text).text == "“Grüße”"


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        ("Grüße".encode(), "Grüße"),
        ("Grüße".encode("latin-1"), "Grüße"),
        (b"=?nonsense?q?Hello?=", "Hello"),
        (b"=?utf-8?b?SGVsbG8?=", "Hello"),
        (b"=?utf-8?b?4p?= =?utf-8?b?yT?=", None),
        (b"=?utf-8?q?=E2=9C?= =?utf-8?q?=93?=", "✓"),
        (b"=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?=", "=?utf-8?q?x?="),
        (b"a =?utf-8?q?b?= c", "a b c"),
        (b"=?utf-8*en?q?b?=", "b"),
        (b"=?utf-8?q?a=0D=0ABcc:_x?=", "a Bcc: x"),
        (b"=?utf-8?q?=E2=80=AEgpj?=", "gpj"),
        (b"=?utf-8?x?b?=", "=?utf-8?x?b?="),
        (b"a\0b\x07c", "ab c"),
    ],
)
def test_a_subject_is_decoded_once_onto_one_line(raw, subject):
    found = parse(b"Subject: " + raw + b"\n\n").subject
    assert found == subject if subject is not None else "\n" not in found


def test_several_from_lines_are_all_considered_and_the_first_decides():
    message = parse(b"From: a@x.example, b@x.example\nFrom: c@x.example\nTo: d@x.example\n\n")
    assert [p.address for p in message.participants if p.role == "from"] == [
        "a@x.example",
        "b@x.example",
        "c@x.example",
    ]


@pytest.mark.parametrize("value", ["", "nobody", "<>", "\0", "=?utf-8?q?bea=40acme.example?="])
def test_a_from_without_an_address_names_nobody(value):
    assert parse(f"From: {value}\n\nhi".encode()).participants == ()


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "Mon, 1 Jan 1700 00:00:00 +2359",
        "1 Jan 1969 00:00 +0000",
        "1 Jan 2101 00:00 +0000",
        "1 Jan 99999 00:00",
        "31 Feb 2026 00:00 +0000",
        "1 Jan 2026 99:99 +0000",
        "1 Jan 2026 00:00 +999999",
        "\xff",
    ],
)
def test_an_absurd_date_is_none(date):
    assert parse(f"Date: {date}\n\n".encode("latin-1")).date is None


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\Windows\\\\evil.exe", "evil.exe"),
        ("a\0b.pdf", "ab.pdf"),
        ("\u202egpj.exe", "gpj.exe"),
        ("=?utf-8?q?f=C3=BCr.pdf?=", "für.pdf"),
        ("x" * 1000 + ".pdf", "x" * 196 + ".pdf"),
        ("..", "part-0.bin"),
        ("a/", "part-0.bin"),
    ],
)
def test_a_file_name_is_safe_to_show_and_to_save_under(written, name):
    raw = f'Content-Type: application/x-thing\nContent-Disposition: attachment; filename="{written}"\n\nx'.encode()
    assert parse(raw).attachments[0].name == name


def test_two_copies_have_one_fingerprint_and_another_message_has_another():
    other_copy = b"Delivered-To: cleo@our.example\r\nBcc: z@x.example\r\n" + PLAIN.replace(b"10:00:05", b"10:00:09")
    assert parse(other_copy).fingerprint == parse(PLAIN).fingerprint
    for old, new in ((b"1@acme", b"2@acme"), (b"Bea@A", b"Eve@A"), (b"Bye", b"Hi"), (b" x\r\n", b" y\r\n")):
        assert parse(PLAIN.replace(old, new)).fingerprint != parse(PLAIN).fingerprint


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"A: 1\r\nBcc: x\r\n\r\nBcc: body\r\n", b"A: 1\r\n\r\nBcc: body\r\n"),
        (b"A: 1\nbCC : x,\n\ty\nB: 2\n\nhi", b"A: 1\nB: 2\n\nhi"),
        (b"Delivered-To: a\nResent-Bcc: b\nX-Original-To: c\nEnvelope-To: d\nTo: e\n\n", b"To: e\n\n"),
        (b"A: 1\r\nBcc: x", b"A: 1\r\n"),
        (b"Bcc: x", b""),
        (b"A: 1\rBcc: x\r\nB: 2\r\n\r\n", b"A: 1\rB: 2\r\n\r\n"),
        (b"A: 1\r\r\nBcc: x\r\r\n\r\r\nBcc: y", b"A: 1\r\r\n\r\r\nBcc: y"),
        (b"junk\nBcc: x\n \n y\n\nhi", b"junk\n\nhi"),
        (b"X-Bcc: a\nBcc-To: b\n\n", b"X-Bcc: a\nBcc-To: b\n\n"),
        (b"\nBcc: body", b"\nBcc: body"),
        (b"", b""),
    ],
)
def test_the_hidden_headers_go_and_every_other_byte_stays(raw, shown):
    assert without_hidden_headers(raw) == shown


@pytest.mark.parametrize(
    ("raw", "subject", "text"),
    [
        (b"", "", ""),
        (b"hello\nworld", "", "hello\nworld"),
        (b"Subject: a\nhello", "a", "hello"),
        (b"Subject: a", "a", ""),
        (b"From bea Mon\nSubject: a\n\nhi", "a", "hi"),
        (b"Subject: a\n>From x\nX: b\n\nhi", "a", "hi"),
        (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello", "", "hello"),
        (b"Content-Type: multipart/mixed\n\n--b\n\nhello", "", "--b\n\nhello"),
        (b"Content-Type: multipart/mixed; boundary=b\n\nno such line", "", "no such line"),
        (b"Content-Transfer-Encoding: base64\n\naGVsbG8gd29ybG@\n=x", "", "hello worll"),
        (b"Content-Transfer-Encoding: quoted-printable\n\n=4=48=\nx=", "", "=4Hx"),
        (b"Content-Transfer-Encoding: nonsense\n\nhi", "", "hi"),
        (b"Content-Type: nonsense\n\nhi", "", "hi"),
    ],
)
def test_a_broken_message_is_shown_as_far_as_possible(raw, subject, text):
    message = parse(raw)
    assert (message.subject, message.text) == (subject, text)


def nested(levels):
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level) for level in range(levels)
    )


HUGE = {
    "a subject of a megabyte": b"Subject: " + b"a" * 1_000_000 + b"\n\nhi",
    "a folded subject": b"Subject: " + b"\n a" * 300_000 + b"\n\nhi",
    "nested encoded words": b"Subject: " + b"=?utf-8?q?" * 100_000 + b"\n\nhi",
    "10,000 headers": b"".join(b"X-%d: a\n" % index for index in range(10_000)) + b"Subject: a\n\nhi",
    "10,000 references": b"References: " + b" ".join(b"<%d@x>" % index for index in range(10_000)) + b"\n\nhi",
    "100,000 addresses": b"To: " + b"a@b.example," * 100_000 + b"\n\nhi",
    "semicolons for parameters": b"Content-Type: text/plain" + b";" * 1_000_000 + b"\n\nhi",
    "unclosed parameters": b"Content-Type: text/plain" + b';a="b\\"' * 100_000 + b"\n\nhi",
    "a boundary of a megabyte": b"Content-Type: multipart/mixed; boundary=" + b"b" * 1_000_000 + b"\n\nhi",
    "a punycode text": b"Content-Type: text/plain; charset=punycode\n\n" + b"abc-" * 300_000,
    "a body of equal signs": b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=" * 1_000_000,
    "a body of no base64": b"Content-Transfer-Encoding: base64\n\n" + b"@" * 1_000_000,
    "100,000 HTML levels": b"Content-Type: text/html\n\n" + b"<div>" * 100_000 + b"hi",
    "a megabyte of declarations": b"Content-Type: text/html\n\n" + b"<!" * 500_000,
    "a number of many digits": b"Content-Type: text/html\n\n&#" + b"1" * 500_000 + b";",
    "only line ends": b"\n" * 1_000_000,
}


@pytest.mark.parametrize("raw", HUGE.values(), ids=HUGE)
def test_the_huge_is_read_in_bounded_time(raw):
    message = quickly(raw)
    assert len(message.subject) <= 998
    assert len(message.references) <= 50
    assert len(message.snippet) <= 200


def test_a_thousand_levels_and_a_hundred_thousand_parts_end_with_a_note():
    assert "nested too deeply" in quickly(nested(1_000)).notes[0]
    parts = quickly(b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 100_000)
    assert "more than 1,000 parts" in parts.notes[0]
    assert parts.text.startswith("x\nx")
    with pytest.raises(LookupError):
        cut_part(nested(1_000), 500)


def test_references_keep_the_start_and_the_end_of_the_conversation():
    message = parse(b"References: " + b" ".join(b"<%d@x>" % index for index in range(60)) + b"\n\n")
    assert len(message.references) == 50
    assert (message.references[0], message.references[1], message.references[-1]) == ("0@x", "11@x", "59@x")


def test_more_addresses_than_can_be_listed_are_noted():
    raw = b"To: " + b",".join(b"a%d@x.example" % index for index in range(3_000)) + b"\n\n"
    message = parse(raw)
    assert len(message.participants) == 2_000
    assert "more addresses" in message.notes[0]


@pytest.fixture(autouse=True)
def _nothing_is_left_to_the_last_resort(caplog):
    yield
    assert not [record for record in caplog.records if record.name == parsing.__name__]


@settings(max_examples=150)
@given(st.binary(max_size=2_000))
def test_reading_never_raises_whatever_the_bytes(raw):
    assert isinstance(parsing._parse(raw), ParsedMessage)
    assert without_hidden_headers(raw) is not None


@settings(max_examples=120)
@given(st.randoms(use_true_random=False), st.sampled_from([PLAIN, MIXED, nested(5) + PLAIN]))
def test_a_mutated_message_is_read_and_its_parts_can_be_cut(rng: random.Random, raw):
    data = bytearray(raw)
    for _ in range(rng.randint(1, 12)):
        place = rng.randrange(len(data))
        data[place : place + rng.randint(0, 9)] = rng.choice(
            [b"", b"\0", b"\r", b"\n", b"\xff", b'"', b"=?", b"--", b"\n\n"]
        )
        data = data or bytearray(b" ")
    message = parsing._parse(bytes(data))
    for text in (message.subject, message.text, read_html(raw), *(p.name for p in message.participants)):
        text.encode()
    for attachment in message.attachments:
        assert len(cut_part(bytes(data), attachment.number)[0]) == attachment.size


def test_whether_all_participants_were_read_is_known() -> None:
    """sharing.md, line 7: what was left out may be at an excluded domain."""
    crowd = b", ".join(b"p%d@crowd.example" % number for number in range(MAX_PARTICIPANTS + 1))
    long_header = b"To: a@b.example," + b" " * MAX_FIELD_BYTES + b" x@lawyers.example\r\n\r\n"
    many_fields = b"To: a@b.example\r\n" * MAX_FIELDS + b"To: x@lawyers.example\r\n\r\n"
    assert parse(b"To: a@b.example\r\n\r\n").has_all_participants
    for raw in (b"To: " + crowd + b"\r\n\r\n", long_header, many_fields):
        assert not parse(raw).has_all_participants


@settings(max_examples=200)
@given(data=st.binary(max_size=3_000), line=st.integers(1, 100), junk=st.sampled_from([b"", b"!", b" \t", b"\0"]))
def test_the_size_of_an_attachment_is_counted_right_without_decoding_it(data: bytes, line: int, junk: bytes):
    encoded = base64.b64encode(data)
    lines = junk.join(encoded[at : at + line] + b"\r\n" for at in range(0, len(encoded), line))
    for body in (lines, lines.replace(b"=", b"")):
        raw = b"Content-Type: a/b; name=c\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mime, "_COUNTED_BYTES", 7)
            assert parse(raw).attachments[0].size == len(data) == len(cut_part(raw, 0)[0])


def test_of_a_text_without_end_only_what_is_shown_is_decoded():
    """A message of 40 MB of text costs no multiple of that."""
    raw = b"Content-Type: text/plain\r\n\r\n" + b"word\r\n" * (40 << 20 >> 3)
    tracemalloc.start()
    text = parse(raw).text
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(text) == parsing.MAX_TEXT_CHARS
    assert peak < 50 << 20


@settings(max_examples=300)
@given(st.lists(st.sampled_from([b"aGVsbG8", b"=", b"==", b"\r\n", b"?", b"A", b"\xff", b" "]), max_size=30))
def test_the_size_of_an_attachment_is_that_of_its_bytes_whatever_its_base64(pieces: list[bytes]) -> None:
    """R32: padding in the midst of it, missing, or all there is."""
    head = b'Content-Type: image/png; name="a.png"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    raw = head + b"".join(pieces)
    for attachment in parsing._parse(raw).attachments:
        assert len(cut_part(raw, attachment.number)[0]) == attachment.size
