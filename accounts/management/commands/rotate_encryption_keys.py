"""`manage.py rotate_encryption_keys`: seal every password and signing secret with the first key (R14)."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.credentials import SecretField, SecretUnreadable


class Command(BaseCommand):
    """Re-encrypt every secret with the first key; afterwards the older keys can be removed."""

    help = __doc__

    def handle(self, *_: Any, **__: Any) -> None:
        """Go row by row, so that an interrupted run is simply run again."""
        unreadable = []
        for model in apps.get_models():
            fields = [field.name for field in model._meta.get_fields() if isinstance(field, SecretField)]
            if not fields:
                continue
            done = 0
            for pk in model._default_manager.order_by("pk").values_list("pk", flat=True):
                with transaction.atomic():
                    row = model._default_manager.select_for_update().get(pk=pk)
                    try:
                        for name in fields:
                            setattr(row, name, getattr(row, name).rotated())
                    except SecretUnreadable:
                        unreadable.append(str(getattr(row, "email_address", row)))
                        continue
                    row.save(update_fields=fields)
                    done += 1
            what = model._meta.verbose_name_plural
            self.stdout.write(f"The passwords of {done} {what} are sealed with the first key.")
        if unreadable:
            raise CommandError(
                "None of the keys in CRM_MAIL_ENCRYPTION_KEYS opens the passwords of: " + ", ".join(unreadable)
            )
