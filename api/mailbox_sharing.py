"""`mailboxes/{id}/sharing/`: how far a mailbox is shared, and where customers' mail is put together (R20–R26, R33)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Mailbox
from api.base import StrictSerializer
from api.errors import about
from api.mailboxes import ExcludedDomainsField, MailboxView, SharingModeField, share
from api.schema import Choice
from mail.consolidating import NAME_LENGTH, consolidate, consolidation_of, put_stored, stop_consolidating
from mail.models import Consolidation
from mail.tasks import hint_consolidating
from sharing.modes import standing_of
from sharing.preview import Preview, preview


class FixedSerializer(serializers.Serializer[Any]):
    """That administrators have fixed the mode: why, and which of them."""

    reason = serializers.CharField()
    by = serializers.IntegerField(allow_null=True)


class StoredSerializer(serializers.Serializer[Consolidation]):
    """How far mail that was there before is put in the same place: messages that were looked at and put there."""

    state = Choice(Consolidation.State)
    looked_at = serializers.IntegerField()
    total = serializers.IntegerField()
    put = serializers.IntegerField()


class ConsolidateSerializer(StrictSerializer):
    """Where mail that its owner receives from customers is put together (R33)."""

    enabled = serializers.BooleanField()
    kind = serializers.ChoiceField(["folder", "label"], required=False)
    name = serializers.CharField(
        max_length=NAME_LENGTH, required=False, help_text="Of a new one, or one that is there."
    )
    include_stored = serializers.BooleanField(
        write_only=True, required=False, help_text="Put mail that is there already in the same place, too."
    )
    stored = StoredSerializer(read_only=True, source="*")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Where it is wanted, it needs a place."""
        if attrs["enabled"] and not {"kind", "name"} <= attrs.keys():
            raise ValidationError("Name the kind, folder or label, and its name.")
        return attrs

    def to_representation(self, instance: Consolidation | None) -> dict[str, Any]:
        """What is chosen, None where nothing is."""
        if instance is None:
            return {"enabled": False}
        return {
            "enabled": True,
            "kind": instance.kind,
            "name": instance.name,
            "stored": StoredSerializer(instance).data,
        }


class SharingSerializer(StrictSerializer):
    """How far a mailbox is shared, and where its owner has customers' mail put; what is left out stays as it is."""

    mode = SharingModeField()
    excluded_domains = ExcludedDomainsField(required=False)
    consolidate = ConsolidateSerializer(required=False, help_text="Its owner's alone; null for administrators.")
    fixed = FixedSerializer(read_only=True, allow_null=True)


class PreviewSerializer(serializers.Serializer[Preview]):
    """Messages that would become visible to colleagues or hidden from them, and how many customers' mail they are."""

    becomes_visible = serializers.IntegerField()
    becomes_hidden = serializers.IntegerField()
    customers = serializers.IntegerField()


class _SharingView(MailboxView):
    serializer_class = SharingSerializer

    def change(self, request: Request, mailbox: Mailbox) -> Callable[[], object]:
        """The deed that the body asks for."""
        given = self.checked(request)
        wanted = given.get("consolidate")
        if wanted is not None and mailbox.owner_id != self.caller.pk:
            raise ValidationError({"consolidate": ["Only the owner arranges their mail."]})

        def change() -> None:
            with transaction.atomic():
                share(self.caller, mailbox, given["mode"], given.get("excluded_domains"))
                if wanted is not None:
                    _consolidate(mailbox, wanted)

        return change


class MailboxSharing(_SharingView):
    """The sharing of a mailbox, for its owner and administrators (R20, R25)."""

    def get(self, _request: Request, pk: int) -> Response:
        """Show mode and excluded domains, and the administrators' rule where one has fixed the mode."""
        mailbox = self.mailbox(pk)
        standing = standing_of(mailbox)
        rule = standing.rule
        is_owner = mailbox.owner_id == self.caller.pk
        consolidation = ConsolidateSerializer().to_representation(consolidation_of(mailbox)) if is_owner else None
        return Response(
            {
                "mode": standing.mode,
                "excluded_domains": ExcludedDomainsField().get_attribute(mailbox),
                "consolidate": consolidation,
                "fixed": {"reason": rule.reason, "by": rule.set_by_id} if rule else None,
            }
        )

    def put(self, request: Request, pk: int) -> Response:
        """Choose them; acts on the next request. 409 where administrators have fixed another mode."""
        self.change(request, self.mailbox(pk))()
        return self.get(request, pk)


class MailboxSharingPreview(_SharingView):
    """What a change of sharing would do (R26). Nothing is changed."""

    @extend_schema(responses={200: PreviewSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """How many messages of how many customers would become visible to colleagues, or hidden from them."""
        mailbox = self.mailbox(pk)
        foreseen = preview([mailbox.owner], self.change(request, mailbox))
        return Response(PreviewSerializer(foreseen).data)


def _consolidate(mailbox: Mailbox, wanted: dict[str, Any]) -> None:
    if not wanted["enabled"]:
        stop_consolidating(mailbox)
        return
    with about("consolidate"):
        chosen = consolidate(mailbox, kind=wanted["kind"], name=wanted["name"])
    if wanted.get("include_stored"):
        put_stored(chosen)
        hint_consolidating()
