"""Mail as it really comes: at least a hundred awkward shapes, each with what a reader must be shown of it."""

from __future__ import annotations

import base64
import quopri
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A message, words that its page must show, and words that it must not."""

    name: str
    raw: bytes
    shows: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    family: str = ""


def letter(
    body: bytes | str = "Body words",
    content_type: str = "text/plain; charset=utf-8",
    encoding: str = "",
    *,
    head: bytes | str = "From: Bea <bea@acme.example>\nTo: Ann <ann@our.example>",
    subject: bytes | str = "A subject",
    date: str = "Mon, 02 Nov 2026 09:30:00 +0000",
) -> bytes:
    """The bytes of a message of one part."""
    fields = [_bytes(head), b"Subject: " + _bytes(subject)]
    if date:
        fields.append(f"Date: {date}".encode())
    fields.append(f"Message-ID: <{uuid.uuid4().hex}@x>".encode())
    if content_type:
        fields.append(f"MIME-Version: 1.0\nContent-Type: {content_type}".encode())
    if encoding:
        fields.append(f"Content-Transfer-Encoding: {encoding}".encode())
    return b"\n".join(fields).replace(b"\n", b"\r\n") + b"\r\n\r\n" + _bytes(body)


def part(body: bytes | str, content_type: str = "text/plain; charset=utf-8", more: str = "") -> bytes:
    """A part of a multipart message."""
    return f"Content-Type: {content_type}\n{more}".encode().rstrip(b"\n") + b"\n\n" + _bytes(body)


def encoded(data: bytes, content_type: str, more: str = "") -> bytes:
    """A part in base64."""
    return part(base64.encodebytes(data), content_type, f"Content-Transfer-Encoding: base64\n{more}")


def attached(data: bytes, content_type: str, name: str) -> bytes:
    """An attachment."""
    return encoded(data, content_type, f'Content-Disposition: attachment; filename="{name}"')


def multi(kind: str, *parts: bytes, more: str = "", boundary: str = "b1") -> bytes:
    """The body of a multipart message, with its header before it."""
    lines = b"".join(b"\n--" + boundary.encode() + b"\n" + each for each in parts)
    return lines + b"\n--" + boundary.encode() + b"--\n"


def mixed(*parts: bytes, kind: str = "mixed", more: str = "", **fields: str) -> bytes:
    """A whole message of several parts."""
    return letter(multi(kind, *parts), f'multipart/{kind}; boundary="b1"{more}', **fields)


def nested(kind: str, *parts: bytes, boundary: str = "b2") -> bytes:
    """Parts as one part of another message."""
    return part(multi(kind, *parts, boundary=boundary), f'multipart/{kind}; boundary="{boundary}"')


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _charsets() -> Iterator[Shape]:
    for name, charset, text in (
        ("latin 1", "iso-8859-1", "Grüße aus Köln"),
        ("latin 2", "iso-8859-2", "Žluťoučký kůň"),
        ("latin 9 with a euro", "iso-8859-15", "5 € für Œuvre"),
        ("windows-1252 quotation marks", "windows-1252", "“Quoted” – and a dash"),
        ("windows-1251", "windows-1251", "Привет из Москвы"),
        ("KOI8-R", "koi8-r", "Привет из Москвы"),
        ("Greek", "iso-8859-7", "Καλημέρα κόσμε"),
        ("Hebrew", "windows-1255", "שלום עולם"),
        ("Arabic", "windows-1256", "مرحبا بالعالم"),
        ("Turkish", "iso-8859-9", "İstanbul'da güneşli"),
        ("Thai", "tis-620", "สวัสดีชาวโลก"),
        ("ISO-2022-JP", "iso-2022-jp", "こんにちは世界"),
        ("Shift-JIS", "shift_jis", "こんにちは世界"),
        ("EUC-JP", "euc-jp", "こんにちは世界"),
        ("GB18030", "gb18030", "你好，世界 䶮"),
        ("GB2312 that is GBK", "gb2312", "镕你好"),
        ("Big5", "big5", "你好，世界"),
        ("EUC-KR", "euc-kr", "안녕하세요 세계"),
        ("UTF-16 with a mark", "utf-16", "Wide words ü"),
        ("UTF-8 with a mark", "utf-8-sig", "Marked words ü"),
    ):
        written = {"utf-8-sig": "utf-8", "GB2312": "gb2312"}.get(charset, charset)
        data = text.encode("gbk" if charset == "gb2312" else charset)
        yield Shape(
            f"charset: {name}", letter(base64.encodebytes(data), f"text/plain; charset={written}", "base64"), (text,)
        )
    yield Shape("charset: missing, UTF-8", letter("Ünïcödé words", "text/plain"), ("Ünïcödé words",))
    yield Shape(
        "charset: missing, windows-1252", letter("caf\u00e9 cr\u00e8me".encode("cp1252"), "text/plain"), ("café crème",)
    )
    yield Shape(
        "charset: unknown-8bit", letter("Ünïcödé words", "text/plain; charset=unknown-8bit"), ("Ünïcödé words",)
    )
    yield Shape(
        "charset: x-user-defined", letter("Plain words", "text/plain; charset=x-user-defined"), ("Plain words",)
    )
    yield Shape(
        "charset: a sentence", letter("Plain words", 'text/plain; charset="what ever this is"'), ("Plain words",)
    )
    yield Shape(
        "charset: says ASCII, is UTF-8", letter("Ünïcödé words", "text/plain; charset=us-ascii"), ("Ünïcödé words",)
    )
    yield Shape(
        "charset: says UTF-8, is latin 1", letter("Grüße".encode("latin-1"), "text/plain; charset=utf-8"), ("Grüße",)
    )
    yield Shape("charset: UTF-7", letter("Hi Mom +Jjo-!", "text/plain; charset=utf-7"), ("Hi Mom",))
    yield Shape("charset: emoji", letter("Ship it 🚀👩‍👩‍👧", subject="🚀 soon"), ("Ship it 🚀👩‍👩‍👧", "🚀 soon"))
    yield Shape(
        "charset: HTML says another one than its header",
        letter("<meta charset=iso-8859-1><p>Grüße</p>", "text/html; charset=utf-8"),
        ("Grüße",),
    )
    yield Shape(
        "charset: HTML in KOI8-R", letter("<p>Привет</p>".encode("koi8-r"), "text/html; charset=koi8-r"), ("Привет",)
    )
    yield Shape(
        "charset: HTML in ISO-2022-JP",
        letter("<p>こんにちは</p>".encode("iso-2022-jp"), "text/html; charset=iso-2022-jp", "7bit"),
        ("こんにちは",),
    )
    yield Shape("charset: NUL in the text", letter("Before\0after"), ("Beforeafter",))
    yield Shape("charset: control characters", letter("Bell\x07 and \x1b[31mred"), ("red",))
    yield Shape("right to left", letter("שלום, the order 123", subject="שלום"), ("שלום, the order 123",))


def _encodings() -> Iterator[Shape]:
    text = "Grüße = 100 % sure. " + "x" * 100
    yield Shape("quoted-printable", letter(quopri.encodestring(text.encode()), encoding="quoted-printable"), (text,))
    yield Shape("quoted-printable: broken", letter("Half =ZZ of =C3=BC it=", encoding="quoted-printable"), ("of ü it",))
    yield Shape(
        "quoted-printable: one long line", letter("word " * 20_000, encoding="quoted-printable"), ("word word",)
    )
    yield Shape(
        "base64: no padding", letter(base64.b64encode(b"Body words!")[:-1], encoding="base64"), ("Body words!",)
    )
    yield Shape(
        "base64: on one line", letter(base64.b64encode(b"Body words " * 500), encoding="base64"), ("Body words",)
    )
    yield Shape(
        "base64: with a footer behind",
        letter(base64.encodebytes(b"Body words") + b"\n-- \nList footer", encoding="base64"),
        ("Body words",),
    )
    yield Shape("base64: text that is none", letter("This is simply text.", encoding="base64"), ("A subject",))
    yield Shape("encoding: 8bit", letter("Größe", encoding="8bit"), ("Größe",))
    yield Shape("encoding: unknown", letter("Body words", encoding="x-zip"), ("Body words",))
    yield Shape("encoding: with a comment", letter("R3LDvMOfZQ==", encoding="base64 (of course)"), ("A subject",))
    begin = "begin 644 photo.jpg\n" + "M" * 61 + "\n`\nend\n"
    yield Shape(
        "uuencode in the text",
        letter(f"See the picture.\n\n{begin}\nRegards"),
        ("See the picture.", "A file written as text", "Regards"),
    )
    yenc = "=ybegin line=128 size=5 name=x.bin\nabcde\n=yend size=5\n"
    yield Shape("yEnc in the text", letter(f"See the file.\n\n{yenc}"), ("See the file.", "A file written as text"))
    flowed = "A long paragraph that was \nbroken for the way.\n> Quoted that was \n> broken too.\n\n-- \nBea"
    yield Shape(
        "format=flowed",
        letter(flowed, "text/plain; charset=utf-8; format=flowed"),
        ("A long paragraph that was broken for the way.", "Bea"),
    )
    yield Shape(
        "format=flowed, DelSp",
        letter("Donaudampf \nschiff", "text/plain; format=flowed; delsp=yes"),
        ("Donaudampfschiff",),
    )
    yield Shape("bare LF", letter("Line one\nLine two").replace(b"\r\n", b"\n"), ("Line one", "Line two"))
    yield Shape("bare CR", letter("Line one\rLine two"), ("Line one", "Line two"))
    yield Shape("a line of 100 KB", letter("x" * 100_000 + " the end"), ("the end",))
    yield Shape("a very long word", letter("<p>" + "W" * 5_000 + "</p>", "text/html"), ("W" * 100,))


def _headers() -> Iterator[Shape]:
    head = "To: ann@our.example"
    yield Shape("From: none", letter(head=head), ("Body words", "A subject"))
    yield Shape(
        "From: two",
        letter(head="From: Bea <bea@acme.example>\nFrom: Eve <eve@evil.example>\n" + head),
        ("bea@acme.example",),
    )
    yield Shape(
        "From: two addresses",
        letter(head="From: Bea <bea@acme.example>, Carl <carl@acme.example>\n" + head),
        ("bea@acme.example", "carl@acme.example"),
    )
    yield Shape("From: empty", letter(head="From: <>\n" + head), ("Body words",))
    yield Shape("From: a name only", letter(head="From: Mailer Daemon\n" + head), ("Body words",))
    yield Shape(
        "From: the name is an address",
        letter(head='From: "boss@our.example" <eve@evil.example>\n' + head),
        ("boss@our.example <eve@evil.example>",),
    )
    yield Shape(
        "From: right-to-left override in the name",
        letter(head='From: "Bea \u202egpj.exe" <bea@acme.example>\n' + head),
        ("bea@acme.example",),
        ("\u202e",),
    )
    yield Shape("To: undisclosed", letter(head="From: bea@acme.example\nTo: undisclosed-recipients:;"), ("Body words",))
    many = ", ".join(f"person{number}@many.example" for number in range(1_000))
    yield Shape(
        "To: a thousand",
        letter(head=f"From: bea@acme.example\nTo: {many}"),
        ("person0@many.example", "and 990 more", "person999@many.example"),
    )
    yield Shape(
        "To: a group",
        letter(head="From: bea@acme.example\nTo: Team: ann@our.example, ben@our.example;"),
        ("ann@our.example", "ben@our.example"),
    )
    yield Shape(
        "To: comments and quotes",
        letter(head='From: bea@acme.example\nTo: "Ann, the (first)" <ann@our.example> (work)'),
        ("ann@our.example",),
    )
    yield Shape("To: IDN", letter(head="From: bea@bücher.example\nTo: ann@our.example"), ("bea@xn--bcher-kva.example",))
    yield Shape("Subject: none", letter().replace(b"Subject: A subject\r\n", b""), ("(no subject)", "Body words"))
    yield Shape("Subject: empty", letter(subject=""), ("(no subject)",))
    yield Shape("Subject: 1 MB", letter(subject="Long " * 200_000), ("Long Long", "Body words"))
    yield Shape(
        "Subject: encoded words",
        letter(subject="=?utf-8?B?R3LDvMOfZQ==?= =?iso-8859-1?Q?aus_K=F6ln?="),
        ("Grüßeaus Köln",),
    )
    yield Shape(
        "Subject: encoded word cut in a character", letter(subject="=?utf-8?B?R3LD?= =?utf-8?B?vMOfZQ==?="), ("Gr",)
    )
    yield Shape("Subject: broken encoded word", letter(subject="=?utf-8?B?R3LDvMOfZQ"), ("=?utf-8?B?R3LDvMOfZQ",))
    yield Shape("Subject: encoded word of an unknown charset", letter(subject="=?x-unknown?Q?Plain?="), ("Plain",))
    yield Shape("Subject: 8-bit, latin 1", letter(subject="Grüße".encode("latin-1")), ("Grüße",))
    yield Shape("Subject: 8-bit, UTF-8", letter(subject="Grüße"), ("Grüße",))
    yield Shape("Subject: folded oddly", letter(subject="One\n \n\ttwo"), ("One",))
    yield Shape("Subject: HTML", letter(subject="<script>alert(1)</script>"), ("<script>alert(1)</script>",))
    yield Shape("Subject: line separators", letter(subject="One\u2028two\u0085three"), ("three",))
    for date, shown in (
        ("", "A subject"),
        ("Thu, 01 Jan 1899 00:00:00 +0000", "Body words"),
        ("Fri, 31 Dec 2100 23:59:59 +0000", "Body words"),
        ("Mon, 32 Foo 99999 99:99:99 +9999", "Body words"),
        ("yesterday", "Body words"),
        ("2 Nov 26 09:30 EST", "2 November 2026"),
        ("Mon, 2 Nov 2026 09:30:00 +0000 (UTC) (comment)", "2 November 2026"),
        ("Mon, 02 Nov 2026 09:30:00 -9999", "Body words"),
        ("Montag, 02. November 2026 09:30", "Body words"),
    ):
        yield Shape(f"Date: {date or 'none'}", letter(date=date), (shown,))
    yield Shape(
        "header: 10,000 fields",
        letter(head="From: bea@acme.example\n" + "\n".join(f"X-{n}: x" for n in range(10_000))),
        ("Body words",),
    )
    yield Shape(
        "header: From line of a mailbox file",
        b"From bea Mon Nov  2 09:30:00 2026\r\n" + letter(),
        ("Body words", "bea@acme.example"),
    )
    yield Shape("header: none", b"Just words, no header.\r\n", ("Just words, no header.",))
    yield Shape(
        "header: no empty line before the text",
        b"From: bea@acme.example\r\nSubject: Run on\r\nThen the words",
        ("Run on", "Then the words"),
    )
    yield Shape(
        "header: space before the colon",
        letter(head="From : bea@acme.example\nTo: ann@our.example"),
        ("bea@acme.example",),
    )
    yield Shape(
        "header: References of 10,000",
        letter(head="From: bea@acme.example\nReferences: " + " ".join(f"<{n}@x>" for n in range(10_000))),
        ("Body words",),
    )
    yield Shape("nothing at all", b"\r\n", ("This message is empty",))
    yield Shape("header only", letter("")[:-2], ("A subject", "This message is empty"))


def _structures() -> Iterator[Shape]:
    both = (part("Plain words"), part("<p>Rich <b>words</b></p>", "text/html; charset=utf-8"))
    yield Shape("alternative", mixed(*both, kind="alternative"), ("Rich words",))
    yield Shape("alternative: HTML first", mixed(*reversed(both), kind="alternative"), ("Rich words",))
    yield Shape("alternative: empty HTML", mixed(both[0], part("", "text/html"), kind="alternative"), ("Plain words",))
    yield Shape("HTML only", letter("<h1>Rich words</h1>", "text/html"), ("Rich words",))
    yield Shape("HTML without any tag", letter("Rich words & more", "text/html"), ("Rich words & more",))
    yield Shape(
        "HTML: only a picture",
        letter("<img src='https://x.example/a.png' alt='Sale!'>", "text/html"),
        ("1 remote image not loaded",),
    )
    yield Shape(
        "HTML: Word's",
        letter(
            "<html xmlns:o='x'><head><style>p.MsoNormal{}</style></head><body><p class=MsoNormal>Rich words<o:p></o:p></p></body></html>",
            "text/html",
        ),
        ("Rich words",),
        ("MsoNormal",),
    )
    yield Shape(
        "HTML: newsletter of tables",
        letter("<table><tr><td>" * 30 + "Rich words" + "</td></tr></table>" * 30, "text/html"),
        ("Rich words",),
    )
    yield Shape(
        "HTML: deeper than anybody writes",
        mixed(both[0], part("<div>" * 5_000 + "Rich", "text/html"), kind="alternative"),
        ("Plain words", "too deeply nested"),
    )
    yield Shape("HTML: cut off in a tag", letter("<p>Rich words</p><a href='http", "text/html"), ("Rich words",))
    yield Shape(
        "text and attachment",
        mixed(both[0], attached(b"%PDF-1.4", "application/pdf", "offer.pdf")),
        ("Plain words", "offer.pdf"),
    )
    yield Shape(
        "attachment before the text",
        mixed(attached(b"%PDF-1.4", "application/pdf", "offer.pdf"), both[0]),
        ("Plain words", "offer.pdf"),
    )
    yield Shape(
        "only attachments",
        mixed(attached(b"a", "application/zip", "a.zip"), attached(b"b", "text/csv", "b.csv")),
        ("a.zip", "b.csv", "Download all as ZIP"),
    )
    yield Shape(
        "a PDF is the message",
        letter(base64.encodebytes(b"%PDF-1.4"), "application/pdf; name=bill.pdf", "base64"),
        ("bill.pdf",),
    )
    yield Shape("a picture is the message", letter(base64.encodebytes(PNG), "image/png", "base64"), ("part-0.png",))
    yield Shape(
        "related with an inline picture",
        mixed(
            part("<p>Rich <img src=cid:logo></p>", "text/html"),
            encoded(PNG, "image/png; name=logo.png", "Content-ID: <logo>"),
            kind="related",
        ),
        ("Rich",),
        ("logo.png",),
    )
    yield Shape(
        "inline picture that is called an attachment",
        mixed(
            part("<p>Rich <img src=cid:logo></p>", "text/html"),
            encoded(PNG, "image/png", 'Content-ID: <logo>\nContent-Disposition: attachment; filename="logo.png"'),
            kind="related",
        ),
        ("Rich",),
        ("logo.png",),
    )
    yield Shape(
        "inline picture that is nowhere shown",
        mixed(
            part("<p>Rich</p>", "text/html"),
            encoded(PNG, "image/png; name=logo.png", "Content-ID: <logo>"),
            kind="related",
        ),
        ("Rich", "logo.png"),
    )
    yield Shape(
        "inline picture that is missing",
        letter("<p>Rich <img src=cid:gone alt='the logo'></p>", "text/html"),
        ("Rich",),
    )
    yield Shape(
        "list footer behind the HTML",
        mixed(nested("alternative", *both), part("List footer")),
        ("Rich words", "List footer"),
    )
    yield Shape(
        "two texts with a picture between",
        mixed(part("First words"), attached(PNG, "image/png", "a.png"), part("Last words")),
        ("First words", "Last words", "a.png"),
    )
    yield Shape(
        "boundary that never ends",
        letter("--b1\nContent-Type: text/plain\n\nPlain words", "multipart/mixed; boundary=b1"),
        ("Plain words",),
    )
    yield Shape("boundary that is missing", letter("Plain words", "multipart/mixed"), ("Plain words",))
    yield Shape("boundary that never comes", letter("Plain words", "multipart/mixed; boundary=zzz"), ("Plain words",))
    yield Shape(
        "boundary that both levels share",
        mixed(part(multi("alternative", *both), 'multipart/alternative; boundary="b1"')),
        ("Plain words",),
    )
    deep = both[0]
    for level in range(60):
        deep = nested("mixed", deep, boundary=f"d{level}")
    yield Shape("sixty levels", mixed(deep), ("Plain words",))
    for level in range(60, 200):
        deep = nested("mixed", deep, boundary=f"d{level}")
    yield Shape("two hundred levels", mixed(deep), ("nested too deeply",))
    yield Shape(
        "two thousand parts",
        mixed(*[part(f"Part {number}") for number in range(2_000)]),
        ("Part 1", "more than 1,000 parts"),
    )
    yield Shape("content type that is none", letter("Plain words", "text"), ("Plain words",))
    yield Shape(
        "content type twice",
        letter("Plain words", "text/plain").replace(b"MIME-Version", b"Content-Type: text/html\r\nMIME-Version"),
        ("Plain words",),
    )
    yield Shape(
        "digest",
        mixed(b"\n" + letter("First inside"), b"\n" + letter("Second inside"), kind="digest"),
        ("part-1.eml", "part-2.eml", "Open"),
    )
    inner = letter("Inner words", subject="Inner subject")
    yield Shape(
        "forwarded as attachment", mixed(both[0], part(inner, "message/rfc822")), ("Plain words", "part-2.eml", "Open")
    )
    yield Shape(
        "external body",
        mixed(
            both[0],
            part("Content-Type: image/gif\n\n", 'message/external-body; access-type=URL; URL="http://x.example/a.gif"'),
        ),
        ("Plain words", "lies elsewhere"),
    )
    yield Shape(
        "one piece of several",
        letter("Plain words", 'message/partial; id="x"; number=1; total=3'),
        ("one of several pieces",),
    )
    yield Shape("rich text of the nineties", letter("<bold>Rich</bold>", "text/enriched"), ("A subject", "part-0"))


def _names() -> Iterator[Shape]:
    for name, field, shown in (
        ("RFC 2231", "filename*=utf-8''Angebot%20f%C3%BCr%20M%C3%BCller.pdf", "Angebot für Müller.pdf"),
        ("RFC 2231 in pieces", "filename*0*=utf-8''Angebot%20f%C3%BC; filename*1=r.pdf", "Angebot für.pdf"),
        ("encoded word", 'filename="=?utf-8?B?w5xiZXJzaWNodC5wZGY=?="', "Übersicht.pdf"),
        ("raw UTF-8", 'filename="Übersicht.pdf"', "Übersicht.pdf"),
        ("a path", 'filename="../../etc/passwd"', "passwd"),
        ("a Windows path", 'filename="C:\\\\temp\\\\boot.ini"', "boot.ini"),
        ("a program that says it is a PDF", 'filename="invoice.pdf.exe"', "can run a program"),
        ("no quotes", "filename=my offer.pdf", "my offer.pdf"),
        ("empty", 'filename=""', "part-2"),
    ):
        raw = mixed(
            part("Plain words"), encoded(b"%PDF-1.4", "application/pdf", f"Content-Disposition: attachment; {field}")
        )
        yield Shape(f"file name: {name}", raw, ("Plain words", shown))
    reversing = mixed(part("Plain words"), attached(b"x", "application/pdf", "a\u202efdp.exe"))
    yield Shape("file name: right-to-left override", reversing, ("can run a program",), ("\u202e",))


def _kinds() -> Iterator[Shape]:
    event = (
        "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:1\nSUMMARY:Quarterly review\nDTSTART:20261103T140000Z\n"
        "DTEND:20261103T150000Z\nLOCATION:Room 5\\, second floor\nORGANIZER;CN=Bea Stone:mailto:bea@acme.example\n"
        "ATTENDEE:mailto:ann@our.example\nATTENDEE:mailto:ben@our.example\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    card = (
        "Invitation",
        "Quarterly review",
        "3 November 2026",
        "Room 5, second floor",
        "Bea Stone <bea@acme.example>",
        "2 people",
    )
    yield Shape(
        "calendar: Gmail's",
        mixed(
            nested("alternative", part("Come!"), part(event, "text/calendar; method=REQUEST")),
            attached(event.encode(), "application/ics", "invite.ics"),
        ),
        (*card, "invite.ics"),
    )
    yield Shape("calendar: by itself", letter(event, "text/calendar; method=REQUEST"), card)
    day = event.replace("DTSTART:20261103T140000Z", "DTSTART;VALUE=DATE:20261103").replace(
        "DTEND:20261103T150000Z", "DTEND;VALUE=DATE:20261105"
    )
    yield Shape(
        "calendar: whole days",
        letter(day, "text/calendar"),
        ("Tuesday, 3 November 2026 – Wednesday, 4 November 2026, all day",),
    )
    windows = event.replace("DTSTART:20261103T140000Z", "DTSTART;TZID=W. Europe Standard Time:20261103T150000").replace(
        "DTEND:20261103T150000Z", "DURATION:PT1H"
    )
    yield Shape("calendar: Outlook's zone", letter(windows, "text/calendar"), ("14:00 – 15:00",))
    nowhere = event.replace("DTSTART:20261103T140000Z", "DTSTART;TZID=Customized Zone:20261103T150000").replace(
        "DTEND:20261103T150000Z", "X-A:b"
    )
    yield Shape("calendar: a zone that nobody knows", letter(nowhere, "text/calendar"), ("15:00 (Customized Zone)",))
    yield Shape(
        "calendar: cancelled",
        letter(event.replace("REQUEST", "CANCEL"), "text/calendar; method=CANCEL"),
        ("Cancelled", "Quarterly review"),
    )
    answer = event.replace("REQUEST", "REPLY").replace("ATTENDEE:", "ATTENDEE;CN=Ann;PARTSTAT=DECLINED:", 1)
    yield Shape(
        "calendar: an answer", letter(answer, "text/calendar; method=REPLY"), ("Ann <ann@our.example> declines",)
    )
    weekly = event.replace("LOCATION", "RRULE:FREQ=WEEKLY;INTERVAL=2\nLOCATION")
    yield Shape("calendar: again and again", letter(weekly, "text/calendar"), ("Every 2 weeks",))
    yield Shape(
        "calendar: rubbish",
        mixed(part("Come!"), part("BEGIN:VCALENDAR\nnonsense", "text/calendar")),
        ("Come!", "part-2.ics"),
    )
    yield Shape(
        "calendar: absurd dates", letter(event.replace("20261103", "99999999"), "text/calendar"), ("Quarterly review",)
    )
    yield Shape(
        "TNEF",
        mixed(part("Plain words"), attached(b"\x78\x9f\x3e\x22", "application/ms-tnef", "winmail.dat")),
        ("winmail.dat", "Outlook has packed"),
    )
    yield Shape(
        "S/MIME, encrypted",
        letter(
            base64.encodebytes(b"0\x82"), "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", "base64"
        ),
        ("smime.p7m", "S/MIME", "no key"),
    )
    yield Shape(
        "S/MIME, signed",
        mixed(part("Plain words"), attached(b"0\x82", "application/pkcs7-signature", "smime.p7s"), kind="signed"),
        ("Plain words", "does not check the signature"),
    )
    yield Shape(
        "PGP/MIME, encrypted",
        mixed(
            part("Version: 1", "application/pgp-encrypted"),
            part("-----BEGIN PGP MESSAGE-----", "application/octet-stream; name=encrypted.asc"),
            kind="encrypted",
        ),
        ("encrypted with OpenPGP", "encrypted.asc"),
    )
    yield Shape(
        "PGP/MIME, signed",
        mixed(
            part("Plain words"),
            part("-----BEGIN PGP SIGNATURE-----", "application/pgp-signature; name=signature.asc"),
            kind="signed",
        ),
        ("Plain words", "signed with OpenPGP"),
    )
    yield Shape(
        "PGP in the text",
        letter("-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----"),
        ("encrypted with OpenPGP",),
    )
    yield Shape(
        "PGP, signed text",
        letter("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nPlain words\n-----BEGIN PGP SIGNATURE-----"),
        ("Plain words", "signed with OpenPGP"),
    )
    status = (
        "Reporting-MTA: dns; mx.acme.example\n\nFinal-Recipient: rfc822; bob@acme.example\nAction: failed\nStatus: 5.1.1\n"
        "Diagnostic-Code: smtp; 550 5.1.1 User unknown\n"
    )
    original = part("Subject: The offer\n\n", "text/rfc822-headers")
    report = '; report-type="delivery-status"'
    yield Shape(
        "bounce",
        mixed(part("Sorry."), part(status, "message/delivery-status"), original, kind="report", more=report),
        ("The message to bob@acme.example could not be delivered.", "550 5.1.1 User unknown (mx.acme.example)"),
    )
    yield Shape(
        "bounce: of two",
        mixed(
            part("Sorry."),
            part(status + "\n" + status.split("\n\n")[1].replace("bob", "carl"), "message/delivery-status"),
            kind="report",
            more=report,
        ),
        ("bob@acme.example", "carl@acme.example"),
    )
    yield Shape(
        "bounce: late only",
        mixed(
            part("Wait."),
            part(status.replace("failed", "delayed"), "message/delivery-status"),
            kind="report",
            more=report,
        ),
        ("the server keeps trying",),
    )
    yield Shape(
        "bounce: nonsense",
        mixed(part("Sorry."), part("nonsense", "message/delivery-status"), kind="report", more=report),
        ("Sorry.",),
    )
    yield Shape(
        "read receipt",
        mixed(
            part("Read."),
            part(
                "Final-Recipient: rfc822; bob@acme.example\nDisposition: manual-action/MDN-sent-manually; displayed\n",
                "message/disposition-notification",
            ),
            kind="report",
        ),
        ("The message to bob@acme.example was opened.",),
    )
    yield Shape(
        "out of office",
        letter(
            "I am away.",
            head="From: bea@acme.example\nTo: ann@our.example\nAuto-Submitted: auto-replied\nPrecedence: bulk",
        ),
        ("I am away.",),
    )


def _quotations() -> Iterator[Shape]:
    quoted = "> Can you send\n> the offer?\n"
    for name, line in (
        ("English", "On Mon, 2 Nov 2026 at 09:30, Bea <bea@acme.example> wrote:"),
        ("German", "Am 02.11.2026 um 09:30 schrieb Bea <bea@acme.example>:"),
        ("French", "Le lun. 2 nov. 2026 à 09:30, Bea <bea@acme.example> a écrit :"),
        ("Spanish", "El lun, 2 nov 2026 a las 9:30, Bea (<bea@acme.example>) escribió:"),
        ("Russian", "пн, 2 нояб. 2026 г. в 09:30, Bea <bea@acme.example>:"),
        ("Japanese", "2026年11月2日(月) 9:30 Bea <bea@acme.example>:"),
        ("Polish", "W dniu pon., 2.11.2026 o 09:30 Bea <bea@acme.example> napisał(a):"),
    ):
        yield Shape(
            f"quoted below: {name}",
            letter(f"Here it is.\n\n{line}\n{quoted}"),
            ("Here it is.", "Quoted text", "the offer?", line),
        )
    for name, header in (
        ("English", "From: Bea\nSent: Monday, 2 November 2026 09:30\nTo: Ann\nSubject: The offer"),
        ("German", "Von: Bea\nGesendet: Montag, 2. November 2026 09:30\nAn: Ann\nBetreff: Das Angebot"),
        ("French", "De : Bea\nEnvoyé : lundi 2 novembre 2026 09:30\nÀ : Ann\nObjet : L'offre"),
        ("Chinese", "发件人: Bea\n发送时间: 2026年11月2日 9:30\n收件人: Ann\n主题: 报价"),
    ):
        yield Shape(
            f"Outlook's header: {name}",
            letter(f"Here it is.\n\n{header}\n\nCan you send the offer?"),
            ("Here it is.", "Quoted text", "Can you send the offer?"),
        )
    yield Shape(
        "Outlook's old divider",
        letter("Here it is.\n\n-----Original Message-----\nFrom: Bea\n\nCan you?"),
        ("Here it is.", "Quoted text", "Can you?"),
    )
    yield Shape(
        "answers between the lines",
        letter("> One?\nYes.\n> Two?\nNo.\n"),
        ("One?", "Yes.", "Two?", "No."),
        ("Quoted text",),
    )
    yield Shape("nothing but a quotation", letter(quoted), ("the offer?",), ("Quoted text",))
    yield Shape(
        "forwarded in the text",
        letter(
            "FYI\n\n---------- Forwarded message ---------\nFrom: Bea <bea@acme.example>\nSubject: The offer\n\nThe words."
        ),
        ("FYI", "The words."),
        ("Quoted text",),
    )
    yield Shape("signature", letter("Here it is.\n\n-- \nBea Stone\nAcme"), ("Here it is.", "Bea Stone"))
    gmail = "<div>Here it is.</div><div class=gmail_quote><div class=gmail_attr>On Monday Bea wrote:</div><blockquote class=gmail_quote>Can you send it?</blockquote></div>"
    yield Shape("HTML quoted: Gmail", letter(gmail, "text/html"), ("Here it is.", "Quoted text", "Can you send it?"))
    apple = "<div>Here it is.</div><blockquote type=cite>On Monday Bea wrote:<br>Can you send it?</blockquote>"
    yield Shape(
        "HTML quoted: Apple and Thunderbird",
        letter(apple, "text/html"),
        ("Here it is.", "Quoted text", "Can you send it?"),
    )
    outlook = "<div><p>Here it is.</p><div><div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm'><p><b>From:</b> Bea</p></div></div><p>Can you send it?</p></div>"
    yield Shape(
        "HTML quoted: Outlook", letter(outlook, "text/html"), ("Here it is.", "Quoted text", "Can you send it?")
    )
    web = "<div>Here it is.</div><hr><div id=divRplyFwdMsg><b>From:</b> Bea</div><div>Can you send it?</div>"
    yield Shape(
        "HTML quoted: Outlook on the web", letter(web, "text/html"), ("Here it is.", "Quoted text", "Can you send it?")
    )
    yield Shape(
        "HTML link that misleads",
        letter("<p>See <a href='https://evil.example/x'>https://bank.example/</a></p>", "text/html"),
        ("(leads to evil.example)",),
    )


def shapes() -> list[Shape]:
    """Every shape."""
    families = (_charsets, _encodings, _headers, _structures, _names, _kinds, _quotations)
    return [replace(shape, family=family.__name__.strip("_")) for family in families for shape in family()]
