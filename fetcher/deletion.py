"""Which messages may be deleted from a server, and when: only fetched ones whose copy is committed (R10)."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Mailbox
from fetcher.models import SeenUid


def deletable(mailbox: Mailbox) -> QuerySet[SeenUid]:
    """The stored messages of a mailbox that its delete setting allows to be deleted from the server now.

    Only what this account fetched and committed counts: never one that the import choice left out, never an over-size
    one, of which only the headers are here. A message deleted for good in CRM Mail leaves its row here without one.
    """
    stored = SeenUid.objects.filter(mailbox=mailbox, outcome=SeenUid.Outcome.STORED, deleted_at=None)
    match mailbox.delete_policy:
        case Mailbox.DeletePolicy.AFTER_FETCH:
            return stored
        case Mailbox.DeletePolicy.AFTER_DAYS:
            return stored.filter(seen_at__lte=timezone.now() - timedelta(days=mailbox.delete_after_days or 0))
        case Mailbox.DeletePolicy.WHEN_DELETED:
            return stored.filter(message=None)
        case _:
            return stored.none()


def confirm_deleted(mailbox: Mailbox, uids: list[str]) -> None:
    """Note that the server has deleted these messages: its answer to QUIT said so (RFC 1939 section 6)."""
    SeenUid.objects.filter(mailbox=mailbox, uid__in=uids).update(deleted_at=timezone.now())
