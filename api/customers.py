"""`leads/` and `contacts/`: customers, their mail, and the Share Email tick (R22, R27–R30)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.mailboxes import NotPossible
from accounts.models import ADDRESS_LENGTH
from api.base import ApiListView, ApiView, ColleagueField, StrictSerializer
from api.errors import about, flat
from api.filtering import IdFilter
from api.messages import MessageListView
from customers.changes import change_customer, create_customer
from customers.models import Customer, CustomerQuerySet
from customers.syncing import MOST, Outcome, Upsert, upsert
from mail.matching import with_customer
from mail.models import MessageQuerySet
from sharing import records
from sharing.modes import modes_of
from sharing.policies import is_ticked, may_tick, tick, untick
from sharing.visibility import listed_once, visible_to

_LONGEST_ID = 200


class AddressSerializer(StrictSerializer):
    """An address of a customer; the first one is the primary one unless another says so."""

    address = serializers.CharField(max_length=ADDRESS_LENGTH)
    is_primary = serializers.BooleanField(required=False)


class CustomerSerializer(StrictSerializer):
    """A lead or contact. `emails` is the whole list; `keep_earlier_mail` keeps what leaves it as secondary (R29)."""

    id = serializers.IntegerField(read_only=True)
    first_name = serializers.CharField(max_length=100, required=False, allow_blank=True)
    last_name = serializers.CharField(max_length=100)
    company = serializers.CharField(max_length=200, required=False, allow_blank=True)
    phone = serializers.CharField(max_length=50, required=False, allow_blank=True)
    notes = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    external_id = serializers.CharField(read_only=True, help_text="By which another CRM knows it.")
    owner = ColleagueField(required=False, allow_null=True, help_text="A colleague; at first the caller.")
    emails = AddressSerializer(many=True, source="addresses", required=False)
    keep_earlier_mail = serializers.BooleanField(write_only=True, required=False)

    def validate_emails(self, emails: list[dict[str, Any]]) -> list[str]:
        """The addresses, the primary one first."""
        if len([email for email in emails if email.get("is_primary")]) > 1:
            raise ValidationError("Only one address can be the primary one.")
        return [email["address"] for email in sorted(emails, key=lambda email: not email.get("is_primary"))]


class CustomerFilter(filters.FilterSet):
    """Which customers are listed."""

    search = filters.CharFilter(method="filter_search", max_length=500)
    email = filters.CharFilter(method="filter_email", max_length=ADDRESS_LENGTH)
    owner = IdFilter(field_name="owner")

    def filter_search(self, customers: CustomerQuerySet, _: str, text: str) -> CustomerQuerySet:
        """Every word in name, company, phone or addresses."""
        return customers.search(text, self.request.user.organization)

    def filter_email(self, customers: CustomerQuerySet, _: str, address: str) -> CustomerQuerySet:
        """Exactly this address, primary or secondary."""
        return customers.with_address(address)


class _CustomerView(ApiView):
    #: Leads or contacts; set for each address in `api.urls`.
    kind = Customer.Kind.LEAD
    serializer_class: Any = CustomerSerializer
    queryset: Any = Customer.objects.none()
    ordering: tuple[str, ...] = ("last_name", "first_name", "id")

    def customers(self) -> CustomerQuerySet:
        """The leads, or contacts, of the caller's organisation."""
        return Customer.objects.for_organization(self.caller.organization).of_kind(self.kind)

    def get_queryset(self) -> QuerySet[Any]:
        """The same, with what is shown of them."""
        return self.customers().prefetch_related("addresses")

    def upserted(self, given: list[Upsert]) -> list[Outcome]:
        """What became of each; a new record is the caller's unless it says otherwise."""
        return upsert(self.caller.organization, given, new={"owner": self.caller})

    def customer(self, pk: int) -> Customer:
        """One of them, 404 otherwise."""
        return get_object_or_404(self.customers(), pk=pk)


