"""Email Settings: the CRM Mail account first, then POP3 accounts, each with its state and sharing."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.mailboxes import change_mailbox
from accounts.models import Mailbox, User
from fetcher.models import FetchRun
from sharing.models import AuditEntry, ExcludedDomain, SharingPolicy
from sharing.policies import policy_of
from sharing.rules import set_rule
from tests import factories
from tests.portal.browsers import browser, page, queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    """A user who has set up the CRM Mail account."""
    return factories.user(name="Ann", email="ann@our.example", mail_account=True)


def entered(**changes: object) -> dict[str, object]:
    """A filled-in *Add POP3 Account* form; None leaves a field out."""
    fields: dict[str, object] = {
        "name": "Work",
        "email_address": "ann@work.example",
        "incoming_host": "pop.work.example",
        "incoming_security": "ssl",
        "incoming_port": "",
        "incoming_username": "ann",
        "incoming_password": "s3cret-in",
        "use_same_credentials": "on",
        "outgoing_host": "",
        "outgoing_security": "ssl",
        "outgoing_port": "",
        "delete_policy": "leave",
        "import_since": "all",
        "sharing_mode": "private",
        "excluded_domains": "",
        "confirmed": "test deletion",
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def errors(user: User, **changes: object) -> dict[str, list[str]]:
    """The complaints beside each field when the form is sent; nothing may have been saved."""
    answer = browser(user).post(reverse("mailbox-add"), entered(**changes))
    assert answer.status_code == 200
    assert not Mailbox.objects.filter(kind=Mailbox.Kind.POP3, owner=user).exists()
    found = dict(answer.context["form"].errors) | dict(answer.context["sharing"].errors)
    shown = answer.content.decode()
    for complaints in found.values():
        for complaint in complaints:
            assert str(complaint).split("“")[0].split("'")[0] in shown
    return found


def add(user: User, **changes: object) -> Mailbox:
    """The account that was added."""
    answer = browser(user).post(reverse("mailbox-add"), entered(**changes))
    assert answer.status_code == 302, answer.context["form"].errors | answer.context["sharing"].errors
    return Mailbox.objects.filter(kind=Mailbox.Kind.POP3, owner=user).latest("id")


# --- the CRM Mail account -------------------------------------------------------------------------------------------


def test_without_a_crm_mail_account_the_settings_prompt_to_set_one_up() -> None:
    """R4."""
    newcomer = factories.user()
    shown = page(newcomer, "email-settings")
    assert "Set up my CRM Mail account" in shown
    assert reverse("mailbox-add") not in shown


def test_without_a_crm_mail_account_no_mailbox_can_be_added() -> None:
    """R4."""
    newcomer = factories.user()
    for answer in (
        browser(newcomer).get(reverse("mailbox-add")),
        browser(newcomer).post(reverse("mailbox-add"), entered()),
    ):
        assert answer["Location"] == reverse("mail-account")
    assert not Mailbox.objects.exists()


def test_the_suggested_address_can_be_taken_as_it_is_and_leads_on_to_the_first_pop3_account() -> None:
    """R4."""
    newcomer = factories.user(email="new@our.example")
    assert 'value="new@our.example"' in page(newcomer, "mail-account")
    answer = browser(newcomer).post(reverse("mail-account"), {"address": "new@our.example", "signature": "Cheers"})
    assert answer["Location"] == reverse("mailbox-add")
    newcomer.refresh_from_db()
    assert newcomer.mail_account.signature == "Cheers"


def test_most_people_have_one_address_which_serves_both_accounts() -> None:
    """R4, R6: what the suggestion is made of is most often the mailbox's own address too."""
    bob = factories.user(email="bob@our.example")
    browser(bob).post(reverse("mail-account"), {"address": "bob@our.example"})
    added = add(bob, email_address="bob@our.example")
    assert set(bob.mailboxes.values_list("kind", "email_address")) == {
        ("crm_mail", "bob@our.example"),
        ("pop3", added.email_address),
    }


@pytest.mark.parametrize(
    ("address", "complaint"),
    [("", "required"), ("nonsense", "valid e-mail address"), ("new@elsewhere.example", "must end in @our.example")],
)
def test_an_address_that_cannot_be_had_is_refused_beside_its_field(address: str, complaint: str) -> None:
    """R4."""
    newcomer = factories.user(email="new@our.example")
    answer = browser(newcomer).post(reverse("mail-account"), {"address": address})
    assert complaint in str(answer.context["form"].errors["address"])


