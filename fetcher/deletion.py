"""Which messages may be deleted from a server, and when: only fetched ones whose copy is committed (R10)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import islice

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Mailbox
from fetcher.models import SeenUid

_IN_QUERY = 500


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


def confirm_deleted(mailbox: Mailbox, uids: Collection[str]) -> None:
    """Note that the server has deleted these messages: its answer to QUIT said so (RFC 1939 section 6)."""
    _note(mailbox, uids, timezone.now())


def forget_deleted(mailbox: Mailbox, uids: Collection[str]) -> None:
    """Note that the server still has these messages, whatever it answered when they were deleted."""
    _note(mailbox, uids, None)


def _note(mailbox: Mailbox, uids: Collection[str], deleted_at: datetime | None) -> None:
    rest = iter(uids)
    while some := list(islice(rest, _IN_QUERY)):
        SeenUid.objects.filter(mailbox=mailbox, uid__in=some).update(deleted_at=deleted_at)
