"""What is written here and sent: drafts, their files, who gets them, and how many may be sent (R35–R37)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts.models import ADDRESS_LENGTH, Organization, User
from mail.models import Message

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class OutgoingQuerySet(models.QuerySet["Outgoing"]):
    """Named questions about what is written here."""

    def owned_by(self, user: User) -> OutgoingQuerySet:
        """What one user writes and has written, with its message."""
        related = ("message__owner__organization", "message__mailbox__owner", "message__thread", "message__folder")
        return self.filter(message__owner=user).select_related(*related)


class Outgoing(models.Model):
    """How a message that was written here is doing: what was typed, and how far its delivery is.

    Subject, date, folder and the mailbox it is sent from (*Send Mail As*) are the message's own columns. Delivery lives in
    rows: `due_at` says when it is time, `lease_token` and `lease_until` which worker has it.
    """

    class Status(models.TextChoices):
        """Where it stands, for people and programs (interface.md)."""

        DRAFT = "draft", "Draft"
        QUEUED = "queued", "Waiting to be sent"
        SENDING = "sending", "Being sent"
        SENT = "sent", "Sent"
        FAILED = "failed", "Not sent"
        UNKNOWN = "unknown", "Maybe sent"

    class How(models.TextChoices):
        """What it is to the message that `answers` names."""

        NEW = "new", "New message"
        REPLY = "reply", "Reply"
        REPLY_ALL = "reply_all", "Reply to all"
        FORWARD = "forward", "Forward"

    message = models.OneToOneField(Message, models.CASCADE, primary_key=True, related_name="outgoing")
    status = models.CharField(max_length=8, choices=Status, default=Status.DRAFT)
    revision = models.PositiveIntegerField(
        default=0, help_text="how often it was saved; who saves says which one they saw"
    )

    is_touched = models.BooleanField(default=False, help_text="whether anybody wrote anything in it")

    to = models.TextField(blank=True, help_text="as typed")
    cc = models.TextField(blank=True, help_text="as typed")
    bcc = models.TextField(blank=True, help_text="as typed")
    text = models.TextField(blank=True)
    html = models.TextField(blank=True, help_text="sanitised; empty for a plain message")

    how = models.CharField(max_length=9, choices=How, default=How.NEW)
    answers = models.ForeignKey(Message, models.SET_NULL, null=True, blank=True, related_name="answers_written")
    references = models.JSONField(default=list, help_text="Message-IDs of the conversation, the nearest last")

    due_at = models.DateTimeField(null=True, help_text="when delivery is tried (again)")
    queued_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    words = models.TextField(blank=True, help_text="what went wrong last, with the server's own words, for people")
    counted_on = models.DateField(null=True, help_text="the day on whose limit its recipients count")

    objects = OutgoingQuerySet.as_manager()

    if TYPE_CHECKING:
        recipients: RelatedManager[Recipient]
        files: RelatedManager[DraftFile]

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status="queued"), name="outgoing_due"),
            models.Index(fields=["lease_until"], condition=Q(status="sending"), name="outgoing_in_hand"),
            models.Index(fields=["status"], condition=Q(status__in=("failed", "unknown")), name="outgoing_in_trouble"),
        ]

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"

    @property
    def trouble(self) -> str:
        """What a list says of it, for people; nothing as long as all goes well."""
        if self.status in {self.Status.FAILED, self.Status.UNKNOWN}:
            return self.get_status_display()
        return "Not sent yet" if self.status == self.Status.QUEUED and self.words else ""

    @property
    def is_under_way(self) -> bool:
        """Whether how it stands changes without anybody's doing."""
        return self.status in {self.Status.QUEUED, self.Status.SENDING}

    @property
    def in_reply_to(self) -> str:
        """The Message-ID that it answers; nothing for what is new or a forward."""
        is_reply = self.how in {self.How.REPLY, self.How.REPLY_ALL}
        return str(self.references[-1]) if is_reply and self.references else ""


class Recipient(models.Model):
    """Somebody who gets a message: their place in the envelope, and what the server said of them."""

    class State(models.TextChoices):
        """How far delivery to them is. `HANDED_OVER`: the data may have been accepted, the answer is not known yet."""

        OPEN = "open", "Not sent yet"
        HANDED_OVER = "handed_over", "Maybe sent"
        ACCEPTED = "accepted", "Sent"
        REFUSED = "refused", "Refused"

    class Role(models.TextChoices):
        """The field they were typed in."""

        TO = "to", "To"
        CC = "cc", "Cc"
        BCC = "bcc", "Bcc"

    outgoing = models.ForeignKey(Outgoing, models.CASCADE, related_name="recipients")
    role = models.CharField(max_length=3, choices=Role)
    address = models.CharField(max_length=ADDRESS_LENGTH)
    state = models.CharField(max_length=11, choices=State, default=State.OPEN)
    words = models.TextField(blank=True, help_text="the server's own, of the last try")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["outgoing", "address"], name="recipient_once")]

    def __str__(self) -> str:
        return self.address


class DraftFile(models.Model):
    """A file in a draft. It is uploaded once, so that saving the draft never sends it again; its bytes are in `DraftChunk`."""

    outgoing = models.ForeignKey(Outgoing, models.CASCADE, related_name="files")
    name = models.CharField(max_length=200)
    content_type = models.CharField(max_length=127)
    size = models.PositiveBigIntegerField(help_text="bytes")
    content_id = models.CharField(max_length=255, help_text="what the HTML names it by: cid:…")
    is_inline = models.BooleanField(default=False, help_text="whether it is an image for the HTML, not an attachment")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    if TYPE_CHECKING:
        chunks: RelatedManager[DraftChunk]

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Where an image of the text is shown from while it is written."""
        return reverse("draft-image", args=[self.outgoing_id, self.pk])


class DraftChunk(models.Model):
    """A piece of a file in a draft, compressed as `mail.blobs` does it."""

    file = models.ForeignKey(DraftFile, models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file", "number"], name="draft_chunk_once")]

    def __str__(self) -> str:
        return f"chunk {self.number}"


class SendKey(models.Model):
    """What a program calls one wish of its user's to send something by; see `sender.once`."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="SHA-256 of what was asked for")
    outgoing = models.ForeignKey(
        Outgoing, models.SET_NULL, null=True, related_name="+", help_text="what was made; nothing once it is deleted"
    )
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="send_key_once")]

    def __str__(self) -> str:
        return self.key


class DaySends(models.Model):
    """How many recipients an organisation's messages were accepted for on one day of its own time zone (R37)."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    day = models.DateField()
    recipients = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "day"], name="sends_of_a_day_once")]

    def __str__(self) -> str:
        return f"{self.recipients} on {self.day}"
