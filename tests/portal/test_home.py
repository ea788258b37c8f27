"""The home page: getting started, what waits for an answer, what is unread, my mailbox; and what stands around every page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox, Organization, User
from fetcher.models import FetchRun
from fetcher.scheduling import claim
from mail.consolidating import consolidate
from mail.models import Message
from mail.notifying import Kind, note
from sharing.models import CaughtUp
from sharing.policies import keep_private
from tests import factories
from tests.portal.browsers import page

pytestmark = pytest.mark.django_db


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


def busy(organization: Organization, messages: int) -> Mailbox:
    """A mailbox with so much unread mail of as many customers, and a colleague who shares as much."""
    mine, theirs = (factories.mailbox(owner=factories.user(organization=organization), mode="public") for _ in range(2))
    note(mine.owner, Kind.PASSWORD_REJECTED, mailbox=mine)
    for number in range(messages):
        factories.customer(organization=organization, addresses=[f"c{number}@acme.example"], last_name=f"C{number}")
        for mailbox in (mine, theirs):
            made = factories.message(mailbox=mailbox, sender=f"c{number}@acme.example", date=timezone.now())
        note(mine.owner, Kind.ANSWERED, actor=theirs.owner, message=made)
    CaughtUp.objects.create(reader=mine.owner, until=timezone.now() - timedelta(days=1))
    return mine


def test_what_waits_for_an_answer_can_be_dismissed_and_that_undone(organization: Organization) -> None:
    """R34: on the home page, and on the page of all of it."""
    factories.customer(organization=organization, addresses=["bea@acme.example"], last_name="Acker")
    mailbox = factories.mailbox(owner=factories.user(organization=organization), mode="private")
    thread = factories.message(mailbox=mailbox, subject="When?").thread
    client = signed_in(mailbox.owner)
    assert "When?" in page(mailbox.owner, "home-answers")
    assert "When?" in page(mailbox.owner, "answers")
    told = client.post(reverse("answer-dismiss", args=[thread.pk]), follow=True).content.decode()
    assert f'action="{reverse("answer-restore", args=[thread.pk])}"' in told
    assert "Nobody waits for you" in page(mailbox.owner, "home-answers")
    client.post(reverse("answer-restore", args=[thread.pk]))
    assert "When?" in page(mailbox.owner, "home-answers")
    answer = client.post(reverse("answer-dismiss", args=[thread.pk]), {"all": "1"})
    assert answer.headers["Location"] == reverse("answers")


def test_nobody_dismisses_what_waits_for_others(organization: Organization) -> None:
    """A thread is its owner's."""
    mailbox = factories.mailbox(owner=factories.user(organization=organization))
    thread = factories.message(mailbox=mailbox).thread
    other = signed_in(factories.user(organization=organization))
    for name in ("answer-dismiss", "answer-restore"):
        assert other.post(reverse(name, args=[thread.pk])).status_code == 404


def test_unread_customer_mail_is_counted_by_customer(organization: Organization) -> None:
    """R34: one's own and what colleagues share, as far as one may see it."""
    for name in ("bea", "carl"):
        factories.customer(organization=organization, addresses=[f"{name}@acme.example"], last_name=name.title())
    members = [factories.user(organization=organization) for _ in range(3)]
    mine, shared, secret = (
        factories.mailbox(owner=owner, mode=mode)
        for owner, mode in zip(members, ("private", "public", "private"), strict=True)
    )
    CaughtUp.objects.create(reader=members[0], until=timezone.now() - timedelta(days=40))
    today = timezone.now()
    read = factories.message(mailbox=mine, date=today)
    Message.objects.filter(pk=read.pk).update(is_read=True)
    for mailbox, sender, date in (
        (mine, "bea@acme.example", today),
        (mine, "bea@acme.example", today - timedelta(days=35)),
        (mine, "shop@news.example", today),
        (shared, "bea@acme.example", today),
        (shared, "carl@acme.example", today),
        (shared, "carl@acme.example", today - timedelta(days=35)),
        (secret, "carl@acme.example", today),
    ):
        factories.message(mailbox=mailbox, sender=sender, date=date)
    unread = signed_in(members[0]).get(reverse("home-unread")).context["unread"]
    assert [(str(each.customer), each.own, each.shared) for each in unread] == [("Bea", 1, 1), ("Carl", 0, 1)]
    assert "All read" in page(factories.user(organization=organization), "home-unread")


def test_counts_in_the_navigation_are_answered_with_304_while_nothing_changes(organization: Organization) -> None:
    """R34: asked for every minute by every open page."""
    mailbox = factories.mailbox(owner=factories.user(organization=organization))
    client = signed_in(mailbox.owner)
    first = client.get(reverse("unread"))
    tag = {"If-None-Match": first.headers["ETag"]}
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert client.get(reverse("unread"), headers=tag).status_code == 304
    factories.message(mailbox=mailbox)
    assert client.get(reverse("unread"), headers=tag).status_code == 200


def test_mail_that_is_put_together_counts_as_unread_too(organization: Organization) -> None:
    """R33: it came, though not into the Inbox."""
    mailbox = factories.mailbox(owner=factories.user(organization=organization))
    factories.customer(organization=organization, addresses=["bea@acme.example"])
    consolidate(mailbox, kind="folder", name="Customers")
    factories.message(mailbox=mailbox)
    assert signed_in(mailbox.owner).get(reverse("unread")).context["own"] == 1


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"state": "password_rejected", "last_error": "Wrong."}, "Enter the right password"),
        ({"state": "error", "last_error": "The server is busy."}, "It is tried again by itself."),
        ({"state": "ok", "last_fetched_at": datetime(2026, 11, 2, tzinfo=UTC)}, "Last fetched"),
    ],
)
def test_the_state_of_my_mailbox_says_what_to_do(organization: Organization, state: dict[str, Any], words: str) -> None:
    """R18, R34."""
    mailbox = factories.mailbox(owner=factories.user(organization=organization))
    Mailbox.objects.filter(pk=mailbox.pk).update(**state)
    assert words in page(mailbox.owner, "home-mailbox")


def test_a_fetch_that_is_going_on_shows_how_far_it_is(organization: Organization) -> None:
    """R15: the first one may take long."""
    mailbox = factories.mailbox(owner=factories.user(organization=organization))
    run, _ = claim(mailbox)
    FetchRun.objects.filter(pk=run.pk).update(state="running", total=1200, new=300)
    shown = page(mailbox.owner, "home-mailbox")
    assert "300 of 1,200 new messages" in shown
    assert '<progress class="progress" max="1200" value="300"' in shown


def test_notifications_are_read_and_cleared(organization: Organization) -> None:
    """One by one or all; those of others stay."""
    mailbox = busy(organization, 2)
    client = signed_in(mailbox.owner)
    answered = list(mailbox.owner.notifications.filter(kind="answered"))
    shown = page(mailbox.owner, "notifications")
    assert shown.count("answered mail of yours") == 2
    other = signed_in(factories.user(organization=organization))
    assert other.post(reverse("notification-clear", args=[answered[0].pk])).status_code == 404
    assert client.post(reverse("notification-clear", args=[answered[0].pk])).headers["Location"] == "/notifications/"
    at_home = client.post(reverse("notification-clear", args=[answered[1].pk]), {"home": "1"})
    assert at_home.headers["Location"] == "/"
    assert "Nothing new" in page(mailbox.owner, "notifications")
    client.post(reverse("notifications-clear"))
    assert not mailbox.owner.notifications.exists()


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
