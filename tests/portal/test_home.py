"""The home page: getting started, my mailbox, the latest mail with customers; and what stands around every page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox, Organization, User
from sharing.policies import keep_private
from tests import factories

pytestmark = pytest.mark.django_db

MOST_QUERIES = 12


@pytest.fixture
def organization() -> Organization:
    """The organisation of everybody here."""
    return factories.organization()


def signed_in(user: User) -> Client:
    """A browser in which `user` is signed in."""
    client = Client()
    client.force_login(user)
    return client


def home(user: User) -> Any:
    """The home page as `user` sees it."""
    return signed_in(user).get(reverse("home"))


def subjects(user: User) -> list[str]:
    """The subjects on the home page of `user`, in order."""
    return [message.subject for message, _ in home(user).context["latest"]]


def test_home_asks_to_sign_in_first(client: Client, organization: Organization) -> None:
    """R2."""
    assert client.get("/").headers["Location"] == f"{reverse('account_login')}?next=/"


def test_a_new_member_is_shown_the_next_step(organization: Organization) -> None:
    """R4: first the CRM Mail account, then a mailbox, then a customer."""
    member = factories.user(organization=organization)
    assert home(member).context["next_step"].title == "Set up your CRM Mail account"
    mailbox = factories.mailbox(owner=member)
    page = home(member)
    assert [step.is_done for step in page.context["steps"]] == [True, True, False]
    assert page.context["mailbox"] == mailbox
    factories.customer(organization=organization)
    page = home(member)
    assert page.context["next_step"] is None
    assert "Get started" not in page.content.decode()


def test_the_latest_customer_mail_is_what_the_viewer_may_see(organization: Organization) -> None:
    """R34 in its plain form, by the sharing contract: mine and what is shared, the latest first, copies once."""
    factories.customer(organization=organization, addresses=["bea@acme.example"], last_name="Acker")
    john, ana, cleo = (factories.user(organization=organization) for _ in range(3))
    day = datetime(2026, 11, 2, tzinfo=UTC)
    shared = factories.mailbox(owner=john, mode="public")
    mine = factories.mailbox(owner=ana, mode="private")
    secret = factories.mailbox(owner=cleo, mode="private")
    factories.message(mailbox=shared, subject="shared", date=day)
    factories.message(mailbox=mine, subject="mine", date=day + timedelta(days=1))
    factories.message(mailbox=secret, subject="secret", date=day + timedelta(days=2))
    factories.message(mailbox=mine, subject="no customer", sender="shop@news.example", date=day)
    for mailbox in (shared, mine):
        factories.message(
            mailbox=mailbox,
            subject="to both",
            to=["all@our.example"],
            message_id="both@acme.example",
            date=day + timedelta(days=3),
        )
    assert subjects(ana) == ["to both", "mine", "shared"]
    kept = factories.message(mailbox=shared, subject="kept", date=day + timedelta(days=4))
    assert subjects(ana)[0] == "kept"
    keep_private(john, kept, private=True)
    assert subjects(ana)[0] == "to both"


def test_home_says_whose_mailbox_a_shared_message_is_in(organization: Organization) -> None:
    """R30."""
    factories.customer(organization=organization, addresses=["bea@acme.example"], first_name="Bea", last_name="Acker")
    john = factories.user(organization=organization, name="John Jones")
    factories.message(mailbox=factories.mailbox(owner=john, mode="public"))
    page = home(factories.user(organization=organization)).content.decode()
    assert "John Jones" in page
    assert "Bea Acker" in page


def test_nothing_crosses_between_organisations(organization: Organization) -> None:
    """R1."""
    factories.customer(organization=organization, addresses=["bea@acme.example"])
    factories.message(mailbox=factories.mailbox(owner=factories.user(organization=organization), mode="public"))
    stranger = factories.user(organization=factories.organization(domain="other.example"))
    assert subjects(stranger) == []


def test_hostile_words_of_a_message_stay_words(organization: Organization) -> None:
    """R32."""
    factories.customer(organization=organization, addresses=["bea@acme.example"], last_name="<b>Acker</b>")
    mailbox = factories.mailbox(owner=factories.user(organization=organization), name="<i>box</i>")
    factories.message(mailbox=mailbox, subject="<script>alert(1)</script>", text="<img src=x onerror=alert(1)>")
    page = home(mailbox.owner).content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert not any(tag in page for tag in ("<script>alert", "<img src=x", "<b>Acker", "<i>box"))


@pytest.mark.parametrize("messages", [1, 15])
def test_home_asks_the_database_a_bounded_number_of_times(
    organization: Organization, messages: int, django_assert_max_num_queries: Any
) -> None:
    """The number of messages, customers and colleagues does not matter."""
    for number in range(messages):
        factories.customer(organization=organization, addresses=[f"c{number}@acme.example"])
    mailbox = factories.mailbox(owner=factories.user(organization=organization), mode="public")
    for number in range(messages):
        factories.message(mailbox=mailbox, sender=f"c{number}@acme.example")
    client = signed_in(mailbox.owner)
    client.get(reverse("home"))
    with django_assert_max_num_queries(MOST_QUERIES):
        assert client.get(reverse("home")).status_code == 200


def test_times_are_shown_in_the_organisation_s_zone() -> None:
    """R3."""
    organization = factories.organization(time_zone="Asia/Kolkata")
    factories.customer(organization=organization, addresses=["bea@acme.example"])
    mailbox = factories.mailbox(owner=factories.user(organization=organization))
    factories.message(mailbox=mailbox, date=datetime(2026, 1, 5, 23, 0, tzinfo=UTC))
    assert "2026-01-06T04:30:00+05:30" in home(mailbox.owner).content.decode()
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.parametrize(
    ("state", "words"),
    [("password_rejected", "the server rejected the password"), ("error", "could not be fetched"), ("ok", None)],
)
def test_every_page_warns_of_a_mailbox_that_is_in_trouble(
    organization: Organization, state: str, words: str | None
) -> None:
    """R18: a banner, on each page and for the owner only."""
    mailbox = factories.mailbox(owner=factories.user(organization=organization), email_address="box@our.example")
    Mailbox.objects.filter(pk=mailbox.pk).update(state=state, last_error="The server is busy.")
    page = signed_in(mailbox.owner).get(reverse("help")).content.decode()
    assert (words is not None and words in page) or (words is None and "banner" not in page)
    assert "box@our.example" not in signed_in(factories.user(organization=organization)).get("/help/").content.decode()


def test_pages_obey_their_own_content_security_policy(organization: Organization) -> None:
    """No inline script, handler or style: the policy would block it, and hostile mail could ride on an exception."""
    answer = home(factories.user(organization=organization))
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    page = answer.content.decode()
    assert not any(inline in page for inline in (" style=", " onclick=", " onsubmit=", "<style", "javascript:"))


def test_administration_is_offered_to_administrators_only(organization: Organization) -> None:
    """R1."""
    assert reverse("users") in home(factories.user(organization=organization, role="admin")).content.decode()
    assert reverse("users") not in home(factories.user(organization=organization)).content.decode()
