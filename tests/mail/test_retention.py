"""Retention: what an organisation does not want to keep is deleted here, and only here (R10, R40)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Mailbox, Organization
from fetcher.deletion import deletable
from fetcher.models import SeenUid
from mail import retention
from mail.models import Message, Thread
from mail.retention import ARRIVED_LATELY, DELAY, delete_expired, expired
from sharing.administering import set_retention
from sharing.models import AuditEntry
from sharing.policies import keep_private
from tests import factories

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def mailbox() -> Mailbox:
    """A mailbox of an organisation that keeps mail for a year since long ago."""
    made = factories.mailbox(delete_policy="when_deleted")
    keep_for(made, 12)
    return made


def keep_for(mailbox: Mailbox, months: int | None) -> None:
    """As an administrator chose long ago."""
    organization = mailbox.owner.organization
    set_retention(factories.user(organization=organization, role="admin"), organization, months)
    Organization.objects.filter(pk=organization.pk, retention_months=months).update(
        retention_set_at=NOW - timedelta(days=90) if months else None
    )


def old(mailbox: Mailbox, days: int = 400, arrived: timedelta = timedelta(days=60)) -> Message:
    """A message of so many days ago that arrived here later."""
    message = factories.message(mailbox=mailbox, date=NOW - timedelta(days=days))
    Message.objects.filter(pk=message.pk).update(filed_at=NOW - arrived)
    return message


def left() -> set[int]:
    """What is still here after everything that is too old was deleted."""
    delete_expired(NOW)
    return set(Message.objects.values_list("pk", flat=True))


def test_what_is_older_is_deleted_and_nothing_else(mailbox: Mailbox) -> None:
    """With its conversation."""
    gone, kept = old(mailbox), old(mailbox, days=360)
    assert left() == {kept.pk}
    assert not Thread.objects.filter(pk=gone.thread_id).exists()


def test_it_is_off_until_somebody_asks_for_it() -> None:
    """R40."""
    message = old(factories.mailbox(), days=9000)
    assert left() == {message.pk}


def test_what_is_kept_private_is_treated_like_the_rest(mailbox: Mailbox) -> None:
    """Nothing must tell which mail it is; a conversation that is kept private stays so."""
    private, shared, thread = old(mailbox), old(mailbox), old(mailbox)
    keep_private(mailbox.owner, private, True)
    keep_private(mailbox.owner, thread.thread, True)
    count = expired(mailbox.owner.organization, 12, NOW).count()
    assert (count, left()) == (3, set())
    assert Thread.objects.filter(pk=thread.thread_id, is_private=True).exists()
    assert not Thread.objects.filter(pk=shared.thread_id).exists()


def test_drafts_and_what_has_just_arrived_stay(mailbox: Mailbox) -> None:
    """A first fetch brings the mail of years: nobody wants that to vanish before it was seen."""
    draft = old(mailbox)
    Message.objects.filter(pk=draft.pk).update(is_draft=True)
    imported = old(mailbox, arrived=ARRIVED_LATELY - timedelta(hours=1))
    assert left() == {draft.pk, imported.pk}


def test_on_the_server_nothing_is_deleted_by_it(mailbox: Mailbox) -> None:
    """R10: though the setting says *when deleted in CRM Mail*, nobody deleted it; nor is it fetched again."""
    old(mailbox)
    assert left() == set()
    assert SeenUid.objects.get().has_expired
    assert not deletable(mailbox).exists()


def test_other_organisations_keep_theirs(mailbox: Mailbox) -> None:
    """R1."""
    other = factories.mailbox(owner=factories.user(organization=factories.organization(domain="other.example")))
    message = old(other)
    assert left() == {message.pk}


def test_it_begins_a_day_after_it_was_chosen_and_ends_when_it_is_taken_back(mailbox: Mailbox) -> None:
    """Undo instead of confirm: until then nothing is gone."""
    message = old(mailbox)
    organization = mailbox.owner.organization
    Organization.objects.filter(pk=organization.pk).update(retention_set_at=NOW - DELAY + timedelta(minutes=1))
    assert left() == {message.pk}
    keep_for(mailbox, None)
    assert left() == {message.pk}


def test_a_setting_that_is_taken_back_meanwhile_deletes_nothing_more(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is a transaction; the next one sees the change, and a worker that died is followed by another."""
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention, "_MOST_SECONDS", -1.0)
    old(mailbox), old(mailbox), old(mailbox)
    assert (delete_expired(NOW), Message.objects.count()) == (1, 2)
    assert (delete_expired(NOW), Message.objects.count()) == (1, 1)
    stale = Organization.objects.get(pk=mailbox.owner.organization_id)
    keep_for(mailbox, None)
    assert retention._delete_batch(stale, mailbox.owner, NOW) == 0
    assert Message.objects.count() == 1


def test_the_choice_is_in_the_audit_log() -> None:
    """R26; saying the same again is no change."""
    admin = factories.user(role="admin")
    for months in (24, 24, None):
        set_retention(admin, admin.organization, months)
    entries = AuditEntry.objects.order_by("id")
    assert [entry.in_words for entry in entries] == ["retention months: none → 24", "retention months: 24 → none"]


@pytest.mark.parametrize(
    ("now", "months", "before"),
    [
        (datetime(2026, 3, 31, tzinfo=UTC), 1, datetime(2026, 2, 28, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), 12, datetime(2023, 2, 28, tzinfo=UTC)),
        (datetime(2026, 1, 15, tzinfo=UTC), 13, datetime(2024, 12, 15, tzinfo=UTC)),
        (datetime(26, 1, 15, tzinfo=UTC), 1200, datetime(1, 1, 15, tzinfo=UTC)),
    ],
)
def test_months_are_those_of_the_calendar(now: datetime, months: int, before: datetime) -> None:
    """At the end of a month, too."""
    assert retention._months_before(now, months) == before


def test_now_is_now() -> None:
    """Without a moment given, the clock's counts."""
    mailbox = factories.mailbox()
    keep_for(mailbox, 1)
    Organization.objects.update(retention_set_at=timezone.now() - timedelta(days=2))
    message = factories.message(mailbox=mailbox, date=timezone.now() - timedelta(days=70))
    Message.objects.filter(pk=message.pk).update(filed_at=timezone.now() - timedelta(days=65))
    assert delete_expired() == 1
