"""Which events are to be delivered: rows, written in the transaction of what happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.utils import timezone

from mail.models import Message
from sharing.visibility import visible_to
from webhooks.models import Delivery, Webhook
from webhooks.tasks import hint_delivery

#: Mail that is older when it is fetched is history, not an event.
FRESH = timedelta(days=1)
_BATCH = 1_000


def note_customers(organization: int, event: str, customers: Sequence[int]) -> None:
    """Something happened to leads or contacts."""
    for webhook in _listening(organization, event):
        _note(webhook, event, customers)


def note_mail(messages: Sequence[Message]) -> None:
    """Mail with customers was filed: each webhook is told of what its owner may see, and not that there is more."""
    fresh = [message for message in messages if message.date > timezone.now() - FRESH]
    for event, direction in (
        (Webhook.Event.MESSAGE_RECEIVED, Message.Direction.RECEIVED),
        (Webhook.Event.MESSAGE_SENT, Message.Direction.SENT),
    ):
        ids = [message.pk for message in fresh if message.direction == direction]
        if not ids:
            continue
        for webhook in _listening(fresh[0].organization_id, event):
            seen = visible_to(webhook.user).not_discarded().filter(pk__in=ids, has_customer=True)
            _note(webhook, event, list(seen.order_by("pk").values_list("pk", flat=True)))


def _listening(organization: int, event: str) -> Iterable[Webhook]:
    webhooks = Webhook.objects.listening().filter(organization=organization).select_related("user__organization")
    return [webhook for webhook in webhooks if event in webhook.events]


def _note(webhook: Webhook, event: str, ids: Sequence[int]) -> None:
    if ids:
        rows = (Delivery(webhook=webhook, event=event, object_id=pk) for pk in ids)
        Delivery.objects.bulk_create(rows, batch_size=_BATCH)
        hint_delivery(webhook.pk)
