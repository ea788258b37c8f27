"""`manage.py rotate_encryption_keys`: seal every mailbox password with the first key (R14)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.credentials import SecretUnreadable
from accounts.models import Mailbox


class Command(BaseCommand):
    """Re-encrypt every secret with the first key; afterwards the older keys can be removed."""

    help = __doc__

    def handle(self, *_: Any, **__: Any) -> None:
        """Go mailbox by mailbox, so that an interrupted run is simply run again."""
        unreadable = []
        done = 0
        for pk in Mailbox.objects.order_by("pk").values_list("pk", flat=True):
            with transaction.atomic():
                mailbox = Mailbox.objects.select_for_update().get(pk=pk)
                try:
                    mailbox.incoming_password = mailbox.incoming_password.rotated()
                    mailbox.outgoing_password = mailbox.outgoing_password.rotated()
                except SecretUnreadable:
                    unreadable.append(mailbox.email_address)
                    continue
                mailbox.save(update_fields=["incoming_password", "outgoing_password"])
                done += 1
        self.stdout.write(f"The passwords of {done} mailboxes are sealed with the first key.")
        if unreadable:
            raise CommandError(
                "None of the keys in CRM_MAIL_ENCRYPTION_KEYS opens the passwords of: " + ", ".join(unreadable)
            )
