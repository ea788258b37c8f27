"""Leads and contacts: lists, records, and the *Emails* related list (R22, R27, R29, R30)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar

from django import forms
from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, register_converter
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.mailboxes import NotPossible
from accounts.models import User
from customers.changes import MAX_ADDRESSES, change_customer, check_addresses, create_customer
from customers.exporting import exported
from customers.models import Customer, CustomerAddress, CustomerQuerySet
from mail.conversations import page_of
from mail.matching import has_correspondent, with_unread
from mail.models import IN_TRASH, Backfill
from portal.downloads import csv_file
from portal.forms import LinesField
from portal.requests import customers_of, ids_in, member, words_in
from sharing.audit import record as note
from sharing.models import AuditEntry, SharedRecord
from sharing.modes import Mode, modes_of
from sharing.policies import may_tick, tick, ticked_among, ticked_by, untick
from sharing.preview import preview
from sharing.visibility import Sight, count_revealed_by_tick

PER_PAGE = 50
#: What a list can show beside the name.
COLUMNS = {"company": "Company", "email": "E-mail", "phone": "Phone", "owner": "Owner", "added": "Added"}
USUAL_COLUMNS = ("company", "email", "phone", "owner")


class KindConverter:
    """`leads` or `contacts` in an address."""

    regex = "leads|contacts"

    def to_python(self, value: str) -> str:
        """As it stands in the address."""
        return value

    def to_url(self, value: str) -> str:
        """As it stands in the address; a kind of customer works too."""
        return {"lead": "leads", "contact": "contacts"}.get(value, value)


register_converter(KindConverter, "customers")


class CustomerForm(forms.ModelForm):
    """A lead or contact with its addresses."""

    addresses = LinesField(
        label="E-mail addresses",
        most=MAX_ADDRESSES,
        what="address",
        required=False,
        help_text="The first is the primary one. Mail from and to all of them is listed on the record.",
    )
    keep_earlier_mail = forms.BooleanField(
        label="Keep earlier mail on the record when an address is taken away",
        help_text="The old address stays as a secondary one. Without this, its mail leaves the record.",
        required=False,
        initial=True,
    )

    class Meta:
        model = Customer
        fields = ["first_name", "last_name", "company", "phone", "owner", "notes"]
        widgets = {"notes": forms.Textarea(attrs={"rows": 4})}

    field_order = ["first_name", "last_name", "company", "addresses", "keep_earlier_mail", "phone", "owner", "notes"]

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["addresses"].widget.attrs["data-chips-first"] = "primary"
        colleagues = User.objects.for_organization(user.organization).filter(is_active=True)
        self.fields["owner"].queryset = colleagues  # type: ignore[attr-defined]
        self.fields["owner"].empty_label = "Nobody"  # type: ignore[attr-defined]
        if self.instance.pk is None:
            del self.fields["keep_earlier_mail"]
            self.initial.setdefault("owner", user.pk)
        else:
            self.initial["addresses"] = [address.address for address in self.instance.addresses.all()]

    def clean_addresses(self) -> list[str]:
        """Normalised, each once."""
        return check_addresses(self.cleaned_data["addresses"])


class Narrowing:
    """What a list is narrowed to and how it is sorted, as the query string says; what makes no sense there says nothing."""

    ONLY: ClassVar = {"unread": "With unread mail", "shared": "Shared by me"}
    ORDERS: ClassVar = {"name": "By name", "company": "By company", "newest": "Newest first"}

    def __init__(self, request: HttpRequest, *, ticks: bool) -> None:
        self.user = member(request)
        self.search = words_in(request, "search")
        colleagues = User.objects.for_organization(self.user.organization).exclude(pk=self.user.pk).order_by("name")
        self.owners = {"me": "My own", "nobody": "Nobody's"} | {str(each.pk): str(each) for each in colleagues}
        self.only_choices = self.ONLY if ticks else {"unread": self.ONLY["unread"]}
        self.owner = self._chosen(request, "owner", self.owners)
        self.only = self._chosen(request, "only", self.only_choices)
        self.order = self._chosen(request, "order", self.ORDERS) or "name"

    @staticmethod
    def _chosen(request: HttpRequest, name: str, choices: Mapping[str, str]) -> str:
        chosen = request.GET.get(name, "")
        return chosen if chosen in choices else ""

    @property
    def filters(self) -> dict[str, str]:
        """What leaves anything out, by its name in the query string."""
        named = {"search": self.search, "owner": self.owner, "only": self.only}
        return {name: value for name, value in named.items() if value}

    @property
    def is_narrow(self) -> bool:
        """Whether anything is left out."""
        return bool(self.filters)

    def of(self, customers: CustomerQuerySet) -> CustomerQuerySet:
        """What is left of `customers`, in order."""
        found = customers.search(self.search, self.user.organization).in_order(self.order)
        if self.owner:
            found = found.filter(owner={"me": self.user.pk, "nobody": None}.get(self.owner, self.owner))
        if self.only == "unread":
            found = with_unread(found, self.user)
        elif self.only == "shared":
            found = ticked_by(self.user, found)
        return found


class EmailsNarrowing:
    """What the *Emails* of a record are narrowed to, as the query string says (R30)."""

    DIRECTIONS: ClassVar = {"received": "Received", "sent": "Sent"}

    def __init__(self, request: HttpRequest, sight: Sight) -> None:
        names = {str(pk): name for pk, name in sight.modes.owners_in(Mode.PUBLIC, Mode.CUSTOM).items()}
        mine = str(sight.viewer.pk)
        self.people = {mine: "Mine"} | {pk: name for pk, name in names.items() if pk != mine}
        person, direction = request.GET.get("person", ""), request.GET.get("direction", "")
        self.person = person if person in self.people else ""
        self.direction = direction if direction in self.DIRECTIONS else ""

    @property
    def conditions(self) -> list[Q]:
        """On messages."""
        whose = [Q(owner=self.person)] if self.person else []
        return whose + ([Q(direction=self.direction)] if self.direction else [])


@login_required
@require_safe
def customer_list(request: HttpRequest, kind: str) -> HttpResponse:
    """Leads or contacts: searched, narrowed and sorted."""
    user = member(request)
    ticks = may_tick(user, modes_of(user.organization))
    narrowing = Narrowing(request, ticks=ticks)
    found = narrowing.of(customers_of(request, kind)).select_related("owner").prefetch_related("addresses")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "kind": kind,
        "page": page,
        "narrowing": narrowing,
        "may_tick": ticks,
        "ticked": ticked_among(user, page.object_list) if ticks else set(),
        "columns": {name: name in _columns_of(user) for name in COLUMNS},
        "column_names": COLUMNS,
    }
    return render(request, "customers/list.html", context)


@login_required
@require_POST
def customer_columns(request: HttpRequest, kind: str) -> HttpResponse:
    """Choose the columns of one's lists; they stay chosen, on every device."""
    user = member(request)
    chosen = [name for name in COLUMNS if name in request.POST.getlist("column")]
    User.objects.filter(pk=user.pk).update(customer_columns=chosen)
    return redirect("customer-list", kind=kind)


