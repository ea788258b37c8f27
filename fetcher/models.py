"""What fetching remembers: runs, for people, and the UIDs a mailbox has seen, for exactly-once (R16, R18)."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.models import Mailbox
from mail.models import Message


class FetchRun(models.Model):
    """One poll of a mailbox, from the moment it was claimed."""

    class State(models.TextChoices):
        """How far it has come. A run that yielded goes on in the next one."""

        QUEUED = "queued", "Waiting for a worker"
        RUNNING = "running", "Fetching"
        DONE = "done", "Done"
        YIELDED = "yielded", "To be continued"
        FAILED = "failed", "Failed"

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="runs")
    token = models.UUIDField(unique=True)
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    started = models.DateTimeField(default=timezone.now)
    finished = models.DateTimeField(null=True, blank=True)
    total = models.PositiveIntegerField(default=0, help_text="messages found to be new")
    new = models.PositiveIntegerField(default=0, help_text="messages stored so far")
    deleted = models.PositiveIntegerField(default=0, help_text="messages deleted from the server")
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-started", "-id"]
        indexes = [
            models.Index(fields=["mailbox", "-started", "-id"], name="runs_of_mailbox"),
            models.Index(fields=["mailbox", "state"], condition=models.Q(finished=None), name="open_runs"),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox_id} at {self.started:%Y-%m-%d %H:%M:%S}"

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return ((self.finished or timezone.now()) - self.started).total_seconds()

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.finished is None


class SeenUid(models.Model):
    """A UID that a mailbox's server has shown and that needs no fetching any more (RFC 1939 section 7).

    Written in the transaction that stores the message; its uniqueness is what makes fetching exactly-once (R16).
    """

    class Outcome(models.TextChoices):
        """What became of the message."""

        STORED = "stored", "stored"
        OVERSIZE = "oversize", "too large, headers stored"
        SKIPPED = "skipped", "left out by the import choice"

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="seen_uids")
    uid = models.CharField(max_length=255)
    outcome = models.CharField(max_length=8, choices=Outcome)
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the raw bytes")
    message = models.ForeignKey(Message, models.SET_NULL, null=True, related_name="seen_uids")
    seen_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(
        null=True, help_text="when the server confirmed its deletion, or was seen without it"
    )
    has_expired = models.BooleanField(
        default=False,
        db_default=False,
        help_text="whether retention deleted it here, which is nobody's wish to delete it there",
    )

    class Meta:
        indexes = [
            models.Index(fields=["mailbox", "digest"], name="seen_by_digest"),
            # What `deletion.deletable` asks for at each poll, however large the mailbox.
            models.Index(
                fields=["mailbox", "seen_at"],
                condition=models.Q(outcome="stored", deleted_at=None),
                name="seen_on_server",
            ),
            models.Index(
                fields=["mailbox"],
                condition=models.Q(outcome="stored", deleted_at=None, message=None, has_expired=False),
                name="seen_and_deleted_here",
            ),
        ]
        constraints = [models.UniqueConstraint(fields=["mailbox", "uid"], name="uid_seen_once")]

    def __str__(self) -> str:
        return self.uid


class LastListing(models.Model):
    """What a server showed at the end of a poll that knew every message there: enough to see that nothing is new (R15).

    Messages keep their order on a server, and UIDs their messages (RFC 1939 sections 3 and 7). As long as the last
    message is where it was, only what comes after it is new. Servers that do otherwise are found out by listing all of
    it every `CRM_MAIL_FULL_LISTING_SECONDS`.
    """

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, primary_key=True, related_name="last_listing")
    messages = models.PositiveIntegerField()
    octets = models.PositiveBigIntegerField(help_text="bytes of all messages, as the server counts")
    last_uid = models.CharField(max_length=255)
    listed_at = models.DateTimeField(help_text="when all of it was listed")

    def __str__(self) -> str:
        return f"{self.messages} messages of {self.mailbox_id}"
