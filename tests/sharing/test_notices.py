"""Notifications tell only what their reader may see now, and only what is not over (R18, R34)."""

from __future__ import annotations

import pytest

from accounts.models import Mailbox
from mail.notifying import Kind, note
from sharing.audit import record_opening
from sharing.notices import notifications_for
from sharing.policies import keep_private
from sharing.visibility import Sight
from tests import factories

pytestmark = pytest.mark.django_db


def kinds(mailbox: Mailbox) -> list[str]:
    """What the owner of a mailbox is told of."""
    return [each.kind for each in notifications_for(Sight(mailbox.owner))]


def test_a_colleague_s_answer_is_told_of_as_long_as_it_may_be_seen() -> None:
    """sharing.md: nothing says that there is an answer that is kept private."""
    mine = factories.mailbox()
    organization = mine.owner.organization
    factories.customer(organization=organization, addresses=["bea@acme.example"])
    theirs = factories.mailbox(owner=factories.user(organization=organization), mode="public")
    answer = factories.message(mailbox=theirs, sender=theirs.email_address, to=["bea@acme.example"])
    note(mine.owner, Kind.ANSWERED, actor=theirs.owner, message=answer)
    assert kinds(mine) == ["answered"]
    keep_private(theirs.owner, answer, private=True)
    assert kinds(mine) == []
    keep_private(theirs.owner, answer, private=False)
    record_opening(mine.owner, answer)
    assert kinds(mine) == [], "who has opened it knows"


def test_a_rejected_password_is_told_of_until_the_right_one_is_saved() -> None:
    """R18."""
    mailbox = factories.mailbox()
    note(mailbox.owner, Kind.PASSWORD_REJECTED, mailbox=mailbox)
    assert kinds(mailbox) == []
    Mailbox.objects.filter(pk=mailbox.pk).update(state="password_rejected")
    assert kinds(mailbox) == ["password_rejected"]
