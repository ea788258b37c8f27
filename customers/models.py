"""Leads and contacts and the addresses by which mail finds them (R27)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import ExpressionWrapper, Q, Value
from django.db.models.functions import StrIndex, Substr
from django.utils import timezone

from accounts.addresses import normalize_address
from accounts.internal import is_internal
from accounts.models import ADDRESS_LENGTH, Organization, User

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class CustomerQuerySet(models.QuerySet["Customer"]):
    """Named questions about customers."""

    def for_organization(self, organization: Organization) -> CustomerQuerySet:
        """The customers of one organisation."""
        return self.filter(organization=organization)

    def of_kind(self, kind: str) -> CustomerQuerySet:
        """Leads only, or contacts only."""
        return self.filter(kind=kind)

    def search(self, text: str) -> CustomerQuerySet:
        """Customers in whose name, company, phone or addresses every word of `text` occurs."""
        found = self
        for word in text.split()[:10]:
            address = normalize_address(word) or word.lower()
            found = found.filter(
                Q(first_name__icontains=word)
                | Q(last_name__icontains=word)
                | Q(company__icontains=word)
                | Q(phone__icontains=word)
                | Q(pk__in=CustomerAddress.objects.filter(address__contains=address).values("customer"))
            )
        return found

    def with_address(self, address: str) -> CustomerQuerySet:
        """Customers that have exactly this address, primary or secondary, however it is spelled."""
        return self.filter(
            pk__in=CustomerAddress.objects.filter(address=normalize_address(address) or "").values("customer")
        )


class Customer(models.Model):
    """Somebody outside the organisation whose mail matters to it: a lead, or the contact that a lead became."""

    class Kind(models.TextChoices):
        """How far the relation has come."""

        LEAD = "lead", "Lead"
        CONTACT = "contact", "Contact"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="customers")
    kind = models.CharField(max_length=10, choices=Kind)
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100)
    company = models.CharField(max_length=200, blank=True)
    phone = models.CharField(max_length=50, blank=True)
    notes = models.TextField(blank=True, max_length=20_000)
    owner = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="customers")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = CustomerQuerySet.as_manager()

    if TYPE_CHECKING:
        addresses: RelatedManager[CustomerAddress]

    class Meta:
        ordering = ["last_name", "first_name", "id"]
        indexes = [
            models.Index(
                fields=["organization", "kind", "last_name", "first_name", "id"],
                name="customer_list",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """First and last name, as they are written."""
        return f"{self.first_name} {self.last_name}".strip()


class CustomerAddressQuerySet(models.QuerySet["CustomerAddress"]):
    """Named questions about the addresses of customers."""

    def with_colleagues_marked(self, organization: Organization) -> CustomerAddressQuerySet:
        """The addresses with the column `is_colleagues`: it is internal, so mail with it is never shared."""
        domain = Substr("address", StrIndex("address", Value("@")) + 1)
        internal = ExpressionWrapper(is_internal(organization.pk), output_field=models.BooleanField())
        return self.annotate(domain=domain).annotate(is_colleagues=internal)


class CustomerAddress(models.Model):
    """One normalised address of a customer. The organisation is repeated here for the index that matching uses."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="addresses")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    address = models.CharField(max_length=ADDRESS_LENGTH)
    is_primary = models.BooleanField(default=False)

    objects = CustomerAddressQuerySet.as_manager()

    class Meta:
        ordering = ["-is_primary", "id"]
        indexes = [models.Index(fields=["organization", "address"], name="customer_by_address")]
        constraints = [
            models.UniqueConstraint(fields=["customer", "address"], name="customer_address_once"),
            models.UniqueConstraint(fields=["customer"], condition=Q(is_primary=True), name="one_primary_address"),
        ]

    def __str__(self) -> str:
        return self.address
