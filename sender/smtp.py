"""An SMTP connection over a socket of `accounts.servers`: greeting, encryption, sign-in, mail (RFC 5321, 3207, 4954)."""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO, Self

from accounts import servers

_SENTENCES = {
    "not_smtp": "This is not an outgoing mail server. Check the server name and the port.",
    "busy": "The server has no time just now. Try again later.",
    "no_starttls": "The server does not offer STARTTLS. Choose SSL, usually on port 465.",
    "no_sign_in": "The server offers no sign-in on this port. Mail is sent on port 465 or 587.",
    "password_rejected": "The server rejected the user name or the password.",
    "app_password_needed": "The server wants an app password: make one in the provider's account settings and enter it "
    "here instead of the usual password.",
    "sending_disabled": "Sending by other programs is switched off for this account. Switch it on in the provider's "
    "settings.",
    "encryption_needed": "The server takes passwords only over an encrypted connection. Choose SSL or STARTTLS.",
    "login_delay": "The server wants more time between two sign-ins. Try again in some minutes.",
    "line_break": "A user name, a password or an address can't contain a line break.",
    "cut": "The server closed the connection.",
    "timeout": "The server did not answer in time. If that goes on, check the port and the security setting.",
    "sender_refused": "The server does not take mail from this address.",
    "sender_deferred": "The server does not take mail from this address just now.",
    "nobody_taken": "The server took none of the recipients.",
    "data_refused": "The server refused the message.",
    "data_deferred": "The server does not take the message just now.",
    "too_large": "The message is larger than the server takes.",
    "account_removed": "The account that it was to be sent from was removed. Take the message back and choose another.",
    "no_utf8": "The server can't send to addresses with letters like ü before the @. Ask for another address.",
}
#: What another try won't change; anything else passes by itself.
PERMANENT = frozenset(
    {
        "not_smtp", "no_starttls", "no_sign_in", "password_rejected", "app_password_needed", "sending_disabled",
        "encryption_needed", "line_break", "sender_refused", "nobody_taken", "data_refused", "too_large", "no_utf8",
        "account_removed",
    }
)  # fmt: skip

_LINE_END = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"(?m)^\.")
_PIECE = 64 * 1024
#: RFC 5321 section 4.5.3.2.6: servers take their time between the end of the data and their answer.
_END_SECONDS = 300.0
_MOST_SAID = 1 << 20


class SmtpError(Exception):
    """Something an SMTP server did: `kind` for programs, `sentence` for people, with the server's own words made safe."""

    def __init__(self, kind: str, said: bytes = b"") -> None:
        self.kind = kind
        words = servers.safe_words(said)
        self.sentence = _SENTENCES[kind] + (f" It said: “{words}”" if words else "")
        super().__init__(self.sentence)


class _Bounded:
    """What a server says, up to so much a connection: nobody has to listen to a reply without end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _MOST_SAID

    def readline(self, limit: int) -> bytes:
        """The next line, or as much of it."""
        line = self._file.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise OSError("the server says too much")
        return line

    def close(self) -> None:
        """Close it."""
        self._file.close()


class _Client(smtplib.SMTP):
    """The standard library's, which listens to a bounded server."""

    file: Any

    def getreply(self) -> tuple[int, bytes]:
        """The next reply."""
        if self.file is None and self.sock is not None:
            self.file = _Bounded(self.sock.makefile("rb"))
        return super().getreply()


class InDoubt(Exception):
    """The data was handed over, and the connection ended before the server said whether it has it."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a server said of each recipient: who has the message, who never will, who may later; with its own words."""

    taken: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    deferred: dict[str, str] = field(default_factory=dict)


