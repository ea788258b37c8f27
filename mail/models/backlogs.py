"""What is still to be done with mail that is stored: linked, put together, indexed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ADDRESS_LENGTH, Mailbox
from customers.models import Customer
from mail.models.accounts import Folder, Label


class Backfill(models.Model):
    """Stored mail of an address that was added to a customer, as far as it still waits to be linked, the newest first."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    address = models.CharField(max_length=ADDRESS_LENGTH)
    before = models.BigIntegerField(help_text="the id below which messages are still to be looked at")
    done = models.PositiveIntegerField(default=0, help_text="links made")
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.address} of {self.customer}"


class Consolidation(models.Model):
    """Where mail received from customers is put together, of one mailbox: a folder or a label of its owner's (R33).

    Deleting that folder or label ends it. `state` and what follows it are about mail that was there before.
    """

    class State(models.TextChoices):
        """How far mail that was there before is put there too."""

        NOT_ASKED = "not_asked", "not asked for"
        GOING = "going", "going on"
        DONE = "done", "done"
        CANCELLED = "cancelled", "cancelled"

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, related_name="consolidation")
    folder = models.ForeignKey(Folder, models.CASCADE, null=True, related_name="consolidations")
    label = models.ForeignKey(Label, models.CASCADE, null=True, related_name="consolidations")
    state = models.CharField(max_length=10, choices=State, default=State.NOT_ASKED)
    place = models.CharField(max_length=60, blank=True, help_text="the last message that was looked at, newest first")
    looked_at = models.PositiveBigIntegerField(default=0, help_text="messages of the owner that were looked at")
    total = models.PositiveBigIntegerField(default=0, help_text="messages that the owner had when it began")
    put = models.PositiveBigIntegerField(default=0, help_text="messages that were put there")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(folder=None) ^ Q(label=None), name="consolidated_in_folder_or_label"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def kind(self) -> str:
        """`folder` or `label`."""
        return "folder" if self.folder is not None else "label"

    @property
    def name(self) -> str:
        """Of the folder or label, as it is called now."""
        return str(self.folder or self.label)


class SearchBuild(models.Model):
    """That stored mail is being indexed for search, the newest first; there is none, or one."""

    before = models.BigIntegerField(help_text="the id below which messages are still to be indexed")
    done = models.PositiveBigIntegerField(default=0, help_text="messages indexed")
    started_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.done} indexed"
