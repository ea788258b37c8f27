"""`messages/` and `threads/`: what the caller may see, and what owners do to their own (R26, R30–R32).

Every way to a message starts from `visible_to`; what only its owner may do, from `owned_by`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from django.utils.http import content_disposition_header
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from django_filters.utils import translate_validation  # type: ignore[import-untyped]
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.mailboxes import NotPossible
from accounts.models import User
from api.base import ApiListView, ApiView
from api.errors import about
from api.filtering import IdFilter, MomentFilter, bound
from api.message_shapes import (
    MessageChangeSerializer,
    MessageDetailSerializer,
    MessageSerializer,
    OpeningSerializer,
    ThreadSerializer,
    VisibilitySerializer,
    draft_of,
)
from api.pagination import CursorPagination, SearchPagination
from mail.deeds import delete_message, label_message, mark_message, move_message
from mail.files import download_type
from mail.matching import correspondents, has_correspondent
from mail.models import Message, MessageQuerySet, Thread
from mail.reading import attachment_bytes, raw_for
from mail.search_query import MAX_CHARS, parse
from mail.walking import Row
from sender.files import read_file
from sharing.audit import openings_of, record_opening
from sharing.policies import keep_private
from sharing.ranking import texts_of
from sharing.searching import Order, Scope, Search, Turn, Where, find, mailboxes_in, search_for, today
from sharing.visibility import Sight, explain, explain_to_colleagues, setting_behind, viewers_of, visible_to


class MessageFilter(filters.FilterSet):
    """Which messages are listed. Folders and labels are the caller's own: they never tell where others keep mail."""

    search = filters.CharFilter(method="filter_search", max_length=MAX_CHARS, strip=False)
    order = filters.ChoiceFilter(choices=[(each.value, each.value) for each in Order], method="filter_order")
    customer = IdFilter(method="filter_customer")
    mailbox = IdFilter(field_name="mailbox")
    folder = IdFilter(method="filter_folder")
    label = IdFilter(method="filter_label")
    thread = IdFilter(field_name="thread")
    direction = filters.ChoiceFilter(choices=Message.Direction.choices)
    since = MomentFilter(method="filter_since")
    until = MomentFilter(method="filter_until")

    @property
    def _caller(self) -> User:
        caller: User = self.request.user
        return caller

    @cached_property
    def asked(self) -> Search:
        """What the search means for the caller (docs/api.md); worked out once, however many lists are narrowed.

        Raises:
            ValidationError: it names what there is not.
        """
        query = parse(self.form.cleaned_data["search"], today(self._caller))
        asked = search_for(self._caller, query, with_trash=True)
        if asked.problems:
            raise ValidationError({"search": list(asked.problems)})
        return asked

    def filter_search(self, messages: MessageQuerySet, _: str, text: str) -> MessageQuerySet:
        """What the words and operators of the search say; one that says nothing finds nothing."""
        if not text.strip():
            return messages
        return self.asked.narrow(messages) if self.asked.words or self.asked.conditions else messages.none()

    def filter_order(self, messages: MessageQuerySet, _: str, order: str) -> MessageQuerySet:
        """What comes first narrows nothing; without a search nothing matches better than another."""
        if order == Order.BEST and not self.data.get("search", "").strip():
            raise ValidationError({"order": ["Only the results of a `search` have a best match."]})
        return messages

    def filter_customer(self, messages: MessageQuerySet, _: str, pk: int) -> MessageQuerySet:
        """Messages whose correspondent it is."""
        return messages.filter(has_correspondent(self._caller.organization_id, customer=pk))

    def filter_folder(self, messages: MessageQuerySet, _: str, pk: int) -> MessageQuerySet:
        """The caller's own messages in a folder of theirs."""
        return messages.filter(owner=self._caller, folder=pk)

    def filter_label(self, messages: MessageQuerySet, _: str, pk: int) -> MessageQuerySet:
        """The caller's own messages with a label of theirs."""
        return messages.filter(owner=self._caller, labels=pk)

    def filter_since(self, messages: MessageQuerySet, _: str, moment: Any) -> MessageQuerySet:
        """Written at this moment or later."""
        return messages.filter(date__gte=bound(moment, self._caller.organization.time_zone, end=False))

    def filter_until(self, messages: MessageQuerySet, _: str, moment: Any) -> MessageQuerySet:
        """Written at this moment or earlier; a day counts whole."""
        return messages.filter(date__lte=bound(moment, self._caller.organization.time_zone, end=True))


