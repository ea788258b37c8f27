"""What was exchanged: threads, messages and their parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ADDRESS_LENGTH, Mailbox, Organization, User
from customers.models import Customer
from mail.models.accounts import Folder, Label
from mail.search import WordsField

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

MESSAGE_ID_LENGTH = 255


class Thread(models.Model):
    """A conversation as one user has it. Threads never span owners, so neither their privacy nor their size can leak.

    `root` is the Message-ID that started it; on screen it brings together what several colleagues share of it.
    """

    owner = models.ForeignKey(User, models.CASCADE, related_name="threads")
    root = models.CharField(max_length=MESSAGE_ID_LENGTH)
    is_private = models.BooleanField(default=False)
    dismissed_at = models.DateTimeField(
        null=True, help_text="when its owner said that what had come by then needs no answer"
    )

    class Meta:
        indexes = [
            models.Index(fields=["owner", "root"], name="thread_by_root"),
            models.Index(fields=["root"], name="thread_across_owners"),
        ]

    def __str__(self) -> str:
        return self.root


#: Condition on messages: their owner has put them into Trash.
IN_TRASH = Q(folder__kind=Folder.Kind.TRASH)


class MessageQuerySet(models.QuerySet["Message"]):
    """Named questions about messages. What somebody else may see is asked of `sharing.visibility.visible_to` only."""

    def owned_by(self, user: User) -> MessageQuerySet:
        """The messages in one user's mailboxes."""
        return self.filter(owner=user)

    def in_folder(self, folder: Folder) -> MessageQuerySet:
        """The messages in one folder."""
        return self.filter(folder=folder)

    def not_discarded(self) -> MessageQuerySet:
        """Without what its owner has put into Trash."""
        return self.filter(~IN_TRASH)

    def newest_first(self) -> MessageQuerySet:
        """By date of the message, the latest first."""
        return self.order_by("-date", "-id")

    def in_order(self, ids: Sequence[int]) -> list[Message]:
        """The messages with these ids, in their order; without those that were deleted since they were found."""
        loaded = self.in_bulk(ids) if ids else {}
        return [loaded[pk] for pk in ids if pk in loaded]

    def lock(self) -> list[int]:
        """Lock these messages for a change, in a transaction, in the order of *Order of locks* (docs/contributing.md); their ids.

        An `update` alone locks them in whatever order the database comes upon them. Who deletes messages locks them with
        `mail.removal.lock`.
        """
        locked = self.select_for_update(of=("self",), no_key=True).order_by("pk")
        return list(locked.values_list("pk", flat=True))


class Message(models.Model):
    """One copy of a message, in one user's mailbox. Its unchanged bytes are in `RawChunk` (R16).

    The owner's organisation is repeated here for the index that lists of shared mail walk along.
    """

    class Direction(models.TextChoices):
        """Whether its owner wrote it (sharing.md, *sent*)."""

        RECEIVED = "received", "Received"
        SENT = "sent", "Sent"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="messages")
    owner = models.ForeignKey(User, models.CASCADE, related_name="messages", db_index=False)
    thread = models.ForeignKey(Thread, models.CASCADE, related_name="messages")
    folder = models.ForeignKey(Folder, models.PROTECT, related_name="messages", db_index=False)
    labels = models.ManyToManyField(Label, through="Labelling", related_name="messages", blank=True)

    direction = models.CharField(max_length=8, choices=Direction)
    message_id = models.CharField(max_length=MESSAGE_ID_LENGTH, blank=True)
    subject = models.CharField(max_length=998, blank=True)
    from_name = models.CharField(max_length=ADDRESS_LENGTH, blank=True)
    from_address = models.CharField(max_length=ADDRESS_LENGTH, blank=True)
    date = models.DateTimeField()
    filed_at = models.DateTimeField(default=timezone.now, editable=False)
    snippet = models.CharField(max_length=200, blank=True)
    fingerprint = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField(help_text="bytes of the message on the server")
    has_attachments = models.BooleanField(default=False)
    is_complete = models.BooleanField(default=True, help_text="whether all bytes are here, not the headers alone")
    has_all_participants = models.BooleanField(
        default=True, help_text="whether no address of the headers was left out; else an excluded one may be among them"
    )
    has_customer = models.BooleanField(
        default=False, help_text="false only where no customer's address stands in From, To or Cc; narrows searches"
    )
    note = models.TextField(blank=True, help_text="what could not be read or fetched, for people")

    is_draft = models.BooleanField(default=False)
    is_written_here = models.BooleanField(default=False, help_text="whether it was composed here, not fetched")
    is_read = models.BooleanField(default=False)
    is_starred = models.BooleanField(default=False)
    is_private = models.BooleanField(default=False)

    objects = MessageQuerySet.as_manager()

    if TYPE_CHECKING:
        participants: RelatedManager[Participant]
        attachments: RelatedManager[Attachment]
        correspondences: RelatedManager[Correspondence]
        chunks: RelatedManager[RawChunk]
        #: Where it was asked for together with the message: `mail.reading.wants_images`.
        images_wanted: bool

    class Meta:
        indexes = [
            models.Index(fields=["folder", "-date", "-id"], name="message_in_folder"),
            models.Index(
                fields=["folder", "-date", "-id"], condition=Q(is_read=False), name="message_unread_in_folder"
            ),
            models.Index(fields=["owner", "-date", "-id"], condition=Q(is_starred=True), name="message_starred"),
            models.Index(
                fields=["organization", "-date", "-id"], condition=Q(has_customer=True), name="message_with_customer"
            ),
            models.Index(fields=["owner", "-date", "-id"], name="message_of_owner"),
            models.Index(
                fields=["owner", "-date", "-id"],
                condition=Q(has_customer=True),
                name="message_of_owner_with_customer",
            ),
            models.Index(fields=["owner", "-id"], name="message_as_filed"),
            models.Index(fields=["owner", "message_id"], name="message_by_id"),
            models.Index(fields=["owner", "from_address"], name="message_by_sender"),
            models.Index(fields=["fingerprint"], name="message_by_fingerprint"),
        ]

    def __str__(self) -> str:
        return self.subject or "(no subject)"

    @property
    def is_kept_private(self) -> bool:
        """Whether its owner keeps it, or its thread, from everybody else."""
        return self.is_private or self.thread.is_private


