"""The sample mail of the demonstration as real messages: threads, HTML, attachments, several languages and charsets.

The same `now` always gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, parseaddr

from crm_mail.demo.conversations import CARLOS, COLLEAGUES, LATER, PAULA, PRIYA, STRANGERS, TALKS, Talk

NAMES = {
    PAULA: "Paula Public",
    CARLOS: "Carlos Custom",
    PRIYA: "Priya Private",
    "bea.stone@acme.example": "Bea Stone",
    "jonas.weber@metallbau-weber.example": "Jonas Weber",
    "claire.dubois@laiterie-dubois.example": "Claire Dubois",
    "tanaka@sakura-seiki.example": "田中 健一",
    "nikos@aegean-water.example": "Νίκος Παπαδάκης",
    "omar@harbour-logistics.example": "Omar Haddad",
    "m.hart@hart-legal.example": "M. Hart",
    "lucia.gomez@conservas-gomez.example": "Lucía Gómez",
    "erik.lund@nordic-pulp.example": "Erik Lund",
    "sofia@atelier-rossi.example": "Sofia Rossi",
    "chair@acme.example": "Grace Chair",
    "invest@harbour-logistics.example": "Ines Vest",
}
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGM4ISeHFTEMLQkASzFAwaxn8gkAAAAASUVORK5CYII="
)
_HOUR = timedelta(hours=1)


def sample_mail(now: datetime) -> dict[str, list[bytes]]:
    """The messages of each member's mailbox, oldest first; `now` is an aware datetime."""
    dated: dict[str, list[tuple[datetime, bytes]]] = defaultdict(list)
    for place, talk in enumerate(TALKS):
        for date, raw in _conversation(talk, place, now):
            dated[talk.rep].append((date, raw))
            if CARLOS in talk.cc:
                dated[CARLOS].append((date, raw))
    for place, (receiver, sender, subject, text, is_html) in enumerate(STRANGERS):
        date = now - timedelta(days=17 - 1.7 * place)
        message = _message(sender, [receiver], subject, text, date, key=f"stranger-{place}")
        if is_html:
            _add_html(message, text, remote=True)
        dated[receiver].append((date, _bytes(message)))
    for place, (receiver, writer, subject, text) in enumerate(COLLEAGUES):
        date = now - timedelta(days=9 - 2 * place)
        message = _message(_person(writer), [receiver], subject, text, date, key=f"colleague-{place}")
        dated[receiver].append((date, _bytes(message)))
    dated[PAULA].append((now - timedelta(days=1), _broken(now - timedelta(days=1))))
    dated[CARLOS].append((now - timedelta(days=1), _forwarded(now - timedelta(days=1))))
    return {
        member: [raw for _, raw in sorted(entries, key=lambda entry: entry[0])] for member, entries in dated.items()
    }


def later_mail(now: datetime) -> list[tuple[str, bytes]]:
    """What arrives while the demonstration runs: (receiver, message), one after the other."""
    return [
        (receiver, _bytes(_message(sender, [receiver], subject, text, now, key=f"later-{place}-{now:%s}")))
        for place, (receiver, sender, subject, text) in enumerate(LATER)
    ]


def _conversation(talk: Talk, place: int, now: datetime) -> list[tuple[datetime, bytes]]:
    ids: list[str] = []
    made = []
    for turn, text in enumerate(talk.turns):
        ours = turn % 2 == (0 if talk.ours_first else 1)
        writer, reader = (talk.rep, talk.customer) if ours else (talk.customer, talk.rep)
        date = now - timedelta(days=talk.days) + turn * 7 * _HOUR
        quoted = f"\n\n> {talk.turns[turn - 1]}".replace("\n", "\n> ").replace("\n> \n> > ", "\n\n> ") if turn else ""
        message = _message(
            _person(writer),
            [_person(reader)],
            f"Re: {talk.subject}" if turn else talk.subject,
            text + quoted,
            date,
            key=f"talk-{place}-{turn}",
            charset="utf-8" if ours else talk.charset,
            cc=talk.cc,
            references=ids,
        )
        _add_extra(message, talk.extras.get(turn, ""), text)
        ids.append(message["Message-ID"])
        made.append((date, _bytes(message)))
    return made


