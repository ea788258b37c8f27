"""The CRM Mail account with its folders and labels, and what was delivered into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Mailbox, User

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class MailAccount(models.Model):
    """A user's CRM Mail account: the place where fetched mail is kept and displayed (R4)."""

    user = models.OneToOneField(User, models.CASCADE, related_name="mail_account")
    mailbox = models.OneToOneField(Mailbox, models.CASCADE, related_name="mail_account")
    signature = models.TextField(blank=True, max_length=10_000)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    if TYPE_CHECKING:
        folders: RelatedManager[Folder]
        labels: RelatedManager[Label]

    def __str__(self) -> str:
        return self.mailbox.email_address


class Folder(models.Model):
    """A folder of one CRM Mail account; a message is in exactly one."""

    class Kind(models.TextChoices):
        """The four that every account has, and the user's own."""

        INBOX = "inbox", "Inbox"
        SENT = "sent", "Sent"
        DRAFTS = "drafts", "Drafts"
        TRASH = "trash", "Trash"
        CUSTOM = "custom", "Folder"

    account = models.ForeignKey(MailAccount, models.CASCADE, related_name="folders")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.CUSTOM)
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="folder_names_differ"),
            models.UniqueConstraint(
                fields=["account", "kind"],
                condition=~Q(kind="custom"),
                name="one_folder_of_each_kind",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Label(models.Model):
    """A label of one CRM Mail account; a message may have any number."""

    account = models.ForeignKey(MailAccount, models.CASCADE, related_name="labels")
    name = models.CharField(max_length=100)
    colour = models.CharField(max_length=7, default="#6b7280")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="label_names_differ")]

    def __str__(self) -> str:
        return self.name


class Receipt(models.Model):
    """A message that a mail server delivered to an account, remembered so that it is not filed twice when it comes again."""

    account = models.ForeignKey(MailAccount, models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the envelope's sender and the bytes")
    received_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "digest"], name="delivered_once")]

    def __str__(self) -> str:
        return self.digest
