"""Setting up accounts in the browser: tests before saving, deletion, passwords, removal, and for colleagues (R5, R10, R12, R25, R38)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Mailbox, User
from mail.models import Message
from mail.removal import delete_mail_of_removed
from sharing.models import AuditEntry
from sharing.policies import policy_of
from tests import factories
from tests.portal.browsers import browser, page, queries_of
from tests.servers import ScriptedPop3Server, SmtpSink
from tests.servers import mailbox as pop3_mailbox

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    """A user who has set up the CRM Mail account."""
    return factories.user(name="Ann", email="ann@our.example", mail_account=True)


@pytest.fixture
def admin(ann: User) -> User:
    """An administrator of Ann's organisation."""
    return factories.user(organization=ann.organization, role=User.Role.ADMIN, mail_account=True)


@pytest.fixture
def servers() -> Iterator[dict[str, Any]]:
    """The fields of an account whose two servers work, with two messages on the one for incoming mail."""
    with (
        ScriptedPop3Server(pop3_mailbox(b"a", b"b", password="right")) as pop3,
        SmtpSink(users={"user": "right"}) as smtp,
    ):
        yield {
            "incoming_host": "127.0.0.1",
            "incoming_port": pop3.port,
            "incoming_security": "none",
            "incoming_username": "user",
            "incoming_password": "right",
            "use_same_credentials": "on",
            "outgoing_host": "127.0.0.1",
            "outgoing_port": smtp.port,
            "outgoing_security": "none",
            "allow_plain_text": "on",
        }


def whole(servers: dict[str, Any], **changes: object) -> dict[str, Any]:
    """A filled-in *Add POP3 Account* form."""
    rest = {
        "name": "Work",
        "email_address": "ann@work.example",
        "delete_policy": "leave",
        "import_since": "all",
        "sharing_mode": "private",
    }
    return servers | rest | changes


def saved(servers: dict[str, Any], owner: User, **fields: Any) -> Mailbox:
    """An account of somebody on those servers."""
    settings = {name: value is True or value == "on" or value for name, value in servers.items()}
    return factories.mailbox(owner=owner, **settings | fields)


def lines(user: User, url: str, data: dict[str, Any]) -> list[str]:
    """What a live test answers, line by line."""
    answer = browser(user).post(url, data)
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    return body.decode().splitlines()


# --- Test account ----------------------------------------------------------------------------------------------------


def test_a_test_shows_step_after_step_and_saves_nothing(ann: User, servers: dict[str, Any]) -> None:
    """R12."""
    shown = lines(ann, reverse("mailbox-test-new"), servers)
    assert "Testing…" in shown[0]
    assert "was found" not in shown[0]
    assert "2 messages are on the server." in shown[-1]
    assert "Both servers work." in shown[-1]
    assert 'data-outcome="passed"' in shown[-1]
    assert not Mailbox.objects.filter(kind="pop3").exists()


def test_a_failed_test_says_why_beside_the_step(ann: User, servers: dict[str, Any]) -> None:
    """R12."""
    shown = lines(ann, reverse("mailbox-test-new"), servers | {"incoming_password": "wrong"})
    assert "rejected" in shown[-1]
    assert "data-outcome" not in shown[-1]
    assert "Save although" not in shown[-1]


def test_what_is_missing_for_a_test_is_named_with_a_link_to_its_field(ann: User) -> None:
    """R12."""
    (shown,) = lines(ann, reverse("mailbox-test-new"), {})
    assert 'data-outcome="wrong"' in shown
    assert 'href="#id_incoming_host"' in shown
    assert 'href="#id_name"' not in shown


def test_a_saved_account_is_tested_with_its_saved_password(ann: User, servers: dict[str, Any]) -> None:
    """R12, R14."""
    mailbox = saved(servers, ann)
    shown = lines(ann, reverse("mailbox-test", args=[mailbox.pk]), servers | {"incoming_password": ""})
    assert "Both servers work." in shown[-1]


