"""What only a real browser shows: hostile mail that does nothing, and the small scripts at work (R8, R15, R32)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, Request, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from fetcher.models import FetchRun
from sharing.models import CaughtUp, SharedRecord
from sharing.policies import policy_of
from tests import factories
from tests.portal import chromium
from tests.portal.browsers import browser
from tests.portal.test_message import HOSTILE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def portal(django_db_setup: None) -> Iterator[LiveServer]:
    """A server of these tests' own: each remembers that it was set up, which others want to see happen."""
    server = LiveServer("localhost")
    yield server
    server.stop()


@contextmanager
def window(user: User, portal: LiveServer, **options: Any) -> Iterator[Page]:
    """A browser window of somebody who has signed in; options are those of `chromium.page`."""
    session = browser(user).cookies[settings.SESSION_COOKIE_NAME].value
    with chromium.page(**options) as page:
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": portal.url}])
        yield page


class Watch:
    """What a page does to the outside while it is shown."""

    def __init__(self, page: Page, portal: LiveServer) -> None:
        self._home = portal.url
        self._requests: list[Request] = []
        self.dialogs: list[str] = []
        page.on("request", lambda request: self._requests.append(request))  # noqa: PLW0108 - Playwright needs a function
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def outside(self, *, allowed_only: bool) -> list[str]:
        """The addresses elsewhere that were asked for; `allowed_only` leaves out those that the policy stopped."""
        return [
            request.url
            for request in self._requests
            if not request.url.startswith((self._home, "data:")) and not (allowed_only and request.failure == "csp")
        ]


def test_hostile_mail_runs_nothing_and_tries_nothing(portal: LiveServer) -> None:
    """R32: after sanitising not even an attempt is left that the policy would have to stop."""
    mailbox = factories.mailbox()
    message = factories.message(mailbox=mailbox, html=HOSTILE)
    with window(mailbox.owner, portal) as page:
        watch = Watch(page, portal)
        page.goto(portal.url + reverse("message", args=[message.pk]))
        page.frame_locator("iframe").get_by_text("Harmless words").wait_for()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.querySelector('iframe').contentDocument") is None
        assert (watch.dialogs, watch.outside(allowed_only=False)) == ([], [])


def test_what_a_sanitiser_would_let_through_the_frame_stops(portal: LiveServer) -> None:
    """R32: neither is trusted alone. The hostile mail is put into the frame as it is, under the frame's own policy."""
    mailbox = factories.mailbox()
    message = factories.message(mailbox=mailbox, html="<p>x</p>")
    with window(mailbox.owner, portal, spotless=False) as page:
        watch = Watch(page, portal)
        page.route(
            "**" + reverse("message-html", args=[message.pk]),
            lambda route: route.fulfill(response=route.fetch(), body=f"<html><body>{HOSTILE}</body></html>"),
        )
        page.goto(portal.url + reverse("message", args=[message.pk]))
        page.frame_locator("iframe").get_by_text("Harmless words").wait_for()
        page.wait_for_load_state("networkidle")
        assert len(watch.outside(allowed_only=False)) > 3
        assert (watch.dialogs, watch.outside(allowed_only=True)) == ([], [])


def test_the_form_of_an_account_shows_what_applies(portal: LiveServer) -> None:
    """R8, R9, R11, R21."""
    user = factories.user(mail_account=True)
    with window(user, portal) as page:
        page.goto(portal.url + reverse("mailbox-add"))
        assert page.input_value("#id_incoming_port") == "995"
        assert not page.is_visible("#id_allow_plain_text")
        page.select_option("#id_incoming_security", "starttls")
        page.select_option("#id_outgoing_security", "starttls")
        assert page.input_value("#id_incoming_port") == "110"
        assert page.input_value("#id_outgoing_port") == "587"
        page.fill("#id_incoming_port", "2110")
        page.select_option("#id_incoming_security", "none")
        assert page.input_value("#id_incoming_port") == "2110"
        assert page.is_visible("#id_allow_plain_text")
        assert not page.is_visible("#id_used_by_other_clients")
        page.fill("#id_incoming_host", "pop.gmail.com")
        assert page.is_visible("#id_used_by_other_clients")
        page.press("#id_name", "Enter")
        page.get_by_text("Choose Public, Custom or Private. There is no default.").first.wait_for()
        assert not page.is_visible("#id_outgoing_password")
        page.uncheck("#id_use_same_credentials")
        assert page.is_visible("#id_outgoing_password")
        page.check("[name=sharing_mode][value=public]")
        for number in range(6):
            page.fill("#id_excluded_domains_chips", f"d{number}.example")
            page.keyboard.press("Enter")
        assert page.get_by_text("At most 5.").is_visible()
        page.get_by_role("button", name="Add Account").click()
        expect(page.locator(".field").get_by_text("You can exclude at most 5 domains; these are 6")).to_be_visible()


