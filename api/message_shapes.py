"""How messages look in the API, and what of them may be changed (interface.md, *Shapes*)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import User
from api.base import StrictSerializer
from api.schema import Choice
from customers.models import Customer
from mail.models import Folder, Label, Message, Participant
from mail.reading import html_of, text_of
from sender.models import Outgoing, Recipient

#: Shown to the owner alone (sharing.md, *What a viewer who is not the owner gets*).
OWNER_ONLY = ("bcc", "folder", "labels", "is_read", "is_starred", "status")


class PersonSerializer(serializers.Serializer[Participant]):
    """Somebody in a header."""

    name = serializers.CharField()
    address = serializers.CharField()


class CorrespondentSerializer(serializers.Serializer[Customer]):
    """A lead or contact whose correspondence a message is."""

    id = serializers.IntegerField()
    kind = Choice(Customer.Kind)
    name = serializers.CharField()


class MessageSerializer(serializers.Serializer[Message]):
    """A message in a list. Bcc, folder, labels and marks are the owner's, and null for everybody else."""

    id = serializers.IntegerField()
    mailbox = serializers.IntegerField(source="mailbox_id")
    owner = serializers.IntegerField(source="owner_id")
    direction = Choice(Message.Direction)
    message_id = serializers.CharField()
    subject = serializers.CharField()
    sender = serializers.SerializerMethodField(method_name="get_sender")
    to = serializers.SerializerMethodField()
    cc = serializers.SerializerMethodField()
    bcc = serializers.SerializerMethodField()
    date = serializers.DateTimeField()
    snippet = serializers.CharField()
    customers = serializers.SerializerMethodField()
    thread = serializers.IntegerField(source="thread_id")
    has_attachments = serializers.BooleanField()
    is_private = serializers.BooleanField()
    folder = serializers.IntegerField(source="folder_id", allow_null=True)
    labels = serializers.SerializerMethodField()
    is_read = serializers.BooleanField(allow_null=True)
    is_starred = serializers.BooleanField(allow_null=True)
    status = serializers.SerializerMethodField()

    def get_fields(self) -> dict[str, Any]:
        """The fields; `from` can't be written as a name in Python."""
        fields = super().get_fields()
        return {"from" if name == "sender" else name: field for name, field in fields.items()}

    def to_representation(self, instance: Message) -> dict[str, Any]:
        """The message as the caller may know it."""
        shown: dict[str, Any] = super().to_representation(instance)
        if instance.owner_id != self._caller.pk:
            shown |= dict.fromkeys(OWNER_ONLY)
        return shown

    @property
    def _caller(self) -> User:
        caller: User = self.context["request"].user
        return caller

    @extend_schema_field(PersonSerializer(allow_null=True))
    def get_sender(self, message: Message) -> dict[str, str] | None:
        """The first address in From, null when there is none."""
        if not message.from_address:
            return None
        return {"name": message.from_name, "address": message.from_address}

    @extend_schema_field(PersonSerializer(many=True))
    def get_to(self, message: Message) -> list[dict[str, str]]:
        """The addresses in To."""
        return _people(message, Participant.Role.TO)

    @extend_schema_field(PersonSerializer(many=True))
    def get_cc(self, message: Message) -> list[dict[str, str]]:
        """The addresses in Cc."""
        return _people(message, Participant.Role.CC)

    @extend_schema_field(PersonSerializer(many=True, allow_null=True))
    def get_bcc(self, message: Message) -> list[dict[str, str]] | None:
        """The addresses in Bcc; for the owner only."""
        return _people(message, Participant.Role.BCC) if message.owner_id == self._caller.pk else None

    @extend_schema_field(CorrespondentSerializer(many=True))
    def get_customers(self, message: Message) -> list[dict[str, Any]]:
        """The leads and contacts whose correspondence it is."""
        found: list[Customer] = self.context["correspondents"][message.pk]
        return [{"id": customer.pk, "kind": customer.kind, "name": customer.name} for customer in found]

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField(), allow_null=True))
    def get_labels(self, message: Message) -> list[int] | None:
        """The ids of the labels; for the owner only."""
        if message.owner_id != self._caller.pk:
            return None
        return [label.pk for label in message.labels.all()]

    @extend_schema_field(Choice(Outgoing.Status, allow_null=True))
    def get_status(self, message: Message) -> str | None:
        """How far the sending of what the caller wrote here is; null for everything else."""
        outgoing = _outgoing(message)
        return outgoing.status if outgoing and message.owner_id == self._caller.pk else None