def test_without_javascript_the_button_shows_the_result_and_keeps_what_was_entered(
    ann: User, servers: dict[str, Any]
) -> None:
    """R12; the password is not sent back (R14)."""
    answer = browser(ann).post(reverse("mailbox-add"), whole(servers, test="account", name="My own"))
    text = answer.content.decode()
    assert "Both servers work." in text
    assert 'value="My own"' in text
    assert "right" not in text.replace("copyright", "")


def test_an_account_that_fails_its_test_is_saved_only_when_that_is_confirmed(
    ann: User, servers: dict[str, Any]
) -> None:
    """R12."""
    url, entered = reverse("mailbox-add"), whole(servers, incoming_password="wrong")
    refused = browser(ann).post(url, entered).content.decode()
    assert "nothing was saved" in refused
    assert 'name="confirmed" value="test "' in refused
    assert not Mailbox.objects.filter(kind="pop3").exists()
    assert browser(ann).post(url, entered | {"confirmed": "test "}).status_code == 302
    assert Mailbox.objects.get(kind="pop3").email_address == "ann@work.example"


def test_an_account_that_works_is_saved_at_once(ann: User, servers: dict[str, Any]) -> None:
    """R12."""
    assert browser(ann).post(reverse("mailbox-add"), whole(servers)).status_code == 302


def test_a_renamed_account_is_not_tested(ann: User) -> None:
    """R12: its servers may be away."""
    mailbox = factories.mailbox(owner=ann)
    shown = browser(ann).get(reverse("mailbox-edit", args=[mailbox.pk])).context["form"]
    entered = {field.name: field.value() for field in shown if field.value() not in (None, False)}
    answer = browser(ann).post(reverse("mailbox-edit", args=[mailbox.pk]), entered | {"name": "Renamed"})
    assert answer.status_code == 302


# --- deleting on the server ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"delete_policy": "after_fetch"}, "as soon as its copy is safely stored here"),
        ({"delete_policy": "after_days", "delete_after_days": "7"}, "7 days after it was fetched"),
        ({"delete_policy": "when_deleted"}, "deletes it for good from Trash"),
    ],
)
def test_deletion_on_the_server_is_confirmed_with_how_many_messages_are_there(
    ann: User, servers: dict[str, Any], chosen: dict[str, str], said: str
) -> None:
    """R10."""
    entered = whole(servers, **chosen)
    text = browser(ann).post(reverse("mailbox-add"), entered).content.decode()
    assert "Messages will be deleted on 127.0.0.1." in text
    assert "There are 2 messages on it now." in text
    assert said in text
    assert not Mailbox.objects.filter(kind="pop3").exists()
    assert browser(ann).post(reverse("mailbox-add"), entered | {"confirmed": "deletion test"}).status_code == 302
    assert Mailbox.objects.get(kind="pop3").delete_policy == chosen["delete_policy"]


def test_a_live_test_before_saving_offers_to_confirm_the_deletion(ann: User, servers: dict[str, Any]) -> None:
    """R10, R12: the script then does not save by itself."""
    entered = whole(servers, delete_policy="after_fetch", saving="1")
    shown = lines(ann, reverse("mailbox-test-new"), entered)
    assert 'value="deletion test"' in shown[-1]
    assert "data-outcome" not in shown[-1]


# --- passwords -------------------------------------------------------------------------------------------------------


def test_both_pages_list_the_accounts_with_a_way_to_their_password(ann: User) -> None:
    """R38."""
    mailbox = factories.mailbox(owner=ann)
    assert reverse("password-incoming", args=[mailbox.pk]) in page(ann, "mail-accounts")
    assert reverse("password-outgoing", args=[mailbox.pk]) in page(ann, "send-mail-as")