def test_the_address_fills_in_the_servers_and_leaves_what_was_typed(portal: LiveServer) -> None:
    """R7: at once for what is empty, with the button for all of it."""
    user = factories.user(mail_account=True)
    with window(user, portal) as page:
        page.goto(portal.url + reverse("mailbox-add"))
        page.fill("#id_name", "Mine")
        page.fill("#id_email_address", "bea@web.de")
        page.press("#id_email_address", "Tab")
        page.get_by_text("Servers of WEB.DE").wait_for()
        assert page.input_value("#id_name") == "Mine"
        assert page.input_value("#id_incoming_host") == "pop3.web.de"
        assert page.input_value("#id_incoming_username") == "bea@web.de"
        assert page.input_value("#id_outgoing_security") == "starttls"
        assert page.input_value("#id_outgoing_port") == "587"
        page.fill("#id_incoming_host", "mine.example")
        page.fill("#id_incoming_password", "typed already")
        page.fill("#id_email_address", "bea@gmail.com")
        page.press("#id_email_address", "Tab")
        page.get_by_text("Servers of Gmail").wait_for()
        assert page.input_value("#id_incoming_host") == "mine.example"
        page.click("text=Find the servers")
        expect(page.locator("#id_incoming_host")).to_have_value("pop.gmail.com")
        assert page.input_value("#id_incoming_password") == "typed already"
        assert page.is_visible("#id_used_by_other_clients")


def test_the_outgoing_server_follows_the_incoming_one_until_it_is_edited(portal: LiveServer) -> None:
    """R9."""
    user = factories.user(mail_account=True)
    with window(user, portal) as page:
        page.goto(portal.url + reverse("mailbox-add"))
        outgoing = page.locator("#id_outgoing_host")

        def incoming(host: str) -> None:
            page.fill("#id_incoming_host", host)
            page.press("#id_incoming_host", "Tab")

        incoming("pop.one.example")
        expect(outgoing).to_have_value("smtp.one.example")
        incoming("outlook.office365.com")
        expect(outgoing).to_have_value("smtp-mail.outlook.com")
        assert page.input_value("#id_outgoing_port") == "587"
        outgoing.fill("relay.our.example")
        incoming("pop.two.example")
        outgoing.fill("")
        outgoing.press("Tab")
        expect(outgoing).to_have_value("smtp.two.example")
        outgoing.fill("relay.our.example")
        outgoing.press("Tab")
        incoming("pop.three.example")
        page.click("text=Test account")
        page.get_by_text("This field is required.").first.wait_for()
        assert outgoing.input_value() == "relay.our.example"


def test_a_gmail_that_other_programs_read_can_only_be_left_on_the_server(portal: LiveServer) -> None:
    """R11: by the box, or by a user name that is tagged already."""
    user = factories.user(mail_account=True)
    with window(user, portal) as page:
        page.goto(portal.url + reverse("mailbox-add"))
        page.check("[name=delete_policy][value=after_days]")
        assert page.is_visible("#id_delete_after_days")
        page.fill("#id_incoming_host", "pop.gmail.com")
        assert page.is_enabled("[name=delete_policy][value=after_fetch]")
        page.fill("#id_incoming_username", "recent:ann@gmail.com")
        assert page.is_checked("#id_used_by_other_clients")
        assert page.is_checked("[name=delete_policy][value=leave]")
        assert page.is_disabled("[name=delete_policy][value=after_fetch]")
        assert not page.is_visible("#id_delete_after_days")
        page.fill("#id_incoming_username", "ann@gmail.com")
        page.uncheck("#id_used_by_other_clients")
        assert page.is_enabled("[name=delete_policy][value=after_fetch]")


def test_the_progress_of_a_fetch_is_asked_for_again_and_again(portal: LiveServer) -> None:
    """R15."""
    mailbox = factories.mailbox()
    with window(mailbox.owner, portal) as page:
        page.goto(portal.url + reverse("mailbox", args=[mailbox.pk]))
        progress = reverse("mailbox-progress", args=[mailbox.pk])
        page.get_by_role("button", name="Fetch now").click()
        for _ in range(2):
            with page.expect_response(lambda response: response.url.endswith(progress)):
                page.get_by_text("Waiting for a worker").first.wait_for()
    assert FetchRun.objects.count() == 1


