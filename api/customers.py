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
from api.errors import about
from api.messages import MessageListView
from customers.changes import change_customer, create_customer
from customers.models import Customer, CustomerQuerySet
from mail.matching import with_customer
from mail.models import MessageQuerySet
from sharing import records
from sharing.modes import modes_of
from sharing.policies import is_ticked, may_tick, tick, untick
from sharing.visibility import listed_once, visible_to


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

    def filter_search(self, customers: CustomerQuerySet, _: str, text: str) -> CustomerQuerySet:
        """Every word in name, company, phone or addresses."""
        return customers.search(text)

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
        """Replace it: what is left out becomes empty, but for the addresses and the owner, which stay."""
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