def test_a_new_password_is_tested_saved_for_both_and_fetching_goes_on(ann: User, servers: dict[str, Any]) -> None:
    """R18, R38."""
    mailbox = saved(servers | {"incoming_password": "old"}, ann)
    Mailbox.objects.filter(pk=mailbox.pk).update(state="password_rejected", last_error="No", next_fetch_at=None)
    url = reverse("password-incoming", args=[mailbox.pk])
    assert url in page(ann, "home")  # the banner leads to the field
    refused = browser(ann).post(url, {"password": "wrong", "both": "on"}).content.decode()
    assert "nothing was saved" in refused
    assert browser(ann).post(url, {"password": "right", "both": "on"}).status_code == 302
    mailbox.refresh_from_db()
    assert (mailbox.state, mailbox.last_error) == ("never_fetched", "")
    assert mailbox.next_fetch_at is not None
    assert mailbox.incoming_password.reveal() == mailbox.outgoing_password.reveal() == "right"


@pytest.mark.parametrize(("side", "other"), [("incoming", "outgoing"), ("outgoing", "incoming")])
def test_unticked_a_password_is_that_of_its_own_server_alone(
    ann: User, servers: dict[str, Any], side: str, other: str
) -> None:
    """R9, R38: the other server is neither asked nor changed."""
    mailbox = saved(servers | {"incoming_password": "old"}, ann)
    url = reverse(f"password-{side}", args=[mailbox.pk])
    assert browser(ann).post(url, {"password": "right"}).status_code == 302
    mailbox.refresh_from_db()
    assert not mailbox.use_same_credentials
    assert getattr(mailbox, f"{side}_password").reveal() == "right"
    assert getattr(mailbox, f"{other}_password").reveal() == "old"


def test_a_password_is_tested_live(ann: User, servers: dict[str, Any]) -> None:
    """R12, R38."""
    mailbox = saved(servers | {"incoming_password": "old"}, ann)
    url = reverse("password-incoming-test", args=[mailbox.pk])
    assert 'data-outcome="passed"' in lines(ann, url, {"password": "right", "saving": "1"})[-1]
    assert "Save although" in lines(ann, url, {"password": "wrong", "saving": "1"})[-1]
    assert 'data-outcome="wrong"' in lines(ann, url, {})[-1]


# --- removing --------------------------------------------------------------------------------------------------------


def test_a_removed_account_leaves_its_mail_and_can_be_added_again(ann: User, servers: dict[str, Any]) -> None:
    """R5: what was fetched stays, also what is known of it, so nothing is fetched twice."""
    mailbox = saved(servers, ann, email_address="ann@work.example")
    message = factories.message(mailbox=mailbox)
    url = reverse("mailbox-remove", args=[mailbox.pk])
    assert browser(ann).post(url, {"name": ""}).context["form"].errors == {"mail": ["Choose what becomes of the mail."]}
    assert browser(ann).post(url, {"mail": "keep"}).status_code == 302
    mailbox.refresh_from_db()
    assert not mailbox.is_active
    assert mailbox.incoming_password.reveal() == mailbox.outgoing_password.reveal() == ""
    assert "Removed accounts whose mail is kept" in page(ann, "email-settings")
    assert message.subject in page(ann, "message", message.pk)
    assert browser(ann).get(reverse("mailbox-edit", args=[mailbox.pk])).status_code == 404
    assert browser(ann).post(reverse("mailbox-add"), whole(servers, sharing_mode="public")).status_code == 302
    mailbox.refresh_from_db()
    assert (mailbox.removed_at, mailbox.is_active, policy_of(mailbox).mode) == (None, True, "public")  # type: ignore[union-attr]
    assert mailbox.messages.get() == message


def test_mail_is_deleted_only_with_the_name_of_the_account(ann: User) -> None:
    """R5."""
    mailbox = factories.mailbox(owner=ann, name="Work", mode="public")
    factories.message(mailbox=mailbox)
    url = reverse("mailbox-remove", args=[mailbox.pk])
    answer = browser(ann).post(url, {"mail": "delete", "name": "work"})
    assert answer.context["form"].errors == {"name": ["Type “Work”, exactly, to delete its mail."]}
    assert browser(ann).post(url, {"mail": "delete", "name": "Work"}).status_code == 302
    assert not Message.objects.filter(is_private=False).exists()
    assert browser(ann).get(reverse("mailbox", args=[mailbox.pk])).status_code == 404
    assert delete_mail_of_removed() == 1
    assert not Mailbox.objects.filter(pk=mailbox.pk).exists()