class MessageAccess(ApiView):
    """The ways to one message, and what is shown of it."""

    def visible(self, pk: int) -> Message:
        """A message that the caller may see, 404 otherwise."""
        return get_object_or_404(
            visible_to(self.caller).select_related(
                "owner__organization", "mailbox__owner", "thread", "folder", "body", "outgoing"
            ),
            pk=pk,
        )

    def own(self, pk: int) -> Message:
        """A message of the caller's own, 404 otherwise."""
        messages = Message.objects.owned_by(self.caller).select_related("owner", "thread", "folder", "body", "outgoing")
        return get_object_or_404(messages, pk=pk)

    def opened(self, message: Message) -> Response:
        """The message as its page shows it."""
        context = {**self.get_serializer_context(), "correspondents": correspondents([message])}
        return Response(MessageDetailSerializer(message, context=context).data)


class MessageView(MessageAccess):
    """One message."""

    serializer_class: Any = MessageDetailSerializer
    queryset: Any = Message.objects.none()
    filter_backends: Any = ()


class MessageListView(ApiListView):
    """A list of messages, the newest first, in a number of queries that does not depend on how many there are."""

    serializer_class: Any = MessageSerializer
    ordering = ("-date", "-id")

    @staticmethod
    def prepared(messages: MessageQuerySet) -> MessageQuerySet:
        """`messages` with what a list shows of them."""
        written = messages.select_related("outgoing").defer("outgoing__text", "outgoing__html")
        return written.prefetch_related("participants", "labels")

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """The serializer of a page, which knows the correspondents of all its messages."""
        page: Sequence[Message] = args[0] if args and isinstance(args[0], list) else []
        kwargs["context"] = {**self.get_serializer_context(), "correspondents": correspondents(page)}
        return self.get_serializer_class()(*args, **kwargs)


class Messages(MessageListView):
    """What the caller may see, own and shared."""

    queryset: Any = Message.objects.none()
    filterset_class = MessageFilter
    pagination_class: Any = CursorPagination

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One page; what is searched for is looked up in the index, further and further back."""
        if request.query_params.get("search", "").strip():
            self.pagination_class = SearchPagination
        return super().get(request, *args, **kwargs)

    @cached_property
    def sight(self) -> Sight:
        """What the caller may see."""
        return Sight(self.caller)

    def get_queryset(self) -> MessageQuerySet:
        """Everything that is visible to the caller."""
        return self.prepared(self.sight.messages())

    @cached_property
    def _filter(self) -> MessageFilter:
        made: MessageFilter = filters.DjangoFilterBackend().get_filterset(self.request, self.queryset, self)
        if not made.is_valid():
            raise translate_validation(made.errors)
        return made

    def filter_queryset(self, queryset: Any) -> Any:
        """Those of `queryset` that the request asks for; what that means is worked out once."""
        return self._filter.filter_queryset(queryset)

    @property
    def search_order(self) -> Order:
        """What comes first of what is searched for."""
        order = self.request.query_params.get("order")
        return Order(order) if order in set(Order) else Order.NEWEST

    def searched(self, turn: Turn, size: int) -> tuple[list[Row], Turn | None]:
        """So many messages that are searched for, from `turn` on, and where it goes on."""
        asked = self._filter.asked
        mailboxes = mailboxes_in(Scope.MINE if asked.is_own else Scope.ALL, self.sight)
        where = Where(mailboxes, asked.since, asked.before)
        found = find(self.sight.messages(), self.filter_queryset, self.sight, where, turn.place, words=asked.words)
        texts = texts_of(found.rows, asked.words) if self.search_order == Order.BEST else None
        return turn.page(found, size, asked.words, texts)


class MessageDetail(MessageView):
    """One message. Opening somebody else's is noted for its owner."""

    @extend_schema(
        parameters=[OpenApiParameter("images", OpenApiTypes.BOOL, description="`1` keeps remote images in `html`.")]
    )
    def get(self, _request: Request, pk: int) -> Response:
        """Open it."""
        message = self.visible(pk)
        record_opening(self.caller, message)
        return self.opened(message)

    @extend_schema(request=MessageChangeSerializer)
    def patch(self, request: Request, pk: int) -> Response:
        """Move, label, mark or keep private one's own message."""
        message = self.own(pk)
        self.change(message, self.read(request, MessageChangeSerializer, partial=True))
        return self.opened(message)

    def change(self, message: Message, given: Mapping[str, Any]) -> None:
        """Do to a message what is `given`, all or nothing."""
        with transaction.atomic():
            if "folder" in given:
                with about("folder"):
                    move_message(message, given["folder"])
            if "labels" in given:
                label_message(message, given["labels"])
            mark_message(message, is_read=given.get("is_read"), is_starred=given.get("is_starred"))
            if "is_private" in given:
                keep_private(self.caller, message, given["is_private"])

    @extend_schema(responses={204: None})
    def delete(self, _request: Request, pk: int) -> Response:
        """Move one's own message to Trash; from there, delete it for good."""
        delete_message(self.own(pk))
        return Response(status=204)


