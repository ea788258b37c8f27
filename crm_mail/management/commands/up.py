"""`manage.py up`: web, worker, scheduler and, where one is wished, LMTP listener on this machine, until Ctrl-C (R40)."""

import os
import socket
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from crm_mail import secrets
from crm_mail.celery import WORKER
from crm_mail.supervisor import Child, Supervisor, WebProbe, listen, url_of


class Command(BaseCommand):
    """Prepare the data folder and the database, start everything, and stop it all in order.

    Exits with 0 if asked to stop (INT, TERM, HUP), with 1 if a program ended by itself.
    """

    help = "Start web, worker and scheduler; Ctrl-C stops them in order."

    def handle(self, *args: Any, **options: Any) -> None:
        """Port, secrets, tables, programs: the port first, so a second start changes nothing."""
        # The data folder holds everybody's mail: it is not for other users of the machine.
        os.umask(0o077)
        listener = _listener()
        probe = WebProbe(listener, host_header=_allowed_host())
        url = url_of(listener)
        supervisor = Supervisor(
            _programs(listener.fileno()),
            probe=probe,
            on_ready=lambda: self._say(f"CRM Mail is at {url} (Ctrl-C stops it)"),
            say=self._say,
        )
        with supervisor:
            if settings.EMBEDDED:
                secrets.ensure(settings.DATA_DIR)
            call_command("migrate", interactive=False, verbosity=0, stdout=self.stdout)
            call_command("createcachetable", verbosity=0, stdout=self.stdout)
            connections.close_all()
            code = supervisor.run()
        sys.exit(code)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _listener() -> socket.socket:
    try:
        return listen(settings.HOST, settings.PORT)
    except OSError as error:
        raise CommandError(
            f"Cannot listen at {settings.HOST}:{settings.PORT}: {error.strerror}. Stop the program "
            "that uses this port, or choose another one, for example with CRM_MAIL_PORT=8001."
        ) from error


def _allowed_host() -> str:
    """A Host header that Django accepts whatever `CRM_MAIL_ALLOWED_HOSTS` says."""
    first = settings.ALLOWED_HOSTS[0] if settings.ALLOWED_HOSTS else "localhost"
    return "localhost" if first == "*" else first.lstrip(".")


def _programs(listener: int) -> tuple[Child, ...]:
    """The programs. The worker is stopped last, when nothing sends it new work any more."""
    paths = (str(settings.BASE_DIR), os.environ.get("PYTHONPATH"))
    environment = {
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUNBUFFERED": "1",
    }
    web = (
        f"gunicorn crm_mail.wsgi:application --bind fd://{listener} --worker-class gthread "
        f"--workers {os.environ.get('WEB_CONCURRENCY', '2')} --threads 8 --graceful-timeout 20 "
        "--no-control-socket --log-level warning"
    )
    scheduler = "celery --quiet -A crm_mail beat --scheduler celery.beat:Scheduler --loglevel INFO"
    worker = f"celery --quiet {WORKER} --concurrency 8 --loglevel INFO"
    programs = [
        Child("web", _python(web), pass_fds=(listener,), environment=environment),
        Child("scheduler", _python(scheduler), environment=environment),
        Child("worker", _python(worker), wave=1, environment=environment),
    ]
    if settings.LMTP_LISTEN:
        programs.append(Child("LMTP listener", _python("django lmtp"), environment=environment))
    return tuple(programs)


def _python(module_and_options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *module_and_options.split())
