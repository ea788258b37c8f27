"""What was exchanged: the CRM Mail account with its folders and labels, threads, messages and their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ADDRESS_LENGTH, Mailbox, Organization, User
from customers.models import Customer, CustomerImport
from mail.search import WordsField

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

MESSAGE_ID_LENGTH = 255


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
    """A label on a message. The message's date is repeated here, so that a label's mail can be read newest first."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="labellings", db_index=False)
    label = models.ForeignKey(Label, models.CASCADE, related_name="labellings", db_index=False)
    date = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["label", "-date", "-message"], name="labelling_by_date")]
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

    class Meta:
        indexes = [
            models.Index(fields=["-date", "-message", "mailbox"], name="search_by_date"),
            models.Index(fields=["mailbox", "-date", "-message"], name="search_in_mailbox"),
        ]

    def __str__(self) -> str:
        return f"entry of message {self.pk}"


class SearchBuild(models.Model):
    """That stored mail is being indexed for search, the newest first; there is none, or one."""

    before = models.BigIntegerField(help_text="the id below which messages are still to be indexed")
    done = models.PositiveBigIntegerField(default=0, help_text="messages indexed")
    started_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.done} indexed"


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


class ImageSender(models.Model):
    """A sender whose remote images somebody wants to see without asking (R32). Nobody else knows of it."""

    viewer = models.ForeignKey(User, models.CASCADE, related_name="image_senders")
    address = models.CharField(max_length=ADDRESS_LENGTH)

    class Meta:
        ordering = ["address"]
        constraints = [models.UniqueConstraint(fields=["viewer", "address"], name="image_sender_once")]

    def __str__(self) -> str:
        return self.address


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


class Receipt(models.Model):
    """A message that a mail server delivered to an account, remembered so that it is not filed twice when it comes again."""

    account = models.ForeignKey(MailAccount, models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the envelope's sender and the bytes")
    received_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "digest"], name="delivered_once")]

    def __str__(self) -> str:
        return self.digest


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
