"""What a message quotes and how it is signed, told apart from what its sender wrote (R32). Pure; nothing is ever lost.

In plain text a line says it by how it begins, or by the words with which mail programs introduce what they quote, in the
languages that they speak. In HTML the elements in which mail programs put it say it (`part_of_element`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

#: So many lines of a single quotation above an answer are left open: they are what the answer is about.
SHORT_QUOTE = 5
#: What follows a line of two hyphens is a signature unless it is longer.
LONGEST_SIGNATURE = 40
_LONGEST_LINE = 400
_HEADER_LINES = 8


class Kind(Enum):
    """What a piece of a text is."""

    OWN = "own"
    #: Quoted, between answers to it: to be shown as it is.
    QUOTE = "quote"
    #: Quoted, to be folded.
    QUOTED = "quoted"
    SIGNATURE = "signature"
    #: A file written as text (uuencode, yEnc), to be folded.
    ENCODED = "encoded"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of a text, all of one kind."""

    kind: Kind
    text: str


#: The labels of the header that Outlook and others put above what they quote. A block must have one of each row.
_SENDER_LABELS = (
    "from von de da van från fra lähettäjä od от от кого expéditeur remitente mittente absender kimden feladó από מאת من "
    "差出人 发件人 寄件者 寄件人 보낸사람 送信者 ส่งจาก"
).split()
_SUBJECT_LABELS = (
    "subject betreff objet asunto assunto oggetto onderwerp ämne emne aihe temat předmět predmet тема konu tárgy θέμα נושא "
    "الموضوع 件名 主题 主旨 제목 subiect"
).split()
_LABEL = re.compile(r"[>\s*]*+([^\W\d_][^:：*\n]{0,20}?)[\s*]*[:：]")
#: How a line ends that says who wrote what is quoted below it.
_WROTE = re.compile(
    r"(?:wrote|writes|schrieb|geschrieben|écrit|escribió|scritto|schreef|geschreven|escreveu|skrev|kirjoitti|napisał|napisała|"
    r"napísal|napsala?|napsal\(a\)|írta|пишет|писал|написал|написав|yazdı|έγραψε|כתב|写道|寫道|のメール|さんは書きました|작성)[\s\w.,()<>@-]{0,80}[:：]$",
    re.IGNORECASE,
)
#: Such a line names a time, a year or an address; other sentences may end in a colon too.
_DATED = re.compile(r"\d{1,2}[:.]\d{2}|(?:19|20)\d{2}|@")
_DIVIDER = re.compile(
    r"[>\s]*(?:[-_]{2,}\s*(?:original message|original-nachricht|ursprüngliche nachricht|originalnachricht|message d'origine|"
    r"message original|mensaje original|mensagem original|messaggio originale|oorspronkelijk bericht|originalmeddelande|"
    r"ursprungligt meddelande|oprindelig meddelelse|opprinnelig melding|alkuperäinen viesti|wiadomość oryginalna|původní zpráva|"
    r"исходное сообщение|özgün ileti|original appointment|元のメッセージ|原始邮件|原始郵件|원본 메시지)\s*[-_]{2,}|_{20,})\s*$",
    re.IGNORECASE,
)
_FORWARDED = re.compile(
    r"\W*(?:begin forwarded message|forwarded message|weitergeleitete nachricht|anfang der weitergeleiteten|message transféré|"
    r"début du message (?:transféré|réexpédié)|mensaje reenviado|mensagem encaminhada|messaggio inoltrato|doorgestuurd bericht|"
    r"vidarebefordrat|videresendt|välitetty|przekazan|přeposlaná|пересылаем|转发的邮件|轉寄|転送)",
    re.IGNORECASE,
)
_SENT_FROM = re.compile(
    r"(?:sent from my |sent from outlook|sent from mail for|get outlook for |gesendet von |von meinem .{1,30} gesendet|"
    r"envoyé de mon |envoyé depuis |enviado desde mi |enviado do meu |inviato da |verzonden vanaf |skickat från |sendt fra |"
    r"wysłane z |odesláno z |отправлено с |iphoneから送信|发自我的)",
    re.IGNORECASE,
)
_ENCODED_BEGIN = re.compile(r"begin(?:-base64)? [0-7]{3,4} \S|=ybegin .*name=\S")
_ENCODED_END = re.compile(r"(?:end|====)\s*$|=yend(?: |$)")

