"""The audit log: written here, never changed, kept as long as the installation says (R26)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import Mailbox, User
from customers.models import Customer
from mail.models import Message
from mail.notifying import clear
from sharing.models import AuditEntry, ReadMark
from sharing.visibility import visible_to

#: What an owner keeps from everybody else is told to nobody else, not even that there is something.
OWNERS_ONLY = (AuditEntry.Action.KEPT_PRIVATE, AuditEntry.Action.PRIVACY_LIFTED)

COLUMNS = ("time (UTC)", "who", "did what", "about", "mailbox", "customer", "message", "details")
_CHUNK = 1000


def record(
    actor: User,
    action: AuditEntry.Action,
    *,
    about: User | None = None,
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
        about=about,
        mailbox=mailbox,
        message=message,
        customer=customer,
        details=details,
    )


def record_opening(viewer: User, message: Message, *, again: bool = True) -> None:
    """Note that somebody other than the owner opened a message (sharing.md); from now on they have read it and need not be
    told of it.

    Without `again` only if they never did before: for what is part of a page whose opening was noted.
    """
    if viewer.pk == message.owner_id:
        return
    ReadMark.objects.bulk_create([ReadMark(reader=viewer, message=message)], ignore_conflicts=True)
    clear(viewer, message=message)
    if again or not openings_of(message).filter(actor=viewer).exists():
        record(viewer, AuditEntry.Action.MESSAGE_OPENED, message=message, mailbox=message.mailbox, about=message.owner)


def openings_of(message: Message) -> QuerySet[AuditEntry]:
    """Who opened a message, the latest first; for its owner only."""
    return message.audit_entries.filter(action=AuditEntry.Action.MESSAGE_OPENED).select_related("actor")


def changes_of(mailbox: Mailbox) -> QuerySet[AuditEntry]:
    """How the sharing of a mailbox was changed, the latest first; for its owner and administrators."""
    entries = AuditEntry.objects.filter(mailbox=mailbox, action=AuditEntry.Action.POLICY_CHANGED)
    return entries.select_related("actor")


def log_for(administrator: User) -> QuerySet[AuditEntry]:
    """The organisation's log as an administrator may read it, the latest first: what others keep private is not in it."""
    entries = AuditEntry.objects.filter(organization=administrator.organization_id)
    return entries.exclude(Q(action__in=OWNERS_ONLY) & ~Q(actor=administrator)).select_related(
        "actor", "about", "mailbox", "customer"
    )


def search(
    entries: QuerySet[AuditEntry],
    *,
    text: str = "",
    action: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[AuditEntry]:
    """Those of `entries` that fit: every word of `text` in a person, mailbox or customer that they name."""
    for word in text.split()[:10]:
        fits = Q()
        for column in (
            "actor__name", "actor__email", "about__name", "about__email",
            "mailbox__email_address", "mailbox__name", "customer__first_name", "customer__last_name",
        ):  # fmt: skip
            fits |= Q(**{f"{column}__icontains": word})
        entries = entries.filter(fits)
    if action:
        entries = entries.filter(action=action)
    if since is not None:
        entries = entries.filter(at__gte=since)
    if until is not None:
        entries = entries.filter(at__lte=until)
    return entries


def exported(entries: QuerySet[AuditEntry], reader: User) -> Iterator[Sequence[object]]:
    """`entries` as rows of a table with a heading.

    Messages are named, by number, only where `reader` may see them.
    """
    yield COLUMNS
    rows = entries.iterator(chunk_size=_CHUNK)
    while chunk := list(islice(rows, _CHUNK)):
        visible = visible_to(reader).filter(pk__in={entry.message_id for entry in chunk if entry.message_id})
        numbers = set(visible.values_list("pk", flat=True))
        for entry in chunk:
            yield (
                entry.at.strftime("%Y-%m-%d %H:%M:%S"),
                entry.actor.email if entry.actor else "",
                entry.get_action_display(),
                entry.about.email if entry.about else "",
                entry.mailbox.email_address if entry.mailbox else "",
                str(entry.customer or ""),
                entry.message_id if entry.message_id in numbers else "",
                entry.in_words,
            )


def purge(now: datetime | None = None) -> int:
    """Take away the entries whose time is over (`CRM_MAIL_AUDIT_DAYS`, 0 keeps them for ever); how many they were."""
    if not settings.AUDIT_DAYS:
        return 0
    cutoff = (now or timezone.now()) - timedelta(days=settings.AUDIT_DAYS)
    # The base manager, because the model's own refuses; this is the one place that may.
    return AuditEntry._base_manager.filter(at__lt=cutoff).delete()[0]
