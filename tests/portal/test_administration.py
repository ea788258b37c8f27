"""Administration: users, invitations, the organisation; for administrators of that organisation only (R1–R3)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.models import Invitation, Mailbox, Organization, User
from sharing.models import AuditEntry
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> User:
    """An administrator."""
    return factories.user(role="admin", name="Ada Admin")


@pytest.fixture
def browser(admin: User) -> Client:
    """Their browser."""
    client = Client()
    client.force_login(admin)
    return client


def words_of(answer: Any) -> list[str]:
    """What the messages of a page say."""
    return [str(message) for message in answer.context["messages"]]


@pytest.mark.parametrize("name", ["users", "user-invite", "organization"])
def test_members_find_no_administration(admin: User, name: str) -> None:
    """R1: for others it does not exist."""
    client = Client()
    assert client.get(reverse(name)).headers["Location"].startswith(reverse("account_login"))
    client.force_login(factories.user(organization=admin.organization))
    assert client.get(reverse(name)).status_code == 404


@pytest.mark.parametrize("name", ["user-deactivate", "user-reactivate", "user-role"])
def test_deeds_are_for_administrators_of_the_same_organisation_and_by_post(
    admin: User, browser: Client, name: str
) -> None:
    """R1."""
    colleague = factories.user(organization=admin.organization)
    stranger = factories.user(organization=factories.organization(domain="other.example"))
    page = reverse(name, args=[colleague.pk])
    assert browser.get(page).status_code == 405
    assert browser.post(reverse(name, args=[stranger.pk]), {"role": "admin"}).status_code == 404
    member = Client()
    member.force_login(colleague)
    assert member.post(page, {"role": "admin"}).status_code == 404
    colleague.refresh_from_db()
    assert (colleague.is_active, colleague.role) == (True, "member")


def test_users_are_listed_with_role_state_and_how_their_mailboxes_do(admin: User, browser: Client) -> None:
    """R2. Who shares what stands on a page of its own."""
    owner = factories.user(organization=admin.organization, name="Bob Berger")
    factories.mailbox(owner=owner, mode="custom", name="Bob’s mail")
    factories.user(organization=admin.organization, name="Otto Off", is_active=False)
    factories.user(organization=factories.organization(domain="other.example"), name="Zed Stranger")
    page = browser.get(reverse("users")).content.decode()
    assert all(words in page for words in ("Ada Admin", "Bob Berger", "Bob’s mail", "Deactivated"))
    assert "Zed Stranger" not in page


def test_a_deactivated_user_s_mailbox_shows_as_paused(admin: User, browser: Client) -> None:
    """R2: polling stops."""
    owner = factories.user(organization=admin.organization)
    mailbox = factories.mailbox(owner=owner)
    answer = browser.post(reverse("user-deactivate", args=[owner.pk]), follow=True)
    assert "can no longer sign in" in words_of(answer)[0]
    assert "Paused" in answer.content.decode()
    assert Mailbox.objects.get(pk=mailbox.pk).next_fetch_at is None
    browser.post(reverse("user-reactivate", args=[owner.pk]))
    owner.refresh_from_db()
    assert owner.is_active
    assert Mailbox.objects.get(pk=mailbox.pk).next_fetch_at is not None


def test_the_only_administrator_can_t_be_lost(admin: User, browser: Client) -> None:
    """R2."""
    for name, values in (("user-deactivate", {}), ("user-role", {"role": "member"})):
        answer = browser.post(reverse(name, args=[admin.pk]), values, follow=True)
        assert words_of(answer) == ["This is the only active administrator. Make somebody else one first."]
    admin.refresh_from_db()
    assert admin.is_active
    assert admin.is_admin


def test_roles_change_and_whoever_steps_down_leaves_the_administration(admin: User, browser: Client) -> None:
    """R1."""
    other = factories.user(organization=admin.organization)
    browser.post(reverse("user-role", args=[other.pk]), {"role": "admin"})
    other.refresh_from_db()
    assert other.is_admin
    assert browser.post(reverse("user-role", args=[other.pk]), {"role": "king"}).status_code == 302
    answer = browser.post(reverse("user-role", args=[admin.pk]), {"role": "member"})
    assert answer.headers["Location"] == reverse("home")
    assert browser.get(reverse("users")).status_code == 404


def test_an_invitation_is_mailed_and_its_link_shown_once(admin: User, browser: Client) -> None:
    """R2."""
    answer = browser.post(reverse("user-invite"), {"email": "New@Our.example", "name": "Nina", "role": "member"})
    link = re.search(r'value="(http[^"]+/invitation/[^"]+)"', answer.content.decode())
    assert link is not None
    assert mail.outbox[0].to == ["new@our.example"]
    assert link[1] in mail.outbox[0].body
    token = link[1].rstrip("/").rpartition("/")[2]
    listed = browser.get(reverse("users")).content.decode()
    assert "new@our.example" in listed
    assert token not in listed
    assert Client().get(reverse("invitation", args=[token])).status_code == 200
    invitation = Invitation.objects.get()
    browser.post(reverse("invitation-revoke", args=[invitation.pk]))
    assert [entry.action for entry in AuditEntry.objects.all()] == ["invite_withdrawn", "user_invited"]
    assert Client().get(reverse("invitation", args=[token])).status_code == 404


def test_without_a_mail_server_the_link_is_shown_and_said_to_be_unsent(
    admin: User, browser: Client, settings: Any
) -> None:
    """R2: nobody waits for a mail that was never sent."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    page = browser.post(reverse("user-invite"), {"email": "new@our.example", "role": "member"}).content.decode()
    assert "could not be mailed" in page
    assert "/invitation/" in page


