"""What workers do for customers."""

from __future__ import annotations

import logging

from celery import shared_task

from accounts import queue
from customers import changes, imports
from customers.models import CustomerImport

log = logging.getLogger(__name__)


@shared_task(name="customers.tasks.forget_deleted")
def forget_deleted() -> None:
    """Delete for good the records whose day to be brought back is over, and old imports."""
    gone, old = changes.forget_deleted(), imports.forget_old()
    if gone or old:
        log.info("%d deleted records and %d old imports are gone for good", gone, old)


@shared_task(name="customers.tasks.work_on_import")
def work_on_import(pk: int) -> None:
    """Check or import an uploaded file."""
    imports.work_on(pk)


@shared_task(name="customers.tasks.work_on_imports")
def work_on_imports() -> None:
    """Go on with imports whose hint was lost or whose worker died."""
    for pk in imports.unfinished():
        imports.work_on(pk)


def hint_import(work: CustomerImport) -> None:
    """Tell the workers of an import that waits for them, once that is committed."""
    queue.hint(work_on_import, work.pk, expires=3600)
