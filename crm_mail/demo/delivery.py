"""Where mail goes in the demonstration: what the SMTP server accepts, and what arrives while one watches."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from django.db import connections
from django.utils import timezone

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox
from crm_mail.demo.messages import later_mail
from crm_mail.demo.pop3_server import Pop3Server
from fetcher.tasks import fetch_now
from mail.parsing import parse

log = logging.getLogger(__name__)


class Delivery:
    """The SMTP server's side: mail to a member reaches their POP3 mailbox, so answers really arrive.

    Mail to anybody else leaves the demonstration nowhere; `tell` is called with its text, because it may hold an
    invitation's link that somebody wants to follow.
    """

    def __init__(self, pop3: Pop3Server, tell: Callable[[str], None]) -> None:
        self._pop3 = pop3
        self._tell = tell

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """aiosmtpd's hook: called with each message that was sent."""
        raw = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        for receiver in dict.fromkeys(address.lower() for address in envelope.rcpt_tos):
            # A member's CRM Mail address (paula.mail@…) stands for the same person.
            address = receiver if receiver in self._pop3.mailboxes else receiver.replace(".mail@", "@")
            if address in self._pop3.mailboxes:
                self._pop3.deliver(address, raw)
                await asyncio.to_thread(fetch, address)
            else:
                parsed = parse(raw)
                self._tell(f"\nMail to {receiver}: {parsed.subject}\n{parsed.text}")
        return "250 accepted"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: object
    ) -> AuthResult:
        """Sign in with the user name and password of a POP3 mailbox."""
        if isinstance(data, LoginPassword):
            mailbox = self._pop3.mailboxes.get(data.login.decode("utf-8", "replace"))
            if mailbox is not None and mailbox.password.encode() == data.password:
                return AuthResult(success=True)
        return AuthResult(success=False, handled=False)


def deliver_later(pop3: Pop3Server, seconds: float, done: threading.Event) -> None:
    """Deliver one message after another, `seconds` apart, until none is left or `done` is set."""
    for receiver, raw in later_mail(timezone.now()):
        if done.wait(seconds):
            return
        pop3.deliver(receiver, raw)
        fetch(receiver)


def fetch(address: str) -> None:
    """Do what *Fetch now* does, since nobody who watches wants to wait for the next poll."""
    try:
        mailbox = Mailbox.objects.polled().filter(email_address=address).first()
        if mailbox is not None:
            fetch_now(mailbox)
    except NotPossible as reason:
        log.info("%s is not fetched: %s", address, reason)
    finally:
        connections.close_all()


def free_port() -> int:
    """A port that was free a moment ago: aiosmtpd must be told one before it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
