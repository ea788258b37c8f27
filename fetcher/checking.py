"""*Test account*, incoming: connect, sign in, look, and go without a trace (R12)."""

from __future__ import annotations

import time

from accounts.checks import Check, StepName
from accounts.credentials import Secret
from accounts.servers import Endpoint, ServerError
from fetcher.pop3 import Pop3Error, Pop3Session

_ENCRYPTION = frozenset({"tls", "no_starttls", "injected"})


def check_incoming(endpoint: Endpoint, username: str, password: Secret, *, seconds: float) -> Check:
    """Try a POP3 server within `seconds`; nothing is fetched or deleted there. Never raises for what a server does."""
    check = Check(endpoint)
    until = time.monotonic() + seconds
    try:
        session = Pop3Session.open(endpoint, timeout=seconds, deadline=until, pipelining=False)
    except ServerError as error:
        check.not_connected(error)
        return check
    except Pop3Error as error:
        step = StepName.ENCRYPTION if error.reason in _ENCRYPTION else StepName.CONNECTION
        check.failed(step, error.reason, error.sentence)
        return check
    with session:
        check.connected()
        try:
            session.login(username, password.reveal())
            check.signed_in()
            messages, _ = session.stat()
            check.counted(messages)
            session.quit()
        except Pop3Error as error:
            if check.steps[-1].name != StepName.MAILBOX:
                at = StepName.MAILBOX if check.steps[-1].name == StepName.SIGN_IN else StepName.SIGN_IN
                check.failed(at, error.reason, error.sentence)
                check.advise(endpoint.host)
    return check
