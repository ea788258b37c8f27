"""Where a link leads, and whether its text says otherwise. Pure."""

from __future__ import annotations

import re

from accounts.addresses import domain_covers, domain_of, normalize_domain

#: As browsers read addresses (WHATWG URL): line ends and tabs count for nothing, a backslash is a slash.
_IGNORED = re.compile(r"[\t\r\n]")
_WEB = re.compile(r"\s*https?:/*(?:[^/?#]*@)?(\[[^\]/?#]*\]|[^/?#:]*)", re.IGNORECASE)
_MAILTO = re.compile(r"\s*mailto:([^?]*)", re.IGNORECASE)
#: Text that is an address and nothing else: `https://host/…`, `www.host`, `host.tld/…`, `name@host`.
_WRITTEN = re.compile(
    r"[\W_]*+(?:https?:[/\\]{2})?(?:[^\s/\\@]{1,64}@)?((?:[\w-]{1,63}[.\u3002])+[^\W\d_][\w-]{1,23})(?:[/\\?#:]\S*)?[\W_]*",
    re.IGNORECASE,
)
_LONGEST_ADDRESS = 500
#: What ends like a host's name and is a file's.
_FILES = frozenset(
    "asp aspx bat bin bmp cfg cfm cgi cmd conf css csv dat db dll doc docm docx dot dwg eml eps exe gif gz htm html ics "
    "ini iso jar jpeg jpg js json key log lock md mdb mp3 mp4 msg msi odp ods odt ogg otf pdf php png pps ppt pptx ps "
    "psd py rar rb rtf sh so sql svg tar tex tgz tif tiff toml ts tsv ttf txt vbs vcf wav webp wmv xls xlsb xlsm xlsx "
    "xml yaml yml zip".split()
)


def host_of(address: str) -> str:
    """The host that a browser goes to for a web address, or the domain of a mailto link, in ASCII; empty for others."""
    address = _IGNORED.sub("", address)
    mail = _MAILTO.match(address)
    if mail:
        return domain_of(mail[1].strip())
    web = _WEB.match(address.replace("\\", "/"))
    return _ascii(web[1]) if web else ""


def misleads(text: str, address: str) -> str:
    """The host that a link leads to, if its text names another one; else nothing.

    A text names a host when it is an address itself. A part of the named host, or one within it, is no other host.
    """
    shown = text.strip()
    if not 4 <= len(shown) <= _LONGEST_ADDRESS:
        return ""
    written = _WRITTEN.fullmatch(shown)
    real = host_of(address)
    if not written or not real:
        return ""
    named = _ascii(written[1].replace("\u3002", "."))
    if not named or ("://" not in shown and named.rpartition(".")[2] in _FILES):
        return ""
    named, bare = named.removeprefix("www."), real.removeprefix("www.")
    return "" if domain_covers(named, bare) or domain_covers(bare, named) else real


def _ascii(host: str) -> str:
    return normalize_domain(host) or host.lower()
