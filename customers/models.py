"""Leads and contacts and the addresses by which mail finds them (R27)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from django.db import models
from django.db.models import Case, Exists, ExpressionWrapper, OuterRef, Q, Value, When
from django.db.models.functions import StrIndex, Substr, Upper
from django.urls import reverse
from django.utils import timezone

from accounts.addresses import normalize_address
from accounts.internal import is_internal
from accounts.models import ADDRESS_LENGTH, Organization, User

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

#: So long a conversion, deletion or merge can be undone.
UNDO_FOR = timedelta(days=1)
_MOST_MERGES = 20
#: How lists are sorted; each has its index, so that a page does not sort all records.
_ORDERS: dict[str, tuple[Any, ...]] = {
    "name": ("last_name", "first_name", "id"),
    "company": (Case(When(company="", then=1), default=0), "company", "last_name", "first_name", "id"),
    "newest": ("-created_at", "-id"),
}


def _spellings(word: str) -> set[str]:
    """`word` as names are written: in lower case, in capitals, or with one.

    Of ASCII letters every database knows both cases; of others SQLite does not, nor PostgreSQL in the locale C.
    """
    return {word} if word.isascii() else {word, word.lower(), word.upper(), word.title()}


class CustomerQuerySet(models.QuerySet["Customer"]):
    """Named questions about customers."""

    def for_organization(self, organization: Organization) -> CustomerQuerySet:
        """The customers of one organisation."""
        return self.filter(organization=organization)

    def of_kind(self, kind: str) -> CustomerQuerySet:
        """Leads only, or contacts only."""
        return self.filter(kind=kind)

    def search(self, text: str, organization: Organization) -> CustomerQuerySet:
        """Customers of one organisation in whose name, company, phone or addresses every word of `text` occurs."""
        found = self.for_organization(organization)
        addresses = CustomerAddress.objects.filter(organization=organization)
        for word in text.split()[:10]:
            address = normalize_address(word) or word.lower()
            fits = Q(pk__in=addresses.filter(address__contains=address).values("customer"))
            for column in ("first_name", "last_name", "company", "phone"):
                for spelling in _spellings(word):
                    fits |= Q(**{f"{column}__icontains": spelling})
            found = found.filter(fits)
        return found

    def in_order(self, order: str) -> CustomerQuerySet:
        """By `name`, by `company` (those without one last), or the `newest` first."""
        return self.order_by(*_ORDERS.get(order, _ORDERS["name"]))

    def with_address(self, address: str) -> CustomerQuerySet:
        """Customers that have exactly this address, primary or secondary, however it is spelled."""
        return self.filter(
            pk__in=CustomerAddress.objects.filter(address=normalize_address(address) or "").values("customer")
        )

    def sharing_an_address(self, customer: Customer) -> CustomerQuerySet:
        """The others that have an address of `customer` too."""
        theirs = CustomerAddress.objects.filter(customer=customer).values("address")
        same = CustomerAddress.objects.filter(organization=customer.organization_id, address__in=theirs)
        return self.exclude(pk=customer.pk).filter(pk__in=same.values("customer"))

    def like(self, customer: Customer) -> CustomerQuerySet:
        """The others that may be the same person: an address in common, or the name, and no different company."""
        named = Q(first_name__iexact=customer.first_name, last_name__iexact=customer.last_name)
        if customer.company:
            named &= Q(company__iexact=customer.company) | Q(company="")
        return self.exclude(pk=customer.pk).filter(named | Q(pk__in=self.sharing_an_address(customer).values("pk")))

    def doubles_of(self, customer: Customer) -> CustomerQuerySet:
        """The others that are most likely the same person: an address in common (`shares_address`), or name and company."""
        sharing = self.sharing_an_address(customer)
        likely = [sharing]
        if customer.company:
            names = {f"{name}__iexact": getattr(customer, name) for name in ("first_name", "last_name", "company")}
            likely.append(self.exclude(pk=customer.pk).filter(**names))
        # A union is read by two indexes; the same as one condition would be asked of every record.
        found = self.none().union(*(each.order_by().values("pk") for each in likely))
        return self.filter(pk__in=found).annotate(shares_address=Exists(sharing.filter(pk=OuterRef("pk"))))

    def moved(self, pk: int) -> Customer | None:
        """The record that `pk` is now, after merges and a conversion; None if there is none. Ask it of `with_deleted`."""
        found = self.filter(pk=pk).first()
        for _ in range(_MOST_MERGES):
            if found is None or found.merged_into_id is None:
                break
            found = self.filter(pk=found.merged_into_id).first()
        return found if found is not None and found.deleted_at is None else None


_AllCustomers = models.Manager.from_queryset(CustomerQuerySet)


class PresentManager(_AllCustomers["Customer"]):
    """The records that are there: without those that were deleted or merged into another."""

    def get_queryset(self) -> CustomerQuerySet:
        """Of these every question begins."""
        return cast("CustomerQuerySet", super().get_queryset().filter(deleted_at=None))


class Customer(models.Model):
    """Somebody outside the organisation whose mail matters to it: a lead, or the contact that a lead became.

    A deleted record keeps its row and its ticks while that can be undone, but no address: no mail is found by it. One
    that was merged keeps the row for good and names the record that it became part of.
    """

    class Kind(models.TextChoices):
        """How far the relation has come."""

        LEAD = "lead", "Lead"
        CONTACT = "contact", "Contact"

    # Its index is one of those below, as with addresses.
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="customers", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind)
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100)
    company = models.CharField(max_length=200, blank=True)
    phone = models.CharField(max_length=50, blank=True)
    notes = models.TextField(blank=True, max_length=20_000)
    external_id = models.CharField(
        max_length=200, blank=True, editable=False, help_text="in the CRM that it is kept in step with"
    )
    owner = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="customers")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)
    merged_into = models.ForeignKey("self", models.SET_NULL, null=True, editable=False, related_name="+")

    objects = PresentManager()
    with_deleted = CustomerQuerySet.as_manager()

    if TYPE_CHECKING:
        addresses: RelatedManager[CustomerAddress]

    class Meta:
        ordering = ["last_name", "first_name", "id"]
        indexes = [
            models.Index(
                fields=["organization", "kind", "last_name", "first_name", "id"],
                condition=Q(deleted_at=None),
                name="customer_list",
            ),
            models.Index(
                "organization",
                "kind",
                *_ORDERS["company"],
                condition=Q(deleted_at=None),
                name="customer_list_by_company",
            ),
            models.Index(
                fields=["organization", "kind", "-created_at", "-id"],
                condition=Q(deleted_at=None),
                name="customer_list_newest",
            ),
            models.Index("organization", Upper("last_name"), name="customer_by_name"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "external_id"],
                condition=Q(deleted_at=None) & ~Q(external_id=""),
                name="external_id_once",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Its page."""
        return reverse("customer", args=[f"{self.kind}s", self.pk])

    @property
    def name(self) -> str:
        """First and last name, as they are written."""
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def primary_address(self) -> str:
        """The address that is used to write to them; empty without one."""
        return next((address.address for address in self.addresses.all()), "")