@login_required
@require_safe
def customer_export(request: HttpRequest, kind: str) -> StreamingHttpResponse:
    """What the list is narrowed to, as a CSV file; that somebody took it along is in the audit log."""
    narrowing = Narrowing(request, ticks=True)
    found = narrowing.of(customers_of(request, kind))
    note(member(request), AuditEntry.Action.CUSTOMERS_EXPORTED, what=kind, filters=narrowing.filters)
    return csv_file(exported(found), f"{kind}.csv")


@login_required
@require_http_methods(["GET", "POST"])
def customer_add(request: HttpRequest, kind: str) -> HttpResponse:
    """Create a lead or contact."""
    form = CustomerForm(request.POST or None, user=member(request))
    if form.is_valid():
        fields = {name: form.cleaned_data[name] for name in CustomerForm.Meta.fields}
        customer = create_customer(
            organization=member(request).organization,
            kind=kind.removesuffix("s"),
            addresses=form.cleaned_data["addresses"],
            **fields,
        )
        notices.success(request, f"{customer} was added.")
        return redirect("customer", kind=kind, pk=customer.pk)
    return render(request, "customers/form.html", {"kind": kind, "form": form})


@login_required
@require_safe
def customer(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """A record with its *Emails*; the link to one that was converted or merged leads to what it became."""
    user = member(request)
    try:
        record = _customer(request, kind, pk)
    except Http404:
        moved = Customer.with_deleted.for_organization(user.organization).moved(pk)
        if moved is None:
            raise
        return redirect(moved)
    sight = Sight(user)
    addresses = list(CustomerAddress.objects.filter(customer=record).with_colleagues_marked(user.organization))
    context = _emails(request, sight, record) | {
        "kind": kind,
        "customer": record,
        "addresses": addresses,
        "is_colleague": bool(addresses) and all(map(attrgetter("is_colleagues"), addresses)),
        "may_tick": may_tick(user, sight.modes),
        "duplicates": Customer.objects.for_organization(user.organization).doubles_of(record)[:3],
        "backfills": Backfill.objects.filter(customer=record),
    }
    if context["may_tick"]:
        context["reveals"] = count_revealed_by_tick(user, record, sight.modes)
    return render(request, "customers/record.html", context)


@login_required
@require_safe
def customer_backfill(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Whether earlier mail is still being added, for htmx; once all is there, the page is asked for anew."""
    record = _customer(request, kind, pk)
    context = {"kind": kind, "customer": record, "backfills": Backfill.objects.filter(customer=record)}
    answer = render(request, "customers/backfill.html", context)
    if not context["backfills"]:
        answer["HX-Refresh"] = "true"
    return answer


@login_required
@require_safe
def customer_emails(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Further conversations of a record: a fragment for htmx, a page of its own without it."""
    record = _customer(request, kind, pk)
    context = _emails(request, Sight(member(request)), record) | {
        "kind": kind,
        "customer": record,
    }
    fragment = request.htmx  # type: ignore[attr-defined]
    return render(request, "customers/conversations.html" if fragment else "customers/emails.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def customer_edit(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Change a record; taking away an address asks what becomes of its mail (R29)."""
    record = _customer(request, kind, pk)
    form = CustomerForm(request.POST or None, instance=record, user=member(request))
    if form.is_valid():
        fields = {name: form.cleaned_data[name] for name in CustomerForm.Meta.fields}
        try:
            change_customer(
                record,
                addresses=form.cleaned_data["addresses"],
                keep_earlier_mail=form.cleaned_data["keep_earlier_mail"],
                **fields,
            )
        except ValidationError as error:
            form.add_error("addresses", error)
        except NotPossible as error:
            form.add_error(None, str(error))
        else:
            kept = record.addresses.exclude(address__in=form.cleaned_data["addresses"])
            stays = "".join(f" {address} is kept as a secondary address, with its mail." for address in kept)
            notices.success(request, f"{record} was saved.{stays}")
            return redirect("customer", kind=kind, pk=pk)
    return render(request, "customers/form.html", {"kind": kind, "form": form, "customer": record})


@login_required
@require_POST
def customer_share(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Tick or untick *Share Email* (R22)."""
    user = member(request)
    record = _customer(request, kind, pk)
    wanted = "share" in request.POST
    try:
        (tick if wanted else untick)(user, record)
    except NotPossible as error:
        notices.error(request, str(error))
    else:
        count = count_revealed_by_tick(user, record, modes_of(user.organization))
        messages = f"{count} message{'' if count == 1 else 's'}"
        shared = f"Colleagues can now read your mail with {record}: {messages} so far, and what comes."
        notices.success(request, shared if wanted else f"Your mail with {record} is no longer shared ({messages}).")
    return redirect("customer", kind=kind, pk=pk)


@login_required
@require_POST
def customers_share(request: HttpRequest, kind: str) -> HttpResponse:
    """Tick or untick *Share Email* on several records: first what it would do, then, confirmed, the deed (R22, R26)."""
    user = member(request)
    chosen = ids_in(request.POST.getlist("customer"))
    records = list(customers_of(request, kind).filter(pk__in=chosen[:PER_PAGE]))
    wanted = request.POST.get("share") == "on"
    if not records:
        notices.error(request, f"Tick the {kind} first whose mail you want to share.")
        return redirect("customer-list", kind=kind)
    change = partial(tick if wanted else untick, user, *records)
    try:
        if "confirmed" not in request.POST:
            context = {"kind": kind, "records": records, "wanted": wanted, "preview": preview([user], change)}
            return render(request, "customers/share.html", context)
        changed = change()
    except NotPossible as error:
        notices.error(request, str(error))
    else:
        done = "now share" if wanted else "no longer share"
        notices.success(
            request,
            f"You {done} your mail with {changed} of the {len(records)} {kind} you chose."
            if changed != len(records)
            else f"You {done} your mail with {changed} {kind}.",
        )
    return redirect("customer-list", kind=kind)


def _customer(request: HttpRequest, kind: str, pk: int) -> Customer:
    ticks = SharedRecord.objects.filter(owner=member(request), customer=OuterRef("pk"))
    waiting = Backfill.objects.filter(customer=OuterRef("pk"))
    customers = customers_of(request, kind).select_related("owner")
    customers = customers.annotate(is_ticked=Exists(ticks), is_backfilled=Exists(waiting))
    return get_object_or_404(customers, pk=pk)


def _columns_of(user: User) -> Collection[str]:
    return USUAL_COLUMNS if user.customer_columns is None else user.customer_columns


def _emails(request: HttpRequest, sight: Sight, record: Customer) -> dict[str, Any]:
    narrowing = EmailsNarrowing(request, sight)
    theirs = has_correspondent(record.organization_id, customer=record)
    messages = sight.messages(~IN_TRASH, theirs, *narrowing.conditions)
    links = sight.links_of(record)
    if narrowing.person:
        links = links.filter(owner=int(narrowing.person))
    page = page_of(messages, request.GET.get("cursor", ""), links=links, reader=sight.viewer)
    return {"page": page, "names": sight.modes.names(), "narrowing": narrowing}


urlpatterns = [
    path("<customers:kind>/", customer_list, name="customer-list"),
    path("<customers:kind>/new/", customer_add, name="customer-add"),
    path("<customers:kind>/columns/", customer_columns, name="customer-columns"),
    path("<customers:kind>/export/", customer_export, name="customer-export"),
    path("<customers:kind>/share/", customers_share, name="customers-share"),
    path("<customers:kind>/<int:pk>/", customer, name="customer"),
    path("<customers:kind>/<int:pk>/edit/", customer_edit, name="customer-edit"),
    path("<customers:kind>/<int:pk>/share/", customer_share, name="customer-share"),
    path("<customers:kind>/<int:pk>/backfill/", customer_backfill, name="customer-backfill"),
    path("<customers:kind>/<int:pk>/emails/", customer_emails, name="customer-emails"),
]