def test_a_colleagues_crm_mail_address_is_taken() -> None:
    """R4."""
    newcomer = factories.user(email="new@our.example")
    factories.mailbox(owner=newcomer)
    other = factories.user(organization=newcomer.organization)
    answer = browser(other).post(reverse("mail-account"), {"address": newcomer.mail_account.mailbox.email_address})
    assert "is taken" in str(answer.context["form"].errors["address"])


def test_the_crm_mail_account_is_listed_before_the_pop3_accounts(ann: User) -> None:
    """R4."""
    added = add(ann)
    rows = browser(ann).get(reverse("email-settings")).context["mailboxes"]
    assert [row.pk for row, _ in rows] == [ann.mail_account.mailbox_id, added.pk]


def test_the_signature_can_be_changed_later(ann: User) -> None:
    """R4."""
    browser(ann).post(
        reverse("mail-account"), {"address": ann.mail_account.mailbox.email_address, "signature": "Regards"}
    )
    ann.mail_account.refresh_from_db()
    assert ann.mail_account.signature == "Regards"


# --- adding a POP3 account ------------------------------------------------------------------------------------------


def test_an_account_is_added_with_everything_that_was_entered(ann: User) -> None:
    """R6, R10, R15."""
    added = add(
        ann,
        incoming_security="starttls",
        use_same_credentials=None,
        outgoing_host="smtp.work.example",
        outgoing_security="starttls",
        outgoing_username="ann-out",
        outgoing_password="s3cret-out",
        delete_policy="after_days",
        delete_after_days="14",
        import_since="days",
        import_days="30",
        poll_interval_minutes="10",
        sharing_mode="public",
        excluded_domains="@Acme.Example.\nlawyers.example",
    )
    assert (added.name, added.email_address, added.incoming_host) == ("Work", "ann@work.example", "pop.work.example")
    assert (added.incoming_port, added.outgoing_port) == (110, 587)
    assert added.incoming_password.reveal() == "s3cret-in"
    assert (added.outgoing_username, added.outgoing_password.reveal()) == ("ann-out", "s3cret-out")
    assert (added.delete_policy, added.delete_after_days) == ("after_days", 14)
    assert (added.import_since, added.import_days, added.poll_interval_minutes) == ("days", 30, 10)
    policy = policy_of(added)
    assert policy is not None
    assert policy.mode == "public"
    assert [domain.domain for domain in policy.excluded_domains.all()] == ["acme.example", "lawyers.example"]


def test_the_first_account_is_fetched_at_once_and_the_list_shows_its_state(ann: User) -> None:
    """R6, R15."""
    added = add(ann)
    assert FetchRun.objects.get().mailbox == added
    shown = page(ann, "email-settings")
    assert "ann@work.example" in shown
    assert "Not fetched yet" in shown


def test_the_form_offers_every_field_and_the_button_of_the_source_page(ann: User) -> None:
    """R6."""
    shown = page(ann, "mailbox-add")
    for name in entered(confirmed=None):
        assert f'name="{name}"' in shown
    for name in ("outgoing_username", "outgoing_password", "delete_after_days", "import_days", "allow_plain_text"):
        assert f'name="{name}"' in shown
    assert ">Add Account</button>" in shown


def test_no_sharing_mode_is_preselected_and_none_can_be_left_out(ann: User) -> None:
    """R13."""
    cards = page(ann, "mailbox-add").split('name="sharing_mode"')[1:]
    assert len(cards) == 3
    assert not any("checked" in card.split(">")[0] for card in cards)
    assert errors(ann, sharing_mode=None) == {
        "sharing_mode": ["Choose Public, Custom or Private. There is no default."]
    }


@pytest.mark.parametrize(("security", "incoming", "outgoing"), [("ssl", 995, 465), ("starttls", 110, 587)])
def test_a_port_that_is_left_empty_follows_the_security(ann: User, security: str, incoming: int, outgoing: int) -> None:
    """R8."""
    added = add(ann, incoming_security=security, outgoing_security=security)
    assert (added.incoming_port, added.outgoing_port) == (incoming, outgoing)


def test_plain_text_needs_a_tick_of_its_own(ann: User) -> None:
    """R8."""
    found = errors(ann, incoming_security="none")
    assert list(found) == ["incoming_security"]
    assert "tick below" in found["incoming_security"][0]
    added = add(ann, incoming_security="none", allow_plain_text="on")
    assert (added.incoming_security, added.incoming_port, added.allow_plain_text) == ("none", 110, True)


def test_the_same_credentials_fill_in_the_outgoing_server(ann: User) -> None:
    """R9."""
    added = add(ann)
    assert (added.outgoing_host, added.outgoing_username) == ("smtp.work.example", "ann")
    assert added.outgoing_password.reveal() == "s3cret-in"