class CustomerAddressQuerySet(models.QuerySet["CustomerAddress"]):
    """Named questions about the addresses of customers."""

    def with_colleagues_marked(self, organization: Organization) -> CustomerAddressQuerySet:
        """The addresses with the column `is_colleagues`: it is internal, so mail with it is never shared."""
        domain = Substr("address", StrIndex("address", Value("@")) + 1)
        internal = ExpressionWrapper(is_internal(organization.pk), output_field=models.BooleanField())
        return self.annotate(domain=domain).annotate(is_colleagues=internal)


class CustomerAddress(models.Model):
    """One normalised address of a customer. The organisation is repeated here for the index that matching uses.

    Neither key has an index of its own: the index and the constraint below begin with them. Before it has counted the
    rows of a table that grows, PostgreSQL may take the worse one of two.
    """

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="addresses", db_index=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
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


class RecordChangeQuerySet(models.QuerySet["RecordChange"]):
    """Named questions about changes."""

    def for_organization(self, organization: Organization) -> RecordChangeQuerySet:
        """The changes of one organisation's records."""
        return self.filter(organization=organization)

    def can_be_undone(self) -> RecordChangeQuerySet:
        """Those whose day is not over, the latest first."""
        return self.filter(undone_at=None, done_at__gt=timezone.now() - UNDO_FOR).order_by("-done_at", "-id")


