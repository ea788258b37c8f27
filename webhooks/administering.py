"""Adding, switching and deleting webhooks, each in the audit log: what leaves the house is everybody's business (R26)."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from accounts.models import User
from sharing.audit import record
from sharing.models import AuditEntry
from webhooks.models import Webhook
from webhooks.tasks import hint_delivery

Action = AuditEntry.Action


def add(actor: User, *, url: str, events: Sequence[str]) -> Webhook:
    """A webhook that tells what `actor` may see. `url` was checked by `webhooks.delivering.check_url`."""
    with transaction.atomic():
        webhook = Webhook.objects.create(organization=actor.organization, user=actor, url=url, events=list(events))
        record(actor, Action.WEBHOOK_ADDED, url=url, events=list(events))
    return webhook


def switch(actor: User, webhook: Webhook, *, is_active: bool) -> None:
    """On or off. What waits is sent when it is on again; what happens meanwhile is not told."""
    with transaction.atomic():
        webhook.is_active = is_active
        webhook.failures, webhook.paused_until = 0, None
        webhook.save(update_fields=["is_active", "failures", "paused_until"])
        record(actor, Action.WEBHOOK_SWITCHED, url=webhook.url, is_on=is_active)
        hint_delivery(webhook.pk)


def delete(actor: User, webhook: Webhook) -> None:
    """Away with it and its deliveries."""
    with transaction.atomic():
        record(actor, Action.WEBHOOK_DELETED, url=webhook.url)
        webhook.delete()