def test_while_the_form_is_filled_in_the_outgoing_server_is_shown(ann: User) -> None:
    """R9: what the script asks for when the incoming server is there; passwords are not sent back (R14)."""
    answer = browser(ann).post(reverse("mailbox-add"), entered(find="outgoing", incoming_host="outlook.office365.com"))
    form = answer.context["form"]
    shown = [
        form[name].value() for name in ("outgoing_host", "outgoing_port", "outgoing_security", "incoming_username")
    ]
    assert shown == ["smtp-mail.outlook.com", 587, "starttls", "ann"]
    assert "s3cret" not in answer.content.decode()
    assert not Mailbox.objects.filter(kind=Mailbox.Kind.POP3).exists()


def test_without_the_same_credentials_the_outgoing_details_are_required(ann: User) -> None:
    """R9."""
    assert set(errors(ann, use_same_credentials=None)) == {"outgoing_host", "outgoing_username", "outgoing_password"}


@pytest.mark.parametrize("port", ["0", "65536", "-1", "pop"])
@pytest.mark.parametrize("field", ["incoming_port", "outgoing_port"])
def test_a_port_that_does_not_exist_is_refused_beside_its_field(ann: User, field: str, port: str) -> None:
    """R6."""
    assert list(errors(ann, **{field: port})) == [field]


def test_port_0_is_answered_with_what_ports_are(ann: User) -> None:
    """R6."""
    assert errors(ann, incoming_port="0")["incoming_port"] == [
        "Ports are numbers from 1 to 65535. POP3 with SSL uses 995."
    ]


def test_a_sixth_excluded_domain_is_refused_beside_its_field(ann: User) -> None:
    """R21."""
    six = "\n".join(f"d{number}.example" for number in range(6))
    found = errors(ann, sharing_mode="public", excluded_domains=six)
    assert found == {"excluded_domains": ["You can exclude at most 5 domains; these are 6. Remove some."]}


@pytest.mark.parametrize("domain", ["bea@acme.example", "com", "co.uk", "no domain!"])
def test_what_is_no_domain_to_exclude_is_refused_beside_its_field(ann: User, domain: str) -> None:
    """sharing.md, example 20."""
    assert list(errors(ann, sharing_mode="public", excluded_domains=domain)) == ["excluded_domains"]


@pytest.mark.parametrize("name", ["name", "email_address", "incoming_host", "incoming_username", "incoming_password"])
def test_what_is_needed_is_asked_for_beside_its_field(ann: User, name: str) -> None:
    """R6."""
    assert list(errors(ann, **{name: ""})) == [name]


@pytest.mark.parametrize("address", ["nonsense", "@work.example", "a b@work.example", "ann@", "x" * 330 + "@w.example"])
def test_a_bad_address_is_refused_beside_its_field(ann: User, address: str) -> None:
    """R6."""
    assert list(errors(ann, email_address=address)) == ["email_address"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"delete_policy": "after_days"}, "delete_after_days"),
        ({"delete_policy": "after_days", "delete_after_days": "0"}, "delete_after_days"),
        ({"delete_policy": "at once"}, "delete_policy"),
        ({"import_since": "days"}, "import_days"),
        ({"poll_interval_minutes": "2"}, "poll_interval_minutes"),
        ({"poll_interval_minutes": "61"}, "poll_interval_minutes"),
        ({"incoming_host": "pop.work.example/x"}, "incoming_host"),
        ({"incoming_host": "pop.work.example:995"}, "incoming_host"),
        ({"used_by_other_clients": "on"}, "used_by_other_clients"),
    ],
)
def test_each_other_mistake_is_shown_beside_its_field(ann: User, changes: dict[str, str], field: str) -> None:
    """R6, R10, R11, R15."""
    assert field in errors(ann, **changes)


def test_all_mistakes_are_shown_at_once(ann: User) -> None:
    """Nobody is sent through a form one mistake at a time."""
    found = errors(
        ann,
        name="",
        email_address="nonsense",
        incoming_port="0",
        incoming_security="none",
        use_same_credentials=None,
        delete_policy="after_days",
        sharing_mode=None,
    )
    assert set(found) == {
        "name",
        "email_address",
        "incoming_port",
        "incoming_security",
        "outgoing_host",
        "outgoing_username",
        "outgoing_password",
        "delete_after_days",
        "sharing_mode",
    }


def test_a_second_mailbox_for_the_same_address_is_refused_beside_the_address(ann: User) -> None:
    """R5."""
    add(ann)
    answer = browser(ann).post(reverse("mailbox-add"), entered(email_address="ANN@Work.example"))
    assert answer.context["form"].errors["email_address"] == ["There is already a mailbox for ann@work.example."]


