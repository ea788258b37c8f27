"""`manage.py demo`: the product with an organisation, people, customers and real mail, on throw-away data."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections
from django.utils import timezone

from crm_mail.demo import world
from crm_mail.demo.messages import later_mail, sample_mail
from crm_mail.demo.pop3_server import Pop3Server

_MARK = "CRM_MAIL_DEMO"
#: Seconds between two messages that arrive while one watches.
_ARRIVALS = 30.0


class Command(BaseCommand):
    """Start local mail servers, build the sample organisation, then run what `manage.py up` runs."""

    help = __doc__

    def handle(self, *_: Any, **__: Any) -> None:
        """Once to make the folder and the environment, then again, with settings that see them."""
        if os.environ.get(_MARK):
            self._run()
            return
        kept = os.environ.get("CRM_MAIL_DATA_DIR")
        with tempfile.TemporaryDirectory(prefix="crm-mail-demo-", ignore_cleanup_errors=True) as folder:
            environment = os.environ | {
                _MARK: "1",
                "CRM_MAIL_DATA_DIR": kept or folder,
                "CRM_MAIL_ALLOWED_MAIL_NETWORKS": "127.0.0.0/8,::1/128",
            }
            for name in ("DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL"):
                environment.pop(name, None)
            sys.exit(_wait(os.spawnve(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv], environment)))

    def _run(self) -> None:
        os.umask(0o077)
        mail = sample_mail(timezone.now())
        done = threading.Event()
        with Pop3Server() as pop3:
            for member, raws in mail.items():
                pop3.add_mailbox(member, world.POP3_PASSWORD, raws)
            smtp = Controller(_Delivery(pop3), hostname="127.0.0.1", port=_free_port())
            smtp.start()
            arrivals = threading.Thread(target=_deliver_later, args=(pop3, done), daemon=True)
            try:
                call_command("migrate", interactive=False, verbosity=0)
                call_command("createcachetable", verbosity=0)
                world.build(pop3_port=pop3.port, smtp_port=smtp.port)
                connections.close_all()
                self._introduce(sum(map(len, mail.values())))
                arrivals.start()
                call_command("up", stdout=self.stdout)
            finally:
                done.set()
                smtp.stop()

    def _introduce(self, count: int) -> None:
        width = max(len(each.email) for each in world.SIGN_INS)
        lines = [f"  {each.email:<{width}}  {each.name:<14} {each.about}" for each in world.SIGN_INS]
        self.stdout.write(
            f"\nCRM Mail demonstration: {count} messages wait on local mail servers and are fetched as you watch.\n"
            f"Sign in at http://{settings.HOST}:{settings.PORT} with the password “{world.PASSWORD}” as\n"
            + "\n".join(lines)
            + "\nLook at the contact Bea Stone as Alex: Paula's mail with her is there, Priya's is not.\n"
        )
        self.stdout.flush()


class _Delivery:
    """Accepted mail to a member is delivered into their POP3 mailbox, so answers really arrive."""

    def __init__(self, pop3: Pop3Server) -> None:
        self.pop3 = pop3

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """aiosmtpd's hook: called with each message that was sent."""
        raw = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        for receiver in envelope.rcpt_tos:
            if receiver.lower() in self.pop3.mailboxes:
                self.pop3.deliver(receiver.lower(), raw)
        return "250 accepted"


def _deliver_later(pop3: Pop3Server, done: threading.Event) -> None:
    for receiver, raw in later_mail(timezone.now()):
        if done.wait(_ARRIVALS):
            return
        pop3.deliver(receiver, raw)


def _free_port() -> int:
    """A port that was free a moment ago: aiosmtpd must be told one before it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(pid: int) -> int:
    """The exit code of the child; a signal that reaches this process too is the child's to act on."""
    while True:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except KeyboardInterrupt:
            continue


