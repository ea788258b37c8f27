"""What workers do for sending. The arguments name rows; what is sent is read when it is sent (R36)."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from accounts import queue
from sender import composing, delivery, limits, once, scheduling

#: So many messages are told to the workers at one look; the rest waits for the next one.
DISPATCH_LIMIT = 500


@shared_task(name="sender.tasks.deliver")
def deliver(pk: int) -> None:
    """Try to deliver a message."""
    delivery.deliver(pk)


@shared_task(name="sender.tasks.dispatch_due")
def dispatch_due() -> None:
    """Take up what dead workers had, and tell the workers of what is due, whatever became of earlier hints."""
    scheduling.recover()
    for pk in scheduling.due().values_list("pk", flat=True)[:DISPATCH_LIMIT]:
        queue.hint(deliver, pk, expires=settings.DISPATCH_SECONDS)


@shared_task(name="sender.tasks.tidy_up")
def tidy_up() -> None:
    """Forget drafts in which nobody ever wrote, the counts of days long over, and keys of programs."""
    composing.throw_away_untouched()
    limits.forget_old()
    once.forget_keys()


def hint_delivery(pk: int, after: int = 0) -> None:
    """Tell the workers of a message that is due after so many seconds, once that is committed."""
    queue.hint(deliver, pk, expires=settings.LEASE_SECONDS, after=after)
