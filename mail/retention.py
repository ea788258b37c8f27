"""Retention: what an organisation does not want to keep is deleted here, a batch at a time (R40).

Off until an administrator asks for it. Everybody's mail is treated alike, whether they keep it private or share it, so
that nothing tells which is which. Drafts stay, and so does for a while what has only just arrived, however old it is.

On the mail servers nothing is deleted by it, whatever the delete-message setting: *delete when deleted in CRM Mail* is
about what the owner of a mailbox deletes (R10).
"""

from __future__ import annotations

import calendar
import time
from datetime import datetime, timedelta

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from accounts.models import Organization, User
from mail.models import Message, MessageQuerySet
from mail.removal import BATCH, delete_for_good, lock
from mail.threads import hold

#: So long the setting can be taken back before it deletes anything.
DELAY = timedelta(days=1)
#: So long mail stays that arrived here, however old it is: a first fetch brings the mail of years.
ARRIVED_LATELY = timedelta(days=30)
#: One look takes at most so many seconds; the next one goes on.
_MOST_SECONDS = 600.0

#: Sent inside the transaction, before it deletes them, with the ids of the `messages`.
messages_expire = Signal()


def expired(organization: Organization, months: int, now: datetime | None = None) -> MessageQuerySet:
    """The organisation's mail that is older than `months` and may be deleted for it."""
    moment = now or timezone.now()
    return Message.objects.filter(
        organization=organization,
        date__lt=_months_before(moment, months),
        filed_at__lt=moment - ARRIVED_LATELY,
        is_draft=False,
    )


def delete_expired(now: datetime | None = None) -> int:
    """Delete what is too old for its organisation; how many messages that were.

    Stopped half-way it goes on where it was; once the setting is taken back it deletes nothing more.
    """
    moment, until, total = now or timezone.now(), time.monotonic() + _MOST_SECONDS, 0
    asked_for = Organization.objects.exclude(retention_months=None).filter(retention_set_at__lte=moment - DELAY)
    for organization in asked_for:
        for owner in organization.users.all():
            while gone := _delete_batch(organization, owner, moment):
                total += gone
                if time.monotonic() > until:
                    return total
    return total


def _delete_batch(organization: Organization, owner: User, now: datetime) -> int:
    months = organization.retention_months
    with transaction.atomic():
        unchanged = Organization.objects.select_for_update(no_key=True).filter(
            pk=organization.pk, retention_months=months, retention_set_at=organization.retention_set_at
        )
        if months is None or unchanged.first() is None:
            return 0
        hold(owner.pk)
        # An owner's mail by date is read along an index.
        found = lock(expired(organization, months, now).owned_by(owner).order_by("date", "id"), BATCH)
        messages_expire.send(sender=Message, messages=[pk for pk, _ in found])
        return delete_for_good(found)


def _months_before(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    last = calendar.monthrange(max(year, 1), month + 1)[1]
    return moment.replace(year=max(year, 1), month=month + 1, day=min(moment.day, last))
