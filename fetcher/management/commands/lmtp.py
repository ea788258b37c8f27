"""`manage.py lmtp`: the organisation's own mail server delivers to CRM Mail accounts here, until Ctrl-C."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fetcher import lmtp

DEFAULT = "127.0.0.1:8024"


class Command(BaseCommand):
    """Take mail by LMTP; INT and TERM stop it after what is being delivered."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Where."""
        parser.add_argument(
            "--listen",
            metavar="HOST:PORT",
            default=settings.LMTP_LISTEN or DEFAULT,
            help=f"CRM_MAIL_LMTP_LISTEN if not given, else {DEFAULT}",
        )

    def handle(self, *_: Any, listen: str, **options: Any) -> None:
        """Listen until told to stop."""
        try:
            host, port = lmtp.endpoint(listen)
            lmtp.run(host, port, self._say)
        except ValueError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"Cannot listen at {listen}: {error.strerror or error}.") from error

    def _say(self, host: str, port: int) -> None:
        self.stdout.write(f"CRM Mail takes mail by LMTP at {host}:{port}")
        self.stdout.flush()