class AttachmentSerializer(serializers.Serializer[Any]):
    """A part that can be downloaded; `size` in bytes."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    content_type = serializers.CharField()
    size = serializers.IntegerField()


class RecipientSerializer(serializers.Serializer[Any]):
    """How far delivery to a recipient is, with the words of the server."""

    address = serializers.CharField()
    state = Choice(Recipient.State)
    words = serializers.CharField()


class DeliverySerializer(serializers.Serializer[Outgoing]):
    """What became of a message that was written here: for its owner alone. `revision` is that of a draft's last save."""

    revision = serializers.IntegerField()
    words = serializers.CharField(help_text="What went wrong last, with the server's own words.")
    attempts = serializers.IntegerField()
    due_at = serializers.DateTimeField(allow_null=True, help_text="When it is tried, or tried again.")
    recipients = RecipientSerializer(many=True)


class MessageDetailSerializer(MessageSerializer):
    """A message that was opened."""

    text = serializers.SerializerMethodField()
    html = serializers.SerializerMethodField()
    attachments = serializers.SerializerMethodField()
    delivery = serializers.SerializerMethodField()

    def get_text(self, message: Message) -> str:
        """The readable text."""
        draft = draft_of(message)
        return draft.text if draft else text_of(message)

    @extend_schema_field(AttachmentSerializer(many=True))
    def get_attachments(self, message: Message) -> Any:
        """The parts that can be downloaded."""
        draft = draft_of(message)
        files = draft.files.all() if draft else message.attachments.all()
        return AttachmentSerializer(files, many=True).data

    @extend_schema_field(DeliverySerializer(allow_null=True))
    def get_delivery(self, message: Message) -> Any:
        """What became of what the caller wrote here; null for everything else."""
        outgoing = _outgoing(message)
        is_own = outgoing is not None and message.owner_id == self._caller.pk
        return DeliverySerializer(outgoing).data if is_own else None

    def get_html(self, message: Message) -> str:
        """Sanitised HTML; remote images only when asked for."""
        draft = draft_of(message)
        if draft is not None:
            return draft.html
        return html_of(message, images=self.context["request"].query_params.get("images") == "1")


class _OwnChoice(serializers.PrimaryKeyRelatedField[Any]):
    """The id of one of the caller's own folders or labels; any other id is unknown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(pk_field=serializers.IntegerField(), **options)

    def get_queryset(self) -> QuerySet[Any]:
        """The caller's."""
        return super().get_queryset().filter(account__user=self.context["request"].user)  # type: ignore[union-attr]


class MessageChangeSerializer(StrictSerializer):
    """What the owner can change of a message."""

    folder = _OwnChoice(queryset=Folder.objects.select_related("account"), required=False)
    labels = serializers.ListField(
        child=_OwnChoice(queryset=Label.objects.select_related("account")), required=False, max_length=100
    )
    is_read = serializers.BooleanField(required=False)
    is_starred = serializers.BooleanField(required=False)
    is_private = serializers.BooleanField(required=False)


class ThreadSerializer(StrictSerializer):
    """A conversation of the caller's."""

    id = serializers.IntegerField(read_only=True)
    is_private = serializers.BooleanField()


class ColleagueSerializer(serializers.Serializer[User]):
    """A colleague, by name."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class VisibilitySerializer(serializers.Serializer[Any]):
    """Why the caller sees a message: the line of the rule, in words; for its owner also who else does."""

    visible = serializers.BooleanField()
    rule = serializers.IntegerField()
    reason = serializers.CharField()
    setting = serializers.CharField(help_text="What made it so, for the owner what decides about colleagues.")
    viewers = ColleagueSerializer(many=True, allow_null=True)


class OpeningSerializer(serializers.Serializer[Any]):
    """Somebody opened a message."""

    viewer = ColleagueSerializer(source="actor", allow_null=True)
    at = serializers.DateTimeField()


def draft_of(message: Message) -> Outgoing | None:
    """The draft that a message is, None if it is none; only its owner sees such a one."""
    outgoing = _outgoing(message)
    return outgoing if outgoing is not None and outgoing.status == Outgoing.Status.DRAFT else None


def _outgoing(message: Message) -> Outgoing | None:
    return getattr(message, "outgoing", None)


def _people(message: Message, role: Participant.Role) -> list[dict[str, str]]:
    return [
        {"name": participant.name, "address": participant.address}
        for participant in message.participants.all()
        if participant.role == role
    ]
