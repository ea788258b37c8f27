"""An SMTP connection over a socket of `accounts.servers`: greeting, encryption, sign-in (RFC 5321, 3207, 4954)."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import threading
from types import TracebackType
from typing import Self

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
    "line_break": "A user name or a password can't contain a line break.",
    "cut": "The server closed the connection.",
    "timeout": "The server did not answer in time. If that goes on, check the port and the security setting.",
}


class SmtpError(Exception):
    """Something an SMTP server did: `kind` for programs, `sentence` for people, with the server's own words made safe."""

    def __init__(self, kind: str, said: bytes = b"") -> None:
        self.kind = kind
        words = servers.safe_words(said)
        self.sentence = _SENTENCES[kind] + (f" It said: “{words}”" if words else "")
        super().__init__(self.sentence)


class SmtpSession:
    """A connection that has been greeted and encrypted; as a context manager it is closed at the end.

    Nothing goes on longer than `seconds` from the beginning: then the connection is cut.
    """

    def __init__(self, smtp: smtplib.SMTP, guard: threading.Timer) -> None:
        self._smtp = smtp
        self._guard = guard

    @classmethod
    def open(cls, endpoint: servers.Endpoint, *, seconds: float) -> Self:
        """Connect, hear the greeting, encrypt if so asked.

        Raises:
            accounts.servers.ServerError: no connection, or no trustworthy encryption.
            SmtpError: there is a connection, but not to an SMTP server that wants to talk.
        """
        sock = servers.connect(endpoint, timeout=seconds)
        smtp = smtplib.SMTP(local_hostname=_own_name(sock), timeout=seconds)
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

    def close(self) -> None:
        """Say goodbye if there is still somebody to say it to, and hang up."""
        with contextlib.suppress(smtplib.SMTPException, OSError):
            self._smtp.docmd("QUIT")
        self._guard.cancel()
        self._smtp.close()

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
    if isinstance(error, TimeoutError):
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