def test_sharing_is_chosen_previewed_and_saved(portal: LiveServer) -> None:
    """R20, R21, R26: chips with a count out of five, then what it does, then the deed."""
    mailbox = factories.mailbox(mode="private")
    factories.customer(organization=mailbox.owner.organization, addresses=["bea@acme.example"])
    factories.message(mailbox=mailbox, sender="bea@acme.example", subject="An offer")
    with window(mailbox.owner, portal) as page:
        page.goto(portal.url + reverse("mailbox-sharing", args=[mailbox.pk]))
        domains = page.locator(".chip-box input")
        assert not domains.is_visible()
        page.get_by_text("Public – Complete Sharing").click()
        for number in range(6):
            domains.fill(f"d{number}.example")
            domains.press("Enter")
        page.get_by_text("5 of 5").wait_for()
        page.get_by_text("At most 5. Remove one domain first.").wait_for()
        domains.fill("")
        page.get_by_label("Remove d4.example").click()
        page.get_by_text("4 of 5").wait_for()
        page.get_by_role("button", name="Show what this does…").click()
        page.get_by_text("1 message becomes visible to colleagues").wait_for()
        page.get_by_text("An offer").wait_for()
        page.get_by_role("button", name="Back").click()
        page.get_by_text("4 of 5").wait_for()
        page.get_by_role("button", name="Show what this does…").click()
        page.get_by_role("button", name="Save").click()
        page.get_by_text("It acts at once.").wait_for()
    policy = policy_of(mailbox)
    assert policy is not None
    assert (policy.mode, policy.excluded_domains.count()) == ("public", 4)


def test_shared_mail_is_counted_in_the_navigation_and_read(portal: LiveServer) -> None:
    """R34: the count is there without asking, and goes when the message was opened."""
    mailbox = factories.mailbox()
    factories.customer(organization=mailbox.owner.organization, addresses=["bea@acme.example"])
    zoe = factories.user(organization=mailbox.owner.organization)
    CaughtUp.objects.create(reader=zoe, until=datetime(2026, 1, 1, tzinfo=UTC))
    factories.message(mailbox=mailbox, sender="bea@acme.example", subject="An offer")
    with window(zoe, portal) as page:
        page.goto(portal.url + reverse("home"))
        page.locator("#unread-shared", has_text="1").wait_for()
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Shared").click()
        page.get_by_role("link", name="An offer").click()
        page.get_by_text("Why can I see this?").click()
        page.get_by_text("is Public since").wait_for()
        page.locator("#unread-shared:empty").wait_for(state="attached")


def test_share_email_is_ticked_on_many_records_at_once(portal: LiveServer) -> None:
    """R22, R26: one box ticks all of the page; what it would show is said before."""
    mailbox = factories.mailbox(mode="custom")
    for name in ("bea", "carl"):
        factories.customer(organization=mailbox.owner.organization, addresses=[f"{name}@acme.example"])
        factories.message(mailbox=mailbox, sender=f"{name}@acme.example")
    with window(mailbox.owner, portal) as page:
        page.goto(portal.url + reverse("customer-list", args=["contacts"]))
        page.get_by_label("All contacts on this page").check()
        page.get_by_role("button", name="Share Email…").click()
        page.get_by_text("2 messages become visible to colleagues").wait_for()
        page.get_by_role("button", name="Share Email").click()
        page.get_by_text("You now share your mail with 2 contacts.").wait_for()
    assert SharedRecord.objects.filter(owner=mailbox.owner).count() == 2


def test_the_mail_of_a_record_comes_by_scrolling(portal: LiveServer) -> None:
    """R30: page after page, without a click."""
    mailbox = factories.mailbox()
    record = factories.customer(organization=mailbox.owner.organization, addresses=["bea@acme.example"])
    for number in range(40):
        factories.message(mailbox=mailbox, sender="bea@acme.example", subject=f"Number {number}")
    with window(mailbox.owner, portal) as page:
        page.goto(portal.url + record.get_absolute_url())
        for shown in (12, 24, 36, 40):
            expect(page.locator(".mail-row__subject").nth(shown - 1)).to_be_attached()
            page.keyboard.press("End")
        expect(page.locator(".mail-row__subject")).to_have_count(40)


def test_duplicates_are_merged_by_mouse_and_the_notice_undoes_it(portal: LiveServer) -> None:
    """R27."""
    ann = factories.mailbox(mode="custom").owner
    for name, phone, address in (("Beatrix", "555", "b@home.example"), ("Bea", "777", "bea@acme.example")):
        record = factories.customer(
            organization=ann.organization,
            first_name=name,
            last_name="Stone",
            phone=phone,
            addresses=[address, "shared@acme.example"],
        )
    with window(ann, portal) as page:
        page.goto(portal.url + record.get_absolute_url())
        page.get_by_role("link", name="Merge…").last.click()
        page.get_by_label("555").check()
        page.get_by_role("button", name="Merge").click()
        expect(page.locator(".facts")).to_contain_text("b@home.example")
        expect(page.locator(".facts")).to_contain_text("555")
        page.goto(portal.url + reverse("record-changes"))
        page.go_back()
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("status").get_by_role("button", name="Undo").click()
        expect(page.get_by_role("status")).to_contain_text("Undone")
        expect(page.get_by_role("heading", name="Bea Stone")).to_be_visible()
