"""Send Mail As: what one sends from, and the outgoing server of the CRM Mail account (R12, R14, R25, R35)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Mailbox, User
from sender.composing import identities
from sharing.models import AuditEntry
from tests import factories
from tests.portal.browsers import browser, page
from tests.portal.test_accounts import lines
from tests.servers import SmtpSink

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> Mailbox:
    """Ann's CRM Mail account."""
    user = factories.user(name="Ann", email="ann@our.example", mail_account=True)
    return user.mail_account.mailbox


@pytest.fixture
def admin(account: Mailbox) -> User:
    """An administrator of Ann's organisation."""
    return factories.user(organization=account.owner.organization, role=User.Role.ADMIN, mail_account=True)


@pytest.fixture
def server() -> Iterator[dict[str, Any]]:
    """The filled-in form for a server that works."""
    with SmtpSink(users={"user": "right"}) as smtp:
        yield {
            "outgoing_host": "127.0.0.1",
            "outgoing_port": smtp.port,
            "outgoing_security": "none",
            "outgoing_username": "user",
            "outgoing_password": "right",
            "allow_plain_text": "on",
        }


def entered(user: User, account: Mailbox, form: dict[str, Any]) -> Any:
    """The answer to that form."""
    answer = browser(user).post(reverse("outgoing-server", args=[account.pk]), form)
    account.refresh_from_db()
    return answer


def test_every_account_is_listed_with_what_is_missing(account: Mailbox) -> None:
    """R35."""
    added = factories.mailbox(owner=account.owner)
    shown = page(account.owner, "send-mail-as")
    assert account.email_address in shown
    assert added.email_address in shown
    assert reverse("outgoing-server", args=[account.pk]) in shown


def test_with_a_server_that_works_it_can_be_sent_from(account: Mailbox, server: dict[str, Any]) -> None:
    """R12, R35: not that it is, for that is the user's choice."""
    assert account not in identities(account.owner)
    assert entered(account.owner, account, server).headers["Location"] == reverse("send-mail-as")
    assert account in identities(account.owner)
    assert account.outgoing_password.reveal() == "right"
    assert not account.is_active
    assert "right" not in page(account.owner, "outgoing-server", account.pk)


def test_what_is_sent_from_it_is_nobody_elses_until_its_sharing_is_chosen(
    account: Mailbox, server: dict[str, Any]
) -> None:
    """sharing.md, line 5: the page says so, and leads to the choice."""
    entered(account.owner, account, server)
    assert reverse("mailbox-sharing", args=[account.pk]) in page(account.owner, "send-mail-as")
    factories.share(account, "public")
    assert reverse("mailbox-sharing", args=[account.pk]) not in page(account.owner, "send-mail-as")


def test_a_server_that_fails_is_saved_only_when_that_is_confirmed(account: Mailbox, server: dict[str, Any]) -> None:
    """R12."""
    wrong = server | {"outgoing_password": "wrong"}
    assert "nothing was saved" in entered(account.owner, account, wrong).content.decode()
    assert account.outgoing_host == ""
    assert entered(account.owner, account, wrong | {"confirmed": "test"}).status_code == 302
    assert account.outgoing_host == "127.0.0.1"


def test_it_is_tested_live_before_it_is_saved(account: Mailbox, server: dict[str, Any]) -> None:
    """R12."""
    url = reverse("outgoing-server-test", args=[account.pk])
    last = lines(account.owner, url, server | {"saving": "1"})[-1]
    assert 'data-outcome="passed"' in last
    assert "Incoming" not in last
    assert 'data-outcome="wrong"' in lines(account.owner, url, server | {"outgoing_username": ""})[-1]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"allow_plain_text": ""}, "outgoing_security"),
        ({"outgoing_host": ""}, "outgoing_host"),
        ({"outgoing_host": "smtp://x y"}, "outgoing_host"),
        ({"outgoing_username": ""}, "outgoing_username"),
        ({"outgoing_password": ""}, "outgoing_password"),
    ],
)
def test_what_is_missing_stands_beside_its_field(
    account: Mailbox, server: dict[str, Any], changes: dict[str, str], field: str
) -> None:
    """R8: plain text needs a tick of its own."""
    form = {name: value for name, value in (server | changes).items() if value}
    answer = entered(account.owner, account, form)
    assert set(answer.context["form"].errors) == {field}
    assert account.outgoing_host == ""


def test_an_empty_password_leaves_the_saved_one_and_nothing_is_tested(account: Mailbox, server: dict[str, Any]) -> None:
    """R14."""
    entered(account.owner, account, server)
    assert entered(account.owner, account, server | {"outgoing_password": ""}).status_code == 302
    assert account.outgoing_password.reveal() == "right"


def test_taken_away_its_password_is_forgotten(account: Mailbox, server: dict[str, Any]) -> None:
    """R14."""
    entered(account.owner, account, server)
    assert entered(account.owner, account, {"remove": "1"}).status_code == 302
    assert (account.outgoing_host, bool(account.outgoing_password), account.allow_plain_text) == ("", False, False)
    assert account not in identities(account.owner)


def test_an_address_that_a_pop3_account_has_too_is_no_obstacle(account: Mailbox, server: dict[str, Any]) -> None:
    """R4: most people have one address, which serves both."""
    factories.mailbox(owner=account.owner, email_address=account.email_address)
    assert entered(account.owner, account, server).status_code == 302


def test_a_colleagues_server_is_proposed(account: Mailbox, admin: User, server: dict[str, Any]) -> None:
    """One organisation mostly has one mail server."""
    entered(account.owner, account, server)
    form = browser(admin).get(reverse("outgoing-server", args=[admin.mail_account.mailbox_id])).context["form"]
    assert form["outgoing_host"].value() == "127.0.0.1"
    assert form["outgoing_username"].value() == admin.mail_account.mailbox.email_address


def test_an_administrator_enters_it_for_a_colleague_and_that_is_logged(
    account: Mailbox, admin: User, server: dict[str, Any]
) -> None:
    """R25."""
    assert reverse("outgoing-server", args=[account.pk]) in page(admin, "mailbox", account.pk)
    answer = entered(admin, account, server)
    assert answer.headers["Location"] == reverse("mailbox", args=[account.pk])
    assert AuditEntry.objects.get(action=AuditEntry.Action.MAILBOX_CHANGED).about == account.owner


def test_an_administrator_cannot_send_a_colleagues_password_to_another_server(
    account: Mailbox, admin: User, server: dict[str, Any]
) -> None:
    """R14."""
    entered(account.owner, account, server)
    moved = server | {"outgoing_port": 2525, "outgoing_password": ""}
    assert set(entered(admin, account, moved).context["form"].errors) == {"outgoing_password"}
    assert entered(admin, account, {"remove": "1"}).status_code == 302


@pytest.mark.parametrize("name", ["outgoing-server", "outgoing-server-test"])
def test_for_others_and_for_pop3_accounts_there_is_no_such_page(
    account: Mailbox, server: dict[str, Any], name: str
) -> None:
    """R1, R14."""
    colleague = factories.user(organization=account.owner.organization, mail_account=True)
    assert browser(colleague).post(reverse(name, args=[account.pk]), server).status_code == 404
    added = factories.mailbox(owner=account.owner)
    assert browser(account.owner).post(reverse(name, args=[added.pk]), server).status_code == 404
