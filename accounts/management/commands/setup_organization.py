"""`manage.py setup_organization`: R3 without a browser."""

from __future__ import annotations

import getpass
import os
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.organizations import set_up_organization

OPTIONS = {
    "name": "--name",
    "domains": "--domain",
    "time_zone": "--timezone",
    "admin_email": "--admin-email",
    "password": "CRM_MAIL_ADMIN_PASSWORD",
}


class Command(BaseCommand):
    """Create an organisation and its first administrator; run again, it adds a further organisation."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """The values that the set-up page asks for."""
        parser.add_argument("--name", required=True, help="the organisation's name")
        parser.add_argument(
            "--domain",
            required=True,
            action="append",
            help="a mail domain of its own; may be repeated",
        )
        parser.add_argument("--timezone", required=True, help="for example Europe/Berlin")
        parser.add_argument("--admin-email", required=True, help="the administrator's sign-in address")
        parser.add_argument("--admin-name", default="", help="the administrator's name")

    def handle(self, *_: Any, **options: Any) -> None:
        """Take the password from `CRM_MAIL_ADMIN_PASSWORD` or ask for it, then create everything or nothing."""
        password = os.environ.get("CRM_MAIL_ADMIN_PASSWORD") or getpass.getpass("Administrator's password: ")
        try:
            admin = set_up_organization(
                name=options["name"],
                domains=options["domain"],
                time_zone=options["timezone"],
                admin_email=options["admin_email"],
                admin_name=options["admin_name"],
                password=password,
            )
        except ValidationError as error:
            raise CommandError(
                "\n".join(
                    f"{OPTIONS[field]}: {message}"
                    for field, messages in error.message_dict.items()
                    for message in messages
                )
            ) from None
        self.stdout.write(f"{admin.organization} is set up; {admin.email} can sign in as its administrator.")
