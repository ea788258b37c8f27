"""Attachments as files: what can be shown of one, what may harm, and names that any system can store. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

#: Attachments are downloads; only types that no browser runs keep theirs.
HARMLESS_TYPES = frozenset(
    "application/pdf application/zip audio/mpeg image/gif image/jpeg image/png image/webp text/calendar text/csv "
    "text/plain video/mp4".split()
)
PICTURES = frozenset({"image/gif", "image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/webp"})
_PICTURE_SUFFIXES = frozenset({"gif", "jpeg", "jpg", "png", "webp"})
_TEXT_TYPES = frozenset(
    "application/javascript application/json application/sql application/toml application/x-sh application/x-yaml "
    "application/xml application/yaml image/svg+xml message/delivery-status message/disposition-notification".split()
)
_TEXT_SUFFIXES = frozenset(
    "cfg conf css csv htm html ics ini js json log md py sql srt svg toml tsv txt vcf xml yaml yml".split()
)
#: What Windows, macOS or an office program runs when it is opened.
_RUNNING_SUFFIXES = frozenset(
    "ade adp app appx bat chm cmd com cpl desktop diskcopy dll dmg docm dotm exe hta img ins iso jar jnlp js jse lnk mde "
    "msc msh msi msp mst one pif pkg potm ppam ppsm pptm ps1 psd1 psm1 py pyw reg scf scr settingcontent-ms sh sldm svg "
    "sys url vb vbe vbs vhd vhdx vxd wsc wsf wsh xlam xll xlsm xltm html htm shtml xhtml mht mhtml".split()
)
_UNKNOWN = frozenset({"application/octet-stream", "application/binary", ""})
#: What Windows can't store in a name; the names that it keeps for devices.
_UNSTORABLE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)", re.IGNORECASE)


def suffix_of(name: str) -> str:
    """What stands behind the last dot of a name, lower-case; nothing where there is none."""
    return name.rpartition(".")[2].strip().lower() if "." in name else ""


def preview_of(content_type: str, name: str) -> str:
    """How a part can be shown: `image`, `pdf`, `text`, `message`, or not (empty). The bytes still have to agree."""
    suffix = suffix_of(name)
    unknown = content_type in _UNKNOWN
    if content_type in {"message/rfc822", "message/global"} or (unknown and suffix == "eml"):
        return "message"
    if content_type in PICTURES or (unknown and suffix in _PICTURE_SUFFIXES):
        return "image"
    if content_type in {"application/pdf", "application/x-pdf"} or (unknown and suffix == "pdf"):
        return "pdf"
    if content_type.startswith("text/") or content_type in _TEXT_TYPES or (unknown and suffix in _TEXT_SUFFIXES):
        return "text"
    return ""


def can_run(name: str) -> bool:
    """Whether opening a file of this name may run a program."""
    return suffix_of(name) in _RUNNING_SUFFIXES


def download_type(content_type: str) -> str:
    """The content type to download a part with: its own if harmless, else plain bytes."""
    return content_type if content_type in HARMLESS_TYPES else "application/octet-stream"


def storable_names(names: Iterable[str]) -> Iterator[str]:
    """`names` as any system can store them, each another one: for an archive."""
    taken: set[str] = set()
    for given in names:
        name = _UNSTORABLE.sub("_", given).strip(" .") or "attachment"
        if _DEVICE.match(name):
            name = f"_{name}"
        stem, dot, suffix = name.rpartition(".")
        stem, suffix = (stem, dot + suffix) if stem else (name, "")
        number = 2
        while name.casefold() in taken:
            name = f"{stem} ({number}){suffix}"
            number += 1
        taken.add(name.casefold())
        yield name