class _AnyAnswer(BaseContentNegotiation):
    """Bytes are what they are, whatever the request would rather have; errors are JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:  # noqa: ARG002
        """The first one: there is no body."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:  # noqa: ARG002
        """JSON, for errors."""
        return renderers[0], renderers[0].media_type


class MessageRaw(MessageView):
    """The message as it was received; for others than the owner without what sharing.md withholds."""

    content_negotiation_class = _AnyAnswer

    @extend_schema(responses={(200, "message/rfc822"): OpenApiTypes.BINARY})
    def get(self, _request: Request, pk: int) -> HttpResponseBase:
        """Download it."""
        message = self.visible(pk)
        if draft_of(message) is not None:
            raise NotPossible("A draft has no original: it is written when it is sent.")
        record_opening(self.caller, message)
        return _download(raw_for(self.caller, message), f"message-{message.pk}.eml", "message/rfc822")


class MessageAttachment(MessageView):
    """The bytes of an attachment."""

    content_negotiation_class = _AnyAnswer

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, _request: Request, pk: int, attachment: int) -> HttpResponseBase:
        """Download it, always as an attachment, never as a page of ours."""
        message = self.visible(pk)
        draft = draft_of(message)
        if draft is not None:
            file = get_object_or_404(draft.files, pk=attachment)
            return _download(read_file(file), file.name, download_type(file.content_type))
        found = get_object_or_404(message.attachments, pk=attachment)
        record_opening(self.caller, message)
        return _download(attachment_bytes(found), found.name, download_type(found.content_type))


class MessageVisibility(MessageView):
    """*Why can I see this?* and, for its owner, *who can see this?* (R26)"""

    serializer_class = VisibilitySerializer

    def get(self, _request: Request, pk: int) -> Response:
        """Explain it."""
        message = self.visible(pk)
        verdict = explain(self.caller, message)
        is_owner = message.owner_id == self.caller.pk
        decisive = explain_to_colleagues(message) if is_owner else verdict
        return self.shown(
            {
                "visible": verdict.visible,
                "rule": verdict.line,
                "reason": verdict.reason,
                "setting": setting_behind(message, decisive.line),
                "viewers": viewers_of(message) if is_owner else None,
            }
        )


class MessageOpenings(ApiListView, MessageView):
    """*Who has opened this?*, for its owner, the latest first (R26)."""

    serializer_class = OpeningSerializer
    ordering = ("-at", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        """The openings of the caller's own message."""
        return openings_of(self.own(self.kwargs["pk"]))


class ThreadDetail(ApiView):
    """A conversation of the caller's own."""

    serializer_class = ThreadSerializer
    queryset = Thread.objects.none()

    def patch(self, request: Request, pk: int) -> Response:
        """Keep all of it from everybody else, or lift that again."""
        thread = get_object_or_404(Thread.objects.filter(owner=self.caller), pk=pk)
        given = self.checked(request)
        keep_private(self.caller, thread, given["is_private"])
        return self.shown(thread)


def _download(data: bytes, name: str, content_type: str) -> HttpResponse:
    """Bytes from outside, which no browser may take for a page of ours."""
    response = HttpResponse(data, content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response