_QUOTE_CLASS = re.compile(
    r"(?:^|\s)(?:x_)*(?:gmail_quote(?:_container)?|yahoo_quoted|protonmail_quote|tutanota_quote|zmail_extra|moz-forward-container|"
    r"outlookmessageheader|ms-outlook-mobile-reference-message|gmx_quote|freenet_quote|skiff_quote)(?:\s|$)",
    re.IGNORECASE,
)
_REST_ID = re.compile(r"(?:x_)*(?:divrplyfwdmsg|mail-editor-reference-message-container|appendonsend)", re.IGNORECASE)
#: Outlook's line above the header of what it quotes.
_REST_STYLE = re.compile(
    r"border:\s*none;\s*border-top:\s*solid\s+(?:#e1e1e1|#b5c4df|windowtext)\s+1\.0pt", re.IGNORECASE
)
_SIGNATURE_CLASS = re.compile(
    r"(?:^|\s)(?:x_)*(?:gmail_signature|moz-signature|protonmail_signature_block|tutanota_signature)(?:\s|$)",
    re.IGNORECASE,
)
_SIGNATURE_ID = re.compile(r"(?:x_)*(?:signature|ms-outlook-mobile-signature)", re.IGNORECASE)


class Mark(Enum):
    """What an element of HTML mail is to the program that made it."""

    #: It holds what is quoted.
    QUOTE = "quote"
    #: It and everything behind it is quoted.
    REST = "rest"
    SIGNATURE = "signature"


def part_of_element(tag: str, attributes: Mapping[str, str]) -> Mark | None:
    """What the element is, by the names that mail programs give it."""
    if tag not in {"blockquote", "div", "pre", "hr"}:
        return None
    name, place = attributes.get("class", ""), attributes.get("id", "")
    if _QUOTE_CLASS.search(name) or (tag == "blockquote" and attributes.get("type", "").lower() == "cite"):
        return Mark.QUOTE
    if _REST_ID.fullmatch(place) or _REST_STYLE.search(attributes.get("style", "")):
        return Mark.REST
    if _SIGNATURE_CLASS.search(name) or _SIGNATURE_ID.fullmatch(place):
        return Mark.SIGNATURE
    return None


def is_divider(line: str) -> bool:
    """Whether a line of text says that everything below it is another message."""
    return len(line) <= _LONGEST_LINE and bool(_DIVIDER.match(line))


def is_forward(text: str) -> bool:
    """Whether a text begins with the words above a forwarded message, which is there to be read."""
    return bool(_FORWARDED.match(text[:_LONGEST_LINE].lstrip()))


def pieces(text: str) -> list[Piece]:
    """`text` in pieces; put together they are the text again. Linear in its length."""
    lines = text.split("\n")
    kinds = [Kind.OWN] * len(lines)
    end = _mark_rest(lines, kinds)
    _mark_encoded(lines[:end], kinds)
    runs = list(_quoted_runs(lines[:end], kinds))
    _mark_runs(lines[:end], kinds, runs)
    _mark_signature(lines[:end], kinds)
    if all(kind is not Kind.OWN or not line.strip() for kind, line in zip(kinds, lines, strict=True)):
        # Nothing is its own: what it passes on is what there is to read.
        kinds = [Kind.QUOTE if kind is Kind.QUOTED else kind for kind in kinds]
    return list(_together(lines, kinds))


def _mark_rest(lines: Sequence[str], kinds: list[Kind]) -> int:
    """Mark everything from the first line on that introduces another message; where that is, else the end."""
    for number, line in enumerate(lines):
        if is_forward(line):
            return number
        if is_divider(line) or _starts_header(lines, number) or _introduces_rest(lines, number):
            if any(each.strip() for each in lines[:number]):
                kinds[number:] = [Kind.QUOTED] * (len(lines) - number)
            return number
    return len(lines)


def _starts_header(lines: Sequence[str], number: int) -> bool:
    """Whether a header of labelled lines stands here, as Outlook writes it: From first, and a Subject."""
    if _label(lines[number]) not in _SENDER_LABELS:
        return False
    labels = [_label(line) for line in lines[number + 1 : number + _HEADER_LINES]]
    return sum(map(bool, labels)) >= 2 and any(label in _SUBJECT_LABELS for label in labels)


def _label(line: str) -> str:
    match = _LABEL.match(line) if len(line) <= _LONGEST_LINE else None
    return match[1].strip().lower().replace(" ", "") if match else ""


def _introduces_rest(lines: Sequence[str], number: int) -> bool:
    """Whether here it says who wrote what stands below, without a sign at the beginning of each line of that."""
    if not _attribution(lines, number):
        return False
    below = next(
        (line for line in lines[number + 1 : number + 4] if line.strip() and not _WROTE.search(line.strip())), ""
    )
    return bool(below) and not _is_quoted(below)