def _message(
    sender: str,
    to: Sequence[str],
    subject: str,
    text: str,
    date: datetime,
    *,
    key: str,
    charset: str = "utf-8",
    cc: Sequence[str] = (),
    references: Sequence[str] = (),
) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message["Received"] = f"from mx.{domain} by mx.northwind.example with ESMTPS; {format_datetime(date)}"
    message["From"] = sender
    message["To"] = ", ".join(to)
    if cc:
        message["Cc"] = ", ".join(cc)
    message["Subject"] = subject
    message["Date"] = format_datetime(date)
    message["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:20]}@{domain}>"
    if references:
        message["In-Reply-To"] = references[-1]
        message["References"] = " ".join(references)
    message.set_content(text, charset=charset, cte="base64" if charset != "utf-8" else None)
    return message


def _add_extra(message: EmailMessage, extra: str, text: str) -> None:
    """Hang something on a message: a document, a table, a picture, an invitation, or the text as HTML."""
    match extra:
        case "pdf":
            message.add_attachment(_pdf(text), maintype="application", subtype="pdf", filename="Northwind document.pdf")
        case "csv":
            table = "Number,Place,Range\n1,Line A,0-120\n2,Line B,0-90\n"
            message.add_attachment(table, subtype="csv", filename="list.csv")
        case "picture":
            message.add_attachment(_PIXEL, maintype="image", subtype="png", filename="displays.png")
        case "ics":
            start = "DTSTART:20270128T100000Z\r\nDTEND:20270128T110000Z"
            event = f"BEGIN:VEVENT\r\nUID:visit@acme.example\r\nSUMMARY:Visit\r\n{start}\r\nEND:VEVENT"
            calendar = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{event}\r\nEND:VCALENDAR\r\n"
            message.add_attachment(calendar, subtype="calendar", filename="visit.ics")
        case "html":
            _add_html(message, text, remote=False)


def _add_html(message: EmailMessage, text: str, *, remote: bool) -> None:
    """The text as HTML beside it, with an inline picture, or with one from elsewhere as newsletters have."""
    picture = "https://pixel.trade-weekly.example/open.gif" if remote else "cid:logo@northwind.example"
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in text.split("\n\n"))
    message.add_alternative(
        f'<div style="font-family:Georgia,serif"><img src="{picture}" alt="" width="48" height="48">{paragraphs}'
        '<p><a href="https://www.northwind.example/">northwind.example</a></p></div>',
        subtype="html",
    )
    if not remote:
        alternative = message.get_payload()[-1]  # type: ignore[index]
        alternative.add_related(_PIXEL, "image", "png", cid="<logo@northwind.example>")  # type: ignore[union-attr]


def _pdf(text: str) -> bytes:
    """A page of PDF with the first words of `text`."""
    words = text.encode("ascii", "replace")[:60].replace(b"(", b" ").replace(b")", b" ").replace(b"\n", b" ")
    content = b"BT /F1 14 Tf 72 760 Td (" + words + b") Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
            b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    made = b"%PDF-1.4\n"
    places = []
    for number, each in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 5\n0000000000 65535 f \n%strailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return made + end % (table, len(made))


def _forwarded(date: datetime) -> bytes:
    """A message that has another one attached."""
    inner = _message(
        "Bea Stone <bea.stone@acme.example>", [PAULA], "Old order", "As agreed in spring.", date, key="inner"
    )
    outer = _message(
        _person("sofia@atelier-rossi.example"), [CARLOS], "Fwd: Old order", "See below.", date, key="outer"
    )
    outer.add_attachment(inner)
    return _bytes(outer)


def _broken(date: datetime) -> bytes:
    """A message as an old device sends it: no subject, no id, 8-bit text without a charset."""
    header = f"From: scanner@aegean-water.example\r\nTo: {PAULA}\r\nDate: {format_datetime(date)}\r\n\r\n"
    return header.encode() + "Messwert überschritten: 92 °C\r\n".encode("latin-1")


def _person(address: str) -> str:
    return formataddr((NAMES.get(address, ""), address)) if address in NAMES else address


def _bytes(message: EmailMessage) -> bytes:
    """With boundaries that depend on nothing but the message, so that the same message has the same bytes."""
    for number, part in enumerate(part for part in message.walk() if part.is_multipart()):
        key = f"{message['Message-ID']}-{number}"
        part.set_boundary("=_" + hashlib.sha256(key.encode()).hexdigest()[:24])
    return message.as_bytes(policy=SMTP)
