"""What mail servers report about mail that was sent: not delivered, late, opened (RFC 3464, RFC 8098). Pure, never raising."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mail.charsets import decode_text, decode_words

MAX_BYTES = 256 * 1024
MAX_RECIPIENTS = 50
MAX_WORDS_CHARS = 1_000

DELIVERY = frozenset({"message/delivery-status", "message/global-delivery-status"})
DISPOSITION = frozenset({"message/disposition-notification", "message/global-disposition-notification"})

_BLANK = re.compile(r"\n[ \t]*\n")
_FIELD = re.compile(r"^([A-Za-z][A-Za-z0-9-]{1,60})[ \t]*:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.MULTILINE)
_ACTIONS = {
    "failed": "could not be delivered",
    "delayed": "is delayed; the server keeps trying",
    "delivered": "was delivered",
    "relayed": "was handed to another server",
    "expanded": "was delivered to a list of people",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a message to one recipient: a phrase that follows *the message to …*, and the server's own words."""

    recipient: str
    outcome: str
    words: str = ""
    has_failed: bool = False


def read_reports(data: bytes, content_type: str) -> list[Report]:
    """What a part of this type reports, about each recipient; nothing for other types."""
    if content_type in DISPOSITION:
        return _dispositions(data)
    return _deliveries(data) if content_type in DELIVERY else []


def _deliveries(data: bytes) -> list[Report]:
    groups = _groups(data)
    server = groups[0].get("reporting-mta", "") if groups else ""
    reports: list[Report] = []
    for group in groups:
        recipient = _value(group.get("original-recipient", "") or group.get("final-recipient", ""))
        if not recipient or len(reports) >= MAX_RECIPIENTS:
            continue
        action = group.get("action", "").strip().lower()
        words = _value(group.get("diagnostic-code", "")) or group.get("status", "")
        said_by = _value(group.get("remote-mta", "") or server)
        reports.append(
            Report(
                recipient,
                _ACTIONS.get(action, "has an unknown fate"),
                f"{words} ({said_by})" if words and said_by else words,
                has_failed=action == "failed",
            )
        )
    return reports


def _dispositions(data: bytes) -> list[Report]:
    reports: list[Report] = []
    for group in _groups(data):
        recipient = _value(group.get("original-recipient", "") or group.get("final-recipient", ""))
        disposition = group.get("disposition", "").rpartition(";")[2].strip().lower()
        if recipient and disposition and len(reports) < MAX_RECIPIENTS:
            opened = disposition.startswith("displayed")
            reports.append(Report(recipient, "was opened" if opened else f"was {disposition[:60]}"))
    return reports


def _groups(data: bytes) -> list[dict[str, str]]:
    """The groups of fields that empty lines divide, each with its fields by lower-case name."""
    text = decode_text(data[:MAX_BYTES], None).replace("\r", "")
    groups = []
    for block in _BLANK.split(text)[: 2 * MAX_RECIPIENTS]:
        fields: dict[str, str] = {}
        for name, value in _FIELD.findall(block):
            fields.setdefault(name.lower(), _line(value))
        if fields:
            groups.append(fields)
    return groups


def _line(value: str) -> str:
    return decode_words(" ".join(value.split()))[:MAX_WORDS_CHARS]


def _value(field: str) -> str:
    """A field's value without the type that stands before it: `rfc822; bob@x`, `smtp; 550 …`."""
    kind, semicolon, value = field.partition(";")
    return value.strip() if semicolon and re.fullmatch(r"[\w. -]{1,40}", kind) else field.strip()