def test_gmail_with_other_clients_leaves_messages_on_the_server(ann: User) -> None:
    """R11."""
    added = add(
        ann,
        incoming_host="pop.gmail.com",
        used_by_other_clients="on",
        delete_policy="after_fetch",
    )
    assert (added.used_by_other_clients, added.delete_policy) == (True, "leave")


def test_owner_and_state_cannot_be_smuggled_into_the_form(ann: User) -> None:
    """Mass assignment does not apply: the form knows its own fields only."""
    other = factories.user(organization=ann.organization, mail_account=True)
    added = add(ann, owner=other.pk, kind="crm_mail", state="ok", is_active="", lease_token="x")
    assert (added.owner, added.kind, added.state) == (ann, "pop3", "never_fetched")


def test_a_password_is_never_shown_again(ann: User) -> None:
    """R14."""
    again = browser(ann).post(reverse("mailbox-add"), entered(incoming_port="0", outgoing_password="s3cret-out"))
    added = add(ann)
    pages = [
        again.content.decode(),
        *(page(ann, name, added.pk) for name in ("mailbox", "mailbox-edit", "mailbox-sharing", "mailbox-progress")),
        page(ann, "email-settings"),
    ]
    assert not any("s3cret" in shown or added.incoming_password.token in shown for shown in pages)


# --- changing it ----------------------------------------------------------------------------------------------------


def edited(mailbox: Mailbox, **changes: object) -> dict[str, object]:
    """The edit form as the browser would send it back."""
    shown = browser(mailbox.owner).get(reverse("mailbox-edit", args=[mailbox.pk])).context["form"]
    values = {field.name: field.value() for field in shown}
    kept = {name: "" if value is None else value for name, value in values.items() if value is not False}
    kept["confirmed"] = "test deletion"
    return {name: value for name, value in (kept | changes).items() if value is not None}


def test_an_empty_password_leaves_the_saved_one(ann: User) -> None:
    """R14."""
    added = add(ann)
    browser(ann).post(reverse("mailbox-edit", args=[added.pk]), edited(added, name="Renamed"))
    added.refresh_from_db()
    assert added.name == "Renamed"
    assert (added.incoming_password.reveal(), added.outgoing_password.reveal()) == ("s3cret-in", "s3cret-in")


def test_a_new_password_resumes_a_mailbox_whose_password_was_rejected(ann: User) -> None:
    """R18."""
    added = add(ann)
    Mailbox.objects.update(state="password_rejected", last_error="The server rejected the password.")
    assert "Change password" in page(ann, "mailbox", added.pk)
    browser(ann).post(reverse("mailbox-edit", args=[added.pk]), edited(added, incoming_password="right"))
    added.refresh_from_db()
    assert (added.state, added.incoming_password.reveal(), added.last_error) == ("never_fetched", "right", "")


def test_another_security_takes_the_usual_port_with_it(ann: User) -> None:
    """R8."""
    added = add(ann)
    browser(ann).post(reverse("mailbox-edit", args=[added.pk]), edited(added, incoming_security="starttls"))
    added.refresh_from_db()
    assert (added.incoming_security, added.incoming_port) == ("starttls", 110)


def test_a_port_of_ones_own_stays_when_the_security_changes(ann: User) -> None:
    """R8."""
    added = add(ann, incoming_port="2995")
    browser(ann).post(reverse("mailbox-edit", args=[added.pk]), edited(added, incoming_security="starttls"))
    added.refresh_from_db()
    assert (added.incoming_security, added.incoming_port) == ("starttls", 2995)


def test_the_outgoing_server_follows_the_incoming_one_until_it_is_edited(ann: User) -> None:
    """R9."""
    added = add(ann)

    def outgoing_after(**changes: str) -> tuple[str, int]:
        browser(ann).post(reverse("mailbox-edit", args=[added.pk]), edited(added, **changes))
        added.refresh_from_db()
        return added.outgoing_host, added.outgoing_port

    assert outgoing_after(incoming_host="pop.moved.example") == ("smtp.moved.example", 465)
    assert outgoing_after(incoming_host="outlook.office365.com") == ("smtp-mail.outlook.com", 587)
    assert outgoing_after(outgoing_host="relay.our.example") == ("relay.our.example", 587)
    assert outgoing_after(incoming_host="pop.again.example") == ("relay.our.example", 587)
    assert outgoing_after(outgoing_host="") == ("smtp.again.example", 587)


def test_an_outgoing_server_that_cannot_be_guessed_again_stays(ann: User) -> None:
    """R9: what worked is not taken away."""
    added = add(ann)
    browser(ann).post(reverse("mailbox-edit", args=[added.pk]), edited(added, incoming_host="post.moved.example"))
    added.refresh_from_db()
    assert (added.incoming_host, added.outgoing_host) == ("post.moved.example", "smtp.work.example")


