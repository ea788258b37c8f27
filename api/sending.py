"""Writing and sending by programs: `POST messages/`, drafts, replies, and what becomes of them (R24, R35–R37).

What a program sends is due at once: undoing is for people.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.mailboxes import NotPossible
from api.base import ApiView
from api.message_shapes import MessageDetailSerializer
from api.messages import MessageAccess, MessageDetail, Messages, MessageView
from api.sending_shapes import (
    AllowanceSerializer,
    NewMessageSerializer,
    ReplySerializer,
    SettleSerializer,
    WrittenChangeSerializer,
)
from mail.models import Message
from mail.threads import id_key
from sender.composing import answer_with, save_draft, start_draft
from sender.files import MAX_FILES_BYTES, attach, detach
from sender.limits import allowance
from sender.models import Outgoing
from sender.sending import send, settle_unknown, take_back, try_again
from sharing.visibility import visible_to

_MAX_ID = 2**63 - 1
#: What `sender.composing` takes of a body.
_FIELDS = ("to", "cc", "bcc", "subject", "text", "html", "mailbox")


class _Writing(MessageAccess):
    """Takes what is written, as JSON or, with files, as a form."""

    parser_classes = [JSONParser, MultiPartParser]

    @property
    def most_bytes(self) -> int:
        """More for a form, which holds files."""
        is_form = str(self.request.content_type).startswith("multipart/")
        return super().most_bytes + (MAX_FILES_BYTES if is_form else 0)

    def outgoing(self, pk: int) -> Outgoing:
        """What the caller wrote; 404 for what is not theirs, 409 for what was not written here."""
        outgoing = Outgoing.objects.owned_by(self.caller).filter(pk=self.own(pk).pk).first()
        if outgoing is None:
            raise NotPossible("This message was not written here.")
        return outgoing

    def answer(self, outgoing: Outgoing, status: int = 202) -> Response:
        """The message as it is now."""
        response = self.opened(self.visible(outgoing.pk))
        response.status_code = status
        return response

    def finished(self, draft: Outgoing, given: dict[str, Any]) -> Response:
        """Put the files into a new draft, and send it unless it is to stay one; all in the caller's transaction."""
        _attach(draft, given)
        return self.answer(draft, 201) if given["draft"] else self.answer(send(draft, undo_seconds=0))


class WritableMessages(_Writing, Messages):
    """What the caller may see; and the way to send."""

    @extend_schema(request=NewMessageSerializer, responses={202: MessageDetailSerializer, 201: MessageDetailSerializer})
    def post(self, request: Request) -> Response:
        """Send a message from the caller's active mailbox, or from `mailbox`; with `draft` keep it in Drafts (201).

        202: it is queued; its `status` tells how it goes on. 429: the organisation has sent enough for today.
        """
        given = self.read(request, NewMessageSerializer)
        with transaction.atomic():
            if "in_reply_to" in given:
                draft = answer_with(self.caller, self._answered(given["in_reply_to"]), **_written(given))
            else:
                # Programs write their signature themselves.
                draft = start_draft(self.caller, **({"text": ""} if "html" not in given else {}) | _written(given))
            return self.finished(draft, given)

    def _answered(self, name: str) -> Message:
        """The message with this id or Message-ID that the caller may see, their own copy first."""
        seen = visible_to(self.caller).select_related("owner")
        if name.isascii() and name.isdecimal():
            message = seen.filter(pk=min(int(name), _MAX_ID)).first()
        else:
            copies = seen.filter(message_id=id_key(name.strip().strip("<>")))
            message = copies.filter(owner=self.caller).first() or copies.first()
        if message is None:
            raise ValidationError({"in_reply_to": ["There is no such message."]})
        return message


class WritableMessage(_Writing, MessageDetail):
    """One message; a draft can be written on."""

    @extend_schema(request=WrittenChangeSerializer)
    def patch(self, request: Request, pk: int) -> Response:
        """Move, label, mark or keep private one's own message; write on one's own draft, 409 if it is none any more."""
        message = self.own(pk)
        given = self.read(request, WrittenChangeSerializer, partial=True)
        written = [name for name in (*_FIELDS, "attachments", "revision") if name in given]
        draft = Outgoing.objects.owned_by(self.caller).filter(pk=pk).first()
        if written and draft is None:
            raise ValidationError({name: ["Only a draft can be written on."] for name in written})
        with transaction.atomic():
            if written and draft is not None:
                save_draft(draft, given.get("revision", draft.revision), **_written(given))
                _attach(draft, given)
            self.change(message, given)
        return self.opened(self.visible(pk))


class MessageReply(_Writing, MessageView):
    """Answering a message that the caller may see, own or shared."""

    @extend_schema(request=ReplySerializer, responses={202: MessageDetailSerializer, 201: MessageDetailSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Reply from the caller's own mailbox; what is given is all that is sent, nothing is quoted."""
        message = self.visible(pk)
        given = self.read(request, ReplySerializer)
        with transaction.atomic():
            draft = answer_with(self.caller, message, to_all=given["reply_all"], **_written(given))
            return self.finished(draft, given)


class MessageSend(_Writing, MessageView):
    """Sending a draft."""

    @extend_schema(request=None, responses={202: MessageDetailSerializer})
    def post(self, _request: Request, draft: int) -> Response:
        """Send it as it was last saved; 400 names the field that stands in the way."""
        return self.answer(send(self.outgoing(draft), undo_seconds=0))


class MessageTakeBack(_Writing, MessageView):
    """Undoing."""

    @extend_schema(request=None, responses={200: MessageDetailSerializer})
    def post(self, _request: Request, queued: int) -> Response:
        """Make a message that nobody has got a draft again; 409 if it is too late."""
        return self.answer(take_back(self.outgoing(queued)), 200)


class MessageTryAgain(_Writing, MessageView):
    """Another try."""

    @extend_schema(request=None, responses={202: MessageDetailSerializer})
    def post(self, _request: Request, refused: int) -> Response:
        """Try at once to reach everybody who has not got it, refused or not."""
        return self.answer(try_again(self.outgoing(refused)))


class MessageSettle(_Writing, MessageView):
    """A message whose `status` is `unknown`."""

    @extend_schema(request=SettleSerializer, responses={202: MessageDetailSerializer})
    def post(self, request: Request, doubtful: int) -> Response:
        """Say that it arrived, or have it sent once more."""
        self.own(doubtful)
        arrived = self.read(request, SettleSerializer)["arrived"]
        return self.answer(settle_unknown(self.outgoing(doubtful), arrived=arrived))


class DraftFileDetail(_Writing, MessageView):
    """A file in a draft; it is downloaded like any attachment."""

    @extend_schema(responses={204: None})
    def delete(self, _request: Request, draft: int, file: int) -> Response:
        """Take it out; 409 if the message is no draft any more."""
        detach(get_object_or_404(self.outgoing(draft).files, pk=file))
        return Response(status=204)


class SendingLimit(ApiView):
    """The day's limit."""

    serializer_class = AllowanceSerializer
    pagination_class = None
    filter_backends = ()

    @extend_schema(operation_id="sending_limit_retrieve")
    def get(self, _request: Request) -> Response:
        """How many recipients the organisation may still send to today."""
        return self.shown(allowance(self.caller.organization))


def _written(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in _FIELDS if name in given}


def _attach(draft: Outgoing, given: dict[str, Any]) -> None:
    for file in given.get("attachments", ()):
        attach(draft, file.name or "file", file.read(), file.content_type or "")
