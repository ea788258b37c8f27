"""How what is written and sent looks in the API (interface.md, `messages/`, *Drafts*)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.utils import html

from accounts.models import Mailbox
from api.base import StrictSerializer
from api.message_shapes import MessageChangeSerializer
from mail.parsing import MAX_HTML_CHARS, MAX_TEXT_CHARS
from sender.composing import MAX_SUBJECT_CHARS, MAX_TYPED_CHARS, identities
from sender.files import MAX_FILES

_PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "address": {"type": "string"}}}
_PEOPLE = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"oneOf": [{"type": "string"}, _PERSON]}}]}


@extend_schema_field(_PEOPLE)
class PeopleField(serializers.Field[str, Any, str, Any]):
    """Recipients: a text as people type it, or a list of such texts or of `{name, address}`. As a form field: repeated."""

    default_error_messages = {"invalid": "Give addresses as a text, or as a list of texts or of {name, address}."}

    def get_value(self, dictionary: Any) -> Any:
        """What the body holds; of a form all values."""
        if html.is_html_input(dictionary) and self.field_name in dictionary:
            return dictionary.getlist(self.field_name)
        return super().get_value(dictionary)

    def to_internal_value(self, data: Any) -> str:
        """As it is typed into a field of the portal.

        Raises:
            ValidationError: it is neither.
        """
        entries = data if isinstance(data, list) else [data]
        typed = ", ".join(self._typed(entry) for entry in entries)
        if len(typed) > MAX_TYPED_CHARS:
            raise serializers.ValidationError(f"At most {MAX_TYPED_CHARS:,} characters fit here.")
        return typed

    def to_representation(self, value: str) -> str:
        """As it was typed."""
        return value

    def _typed(self, entry: Any) -> str:
        if isinstance(entry, str):
            return entry
        if isinstance(entry, Mapping) and set(entry) <= {"name", "address"}:
            name, address = entry.get("name") or "", entry.get("address")
            if isinstance(name, str) and isinstance(address, str):
                escaped = name.replace("\\", "\\\\").replace('"', '\\"')
                return f'"{escaped}" <{address}>' if name else address
        raise serializers.ValidationError(self.error_messages["invalid"])


class OwnIdentityField(serializers.PrimaryKeyRelatedField[Mailbox]):
    """The id of one of the caller's own mailboxes that can be sent from; any other id is unknown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(pk_field=serializers.IntegerField(), queryset=Mailbox.objects.none(), **options)

    def get_queryset(self) -> QuerySet[Mailbox]:
        """*Send Mail As*."""
        return identities(self.context["request"].user)


class _Written(serializers.Serializer[Any]):
    """What is written in a message. Text alone is a plain message; of HTML alone the text is made."""

    to = PeopleField(required=False)
    cc = PeopleField(required=False)
    bcc = PeopleField(required=False)
    subject = serializers.CharField(required=False, allow_blank=True, max_length=MAX_SUBJECT_CHARS)
    text = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False, max_length=MAX_TEXT_CHARS)
    html = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False, max_length=MAX_HTML_CHARS)
    attachments = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True, max_length=1_000),
        required=False,
        max_length=MAX_FILES,
        help_text="As multipart/form-data, repeated.",
    )


class NewMessageSerializer(_Written, StrictSerializer):
    """A message to send, or with `draft` to keep."""

    mailbox = OwnIdentityField(required=False)
    draft = serializers.BooleanField(default=False)
    in_reply_to = serializers.CharField(
        required=False, max_length=1_000, help_text="The id, or the Message-ID, of a message that the caller may see."
    )


class ReplySerializer(_Written, StrictSerializer):
    """A reply: to whom, and its subject, is worked out where it is not given."""

    mailbox = OwnIdentityField(required=False)
    draft = serializers.BooleanField(default=False)
    reply_all = serializers.BooleanField(default=False)


class ForwardSerializer(_Written, StrictSerializer):
    """A forward: `text` or `html` stand above what is forwarded, `attachments` beside its own."""

    mailbox = OwnIdentityField(required=False)
    draft = serializers.BooleanField(default=False)


class WrittenChangeSerializer(_Written, MessageChangeSerializer):
    """What the owner can change of a message; of a draft also what is written, and the mailbox that it goes from.

    `attachments` are added.
    """

    mailbox = OwnIdentityField(required=False)
    revision = serializers.IntegerField(
        required=False, min_value=0, help_text="The draft's, as the caller last saw it: 409 if it was saved since."
    )


class SettleSerializer(StrictSerializer):
    """What the sender says of a message whose delivery is doubtful; one that has not arrived is sent once more."""

    arrived = serializers.BooleanField()


class WhyNotSerializer(serializers.Serializer[Any]):
    """Why something was not done."""

    detail = serializers.CharField()


class AllowanceSerializer(serializers.Serializer[Any]):
    """How many recipients the organisation may send to today (R37)."""

    limit = serializers.IntegerField()
    used = serializers.IntegerField()
    remaining = serializers.IntegerField()
    resets_at = serializers.DateTimeField()