def test_the_address_of_another_own_mailbox_is_refused_on_edit(ann: User) -> None:
    """R5."""
    first = add(ann)
    second = add(ann, email_address="ann@second.example")
    answer = browser(ann).post(
        reverse("mailbox-edit", args=[second.pk]), edited(second, email_address=first.email_address)
    )
    assert "There is already a mailbox" in str(answer.context["form"].errors["email_address"])


# --- one active mailbox, fetching -----------------------------------------------------------------------------------


def test_activating_one_mailbox_says_which_one_stops(ann: User) -> None:
    """R5."""
    first, second = add(ann), add(ann, email_address="ann@second.example")
    shown = browser(ann).post(reverse("mailbox-activate", args=[second.pk]), follow=True).content.decode()
    assert "ann@second.example is now the active account. ann@work.example is no longer fetched" in shown
    assert list(Mailbox.objects.filter(owner=ann, is_active=True)) == [second]
    assert "Activate" in page(ann, "mailbox", first.pk)


def test_fetch_now_starts_a_run_whose_progress_asks_for_itself_until_it_ends(ann: User) -> None:
    """R15."""
    mailbox = factories.mailbox(owner=ann)
    fragment = browser(ann).post(reverse("mailbox-fetch", args=[mailbox.pk]), headers={"HX-Request": "true"})
    run = FetchRun.objects.get()
    asks = f'hx-get="{reverse("mailbox-progress", args=[mailbox.pk])}"'
    assert "Waiting for a worker" in fragment.content.decode()
    assert asks in fragment.content.decode()
    FetchRun.objects.update(state="running", total=40, new=13)
    assert "13 of 40" in page(ann, "mailbox-progress", mailbox.pk)
    FetchRun.objects.update(state="done", finished=run.started + timedelta(seconds=3), new=40, deleted=7)
    ended = page(ann, "mailbox-progress", mailbox.pk)
    assert asks not in ended
    assert "Done" in ended


def test_fetch_now_works_without_javascript_and_a_second_click_starts_no_second_run(ann: User) -> None:
    """R15, R17."""
    mailbox = factories.mailbox(owner=ann)
    for _ in range(2):
        answer = browser(ann).post(reverse("mailbox-fetch", args=[mailbox.pk]))
        assert answer["Location"] == reverse("mailbox", args=[mailbox.pk])
    assert FetchRun.objects.count() == 1


def test_fetching_a_mailbox_that_is_not_active_is_answered_with_why_not(ann: User) -> None:
    """R5."""
    factories.mailbox(owner=ann)
    idle = factories.mailbox(owner=ann)
    shown = browser(ann).post(reverse("mailbox-fetch", args=[idle.pk]), follow=True).content.decode()
    assert "Activate it first" in shown
    assert not FetchRun.objects.exists()


def test_the_page_shows_the_last_runs_with_their_error_in_plain_words(ann: User) -> None:
    """R18."""
    mailbox = factories.mailbox(owner=ann)
    started = timezone.now() - timedelta(minutes=5)
    FetchRun.objects.create(
        mailbox=mailbox,
        token="7c9e6679-7425-40de-944b-e07fc1f90ae7",
        state="failed",
        started=started,
        finished=started + timedelta(seconds=21),
        error="pop.work.example did not answer <in> time.",
    )
    shown = page(ann, "mailbox", mailbox.pk)
    assert "did not answer &lt;in&gt; time." in shown
    assert "21.0" in shown


def test_the_chart_shows_new_mail_duration_and_failures_of_the_last_runs(ann: User) -> None:
    """R18: oldest first; one that is going on is not in it."""
    mailbox = factories.mailbox(owner=ann)
    assert "chart" not in page(ann, "mailbox", mailbox.pk)
    for minutes, new, seconds, error in ((15, 4, 10, ""), (10, 0, 20, "Refused."), (5, 2, 5, ""), (0, 9, None, "")):
        started = timezone.now() - timedelta(minutes=minutes)
        FetchRun.objects.create(
            mailbox=mailbox,
            token=uuid.uuid4(),
            state="failed" if error else "done" if seconds else "running",
            started=started,
            finished=started + timedelta(seconds=seconds) if seconds else None,
            new=new,
            error=error,
        )
    answer = browser(ann).get(reverse("mailbox", args=[mailbox.pk]))
    new_mail, duration = answer.context["chart"].lanes
    assert [bar.height for bar in new_mail.bars] == [20, 0.6, 10]
    assert [bar.height for bar in duration.bars] == [10, 20, 5]
    assert [bar.is_failed for bar in duration.bars] == [False, True, False]
    assert [bar.x for bar in duration.bars] == [47, 48, 49]
    shown = answer.content.decode()
    assert "<title>Refused. Seconds: 20.0</title>" in shown
    assert shown.count("chart__bar--failed") == 2


