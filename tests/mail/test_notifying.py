"""What a user should know of is noted once, and forgotten when it is old."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from customers import imports
from mail.models import Notification
from mail.notifying import KEPT_FOR, Kind, clear, forget_old, note
from tests import factories

pytestmark = pytest.mark.django_db


def test_the_same_counts_once() -> None:
    """A server that rejects a password twice is one thing to know of."""
    mailbox = factories.mailbox()
    note(mailbox.owner, Kind.PASSWORD_REJECTED, mailbox=mailbox)
    Notification.objects.update(at=timezone.now() - timedelta(days=1))
    note(mailbox.owner, Kind.PASSWORD_REJECTED, mailbox=mailbox)
    note(mailbox.owner, Kind.PASSWORD_REJECTED, mailbox=factories.mailbox(owner=mailbox.owner, is_active=False))
    assert Notification.objects.filter(at__gt=timezone.now() - timedelta(hours=1)).count() == 2


def test_clearing_is_for_oneself_and_as_narrow_as_asked() -> None:
    """What others were told of stays."""
    mailbox, other = factories.mailbox(), factories.mailbox()
    message = factories.message(mailbox=mailbox)
    note(mailbox.owner, Kind.SENDING_FAILED, message=message)
    note(mailbox.owner, Kind.PASSWORD_REJECTED, mailbox=mailbox)
    note(other.owner, Kind.PASSWORD_REJECTED, mailbox=other)
    assert clear(mailbox.owner, message=message) == 1
    assert clear(mailbox.owner) == 1
    assert Notification.objects.get().user == other.owner


def test_an_import_that_ended_is_told_of() -> None:
    """R28: whoever started it may have gone elsewhere. A check that ended is not the end."""
    user = factories.user()
    work = factories.checked_import(user)
    assert not user.notifications.exists()
    imports.start(work)
    imports.work_on(work.pk)
    assert user.notifications.get().customer_import == work


def test_what_nobody_clears_is_forgotten() -> None:
    """After some months it helps nobody."""
    mailbox = factories.mailbox()
    note(mailbox.owner, Kind.PASSWORD_REJECTED, mailbox=mailbox)
    assert forget_old() == 0
    assert forget_old(timezone.now() + KEPT_FOR + timedelta(seconds=1)) == 1
