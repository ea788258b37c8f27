"""Administration › Organisation › Retention: how much would be deleted is shown before it is saved (R40)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox, Organization
from mail.models import Message
from tests import factories
from tests.portal.browsers import browser, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def mailbox() -> Mailbox:
    """A member's, with an old message that is kept private."""
    made = factories.mailbox(mode="private")
    message = factories.message(mailbox=made, subject="Hush", date=timezone.now() - timedelta(days=800))
    Message.objects.filter(pk=message.pk).update(is_private=True, filed_at=timezone.now() - timedelta(days=700))
    return made


def test_a_number_is_shown_before_anything_is_saved(mailbox: Mailbox) -> None:
    """Counts only: administrators learn of no mail."""
    admin = browser(factories.user(organization=mailbox.owner.organization, role="admin"))
    url = reverse("organization-retention")
    shown = admin.post(url, {"months": "24"}).content.decode()
    assert "<strong>1</strong> message is deleted for good" in shown
    assert "Hush" not in shown
    assert Organization.objects.get().retention_months is None
    assert "Back" in shown
    assert admin.post(url, {"months": "24", "back": "1"}).context["form"].data["months"] == "24"
    admin.post(url, {"months": "24", "confirmed": "1"})
    assert Organization.objects.get().retention_months == 24
    assert "older than <strong>24 months</strong>" in admin.get(reverse("organization")).content.decode()
    assert "older than 24 months" in page(mailbox.owner, "email-settings")
    admin.post(url, {"months": ""})
    assert Organization.objects.get().retention_months is None


@pytest.mark.parametrize("months", ["0", "-1", "1201", "many"])
def test_what_makes_no_sense_is_refused(mailbox: Mailbox, months: str) -> None:
    """And changes nothing."""
    admin = browser(factories.user(organization=mailbox.owner.organization, role="admin"))
    answer = admin.post(reverse("organization-retention"), {"months": months, "confirmed": "1"})
    assert answer.context["form"].errors
    assert Organization.objects.get().retention_months is None


def test_it_is_for_administrators_only(mailbox: Mailbox) -> None:
    """R25."""
    page(mailbox.owner, "organization-retention", status=404)