def test_administrators_see_no_counts_of_mail_in_the_chart(ann: User) -> None:
    """R25."""
    mailbox = factories.mailbox(owner=ann)
    for _ in range(2):
        FetchRun.objects.create(mailbox=mailbox, token=uuid.uuid4(), state="done", finished=timezone.now(), new=4711)
    admin = factories.user(organization=ann.organization, role="admin")
    answer = browser(admin).get(reverse("mailbox", args=[mailbox.pk]))
    assert [lane.title for lane in answer.context["chart"].lanes] == ["Seconds"]
    assert "4711" not in answer.content.decode()


def test_the_list_shows_how_many_messages_each_mailbox_holds(ann: User) -> None:
    """R6."""
    mailbox = factories.mailbox(owner=ann)
    factories.message(mailbox=mailbox)
    factories.message(mailbox=mailbox)
    rows = browser(ann).get(reverse("email-settings")).context["mailboxes"]
    assert [row.message_count for row, _ in rows] == [0, 2]


def test_the_list_takes_as_many_queries_for_five_mailboxes_as_for_one(ann: User) -> None:
    """No query a row."""
    factories.mailbox(owner=ann)
    counts = []
    for _ in range(2):
        counts.append(queries_of(ann, "email-settings"))
        for _ in range(4):
            factories.mailbox(owner=ann, mode="public", excluded_domains=["x.example"])
    assert counts[0] == counts[1] <= 12


# --- sharing --------------------------------------------------------------------------------------------------------


def choose(user: User, mailbox: Mailbox, **given: str) -> Any:
    """Choose a sharing on the page of a mailbox, as far as the preview."""
    return browser(user).post(reverse("mailbox-sharing", args=[mailbox.pk]), given)


def test_the_sharing_page_changes_mode_and_excluded_domains(ann: User) -> None:
    """R20, R21."""
    mailbox = factories.mailbox(owner=ann, mode="private")
    choose(ann, mailbox, sharing_mode="public", excluded_domains="lawyers.example, b\u00fccher.example", confirmed="1")
    policy = policy_of(mailbox)
    assert policy is not None
    assert policy.mode == "public"
    kept = [domain.domain for domain in policy.excluded_domains.all()]
    assert kept == ["lawyers.example", "xn--bcher-kva.example"]


def test_what_a_change_would_do_is_shown_before_it_is_saved(ann: User) -> None:
    """R26: how many messages of how many customers, with a sample; nothing changes until it is confirmed."""
    mailbox = factories.mailbox(owner=ann, mode="private")
    for name in ("bea", "carl"):
        factories.customer(organization=ann.organization, addresses=[f"{name}@acme.example"])
    factories.message(mailbox=mailbox, sender="bea@acme.example", subject="An offer", text="Yes.\n> Do you agree?")
    factories.message(mailbox=mailbox, sender="bea@acme.example")
    factories.message(mailbox=mailbox, sender="carl@acme.example")
    factories.message(mailbox=mailbox, sender="nobody@else.example", subject="Nothing to see")
    answer = choose(ann, mailbox, sharing_mode="public", excluded_domains="")
    foreseen = answer.context["preview"]
    assert (foreseen.becomes_visible, foreseen.becomes_hidden, foreseen.customers) == (3, 0, 2)
    text = answer.content.decode()
    assert "An offer" in text
    assert "Nothing to see" not in text
    assert "1 of them quotes earlier mail" in text
    assert policy_of(mailbox).mode == "private"  # type: ignore[union-attr]
    assert AuditEntry.objects.filter(action=AuditEntry.Action.POLICY_CHANGED).count() == 1
    hiding = choose(ann, mailbox, sharing_mode="public", excluded_domains="acme.example").context["preview"]
    assert not hiding.changes_something


def test_a_colleagues_address_on_a_record_is_pointed_out(ann: User) -> None:
    """The source page's John, Adam and CEO."""
    mailbox = factories.mailbox(owner=ann, mode="private")
    factories.customer(organization=ann.organization, addresses=["ceo@our.example"], last_name="Chief")
    factories.customer(organization=ann.organization, addresses=["bea@acme.example"], last_name="Bea")
    answer = choose(ann, mailbox, sharing_mode="public")
    assert [address.address for address in answer.context["colleagues"]] == ["ceo@our.example"]


