"""What somebody has said or done about their mail, and what they are told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ADDRESS_LENGTH, Mailbox, User
from customers.models import CustomerImport
from mail.models.accounts import Folder, Label
from mail.models.messages import Message

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class ImageSender(models.Model):
    """A sender whose remote images somebody wants to see without asking (R32). Nobody else knows of it."""

    viewer = models.ForeignKey(User, models.CASCADE, related_name="image_senders")
    address = models.CharField(max_length=ADDRESS_LENGTH)

    class Meta:
        ordering = ["address"]
        constraints = [models.UniqueConstraint(fields=["viewer", "address"], name="image_sender_once")]

    def __str__(self) -> str:
        return self.address


class Notification(models.Model):
    """Something that a user should know of, until they have cleared it or it is over.

    It holds no words of mail: what it shows of `message` is asked of `sharing.visibility.visible_to` when it is shown.
    """

    class Kind(models.TextChoices):
        """What happened."""

        PASSWORD_REJECTED = "password_rejected", "Password rejected"
        ANSWERED = "answered", "A colleague answered"
        SENDING_FAILED = "sending_failed", "Not sent"
        IMPORT_FINISHED = "import_finished", "Import finished"

    user = models.ForeignKey(User, models.CASCADE, related_name="notifications", db_index=False)
    kind = models.CharField(max_length=20, choices=Kind)
    at = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(User, models.CASCADE, null=True, related_name="+", help_text="who did it")
    mailbox = models.ForeignKey(Mailbox, models.CASCADE, null=True, related_name="+")
    message = models.ForeignKey(Message, models.CASCADE, null=True, related_name="+")
    customer_import = models.ForeignKey(CustomerImport, models.CASCADE, null=True, related_name="+")

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["user", "-at", "-id"], name="notifications_of_user")]

    def __str__(self) -> str:
        return self.get_kind_display()


class Deed(models.Model):
    """What an owner did to many of their messages, kept for a while so that it can be undone (R31).

    What is too much for one request has a `selection`, which workers walk newest first: `place` is where they are.
    """

    class Kind(models.TextChoices):
        """What was done to each message."""

        READ = "read", "marked as read"
        UNREAD = "unread", "marked as unread"
        STAR = "star", "starred"
        UNSTAR = "unstar", "no longer starred"
        LABEL = "label", "labelled"
        UNLABEL = "unlabel", "no longer labelled"
        MOVE = "move", "moved"
        RESTORE = "restore", "restored"
        DELETE = "delete", "deleted for good"
        REMOVE = "remove", "moved, and their folder removed"

    class State(models.TextChoices):
        """How far it is."""

        WORKING = "working", "Working"
        DONE = "done", "Done"
        UNDOING = "undoing", "Being undone"
        UNDONE = "undone", "Undone"

    owner = models.ForeignKey(User, models.CASCADE, related_name="deeds")
    kind = models.CharField(max_length=8, choices=Kind)
    folder = models.ForeignKey(Folder, models.CASCADE, null=True, related_name="+", help_text="where it moved them")
    label = models.ForeignKey(Label, models.CASCADE, null=True, related_name="+")
    selection = models.JSONField(default=dict, help_text="what workers do it to; empty if it was done at once")
    place = models.CharField(max_length=80, blank=True)
    total = models.PositiveIntegerField(default=0, help_text="messages that were selected")
    done = models.PositiveIntegerField(default=0, help_text="messages that it changed so far")
    restored = models.PositiveIntegerField(default=0, help_text="of those, how many undoing has changed back")
    state = models.CharField(max_length=8, choices=State, default=State.DONE)
    at = models.DateTimeField(default=timezone.now)

    if TYPE_CHECKING:
        changes: RelatedManager[Change]

    class Meta:
        indexes = [models.Index(fields=["id"], condition=Q(state__in=("working", "undoing")), name="deed_to_be_done")]

    def __str__(self) -> str:
        return f"{self.done} {self.get_kind_display()}"

    @property
    def is_going_on(self) -> bool:
        """Whether workers are still busy with it."""
        return self.state in {self.State.WORKING, self.State.UNDOING}

    @property
    def can_be_undone(self) -> bool:
        """Whether undoing it is offered; what deletes for good asks before instead."""
        return self.done > 0 and self.kind not in {self.Kind.DELETE, self.Kind.REMOVE}


class Change(models.Model):
    """Messages that a deed changed together; where it moved them, the folders from which and to which."""

    deed = models.ForeignKey(Deed, models.CASCADE, related_name="changes")
    messages = models.JSONField(help_text="ids of the messages")
    before = models.BigIntegerField(null=True, help_text="the id of the folder they were in")
    after = models.BigIntegerField(null=True, help_text="the id of the folder they were put into")

    def __str__(self) -> str:
        return f"{len(self.messages)} of {self.deed_id}"
