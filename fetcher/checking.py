"""*Test account*, incoming: connect, sign in, look, and go without a trace (R12)."""

from __future__ import annotations

import time

from accounts.checks import Check, StepName
from accounts.credentials import Secret
from accounts.servers import ServerError
from fetcher.pop3 import Pop3Error, Pop3Session

_ENCRYPTION = frozenset({"tls", "no_starttls", "injected"})


def check_incoming(check: Check, username: str, password: Secret, *, seconds: float, incoming_host: str = "") -> Check:
    """Try the POP3 server of `check` within `seconds` and note the steps there; nothing is fetched or deleted.

    `incoming_host` tells the provider whose advice is added to a refused sign-in. Never raises for what a server does.
    """
    until = time.monotonic() + seconds
    try:
        session = Pop3Session.open(check.endpoint, timeout=seconds, deadline=until, pipelining=False)
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
                check.advise(incoming_host)
    return check