def test_the_crm_mail_account_stays(ann: User) -> None:
    """R4."""
    account = Mailbox.objects.get(owner=ann, kind="crm_mail")
    assert browser(ann).post(reverse("mailbox-remove", args=[account.pk]), {"mail": "keep"}).status_code == 404


# --- for colleagues --------------------------------------------------------------------------------------------------


def test_administrators_list_everybodys_accounts_by_state_and_words(ann: User, admin: User) -> None:
    """R6, R25."""
    well = factories.mailbox(owner=ann, email_address="well@work.example")
    ill = factories.mailbox(owner=admin, email_address="ill@work.example")
    Mailbox.objects.filter(pk=ill.pk).update(state="password_rejected")
    foreign = factories.mailbox(email_address="foreign@work.example")

    def listed(**query: str) -> set[str]:
        text = browser(admin).get(reverse("mailboxes"), query).content.decode()
        # A rejected password is also told by the banner of its owner.
        table = text.partition("<tbody>")[2]
        return {each.email_address for each in (well, ill, foreign) if each.email_address in table}

    assert listed() == {"well@work.example", "ill@work.example"}
    assert listed(state="password_rejected") == {"ill@work.example"}
    assert listed(find="ann") == {"well@work.example"}
    assert listed(find="nobody") == set()
    assert browser(ann).get(reverse("mailboxes")).status_code == 404


def test_an_administrator_sets_up_an_account_for_a_colleague(admin: User, servers: dict[str, Any]) -> None:
    """R4, R25: from the CRM Mail account on, each with an entry in the log."""
    bob = factories.user(organization=admin.organization, email="bob@our.example")
    add = reverse("mailbox-add") + f"?owner={bob.pk}"
    first = browser(admin).get(add)
    assert first["Location"] == reverse("mail-account") + f"?owner={bob.pk}"
    made = browser(admin).post(first["Location"], {"address": "bob.mail@our.example"})
    assert made["Location"] == add
    assert browser(admin).post(add, whole(servers)).status_code == 302
    mailbox = Mailbox.objects.get(kind="pop3")
    assert mailbox.owner == bob
    assert AuditEntry.objects.filter(actor=admin, about=bob).count() == 3
    assert browser(bob).get(reverse("mailbox-add") + f"?owner={admin.pk}").status_code == 404


def test_an_administrator_cannot_send_a_colleagues_password_to_another_server(
    ann: User, admin: User, servers: dict[str, Any]
) -> None:
    """R14: neither by saving nor by testing."""
    mailbox = saved(servers, ann)
    entered = whole(servers, incoming_password="", incoming_port=servers["outgoing_port"])
    answer = browser(admin).post(reverse("mailbox-edit", args=[mailbox.pk]), entered | {"confirmed": "test"})
    assert set(answer.context["form"].errors) == {"incoming_password"}
    (shown,) = lines(admin, reverse("mailbox-test", args=[mailbox.pk]), entered)
    assert "enter its password again" in shown


def test_an_administrator_is_not_told_how_many_messages_there_are(
    ann: User, admin: User, servers: dict[str, Any]
) -> None:
    """R25: neither by a test nor before messages are deleted."""
    mailbox = saved(servers, ann)
    entered = whole(servers, incoming_password="", delete_policy="after_fetch", saving="1")
    shown = "".join(lines(admin, reverse("mailbox-test", args=[mailbox.pk]), entered))
    assert "Messages will be deleted" in shown
    assert "2 messages" not in shown


def test_the_lists_take_as_many_queries_for_many_accounts_as_for_one(admin: User) -> None:
    """R6, R25."""
    counts = []
    for _ in range(2):
        for _ in range(3):
            factories.mailbox(owner=factories.user(organization=admin.organization))
            factories.mailbox(owner=admin, is_active=False)
        counts.append([queries_of(admin, name) for name in ("mailboxes", "mail-accounts", "send-mail-as")])
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 16
