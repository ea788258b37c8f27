"""What workers do for webhooks. The arguments name rows; what is told is read when it is sent."""

from __future__ import annotations

from celery import shared_task

from accounts import queue
from webhooks import delivering
from webhooks.models import Webhook


@shared_task(name="webhooks.tasks.deliver")
def deliver(pk: int) -> None:
    """Send what is due to a webhook; what is left after its turn comes behind the others."""
    if delivering.deliver(pk):
        hint_delivery(pk)


@shared_task(name="webhooks.tasks.dispatch_due")
def dispatch_due() -> None:
    """Tell the workers of what is due, whatever became of earlier hints."""
    for pk in Webhook.objects.due().values_list("pk", flat=True):
        hint_delivery(pk)


@shared_task(name="webhooks.tasks.forget_old")
def forget_old() -> None:
    """Delete old deliveries."""
    delivering.forget_old()


def hint_delivery(pk: int) -> None:
    """Tell the workers of a webhook that has something to send, once that is committed."""
    queue.hint(deliver, pk, expires=60)
