"""`manage.py demo`: the product with an organisation, people, customers and real mail, on throw-away data."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from accounts.mailboxes import NotPossible
from crm_mail import secrets
from crm_mail.demo import world
from crm_mail.demo.delivery import Delivery, deliver_later, free_port
from crm_mail.demo.messages import sample_mail
from crm_mail.demo.pop3_server import Pop3Server

_MARK = "CRM_MAIL_DEMO"
_THROW_AWAY = "throw away"
#: Seconds between two messages that arrive while one watches.
_ARRIVALS = 30.0


class Command(BaseCommand):
    """Start local mail servers, build the sample organisation, then run what `manage.py up` runs."""

    help = __doc__

    def handle(self, *_: Any, **__: Any) -> None:
        """Once to make the folder and the environment, then again, in the same process, with settings that see them."""
        mark = os.environ.get(_MARK)
        if mark is None:
            os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | _environment())  # noqa: S606
        # Ending in order matters from here on: a folder with everybody's mail is to be removed.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            self._run()
        except NotPossible as reason:
            raise CommandError(str(reason)) from reason
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            connections.close_all()
            if mark == _THROW_AWAY:
                shutil.rmtree(settings.DATA_DIR, ignore_errors=True)

    def _run(self) -> None:
        """Mail servers, tables, people, mail: then the portal, which finds all of it there."""
        os.umask(0o077)
        with Pop3Server() as pop3, ExitStack() as cleanup:
            delivery = Delivery(pop3, self._say)
            smtp = Controller(
                delivery,
                hostname="127.0.0.1",
                port=free_port(),
                authenticator=delivery.authenticate,
                auth_require_tls=False,
            )
            smtp.start()
            cleanup.callback(smtp.stop)
            call_command("migrate", interactive=False, verbosity=0)
            call_command("createcachetable", verbosity=0)
            organization = world.build(pop3_port=pop3.port, smtp_port=smtp.port)
            # Dated by the first start, so that a second one on the same folder finds the same messages.
            mail = sample_mail(organization.created_at)
            for member, raws in mail.items():
                pop3.add_mailbox(member, world.POP3_PASSWORD, raws)
            connections.close_all()
            # For the programs that `up` starts: invitations and new passwords are mailed here, too.
            os.environ["CRM_MAIL_EMAIL_URL"] = f"smtp://127.0.0.1:{smtp.port}"
            self._introduce(sum(map(len, mail.values())))
            done = threading.Event()
            arrivals = threading.Thread(target=deliver_later, args=(pop3, _ARRIVALS, done))
            arrivals.start()
            cleanup.callback(arrivals.join)
            cleanup.callback(done.set)
            call_command("up", stdout=self.stdout)

    def _introduce(self, count: int) -> None:
        width = max(len(each.email) for each in world.SIGN_INS)
        lines = [f"  {each.email:<{width}}  {each.name:<14} {each.about}" for each in world.SIGN_INS]
        self._say(
            f"\nCRM Mail demonstration: {count} messages wait on local mail servers and are fetched as you watch.\n"
            f"Sign in at http://{settings.HOST}:{settings.PORT} with the password “{world.PASSWORD}” as\n"
            + "\n".join(lines)
            + "\nLook at the contact Bea Stone as Alex: Paula's mail with her is there, Priya's is not.\n"
        )

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _environment() -> dict[str, str]:
    """What the demonstration's settings are made from; nothing of a real installation, even if `.env` describes one."""
    kept = os.environ.get("CRM_MAIL_DATA_DIR")
    folder = Path(kept or tempfile.mkdtemp(prefix="crm-mail-demo-")).resolve()
    return {
        _MARK: "kept" if kept else _THROW_AWAY,
        "CRM_MAIL_DATA_DIR": str(folder),
        "CRM_MAIL_SECRET_KEY": secrets.secret_key(folder),
        "CRM_MAIL_ENCRYPTION_KEYS": ",".join(secrets.encryption_keys(folder)),
        "CRM_MAIL_BASE_URL": f"http://{settings.HOST}:{settings.PORT}",
        "CRM_MAIL_ALLOWED_HOSTS": ",".join(dict.fromkeys([*settings.ALLOWED_HOSTS, "localhost", "127.0.0.1"])),
        "CRM_MAIL_ALLOWED_MAIL_NETWORKS": "127.0.0.0/8,::1/128",
        "DATABASE_URL": f"sqlite:///{folder / 'crm_mail.sqlite3'}",
        "CELERY_BROKER_URL": "filesystem://localhost//",
        "CACHE_URL": "dbcache://cache",
    }
