"""Leads and contacts: lists, records, and the *Emails* related list (R22, R27, R29, R30)."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, register_converter
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.mailboxes import NotPossible
from accounts.models import User
from customers.changes import MAX_ADDRESSES, change_customer, check_addresses, create_customer
from customers.models import Customer, CustomerAddress, CustomerQuerySet
from mail.conversations import page_of
from mail.matching import has_correspondent
from mail.models import IN_TRASH
from portal.forms import LinesField
from portal.requests import ids_in, member
from sharing.models import SharedRecord
from sharing.modes import modes_of
from sharing.policies import may_tick, tick, ticked_among, untick
from sharing.preview import preview
from sharing.visibility import Sight, count_revealed_by_tick

PER_PAGE = 50


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
        help_text="One a line; the first is the primary one. Mail from and to them is listed on the record.",
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


@login_required
@require_safe
def customer_list(request: HttpRequest, kind: str) -> HttpResponse:
    """Leads or contacts, searchable."""
    search = request.GET.get("search", "").replace("\0", "").strip()[:200]
    found = _customers(request, kind).search(search).select_related("owner").prefetch_related("addresses")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    user = member(request)
    ticks = may_tick(user, modes_of(user.organization))
    context = {
        "kind": kind,
        "page": page,
        "search": search,
        "may_tick": ticks,
        "ticked": ticked_among(user, page.object_list) if ticks else set(),
    }
    return render(request, "customers/list.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def customer_add(request: HttpRequest, kind: str) -> HttpResponse:
    """Create a lead or contact."""
    form = CustomerForm(request.POST or None, user=member(request))
    if form.is_valid():
        fields = {name: form.cleaned_data[name] for name in CustomerForm.Meta.fields}
        customer = create_customer(
            organization=member(request).organization,
            kind=_kind(kind),
            addresses=form.cleaned_data["addresses"],
            **fields,
        )
        notices.success(request, f"{customer} was added.")
        return redirect("customer", kind=kind, pk=customer.pk)
    return render(request, "customers/form.html", {"kind": kind, "form": form})


@login_required
@require_safe
def customer(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """A record with its *Emails*."""
    user = member(request)
    record = _customer(request, kind, pk)
    sight = Sight(user)
    context = _emails(sight, record) | {
        "kind": kind,
        "customer": record,
        "addresses": list(CustomerAddress.objects.filter(customer=record).with_colleagues_marked(user.organization)),
        "may_tick": may_tick(user, sight.modes),
    }
    if context["may_tick"]:
        context["reveals"] = count_revealed_by_tick(user, record, sight.modes)
    return render(request, "customers/record.html", context)


@login_required
@require_safe
def customer_emails(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Further conversations of a record: a fragment for htmx, a page of its own without it."""
    record = _customer(request, kind, pk)
    context = _emails(Sight(member(request)), record, request.GET.get("cursor", "")) | {
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
        else:
            notices.success(request, f"{record} was saved.")
            return redirect("customer", kind=kind, pk=pk)
    return render(request, "customers/form.html", {"kind": kind, "form": form, "customer": record})


@login_required
@require_http_methods(["GET", "POST"])
def customer_delete(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Delete a record after asking; its mail stays in its owners' mailboxes."""
    record = _customer(request, kind, pk)
    if request.method == "POST":
        record.delete()
        notices.success(request, f"{record} was deleted. The mail stays in the mailboxes it came to.")
        return redirect("customer-list", kind=kind)
    return render(request, "customers/delete.html", {"kind": kind, "customer": record})


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
    records = list(_customers(request, kind).filter(pk__in=chosen[:PER_PAGE]))
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


def _kind(kind: str) -> str:
    return Customer.Kind.LEAD if kind == "leads" else Customer.Kind.CONTACT


def _customers(request: HttpRequest, kind: str) -> CustomerQuerySet:
    return Customer.objects.for_organization(member(request).organization).of_kind(_kind(kind))


def _customer(request: HttpRequest, kind: str, pk: int) -> Customer:
    ticks = SharedRecord.objects.filter(owner=member(request), customer=OuterRef("pk"))
    customers = _customers(request, kind).select_related("owner").annotate(is_ticked=Exists(ticks))
    return get_object_or_404(customers, pk=pk)


def _emails(sight: Sight, record: Customer, cursor: str = "") -> dict[str, Any]:
    messages = sight.messages(~IN_TRASH, has_correspondent(record.organization_id, customer=record))
    page = page_of(messages, cursor, links=sight.links_of(record), reader=sight.viewer)
    return {"page": page, "names": sight.modes.names()}


urlpatterns = [
    path("<customers:kind>/", customer_list, name="customer-list"),
    path("<customers:kind>/new/", customer_add, name="customer-add"),
    path("<customers:kind>/share/", customers_share, name="customers-share"),
    path("<customers:kind>/<int:pk>/", customer, name="customer"),
    path("<customers:kind>/<int:pk>/edit/", customer_edit, name="customer-edit"),
    path("<customers:kind>/<int:pk>/delete/", customer_delete, name="customer-delete"),
    path("<customers:kind>/<int:pk>/share/", customer_share, name="customer-share"),
    path("<customers:kind>/<int:pk>/emails/", customer_emails, name="customer-emails"),
]