def test_a_mail_server_that_does_not_answer_does_not_undo_the_invitation(
    admin: User, browser: Client, settings: Any
) -> None:
    """A closed port of this machine stands for it."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 2
    page = browser.post(reverse("user-invite"), {"email": "new@our.example", "role": "member"}).content.decode()
    assert "could not be mailed" in page
    assert Invitation.objects.get().is_open


def test_an_invitation_of_somebody_who_is_here_is_refused_beside_the_field(admin: User, browser: Client) -> None:
    """R2."""
    answer = browser.post(reverse("user-invite"), {"email": admin.email, "role": "member"})
    assert answer.context["form"].errors["email"] == ["Somebody with this address already has an account."]
    assert not mail.outbox


def test_another_organisation_s_invitation_can_t_be_withdrawn(admin: User, browser: Client) -> None:
    """R1."""
    other = factories.user(organization=factories.organization(domain="other.example"), role="admin")
    their_browser = Client()
    their_browser.force_login(other)
    their_browser.post(reverse("user-invite"), {"email": "x@other.example", "role": "member"})
    assert browser.post(reverse("invitation-revoke", args=[Invitation.objects.get().pk])).status_code == 404
    assert Invitation.objects.exists()


def test_the_organisation_s_settings_are_saved(admin: User, browser: Client) -> None:
    """R3, R15."""
    page = reverse("organization")
    values = {"name": "Renamed", "time_zone": "Asia/Tokyo", "poll_interval_minutes": 10, "delivers_locally": True}
    assert browser.post(page, values).headers["Location"] == page
    saved = Organization.objects.get(pk=admin.organization.pk)
    assert (saved.name, saved.time_zone, saved.poll_interval_minutes) == ("Renamed", "Asia/Tokyo", 10)
    [entry] = AuditEntry.objects.filter(actor=admin)
    assert entry.details["after"] == values
    for minutes in (2, 61):
        answer = browser.post(page, values | {"poll_interval_minutes": minutes})
        assert "poll_interval_minutes" in answer.context["form"].errors
    assert Organization.objects.get(pk=saved.pk).poll_interval_minutes == 10


@pytest.mark.parametrize(
    ("domain", "complaint"),
    [
        ("gmail.com", "belongs to a public mail provider"),
        ("our.example", "is already in the list"),
        ("not a domain", "is not a mail domain"),
    ],
)
def test_a_mail_domain_that_can_t_be_one_s_own_is_refused(browser: Client, domain: str, complaint: str) -> None:
    """R3."""
    answer = browser.post(reverse("mail-domain-add"), {"domain": domain})
    assert complaint in answer.context["domain_form"].errors["domain"][0]


def test_mail_domains_are_added_and_removed_but_one_stays(admin: User, browser: Client) -> None:
    """R3, R4: CRM Mail accounts need one."""
    domains = admin.organization.mail_domains
    browser.post(reverse("mail-domain-add"), {"domain": "@Second.Example."})
    assert [str(domain) for domain in domains.all()] == ["our.example", "second.example"]
    first, second = domains.all()
    browser.post(reverse("mail-domain-remove", args=[first.pk]))
    answer = browser.post(reverse("mail-domain-remove", args=[second.pk]), follow=True)
    assert words_of(answer)[-1].startswith("This is your only mail domain.")
    assert [str(domain) for domain in domains.all()] == ["second.example"]


@pytest.mark.parametrize("colleagues", [1, 12])
def test_the_list_of_users_asks_the_database_a_bounded_number_of_times(
    admin: User, browser: Client, colleagues: int, django_assert_max_num_queries: Any
) -> None:
    """However many people and mailboxes there are."""
    for _ in range(colleagues):
        factories.mailbox(owner=factories.user(organization=admin.organization))
    browser.get(reverse("users"))
    with django_assert_max_num_queries(8):
        assert browser.get(reverse("users")).status_code == 200
