"""What can go wrong with a POP3 server: kinds for programs, sentences for people (R12, R18; RFC 2449, RFC 3206)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from accounts.servers import safe_words

_SENTENCES = {
    "password_rejected": "The server rejected the user name or the password.",
    "app_password_needed": "The server wants an app password: make one in the provider's account settings and enter it "
    "here instead of the usual password.",
    "pop_disabled": "POP access is switched off for this account. Switch it on in the provider's settings.",
    "encryption_needed": "The server takes passwords only over an encrypted connection. Choose SSL or STARTTLS.",
    "in_use": "Another program has this mailbox open just now. It is tried again soon.",
    "login_delay": "The server wants more time between two sign-ins. It is tried again later.",
    "sys_temp": "The server has a passing problem. It is tried again later.",
    "sys_perm": "The server has a problem with this mailbox that will not go away by itself. Ask its operator.",
    "refused": "The server refused a request.",
    "no_uidl": "The server can't tell its messages apart (it lacks UIDL).",
    "network": "The connection to the server was cut.",
    "timeout": "The server did not answer in time. If that goes on, check the port and the security setting.",
    "tls": "The encrypted connection to the server broke.",
    "no_starttls": "The server does not offer STARTTLS. Choose SSL, usually on port 995.",
    "injected": "Somebody put text into the connection before it was encrypted, so it was given up.",
    "not_pop3": "This is not a POP3 server. Check the server name and the port.",
    "protocol": "The server answered in a way that POP3 does not know.",
    "too_big": "The server sent more than is accepted, so the connection was given up.",
    "no_headers": "This message is over the size limit, and the server does not give its headers alone.",
    "line_break": "A user name or a password can't contain a line break.",
}

# Reasons that call for the same treatment as a more general one.
_KINDS = {
    "app_password_needed": "password_rejected",
    "line_break": "password_rejected",
    "no_starttls": "tls",
    "injected": "tls",
    "no_headers": "too_big",
}

_CODES = {
    "AUTH": "password_rejected",
    "SYS/TEMP": "sys_temp",
    "SYS/PERM": "sys_perm",
    "IN-USE": "in_use",
    "LOGIN-DELAY": "login_delay",
}

# For sign-ins: kinds that are more exact than "rejected". These two are looked for even beside a response code.
_EXACT_HINTS = (
    (re.compile(r"app(lication)?[- ]?(specific )?password", re.IGNORECASE), "app_password_needed"),
    (
        re.compile(r"plain ?text|(non-?|in)secure|secure connection|(ssl|tls|stls) (is )?required", re.IGNORECASE),
        "encryption_needed",
    ),
    (
        re.compile(
            r"\bpop3?\b.{0,30}(disabled|not (been )?enabled|switched off)|(disabled|not enabled).{0,20}\bpop"
            r"|enable pop",
            re.IGNORECASE,
        ),
        "pop_disabled",
    ),
)
# And what old servers say that have no response codes, where taking it for a wrong password would stop the fetching.
_HINTS = (
    (
        re.compile(r"(mail ?(box|drop)|session).{0,40}(\block|in use|busy|open)|already (open|locked)", re.IGNORECASE),
        "in_use",
    ),
    (
        re.compile(r"login.{0,20}(delay|too (often|frequent))|minimum.{0,20}(time|interval)", re.IGNORECASE),
        "login_delay",
    ),
    (
        re.compile(r"tempor|try (again )?later|unavailable|too many (conn|sess)|overload|internal", re.IGNORECASE),
        "sys_temp",
    ),
)
_CODE = re.compile(r"\[([A-Za-z]+(?:[-/][A-Za-z]+)*)\]\s*")


class Pop3Error(Exception):
    """Something a POP3 server did.

    `kind` says how to treat it, `reason` is the more exact word behind it, `sentence` is for people,
    `words` are the server's own, made safe. None holds anything that was sent, so no password.
    """

    def __init__(self, reason: str, words: str = "") -> None:
        self.reason = reason
        self.kind = _KINDS.get(reason, reason)
        self.words = words
        self.sentence = _SENTENCES[reason] + (f" It said: “{words}”" if words else "")
        super().__init__(self.sentence)


class CommandRefused(Pop3Error):
    """An -ERR to one command; the session goes on."""


class SessionBroken(Pop3Error):
    """The session is over, its connection closed; the server deletes nothing (RFC 1939 section 6).

    `while_pipelining` tells that several commands were under way. Some servers lose a few then, and
    a session opened with `pipelining=False` may fare better.
    """

    def __init__(self, reason: str, words: str = "", *, while_pipelining: bool = False) -> None:
        super().__init__(reason, words)
        self.while_pipelining = while_pipelining


@dataclass(frozen=True, slots=True)
class StatusLine:
    """The first line of an answer: whether it is +OK, its response code if any (upper case), its safe words."""

    ok: bool
    code: str
    words: str


def read_status(line: bytes) -> StatusLine | None:
    """Take a status line apart (RFC 1939 section 3, RFC 2449 section 8); None when it is none."""
    if line.startswith(b"+OK"):
        return StatusLine(ok=True, code="", words=safe_words(line[3:]))
    if line[:4].upper() != b"-ERR":
        return None
    words = safe_words(line[4:])
    code = _CODE.match(words)
    return StatusLine(ok=False, code=code[1].upper() if code else "", words=words[code.end() :] if code else words)


def refusal(status: StatusLine, default: str) -> CommandRefused:
    """The error for an -ERR: by its response code, else `default`."""
    return CommandRefused(_by_code(status.code) or default, status.words)


def sign_in_refusal(status: StatusLine) -> CommandRefused:
    """The error for an -ERR to a sign-in: by response code, else by what servers without codes are known to say.

    A sign-in taken for rejected stops the fetching (R18), so every other reading is tried first.
    """
    kind = _by_code(status.code)
    if kind in {None, "password_rejected", "sys_perm"}:
        kind = _hinted(status.words, _EXACT_HINTS) or kind
    if kind is None:
        kind = _hinted(status.words, _HINTS) or "password_rejected"
    return CommandRefused(kind, status.words)


def greeting_refusal(status: StatusLine) -> CommandRefused:
    """The error for an -ERR instead of a greeting: passing, unless it says otherwise."""
    return CommandRefused(_by_code(status.code) or _hinted(status.words, _HINTS) or "sys_temp", status.words)


def forget_trace(error: Pop3Error) -> NoReturn:
    """Raise `error` without the frames that it passed, whose variables hold a password."""
    error.__cause__ = error.__context__ = None
    raise error.with_traceback(None) from None


def _by_code(code: str) -> str | None:
    """RFC 2449 section 8: a client that does not know a code's last part goes by the part before the slash."""
    while code:
        if code in _CODES:
            return _CODES[code]
        code = code.rpartition("/")[0]
    return None


def _hinted(words: str, hints: tuple[tuple[re.Pattern[str], str], ...]) -> str | None:
    return next((kind for pattern, kind in hints if pattern.search(words)), None)
