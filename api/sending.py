"""Writing and sending by programs: `POST messages/`, drafts, replies, and what becomes of them (R24, R35–R37).

What a program sends is due at once: undoing is for people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox
from api.base import ApiView
from api.message_shapes import MessageDetailSerializer
from api.messages import MessageAccess, MessageDetail, Messages, MessageView
from api.sending_shapes import (
    AllowanceSerializer,
    ForwardSerializer,
    NewMessageSerializer,
    ReplySerializer,
    SettleSerializer,
    WhyNotSerializer,
    WrittenChangeSerializer,
)
from mail.models import Message
from mail.threads import id_key
from sender.composing import answer_with, forward_with, save_draft, start_draft
from sender.files import MAX_FILES_BYTES, attach, detach
from sender.limits import allowance
from sender.models import Outgoing
from sender.once import once
from sender.sending import send, settle_unknown, take_back, try_again
from sharing.audit import record_opening
from sharing.visibility import visible_to

_MAX_ID = 2**63 - 1
#: What `sender.composing` takes of a body.
_FIELDS = ("to", "cc", "bcc", "subject", "text", "html", "mailbox")
_KEY = "Idempotency-Key"
_MAX_KEY_CHARS = 255


def _sends(serializer: type[Any]) -> Callable[..., Any]:
    """The description of an operation that sends, once for a key."""
    return extend_schema(
        request=serializer,
        responses={
            202: MessageDetailSerializer,
            201: MessageDetailSerializer,
            422: OpenApiResponse(WhyNotSerializer, "The key came before, with another body."),
        },
        parameters=[
            OpenApiParameter(
                _KEY,
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="A word of your own for this one wish, such as a UUID. Sent again within 24 hours with the "
                "same body, it is answered with the same message, and nothing is sent twice.",
            )
        ],
    )


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

    def finished(self, begin: Callable[[], Outgoing], given: dict[str, Any]) -> Response:
        """Begin a draft, put the files into it, and send it unless it is to stay one: all or nothing, once for a key."""

        def do() -> Outgoing:
            draft = begin()
            _attach(draft, given)
            return draft if given["draft"] else send(draft, undo_seconds=0)

        key = _key(self.request)
        with transaction.atomic():
            made = once(self.caller, key, _digest(self.request, given), do) if key else do()
        return self.answer(made, 201 if given["draft"] else 202)

    def answered(self, message: Message) -> Message:
        """The message that is answered or forwarded; a colleague's was read for that (R26).

        Raises:
            NotPossible: it is the caller's own and was not sent yet.
        """
        if message.is_draft:
            raise NotPossible("This message was not sent yet. Only what was sent or received is answered or forwarded.")
        record_opening(self.caller, message, again=False)
        return message


class WritableMessages(_Writing, Messages):
    """What the caller may see; and the way to send."""

    @_sends(NewMessageSerializer)
    def post(self, request: Request) -> Response:
        """Send a message from the caller's active mailbox, or from `mailbox`; with `draft` keep it in Drafts (201).

        202: it is queued; its `status` tells how it goes on. 429: the organisation has sent enough for today.
        """
        given = self.read(request, NewMessageSerializer)

        def begin() -> Outgoing:
            if "in_reply_to" in given:
                return answer_with(self.caller, self.answered(self._named(given["in_reply_to"])), **_written(given))
            # Programs write their signature themselves.
            return start_draft(self.caller, **({"text": ""} if "html" not in given else {}) | _written(given))

        return self.finished(begin, given)

    def _named(self, name: str) -> Message:
        """The message with this id or Message-ID that the caller may see, their own copy first."""
        seen = visible_to(self.caller).select_related("owner", "mailbox")
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

    @_sends(ReplySerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Reply from the caller's own mailbox; what is given is all that is sent, nothing is quoted."""
        given = self.read(request, ReplySerializer)
        written = {"to_all": given["reply_all"], **_written(given)}
        return self.finished(lambda: answer_with(self.caller, self.answered(self.visible(pk)), **written), given)


class MessageForward(_Writing, MessageView):
    """Handing on a message that the caller may see, own or shared."""

    @_sends(ForwardSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Forward it from the caller's own mailbox, with its header, text and attachments below what is given."""
        given = self.read(request, ForwardSerializer)
        written = _written(given)
        return self.finished(lambda: forward_with(self.caller, self.answered(self.visible(pk)), **written), given)


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


def _key(request: Request) -> str:
    """The key that the header holds, as a structured string in quotes (RFC 8941) or bare; empty without one.

    Raises:
        ValidationError: it is empty, too long, or holds what is no ASCII that can be seen.
    """
    given = request.headers.get(_KEY)
    if given is None:
        return ""
    key = given.strip()
    if len(key) > 1 and key.startswith('"') and key.endswith('"'):
        key = key[1:-1]
    if not key or len(key) > _MAX_KEY_CHARS or not (key.isascii() and key.isprintable()):
        raise ValidationError({_KEY: [f"Give 1 to {_MAX_KEY_CHARS} printable ASCII characters."]})
    return key


def _digest(request: Request, given: dict[str, Any]) -> str:
    """Tells what is asked for: the address, and all that is given, with the bytes of files."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mailbox):
            return value.pk
        assert isinstance(value, UploadedFile)  # noqa: S101 - nothing else is written
        hashed = hashlib.sha256()
        for chunk in value.chunks():
            hashed.update(chunk)
        value.seek(0)
        return [value.name, value.content_type, hashed.hexdigest()]

    asked = json.dumps([request.path, given], sort_keys=True, default=plain)
    return hashlib.sha256(asked.encode()).hexdigest()


def _attach(draft: Outgoing, given: dict[str, Any]) -> None:
    for file in given.get("attachments", ()):
        attach(draft, file.name or "file", file.read(), file.content_type or "")