class Customers(ApiListView, _CustomerView):
    """All of them, and new ones."""

    filterset_class = CustomerFilter

    @extend_schema(responses={201: CustomerSerializer})
    def post(self, request: Request) -> Response:
        """Add one; mail already stored from or to its addresses appears on it."""
        given: dict[str, Any] = {"addresses": [], "owner": self.caller} | self.checked(request)
        given.pop("keep_earlier_mail", None)
        with about("emails"):
            customer = create_customer(organization=self.caller.organization, kind=self.kind, **given)
        return self.shown(customer, status=201)


class CustomerDetail(_CustomerView):
    """One lead or contact."""

    def get(self, _request: Request, pk: int) -> Response:
        """Show it."""
        return self.shown(self.customer(pk))

    def put(self, request: Request, pk: int) -> Response:
        """Replace it: what is left out becomes empty, but for addresses, owner and notes, which stay."""
        customer = self.customer(pk)
        return self._changed(customer, {"first_name": "", "company": "", "phone": ""} | self.checked(request))

    def patch(self, request: Request, pk: int) -> Response:
        """Change what is given."""
        customer = self.customer(pk)
        return self._changed(customer, self.checked(request, partial=True))

    def delete(self, _request: Request, pk: int) -> Response:
        """Delete it. Its mail stays with its owners and is no longer shared on its account."""
        records.delete(self.caller, self.customer(pk))
        return Response(status=204)

    def _changed(self, customer: Customer, given: dict[str, Any]) -> Response:
        with about("emails"):
            return self.shown(change_customer(customer, **given))


class CustomerByExternalId(_CustomerView):
    """The record that another CRM knows by this id."""

    def get(self, _request: Request, external_id: str) -> Response:
        """Show it."""
        return self.shown(self._found(external_id))

    @extend_schema(responses={200: CustomerSerializer, 201: CustomerSerializer})
    def put(self, request: Request, external_id: str) -> Response:
        """Create it, or change what is given; sent again, it changes nothing.

        A record without an external id that alone has one of the addresses is taken for it and gets the id. A lead that
        is sent as a contact becomes one.
        """
        if len(external_id) > _LONGEST_ID:
            raise ValidationError({"external_id": [f"At most {_LONGEST_ID} characters."]})
        (outcome,) = self.upserted([_upsert(external_id, self.checked(request), self.kind)])
        if outcome.customer is None:
            raise ValidationError(outcome.errors)
        return self.shown(outcome.customer, status=201 if outcome.status == "created" else 200)

    def delete(self, _request: Request, external_id: str) -> Response:
        """Delete it."""
        records.delete(self.caller, self._found(external_id))
        return Response(status=204)

    def _found(self, external_id: str) -> Customer:
        return get_object_or_404(self.customers(), external_id=external_id)


class UpsertSerializer(CustomerSerializer):
    """A record as another CRM knows it."""

    external_id = serializers.CharField(max_length=_LONGEST_ID)


class BulkSerializer(StrictSerializer):
    """Many of them."""

    records = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=MOST)


class OutcomeSerializer(StrictSerializer):
    """What became of one of them: `created`, `updated`, `unchanged`, or `error` with `errors` by field."""

    external_id = serializers.CharField(allow_null=True)
    id = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(["created", "updated", "unchanged", "error"])
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField())
    )