def _attribution(lines: Sequence[str], number: int) -> int:
    """How many lines here say who wrote what is quoted below: 0, 1, or 2 where a program has broken the line."""
    first = lines[number].strip()
    if not first or len(first) > _LONGEST_LINE or _is_quoted(first):
        return 0
    if _WROTE.search(first) and _DATED.search(first):
        return 1
    second = lines[number + 1].strip() if number + 1 < len(lines) else ""
    joined = f"{first} {second}"
    starts = _DATED.search(first) and len(first) > 20 and not first.endswith((".", ":", "：", "!", "?"))
    if starts and second and len(joined) <= _LONGEST_LINE and _WROTE.search(joined) and not _is_quoted(second):
        return 2
    return 0


def _is_quoted(line: str) -> bool:
    bare = line.lstrip(" ")
    return bare.startswith((">", "＞")) and not bare.startswith(">From ")


def _mark_encoded(lines: Sequence[str], kinds: list[Kind]) -> None:
    """Mark files that are written as text, where their end is there too."""
    begin = -1
    for number, line in enumerate(lines):
        if begin < 0 and _ENCODED_BEGIN.match(line):
            begin = number
        elif begin >= 0 and _ENCODED_END.match(line):
            kinds[begin : number + 1] = [Kind.ENCODED] * (number + 1 - begin)
            begin = -1


def _quoted_runs(lines: Sequence[str], kinds: Sequence[Kind]) -> Iterator[tuple[int, int]]:
    """Where quoted lines follow each other, empty ones between them included: first and behind the last."""
    begin = end = -1
    for number, line in enumerate(lines):
        if kinds[number] is Kind.OWN and _is_quoted(line):
            begin, end = (begin if begin >= 0 else number), number + 1
        elif begin >= 0 and line.strip():
            yield begin, end
            begin = -1
    if begin >= 0:
        yield begin, end


def _mark_runs(lines: Sequence[str], kinds: list[Kind], runs: Sequence[tuple[int, int]]) -> None:
    """Fold what is quoted below or above an answer, with the line that introduces it; answers in between need it open."""
    for position, (begin, end) in enumerate(runs):
        is_last = position == len(runs) - 1
        answered_below = (
            any(
                line.strip() and kinds[end + offset] is Kind.OWN and line.strip() != "--"
                for offset, line in enumerate(lines[end:])
            )
            if is_last
            else True
        )
        is_open = len(runs) > 1 and (not is_last or answered_below)
        is_open |= len(runs) == 1 and answered_below and end - begin <= SHORT_QUOTE
        kind = Kind.QUOTE if is_open else Kind.QUOTED
        begin = _with_introduction(lines, begin)  # noqa: PLW2901
        kinds[begin:end] = [kind] * (end - begin)


def _with_introduction(lines: Sequence[str], begin: int) -> int:
    """Where a quotation begins together with the line above it that ends in a colon."""
    above = begin - 1
    while above >= max(0, begin - 2) and not lines[above].strip():
        above -= 1
    if above < 0 or above < begin - 3 or not lines[above].strip().endswith((":", "：")):
        return begin
    return above - 1 if above > 0 and _attribution(lines, above - 1) == 2 else above


def _mark_signature(lines: Sequence[str], kinds: list[Kind]) -> None:
    """Mark the lines from the last `-- ` on, and the one with which a telephone signs."""
    own = [number for number, line in enumerate(lines) if kinds[number] is Kind.OWN and line.strip()]
    dashes = next((number for number in reversed(own) if lines[number].rstrip() == "--"), -1)
    if dashes >= 0:
        last = dashes
        while last + 1 < len(lines) and kinds[last + 1] is Kind.OWN:
            last += 1
        if last - dashes <= LONGEST_SIGNATURE:
            kinds[dashes : last + 1] = [Kind.SIGNATURE] * (last + 1 - dashes)
    elif own and _SENT_FROM.match(lines[own[-1]][:_LONGEST_LINE]):
        kinds[own[-1]] = Kind.SIGNATURE


def _together(lines: Sequence[str], kinds: Sequence[Kind]) -> Iterator[Piece]:
    begin = 0
    for number in range(1, len(lines) + 1):
        if number == len(lines) or kinds[number] is not kinds[begin]:
            yield Piece(kinds[begin], "\n".join(lines[begin:number]) + ("\n" if number < len(lines) else ""))
            begin = number