class Labelling(models.Model):
    """A label on a message.

    The message's date is repeated here, so that a label's mail can be read newest first, and whether it was read, so
    that what is unread need not be looked for among all of it.
    """

    message = models.ForeignKey(Message, models.CASCADE, related_name="labellings", db_index=False)
    label = models.ForeignKey(Label, models.CASCADE, related_name="labellings", db_index=False)
    date = models.DateTimeField()
    is_read = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["label", "-date", "-message"], name="labelling_by_date"),
            models.Index(
                fields=["label", "-date", "-message"], condition=Q(is_read=False), name="labelling_unread_by_date"
            ),
        ]
        constraints = [models.UniqueConstraint(fields=["message", "label"], name="labelling_once")]

    def __str__(self) -> str:
        return f"{self.label} on {self.message_id}"


class MessageText(models.Model):
    """The readable text of a message, beside it so that lists stay narrow."""

    message = models.OneToOneField(Message, models.CASCADE, primary_key=True, related_name="body")
    text = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.text[:80]


class SearchEntry(models.Model):
    """A message as search knows it; see `mail.search`. Mailbox and date are repeated for the indexes that it walks along."""

    message = models.OneToOneField(Message, models.CASCADE, primary_key=True, related_name="search")
    # It goes with its message; nobody looks entries up to delete a mailbox.
    mailbox = models.ForeignKey(Mailbox, models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False)
    date = models.DateTimeField()
    words = WordsField()
    is_indexed = models.BooleanField(db_default=True, help_text="whether the index of words has it; see `mail.search`")

    class Meta:
        indexes = [
            models.Index(fields=["message"], condition=models.Q(is_indexed=False), name="search_waiting"),
            models.Index(fields=["-date", "-message", "mailbox"], name="search_by_date"),
            models.Index(fields=["mailbox", "-date", "-message"], name="search_in_mailbox"),
        ]

    def __str__(self) -> str:
        return f"entry of message {self.pk}"


class RawChunk(models.Model):
    """A piece of a message's bytes as the server sent them, compressed; read through `mail.blobs`."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "number"], name="raw_chunk_once")]

    def __str__(self) -> str:
        return f"chunk {self.number}"


class Participant(models.Model):
    """An address in the headers of a message. Display names never decide anything (sharing.md)."""

    class Role(models.TextChoices):
        """The header it stands in."""

        FROM = "from", "From"
        SENDER = "sender", "Sender"
        REPLY_TO = "reply_to", "Reply-To"
        TO = "to", "To"
        CC = "cc", "Cc"
        BCC = "bcc", "Bcc"

    message = models.ForeignKey(Message, models.CASCADE, related_name="participants")
    role = models.CharField(max_length=8, choices=Role)
    name = models.CharField(max_length=ADDRESS_LENGTH, blank=True)
    address = models.CharField(max_length=ADDRESS_LENGTH, db_index=True)
    domain = models.CharField(max_length=253)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


class Attachment(models.Model):
    """A part of a message that can be downloaded; its bytes are cut out of the raw message when asked for."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="attachments")
    part = models.PositiveIntegerField(help_text="position of the part in a depth-first walk of the message")
    name = models.CharField(max_length=200)
    content_type = models.CharField(max_length=127)
    content_id = models.CharField(max_length=255, blank=True)
    size = models.PositiveBigIntegerField(help_text="bytes, decoded")
    is_inline = models.BooleanField(default=False)

    class Meta:
        ordering = ["part"]

    def __str__(self) -> str:
        return self.name


class Correspondence(models.Model):
    """The meeting of a message's From, To or Cc with a customer's address, kept for the index.

    Whether it makes a *correspondent* (sharing.md) depends on the message's direction and on who is a colleague today:
    ask `mail.matching.effective`. The message's date and owner are repeated here, so that a record's mail can be read newest first, or one user's of it.
    """

    message = models.ForeignKey(Message, models.CASCADE, related_name="correspondences")
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="correspondences", db_index=False)
    role = models.CharField(max_length=8, choices=Participant.Role)
    address = models.CharField(max_length=ADDRESS_LENGTH)
    domain = models.CharField(max_length=253)
    date = models.DateTimeField()
    owner = models.ForeignKey(User, models.CASCADE, related_name="+", db_index=False)

    class Meta:
        indexes = [
            models.Index(fields=["customer", "-date", "-message"], name="correspondence_by_date"),
            models.Index(fields=["customer", "owner"], name="correspondence_of_owner"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["message", "customer", "role", "address"], name="correspondence_once")
        ]

    def __str__(self) -> str:
        return f"{self.customer} in {self.role}"