class CustomersBulk(_CustomerView):
    """Many records kept in step with another CRM at once."""

    @extend_schema(request=BulkSerializer, responses=OutcomeSerializer(many=True))
    def post(self, request: Request) -> Response:
        """Do for each of `records` what PUT by external id does; in their order, what became of it.

        Those that are refused change nothing and don't keep the others from being saved.
        """
        bulk = BulkSerializer(data=request.data, context=self.get_serializer_context())
        bulk.is_valid(raise_exception=True)
        outcomes: list[Outcome | None] = []
        given: list[Upsert] = []
        for each in bulk.validated_data["records"]:
            record = UpsertSerializer(data=each, context=self.get_serializer_context())
            if record.is_valid():
                fields = dict(record.validated_data)
                given.append(_upsert(fields.pop("external_id"), fields, self.kind))
                outcomes.append(None)
            else:
                outcomes.append(Outcome("error", errors=flat(record.errors)))
        with about("records"):
            done = iter(self.upserted(given))
        ids = (each.get("external_id") for each in bulk.validated_data["records"])
        return Response(
            [
                {
                    "external_id": external_id if isinstance(external_id, str) else None,
                    "id": outcome.customer.pk if outcome.customer else None,
                    "status": outcome.status,
                    "errors": outcome.errors,
                }
                for external_id, outcome in zip(ids, (each or next(done) for each in outcomes), strict=True)
            ]
        )


def _upsert(external_id: str, fields: dict[str, Any], kind: Customer.Kind) -> Upsert:
    addresses, keep = fields.pop("addresses", None), fields.pop("keep_earlier_mail", True)
    return Upsert(external_id, {**fields, "kind": kind}, addresses, keep)


class LeadConversion(_CustomerView):
    """A lead that becomes a contact."""

    @extend_schema(request=None)
    def post(self, _request: Request, pk: int) -> Response:
        """Convert it: it keeps its id, mail and shares, and is found among the contacts; 409 for one that is a contact."""
        return self.shown(records.convert(self.caller, self.customer(pk)).customer)


class MergeSerializer(StrictSerializer):
    """The record that becomes part of this one: a lead or contact."""

    other = serializers.IntegerField(min_value=1)


class CustomerMerge(_CustomerView):
    """Two records that are one person."""

    @extend_schema(request=MergeSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Merge `other` into this one, which keeps its fields and is given what it lacks; shares of both stay."""
        kept = self.customer(pk)
        given = MergeSerializer(data=request.data, context=self.get_serializer_context())
        given.is_valid(raise_exception=True)
        everybody = Customer.objects.for_organization(self.caller.organization)
        other = everybody.filter(pk=given.validated_data["other"]).first()
        if other is None:
            raise ValidationError({"other": ["There is no such record."]})
        with about("other"):
            return self.shown(records.merge(self.caller, kept, other).customer)


class CustomerEmails(MessageListView, _CustomerView):
    """The *Emails* related list: mail with the customer that the caller may see, each message once (R30)."""

    filter_backends: Any = ()
    ordering = MessageListView.ordering

    def get_queryset(self) -> MessageQuerySet:
        """Messages whose correspondent it is."""
        seen = visible_to(self.caller).not_discarded()
        theirs = with_customer(seen, self.customer(self.kwargs["pk"]))
        return self.prepared(listed_once(theirs, self.caller))


class TickSerializer(StrictSerializer):
    """The *Share Email* tick."""

    shared = serializers.BooleanField(read_only=True)


class CustomerShareEmails(_CustomerView):
    """The caller's own *Share Email* tick on the record; 409 when none of their mailboxes is Custom (R21, R22)."""

    serializer_class = TickSerializer

    def get(self, _request: Request, pk: int) -> Response:
        """Whether it is ticked."""
        customer = self.customer(pk)
        if not may_tick(self.caller, modes_of(self.caller.organization)):
            raise NotPossible("Share Email works with Custom sharing only, and none of your mailboxes uses it.")
        return Response({"shared": is_ticked(self.caller, customer)})

    def put(self, request: Request, pk: int) -> Response:
        """Tick it; the body is `{}`."""
        customer = self.customer(pk)
        self.checked(request)
        tick(self.caller, customer)
        return Response({"shared": True})

    @extend_schema(responses={204: None})
    def delete(self, _request: Request, pk: int) -> Response:
        """Untick it."""
        untick(self.caller, self.customer(pk))
        return Response(status=204)