class RecordChange(models.Model):
    """A conversion, deletion or merge of records, with what undoing it needs (R27)."""

    class Kind(models.TextChoices):
        """What was done."""

        CONVERTED = "converted", "converted to a contact"
        DELETED = "deleted", "deleted"
        MERGED = "merged", "merged"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+", help_text="whom it was done to")
    gone = models.ForeignKey(
        Customer, models.CASCADE, null=True, related_name="+", help_text="the record that is no longer there"
    )
    gone_addresses = models.JSONField(default=list, help_text="its addresses, the primary one first")
    brought = models.JSONField(default=list, help_text="those of them that were new to the customer")
    before = models.JSONField(default=dict, help_text="changed fields of the customer as they were")
    after = models.JSONField(default=dict, help_text="and as they became")
    done_at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True)

    objects = RecordChangeQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["organization", "-done_at"], name="record_changes")]

    def __str__(self) -> str:
        if self.kind == self.Kind.MERGED:
            return f"{self.gone} was merged into {self.customer}"
        return f"{self.customer} was {self.get_kind_display()}"


class CustomerImportQuerySet(models.QuerySet["CustomerImport"]):
    """Named questions about imports."""

    def of(self, user: User) -> CustomerImportQuerySet:
        """What a user imported, the latest first. Nobody else sees it: the file may hold more than the records."""
        return self.filter(user=user).order_by("-id")

    def working(self) -> CustomerImportQuerySet:
        """Those that a worker has to go on with."""
        return self.filter(state__in=CustomerImport.WORKING)

    def free(self) -> CustomerImportQuerySet:
        """Those that no worker holds; whoever held them and has not been heard of since does not count."""
        return self.filter(Q(held_until=None) | Q(held_until__lt=timezone.now()))


class CustomerImport(models.Model):
    """A CSV file on its way into the records, and how far it is: what is counted here is saved there (R28)."""

    class State(models.TextChoices):
        """Where it stands."""

        UPLOADED = "uploaded", "columns to be chosen"
        CHECKING = "checking", "being checked"
        CHECKED = "checked", "checked, not yet imported"
        IMPORTING = "importing", "being imported"
        DONE = "done", "imported"
        CANCELLED = "cancelled", "cancelled"
        FAILED = "failed", "failed"

    WORKING = (State.CHECKING, State.IMPORTING)
    OVER = (State.DONE, State.CANCELLED, State.FAILED)

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    name = models.CharField(max_length=200, help_text="of the file")
    size = models.PositiveIntegerField(help_text="in bytes")
    kind = models.CharField(max_length=10, choices=Customer.Kind, default=Customer.Kind.CONTACT)
    updates = models.BooleanField(default=True)
    headings = models.JSONField(default=list, help_text="of the columns")
    mapping = models.JSONField(default=list, help_text="the field that each column is, empty for none")
    state = models.CharField(max_length=10, choices=State, default=State.UPLOADED)
    held_until = models.DateTimeField(null=True)
    holder = models.UUIDField(null=True)
    tries = models.PositiveSmallIntegerField(default=0, help_text="since it last got on")
    position = models.PositiveIntegerField(default=0, help_text="bytes of the file that were read")
    line = models.PositiveIntegerField(default=0, help_text="the last one that is counted here")
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    uploaded_at = models.DateTimeField(default=timezone.now)

    objects = CustomerImportQuerySet.as_manager()

    if TYPE_CHECKING:
        chunks: RelatedManager[ImportChunk]
        refused_rows: RelatedManager[RefusedRow]

    class Meta:
        indexes = [
            models.Index(fields=["user", "-id"], name="imports_of_user"),
            models.Index(fields=["held_until"], condition=Q(state__in=("checking", "importing")), name="imports_going"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Its page."""
        return reverse("import", args=[self.pk])

    @property
    def is_working(self) -> bool:
        """Whether a worker goes on with it."""
        return self.state in self.WORKING

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens with it."""
        return self.state in self.OVER

    @property
    def rows(self) -> int:
        """How many rows are counted."""
        return self.created + self.updated + self.unchanged + self.skipped + self.failed


class ImportChunk(models.Model):
    """A piece of an uploaded file. It waits in the database, which every worker reaches, until the import is over."""

    of = models.ForeignKey(CustomerImport, models.CASCADE, related_name="chunks")
    number = models.PositiveSmallIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["of", "number"], name="import_chunk_once")]

    def __str__(self) -> str:
        return f"piece {self.number} of {self.of}"


class RefusedRow(models.Model):
    """A row that can't be imported, and why."""

    of = models.ForeignKey(CustomerImport, models.CASCADE, related_name="refused_rows")
    line = models.PositiveIntegerField()
    cells = models.JSONField(default=list)
    why = models.TextField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"line {self.line}: {self.why}"

    @property
    def text(self) -> str:
        """What it says, to be recognised by."""
        return " · ".join(filter(None, self.cells))
