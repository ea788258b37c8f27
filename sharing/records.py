"""What becomes of shares and of the audit log when records are converted, deleted or merged, and when that is undone (R27)."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction

from accounts.models import User
from customers import changes
from customers.models import Customer, RecordChange
from sharing.audit import record
from sharing.models import AuditEntry, SharedRecord

Action = AuditEntry.Action


def convert(actor: User, lead: Customer) -> RecordChange:
    """`customers.changes.convert_lead`, audited."""
    with transaction.atomic():
        change = changes.convert_lead(lead, actor=actor)
        record(actor, Action.RECORD_CONVERTED, customer=change.customer)
    return change


def delete(actor: User, customer: Customer) -> RecordChange:
    """`customers.changes.delete_customer`, audited. Its ticks wait, acting on nothing, until it is brought back or gone."""
    with transaction.atomic():
        change = changes.delete_customer(customer, actor=actor)
        record(actor, Action.RECORD_DELETED, customer=customer, name=str(customer))
    return change


def merge(actor: User, kept: Customer, other: Customer, taken: Collection[str] = ()) -> RecordChange:
    """`customers.changes.merge_customers`, audited. Whoever ticked one of the two has ticked the one that remains."""
    with transaction.atomic():
        change = changes.merge_customers(kept, other, actor=actor, taken=taken)
        SharedRecord.objects.bulk_create(
            (
                SharedRecord(owner_id=tick.owner_id, customer=change.customer, merged_from=other)
                for tick in SharedRecord.objects.filter(customer=other)
            ),
            ignore_conflicts=True,
        )
        record(actor, Action.RECORDS_MERGED, customer=change.customer, merged=str(other))
    return change


def undo(actor: User, change: RecordChange) -> Customer:
    """`customers.changes.undo_change`, audited. After a merge each record has its own ticks again, but for those of owners
    who took theirs back meanwhile: the private reading wins.
    """
    with transaction.atomic():
        customer = changes.undo_change(change)
        if change.kind == RecordChange.Kind.MERGED:
            still = SharedRecord.objects.filter(customer=customer)
            SharedRecord.objects.filter(customer=change.gone_id).exclude(owner__in=still.values("owner")).delete()
            still.filter(merged_from=change.gone_id).delete()
        record(actor, Action.RECORD_CHANGE_UNDONE, customer=customer, what=str(change))
    return customer
