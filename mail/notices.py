"""What is said in words about parts that cannot be shown: encrypted, signed, in another program's own form. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_SMIME = (
    "This message is encrypted or signed with S/MIME. CRM Mail has no key to open it: download the attachment and open it "
    "with a mail program that has your certificate."
)
_SMIME_SIGNED = "This message is signed with S/MIME. CRM Mail does not check the signature."
_PGP = (
    "This message is encrypted with OpenPGP. CRM Mail has no key to open it: download the original and open it with a "
    "program that has your key."
)
_PGP_SIGNED = "This message is signed with OpenPGP. CRM Mail does not check the signature."
_TNEF = (
    "Outlook has packed what belongs to this message into a file of its own form (winmail.dat). Download it and open it "
    "with Outlook, or ask the sender to send again as HTML or plain text."
)
_EXTERNAL = "A part of this message lies elsewhere and is not fetched: its address stands in the original."
_PARTIAL = "This is one of several pieces in which a long message was sent. The others are messages of their own."
_EMPTY = "This message is empty: it has no text and no attachments."

_BY_TYPE = {
    "application/pkcs7-mime": _SMIME,
    "application/x-pkcs7-mime": _SMIME,
    "application/pkcs7-signature": _SMIME_SIGNED,
    "application/x-pkcs7-signature": _SMIME_SIGNED,
    "application/pgp-encrypted": _PGP,
    "application/pgp-signature": _PGP_SIGNED,
    "application/ms-tnef": _TNEF,
    "application/vnd.ms-tnef": _TNEF,
    "message/external-body": _EXTERNAL,
    "message/partial": _PARTIAL,
}


def notices(text: str, *, has_html: bool, attached: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences for the reader of a message with this text; `attached` are the content types and names of its parts."""
    parts = list(attached)
    found = [_BY_TYPE.get(content_type, _TNEF if name.lower() == "winmail.dat" else "") for content_type, name in parts]
    if text.lstrip().startswith("-----BEGIN PGP MESSAGE-----"):
        found.append(_PGP)
    elif text.lstrip().startswith("-----BEGIN PGP SIGNED MESSAGE-----"):
        found.append(_PGP_SIGNED)
    if not parts and not has_html and not text.strip():
        found.append(_EMPTY)
    return list(dict.fromkeys(filter(None, found)))