def test_back_from_the_preview_keeps_what_was_chosen(ann: User) -> None:
    mailbox = factories.mailbox(owner=ann, mode="private")
    answer = choose(ann, mailbox, sharing_mode="public", excluded_domains="lawyers.example", back="1")
    assert "lawyers.example" in answer.content.decode()
    assert policy_of(mailbox).mode == "private"  # type: ignore[union-attr]


def test_a_mode_that_administrators_fixed_is_shown_with_their_reason_and_is_the_only_choice(ann: User) -> None:
    """R25."""
    mailbox = factories.mailbox(owner=ann, mode="custom")
    admin = factories.user(organization=ann.organization, role="admin")
    set_rule(admin, [ann], mode="private", reason="You handle mergers.")
    for name in ("mailbox", "mailbox-sharing"):
        assert "You handle mergers." in page(ann, name, mailbox.pk)
    refused = choose(ann, mailbox, sharing_mode="public", confirmed="1")
    assert "sharing_mode" in refused.context["form"].errors
    choose(ann, mailbox, sharing_mode="private", excluded_domains="lawyers.example", confirmed="1")
    policy = policy_of(mailbox)
    assert policy is not None
    assert (policy.mode, policy.excluded_domains.count()) == ("custom", 1)


def test_a_recommended_mode_is_marked_and_not_preselected(ann: User) -> None:
    """R13, R25."""
    admin = factories.user(organization=ann.organization, role="admin")
    set_rule(admin, [User.Role.MEMBER], mode="public", is_fixed=False, reason="We work together.")
    text = page(ann, "mailbox-add")
    assert "Recommended by your administrators" in text
    assert not re.search(r'name="sharing_mode"[^>]*checked', text)


def test_an_administrator_sets_the_sharing_of_a_colleague_and_sees_numbers_only(ann: User) -> None:
    """R25: never a way to read a private message."""
    mailbox = factories.mailbox(owner=ann, mode="private")
    admin = factories.user(organization=ann.organization, role="admin")
    factories.customer(organization=ann.organization, addresses=["bea@acme.example"])
    factories.message(mailbox=mailbox, sender="bea@acme.example", subject="A merger", text="> quoted")
    answer = choose(admin, mailbox, sharing_mode="public")
    assert answer.context["preview"].becomes_visible == 1
    assert "A merger" not in answer.content.decode()
    choose(admin, mailbox, sharing_mode="public", confirmed="1")
    assert policy_of(mailbox).mode == "public"  # type: ignore[union-attr]
    assert AuditEntry.objects.first().actor == admin  # type: ignore[union-attr]


def test_excluded_domains_are_kept_while_the_script_hides_their_field(ann: User) -> None:
    """sharing.md: they are kept, unused, while the mode is another one."""
    mailbox = factories.mailbox(owner=ann, mode="public", excluded_domains=["lawyers.example"])
    choose(ann, mailbox, sharing_mode="private", confirmed="1")
    policy = policy_of(mailbox)
    assert policy is not None
    assert (policy.mode, policy.excluded_domains.count()) == ("private", 1)
    choose(ann, mailbox, sharing_mode="public", excluded_domains="", confirmed="1")
    assert not ExcludedDomain.objects.exists()


def test_a_mode_must_be_chosen_where_none_was(ann: User) -> None:
    """R13."""
    mailbox = factories.mailbox(owner=ann, mode=None)
    assert "Not chosen" in page(ann, "mailbox", mailbox.pk)
    answer = browser(ann).post(reverse("mailbox-sharing", args=[mailbox.pk]), {"excluded_domains": ""})
    assert "There is no default" in str(answer.context["form"].errors["sharing_mode"])
    assert not SharingPolicy.objects.filter(mailbox=mailbox).exists()


def test_the_crm_mail_account_has_a_sharing_page_too(ann: User) -> None:
    """R20: no mode until one is chosen (interface.md)."""
    account = ann.mail_account.mailbox
    assert "Not chosen" in page(ann, "mailbox", account.pk)
    choose(ann, account, sharing_mode="custom", confirmed="1")
    assert policy_of(account).mode == "custom"  # type: ignore[union-attr]


# --- others ---------------------------------------------------------------------------------------------------------


OF_A_MAILBOX = [
    ("get", "mailbox"),
    ("get", "mailbox-edit"),
    ("post", "mailbox-edit"),
    ("post", "mailbox-test"),
    ("get", "mailbox-remove"),
    ("post", "mailbox-remove"),
    ("get", "mailbox-sharing"),
    ("post", "mailbox-sharing"),
    ("post", "mailbox-activate"),
    ("post", "mailbox-deactivate"),
    ("post", "mailbox-fetch"),
    ("get", "mailbox-progress"),
    ("get", "password-incoming"),
    ("post", "password-incoming"),
    ("post", "password-incoming-test"),
    ("get", "password-outgoing"),
    ("post", "password-outgoing"),
    ("post", "password-outgoing-test"),
]


