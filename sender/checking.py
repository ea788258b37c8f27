"""*Test account*, outgoing: connect and sign in; nothing is sent (R12)."""

from __future__ import annotations

from accounts.checks import Check, StepName
from accounts.credentials import Secret
from accounts.servers import ServerError
from sender.smtp import SmtpError, SmtpSession


def check_outgoing(check: Check, username: str, password: Secret, *, seconds: float, incoming_host: str = "") -> Check:
    """Try the SMTP server of `check` within `seconds` and note the steps there; nothing is sent.

    `incoming_host` tells the provider whose advice is added to a refused sign-in. Never raises for what a server does.
    """
    try:
        with SmtpSession.open(check.endpoint, seconds=seconds) as session:
            check.connected()
            session.login(username, password.reveal())
            check.signed_in()
    except ServerError as error:
        check.not_connected(error)
    except SmtpError as error:
        if check.steps:
            check.failed(StepName.SIGN_IN, error.kind, error.sentence)
            check.advise(incoming_host)
        else:
            at = StepName.ENCRYPTION if error.kind == "no_starttls" else StepName.CONNECTION
            check.failed(at, error.kind, error.sentence)
    return check