class SmtpSession:
    """A connection that has been greeted and encrypted; as a context manager it is closed at the end.

    Nothing goes on longer than `seconds` from the beginning: then the connection is cut.
    """

    def __init__(self, smtp: _Client, guard: threading.Timer) -> None:
        self._smtp = smtp
        self._guard = guard
        self._is_in_data = False

    @classmethod
    def open(cls, endpoint: servers.Endpoint, *, seconds: float, patience: float | None = None) -> Self:
        """Connect, hear the greeting, encrypt if so asked; `patience` seconds for each answer, without it `seconds`.

        Raises:
            accounts.servers.ServerError: no connection, or no trustworthy encryption.
            SmtpError: there is a connection, but not to an SMTP server that wants to talk.
        """
        sock = servers.connect(endpoint, timeout=patience or seconds)
        smtp = _Client(local_hostname=_own_name(sock), timeout=patience or seconds)
        smtp.sock = sock
        guard = threading.Timer(seconds, _cut, [smtp])
        guard.daemon = True
        guard.start()
        session = cls(smtp, guard)
        try:
            session._greet()
            if endpoint.security == "starttls":
                session._start_tls(endpoint)
        except BaseException:
            session.close()
            raise
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def login(self, user: str, password: str) -> None:
        """Sign in. One try with one mechanism after the other would lock accounts: the first that both know is used.

        Raises:
            SmtpError: without the frames that knew the password.
        """
        failure = self._sign_in(user, password)
        del user, password
        if failure is not None:
            raise failure.with_traceback(None) from None

    def submit(
        self, sender: str, recipients: Collection[str], raw: bytes, *, before_end: Callable[[list[str]], None]
    ) -> Answers:
        """Hand a message to the server for `recipients` (RFC 5321 section 3.3).

        `before_end` is called with those the server took, after all of the data and before the dot that ends it; what it
        raises keeps the dot from being sent, and a server without it has nothing. Lines end in CRLF and nothing in the
        message can end the data: no bare CR or LF goes out, and every leading dot is doubled.

        Raises:
            SmtpError: nothing was taken; whether another try may help is told by `PERMANENT`.
            InDoubt: the server may have it.
        """
        try:
            answers = self._envelope(sender, recipients, raw)
            if answers.taken:
                self._data(raw, answers, before_end)
        except (smtplib.SMTPException, OSError) as error:
            raise SmtpError(_broken(error, "cut")) from error
        return answers

    def close(self) -> None:
        """Say goodbye if there is still somebody to say it to, and hang up."""
        if not self._is_in_data:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                self._smtp.docmd("QUIT")
        self._guard.cancel()
        self._smtp.close()

    def _envelope(self, sender: str, recipients: Collection[str], raw: bytes) -> Answers:
        options = []
        if self._smtp.has_extn("size"):
            limit = self._smtp.esmtp_features["size"].strip()
            if limit.isdecimal() and 0 < int(limit) < len(raw):
                raise SmtpError("too_large")
            options.append(f"SIZE={len(raw)}")
        if not all(address.isascii() for address in (sender, *recipients)) or not raw.isascii():
            # RFC 6531 section 3.4: the message itself has such an address in its header.
            if not self._smtp.has_extn("smtputf8"):
                raise SmtpError("no_utf8")
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        code, said = self._command(f"MAIL FROM:<{sender}>", *options)
        if code // 100 != 2:
            raise SmtpError("sender_refused" if code // 100 == 5 else "sender_deferred", said)
        answers = Answers()
        for recipient in recipients:
            code, said = self._command(f"RCPT TO:<{recipient}>")
            words = servers.safe_words(said)
            if code // 100 == 2:
                answers.taken.append(recipient)
            elif code // 100 == 5 and code != 552:
                answers.refused[recipient] = words
            else:
                # RFC 5321 section 4.5.3.1.10: 552 for a recipient means too many of them at once.
                answers.deferred[recipient] = words
            if code == 421:
                raise SmtpError("busy", said)
        return answers

    def _data(self, raw: bytes, answers: Answers, before_end: Callable[[list[str]], None]) -> None:
        code, said = self._command("DATA")
        if code != 354:
            raise _data_error(code, said)
        self._is_in_data = True
        data = _LEADING_DOT.sub(b"..", _LINE_END.sub(b"\r\n", raw))
        if not data.endswith(b"\r\n"):
            data += b"\r\n"
        sock = self._smtp.sock
        assert sock is not None  # noqa: S101 - tells mypy that there is a connection
        for start in range(0, len(data), _PIECE):
            sock.sendall(data[start : start + _PIECE])
        before_end(answers.taken)
        try:
            sock.settimeout(_END_SECONDS)
            sock.sendall(b".\r\n")
            code, said = self._smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise InDoubt from error
        if code // 100 not in {2, 4, 5}:
            raise InDoubt
        self._is_in_data = False
        if code // 100 != 2:
            raise _data_error(code, said)

    def _command(self, *words: str) -> tuple[int, bytes]:
        """A command and its answer, in UTF-8 where the server knows that (RFC 6531)."""
        command = " ".join(words)
        if any(c in "\r\n\0" for c in command):
            raise SmtpError("line_break")
        self._smtp.send(command.encode() + b"\r\n")
        return self._smtp.getreply()

    def _greet(self) -> None:
        try:
            code, said = self._smtp.getreply()
            if code != 220:
                raise SmtpError("busy" if 400 <= code < 600 else "not_smtp", said)
            self._hello()
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise SmtpError(_broken(error, "not_smtp")) from error

    def _hello(self) -> None:
        code, said = self._smtp.ehlo()
        if not 200 <= code < 300:
            code, said = self._smtp.helo()
        if not 200 <= code < 300:
            raise SmtpError("not_smtp", said)

    def _start_tls(self, endpoint: servers.Endpoint) -> None:
        try:
            if self._smtp.sock is None or not self._smtp.has_extn("starttls"):
                raise SmtpError("no_starttls")
            code, said = self._smtp.docmd("STARTTLS")
            if code != 220:
                raise SmtpError("no_starttls", said)
            # What stands in the buffer now was said before the encryption, by anybody: it is dropped with the file.
            self._smtp.file = None
            self._smtp.sock = servers.start_tls(self._smtp.sock, endpoint)
            # RFC 3207 section 4.2: what was learnt before is forgotten.
            self._smtp.ehlo_resp = None
            self._smtp.esmtp_features = {}
            self._hello()
        except (smtplib.SMTPException, OSError) as error:
            raise SmtpError(_broken(error, "cut")) from error

    def _sign_in(self, user: str, password: str) -> SmtpError | None:
        """Sign in; a failure is returned, so that it can be raised free of the frames that knew the password."""
        if any(c in "\r\n\0" for c in user + password):
            return SmtpError("line_break")
        offered = self._smtp.esmtp_features.get("auth", "").upper().split()
        mechanism = next((name for name in ("PLAIN", "LOGIN") if name in offered), None)
        if mechanism is None:
            return SmtpError("no_sign_in")
        answer = self._smtp.auth_plain if mechanism == "PLAIN" else self._smtp.auth_login
        try:
            self._smtp.user, self._smtp.password = user, password
            self._smtp.auth(mechanism, answer)
        except smtplib.SMTPAuthenticationError as error:
            said = error.smtp_error if isinstance(error.smtp_error, bytes) else b""
            # Nobody is to read the password in an error, whatever a server says back.
            return SmtpError(_refusal(error.smtp_code, said), b"" if password.encode() in said else said)
        except (smtplib.SMTPException, OSError, UnicodeEncodeError) as error:
            return SmtpError(_broken(error, "password_rejected"))
        finally:
            self._smtp.user = self._smtp.password = ""
        return None


def _data_error(code: int, said: bytes) -> SmtpError:
    return SmtpError("data_refused" if code // 100 == 5 else "data_deferred", said)


def _refusal(code: int, said: bytes) -> str:
    """RFC 4954 section 6, and what the large providers say beside it."""
    words = said.decode("ascii", "replace").lower()
    if "application-specific password" in words or "app password" in words:
        return "app_password_needed"
    if "smtpclientauthentication is disabled" in words or "5.7.139" in words:
        return "sending_disabled"
    if code in {530, 538} or "must issue a starttls" in words:
        return "encryption_needed"
    if "too many login" in words or "4.7.0" in words:
        return "login_delay"
    return "busy" if 400 <= code < 500 else "password_rejected"


def _broken(error: Exception, otherwise: str) -> str:
    # The standard library says *disconnected* of a server that was silent for too long; what it caught tells.
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return "timeout"
    return "cut" if isinstance(error, smtplib.SMTPServerDisconnected | ConnectionError) else otherwise


def _cut(smtp: smtplib.SMTP) -> None:
    if smtp.sock is not None:
        with contextlib.suppress(OSError):
            smtp.sock.shutdown(socket.SHUT_RDWR)


def _own_name(sock: socket.socket) -> str:
    """RFC 5321 section 4.1.3: the address in place of a name that nobody could look up."""
    address = str(sock.getsockname()[0])
    return f"[IPv6:{address.partition('%')[0]}]" if ":" in address else f"[{address}]"
