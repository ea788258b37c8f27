"""`mail-account/`: the caller's CRM Mail account, with its folders and labels (R4)."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.mailboxes import NotPossible
from accounts.models import ADDRESS_LENGTH
from api.base import ApiView, StrictSerializer
from api.errors import about
from api.schema import Choice
from mail.accounts import has_mail_account, open_mail_account, suggested_address
from mail.arranging import Wanted, arrange_folders, arrange_labels, change_address, change_signature
from mail.models import Folder, MailAccount


class FolderSerializer(StrictSerializer):
    """A folder. In a PATCH, one without `id` is a new one; `kind` is there to be read."""

    id = serializers.IntegerField(required=False)
    name = serializers.CharField(max_length=100)
    kind = Choice(Folder.Kind, required=False)


class LabelSerializer(StrictSerializer):
    """A label. In a PATCH, one without `id` is a new one."""

    id = serializers.IntegerField(required=False)
    name = serializers.CharField(max_length=100)
    colour = serializers.RegexField(r"^#[0-9A-Fa-f]{6}$", required=False)


class MailAccountSerializer(StrictSerializer):
    """A CRM Mail account. `folders` and `labels` in a PATCH are the whole lists: what is missing is removed."""

    address = serializers.CharField(source="mailbox.email_address", max_length=ADDRESS_LENGTH, required=False)
    signature = serializers.CharField(max_length=10_000, allow_blank=True, required=False)
    folders = FolderSerializer(many=True, required=False)
    labels = LabelSerializer(many=True, required=False)


class MailAccountView(ApiView):
    """The caller's CRM Mail account; 404 until it is made."""

    serializer_class = MailAccountSerializer
    pagination_class = None

    def _account(self) -> MailAccount:
        accounts = MailAccount.objects.select_related("mailbox", "user__organization")
        return get_object_or_404(accounts.prefetch_related("folders", "labels"), user=self.caller)

    def get(self, _request: Request) -> Response:
        """Show the account."""
        return self.shown(self._account())

    @extend_schema(responses={201: MailAccountSerializer})
    def post(self, request: Request) -> Response:
        """Make the account; without `address`, at the one that is suggested. 409 when it exists."""
        if has_mail_account(self.caller):
            raise NotPossible("You already have a CRM Mail account.")
        given = self.checked(request)
        address = given.get("mailbox", {}).get("email_address") or suggested_address(self.caller)
        with transaction.atomic():
            with about("address"):
                account = open_mail_account(self.caller, address, given.get("signature", ""))
            self._arrange(account, given)
        return self.shown(self._account(), status=201)

    def patch(self, request: Request) -> Response:
        """Change address, signature, folders or labels."""
        account = self._account()
        given = self.checked(request, account, partial=True)
        with transaction.atomic():
            if "mailbox" in given:
                with about("address"):
                    change_address(account, given["mailbox"]["email_address"])
            if "signature" in given:
                change_signature(account, given["signature"])
            self._arrange(account, given)
        return self.shown(self._account())

    @staticmethod
    def _arrange(account: MailAccount, given: dict[str, Any]) -> None:
        if "folders" in given:
            with about("folders"):
                arrange_folders(account, [_wanted(item) for item in given["folders"]])
        if "labels" in given:
            with about("labels"):
                arrange_labels(account, [_wanted(item) for item in given["labels"]])


def _wanted(item: dict[str, Any]) -> Wanted:
    return Wanted(name=item["name"], pk=item.get("id"), colour=item.get("colour"))
