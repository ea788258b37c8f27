"""What is done to whole records: made of a message, converted, merged, deleted, and undone for a day (R27)."""

from __future__ import annotations

from functools import partial

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.mailboxes import NotPossible
from customers.changes import create_customer
from customers.guessing import guess
from customers.locks import addresses_change
from customers.models import Customer, CustomerQuerySet, RecordChange, RecordChangeQuerySet
from mail.matching import unknown_sender
from portal.requests import customer_of, ids_in, member, words_in
from sharing import records
from sharing.preview import preview
from sharing.visibility import visible_to

#: What is chosen side by side: the name of the choice, its label, and the attribute of a record that it shows.
CHOICES = (
    ("name", "Name", "name"),
    ("company", "Company", "company"),
    ("primary", "Primary address", "primary_address"),
    ("phone", "Phone", "phone"),
    ("owner", "Owner", "owner"),
)
MOST_FOUND = 20


@login_required
@require_POST
def message_customer(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a lead or contact of the unknown sender of one's own message; one that is there by now is shown."""
    user = member(request)
    message = get_object_or_404(visible_to(user).owned_by(user), pk=pk)
    kind = Customer.Kind.LEAD if request.POST.get("kind") == Customer.Kind.LEAD else Customer.Kind.CONTACT
    with transaction.atomic():
        # Two clicks are one record.
        addresses_change(user.organization_id)
        sender = unknown_sender(message)
        if sender is not None:
            fields = guess(message.from_name, sender)._asdict() | {"owner": user, "kind": kind}
            customer = create_customer(organization=user.organization, addresses=[sender], **fields)
    if sender is None:
        known = _everybody(request).with_address(message.from_address).first() if message.from_address else None
        notices.info(request, f"{known} is known already." if known else "The sender can't be a customer.")
        return redirect(known) if known else redirect("message", pk=pk)
    notices.success(
        request, f"{customer} was added. Name and company are guessed from the message: edit what is wrong."
    )
    return redirect(customer)


@login_required
@require_POST
def lead_convert(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a contact of a lead."""
    lead = customer_of(request, "leads", pk)
    try:
        change = records.convert(member(request), lead)
    except NotPossible as error:
        notices.error(request, str(error))
        return redirect(lead)
    _tell(request, f"{change.customer} is a contact now, with all mail and shares.", change)
    return redirect(change.customer)


@login_required
@require_POST
def customer_delete(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Delete a record; its mail stays in its owners' mailboxes."""
    record = customer_of(request, kind, pk)
    try:
        change = records.delete(member(request), record)
    except NotPossible as error:
        notices.error(request, str(error))
    else:
        _tell(request, f"{record} was deleted. The mail stays in the mailboxes it came to.", change)
    return redirect("customer-list", kind=kind)


@login_required
@require_http_methods(["GET", "POST"])
def customer_merge(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Find the other record, choose side by side what is right, and make one of the two."""
    user, kept = member(request), customer_of(request, kind, pk)
    everybody = _everybody(request).exclude(pk=pk).prefetch_related("addresses").select_related("owner")
    number = request.POST.get("other") or request.GET.get("other")
    if number is None:
        search = words_in(request, "search")
        found = everybody.search(search, user.organization) if search else everybody.like(kept)
        context = {"kind": kind, "customer": kept, "search": search, "found": found[:MOST_FOUND]}
        return render(request, "customers/merge_with.html", context)
    other = get_object_or_404(everybody, pk__in=ids_in([number]))
    taken = [name for name, _, _ in CHOICES if request.POST.get(name) == "other"]
    if request.method == "POST":
        try:
            change = records.merge(user, kept, other, taken)
        except (NotPossible, ValidationError) as error:
            notices.error(request, " ".join(getattr(error, "messages", [str(error)])))
            return redirect("customer", kind=kind, pk=pk)
        _tell(request, f"{other} was merged into {change.customer}.", change)
        return redirect(change.customer)
    context = {
        "kind": kind,
        "customer": kept,
        "other": other,
        "choices": [(name, label, getattr(kept, of), getattr(other, of)) for name, label, of in CHOICES],
        "preview": preview([user], partial(records.merge, user, kept, other)),
    }
    return render(request, "customers/merge.html", context)


@login_required
@require_safe
def record_changes(request: HttpRequest) -> HttpResponse:
    """What was converted, deleted and merged in the last day, each to be undone."""
    changes = _changes(request).can_be_undone().select_related("customer", "gone", "actor")[:200]
    return render(request, "customers/changes.html", {"changes": changes})


@login_required
@require_POST
def record_change_undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Undo one of them."""
    change = get_object_or_404(_changes(request), pk=pk)
    try:
        customer = records.undo(member(request), change)
    except NotPossible as error:
        notices.error(request, str(error))
        return redirect("record-changes")
    notices.success(request, f"Undone: {customer} is as before.")
    return redirect(customer)


def _everybody(request: HttpRequest) -> CustomerQuerySet:
    return Customer.objects.for_organization(member(request).organization)


def _changes(request: HttpRequest) -> RecordChangeQuerySet:
    return RecordChange.objects.for_organization(member(request).organization)


def _tell(request: HttpRequest, text: str, change: RecordChange) -> None:
    """A notice with a button; the message's tags carry where the button posts to."""
    notices.success(request, text, extra_tags=reverse("record-change-undo", args=[change.pk]))


urlpatterns = [
    path("records/changes/", record_changes, name="record-changes"),
    path("records/changes/<int:pk>/undo/", record_change_undo, name="record-change-undo"),
    path("mail/messages/<int:pk>/customer/", message_customer, name="message-customer"),
    path("leads/<int:pk>/convert/", lead_convert, name="lead-convert"),
    path("<customers:kind>/<int:pk>/merge/", customer_merge, name="customer-merge"),
    path("<customers:kind>/<int:pk>/delete/", customer_delete, name="customer-delete"),
]
