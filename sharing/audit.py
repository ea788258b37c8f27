"""The audit log: written here, never changed (R26)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from accounts.models import Mailbox, User
from customers.models import Customer
from mail.models import Message
from sharing.models import AuditEntry


def record(
    actor: User,
    action: AuditEntry.Action,
    *,
    mailbox: Mailbox | None = None,
    message: Message | None = None,
    customer: Customer | None = None,
    **details: Any,
) -> AuditEntry:
    """Write one entry; call it in the transaction of the deed."""
    return AuditEntry.objects.create(
        organization=actor.organization,
        actor=actor,
        action=action,
        mailbox=mailbox,
        message=message,
        customer=customer,
        details=details,
    )


def record_opening(viewer: User, message: Message, *, again: bool = True) -> None:
    """Note that somebody other than the owner opened a message (sharing.md).

    Without `again` only if they never did before: for what is part of a page whose opening was noted.
    """
    if viewer.pk != message.owner_id and (again or not openings_of(message).filter(actor=viewer).exists()):
        record(viewer, AuditEntry.Action.MESSAGE_OPENED, message=message, mailbox=message.mailbox)


def openings_of(message: Message) -> QuerySet[AuditEntry]:
    """Who opened a message, the latest first; for its owner only."""
    return message.audit_entries.filter(action=AuditEntry.Action.MESSAGE_OPENED).select_related("actor")
