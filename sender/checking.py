"""*Test account*, outgoing: connect and sign in; nothing is sent (R12)."""

from __future__ import annotations

from accounts.checks import Check, StepName
from accounts.credentials import Secret
from accounts.servers import Endpoint, ServerError
from sender.smtp import SmtpError, SmtpSession


def check_outgoing(
    endpoint: Endpoint, username: str, password: Secret, *, seconds: float, incoming_host: str = ""
) -> Check:
    """Try an SMTP server within `seconds`. Never raises for what a server does.

    `incoming_host` tells the provider whose advice is added to a refused sign-in.
    """
    check = Check(endpoint)
    try:
        with SmtpSession.open(endpoint, seconds=seconds) as session:
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
