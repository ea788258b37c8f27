"""Advanced Settings of an account's sharing: customers' mail in a single place (R33)."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.models import Mailbox, User
from mail.consolidating import consolidate, consolidation_of, put_stored
from mail.models import Consolidation
from mail.tasks import consolidate_stored
from tests import factories
from tests.portal.browsers import browser, page

pytestmark = pytest.mark.django_db

BEA = "bea@acme.example"


@pytest.fixture
def mailbox() -> Mailbox:
    """A mailbox whose organisation has Bea as a customer."""
    made = factories.mailbox()
    factories.customer(organization=made.owner.organization, addresses=[BEA])
    return made


def choose(mailbox: Mailbox, **chosen: str) -> str:
    """What the owner sees after they have saved their choice."""
    data = {f"consolidate-{name}": value for name, value in chosen.items()}
    url = reverse("mailbox-consolidate", args=[mailbox.pk])
    return browser(mailbox.owner).post(url, data, follow=True).content.decode()


def press(mailbox: Mailbox, name: str) -> str:
    """What the owner sees after they have pressed a button."""
    return browser(mailbox.owner).post(reverse(name, args=[mailbox.pk]), follow=True).content.decode()


def test_it_stands_under_advanced_settings_of_the_sharing_page(mailbox: Mailbox) -> None:
    """The source page, step 5; names that are there are offered."""
    consolidate(mailbox, kind="folder", name="Clients")
    shown = page(mailbox.owner, "mailbox-sharing", mailbox.pk)
    assert "Advanced Settings" in shown
    assert "Consolidate all my customers’ emails in a single place" in shown
    assert '<option value="Clients">' in shown


def test_it_is_chosen_changed_and_turned_off(mailbox: Mailbox) -> None:
    """The source page, steps 6 and 7."""
    assert "goes into the folder “Customers”" in choose(mailbox, is_on="on", kind="folder", folder="Customers")
    assert "gets the label “Hot”" in choose(mailbox, is_on="on", kind="label", label="Hot", folder="Customers")
    chosen = consolidation_of(mailbox)
    assert chosen is not None
    assert (chosen.kind, chosen.name) == ("label", "Hot")
    assert "stays in your Inbox. Nothing was moved" in choose(mailbox, kind="label", label="Hot")
    assert consolidation_of(mailbox) is None


def test_what_can_t_be_is_said_beside_the_field(mailbox: Mailbox) -> None:
    """And nothing changes."""
    assert "folders that every account has" in choose(mailbox, is_on="on", kind="folder", folder="Inbox")
    assert "Enter a name" in choose(mailbox, is_on="on", kind="label", label=" ")
    assert "Select a valid choice" in choose(mailbox, is_on="on", kind="drawer", folder="Customers")
    assert consolidation_of(mailbox) is None


def test_without_a_crm_mail_account_it_is_explained_and_leads_to_one(mailbox: Mailbox) -> None:
    """R33: offered only with one."""
    mailbox.owner.mail_account.folders.all().delete()
    mailbox.owner.mail_account.delete()
    owner = User.objects.get(pk=mailbox.owner_id)
    for name in ("mailbox-sharing", "mailbox-consolidate"):
        shown = page(owner, name, mailbox.pk)
        assert reverse("mail-account") in shown
        assert 'name="consolidate-is_on"' not in shown


def test_mail_that_is_there_follows_on_request_with_progress(mailbox: Mailbox) -> None:
    """R33."""
    factories.message(mailbox=mailbox, sender=BEA)
    choose(mailbox, is_on="on", kind="folder", folder="Customers")
    going = press(mailbox, "mailbox-consolidate-stored")
    assert 'hx-trigger="every 1s"' in going
    assert '<progress class="progress" max="1" value="0"' in going
    consolidate_stored()
    done = page(mailbox.owner, "mailbox-consolidate-progress", mailbox.pk)
    assert "1 message that was here before is in “Customers” now." in done
    assert "hx-trigger" not in done


def test_it_can_be_cancelled(mailbox: Mailbox) -> None:
    """What is in its place by then stays there."""
    factories.message(mailbox=mailbox, sender=BEA)
    put_stored(consolidate(mailbox, kind="label", name="Customers"))
    assert "Cancelled: 0 of the mail that was here before are labelled" in press(mailbox, "mailbox-consolidate-cancel")
    assert Consolidation.objects.get().state == "cancelled"


def test_it_is_the_owner_s_alone(mailbox: Mailbox) -> None:
    """R25: administrators learn nothing of anybody's folders and labels."""
    consolidate(mailbox, kind="folder", name="Secret project")
    admin = factories.user(organization=mailbox.owner.organization, role="admin")
    shown = page(admin, "mailbox-sharing", mailbox.pk)
    assert "Advanced Settings" not in shown
    assert "Secret project" not in shown
    for name in ("mailbox-consolidate", "mailbox-consolidate-progress"):
        page(admin, name, mailbox.pk, status=404)