@pytest.mark.parametrize(("method", "name"), OF_A_MAILBOX)
def test_somebody_elses_mailbox_does_not_exist(method: str, name: str) -> None:
    """R1, R14."""
    mailbox = factories.mailbox(mode="private")
    theirs = factories.organization(domain="theirs.example")
    outsiders = [
        factories.user(organization=mailbox.owner.organization, mail_account=True),
        factories.user(organization=theirs, mail_account=True),
        factories.user(organization=theirs, role=User.Role.ADMIN, mail_account=True),
    ]
    for other in outsiders:
        answer = getattr(browser(other), method)(reverse(name, args=[mailbox.pk]), entered(sharing_mode="public"))
        assert answer.status_code == 404
    mailbox.refresh_from_db()
    assert (mailbox.name, policy_of(mailbox).mode) != ("Work", "public")  # type: ignore[union-attr]
    assert not FetchRun.objects.exists()


@pytest.mark.parametrize("name", ["mailbox-activate", "mailbox-fetch"])
def test_deeds_are_not_done_by_following_a_link(ann: User, name: str) -> None:
    """A GET changes nothing."""
    mailbox = factories.mailbox(owner=ann)
    page(ann, name, mailbox.pk, status=405)


def test_without_the_csrf_token_nothing_is_added(ann: User) -> None:
    """Every POST is protected."""
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ann, backend="portal.adapter.Backend")
    assert strict.post(reverse("mailbox-add"), entered()).status_code == 403


def test_who_is_not_signed_in_is_sent_to_sign_in() -> None:
    """R2."""
    mailbox = factories.mailbox()
    for url in (reverse("email-settings"), reverse("mailbox-add"), reverse("mailbox", args=[mailbox.pk])):
        answer = Client().get(url)
        assert answer.status_code == 302
        assert reverse("account_login") in answer["Location"]


def test_a_rejected_mailbox_is_announced_on_every_page(ann: User) -> None:
    """R18."""
    mailbox = factories.mailbox(owner=ann)
    change_mailbox(mailbox, name="Rejected")
    Mailbox.objects.filter(pk=mailbox.pk).update(state="password_rejected")
    assert "the server rejected the password" in page(ann, "email-settings")


# --- finding the servers ---------------------------------------------------------------------------------------------


def find(user: User, address: str, **entered: str) -> str:
    """The form after *Find the servers*, as a browser without JavaScript gets it."""
    posted = {"find": "servers", "email_address": address, "incoming_security": "ssl", "outgoing_security": "ssl"}
    answer = browser(user).post(reverse("mailbox-add"), posted | entered)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_servers_of_a_known_provider_are_filled_in_and_what_to_know_is_said(ann: User) -> None:
    """R7, R11."""
    text = find(ann, "Ann@GMail.com", incoming_password="not sent back")
    for name, value in {
        "name": "Gmail",
        "incoming_host": "pop.gmail.com",
        "incoming_port": "995",
        "incoming_username": "ann@gmail.com",
        "outgoing_host": "smtp.gmail.com",
        "outgoing_port": "465",
    }.items():
        assert re.search(rf'name="{name}" value="{re.escape(value)}"', text), name
    assert "found by your address in the list of known providers" in text
    assert "https://myaccount.google.com/apppasswords" in text
    assert "Enable POP" in text
    assert "not sent back" not in text
    assert not Mailbox.objects.filter(incoming_host="pop.gmail.com").exists()


def test_what_was_chosen_stays_when_the_servers_are_filled_in(ann: User) -> None:
    """R7: nothing else of the form is lost."""
    text = find(ann, "ann@web.de", name="My account", sharing_mode="private", delete_policy="after_fetch")
    assert 'name="name" value="My account"' in text
    assert re.search(r'value="private"[^>]*checked', text)
    assert re.search(r'value="after_fetch"[^>]*checked', text)
    assert re.search(r'<option value="starttls" selected>', text)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ann@acme.example", "Nothing is known about the mail servers of ann@acme.example"),
        ("ann@icloud.com", "iCloud Mail offers no POP3"),
        ("ann", "Enter your e-mail address first"),
        ("", "Enter your e-mail address first"),
    ],
)
def test_where_no_servers_are_known_the_form_says_why(ann: User, address: str, says: str) -> None:
    """R7."""
    assert says in find(ann, address)
