"""`mailboxes/` (R4–R15, R18)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from accounts.models import Mailbox, User
from fetcher import scheduling
from fetcher.models import FetchRun
from mail.accounts import open_mail_account
from mail.removal import delete_mail_of_removed
from sharing.models import AuditEntry
from sharing.rules import set_rule
from tests import factories
from tests.api.clients import ROOT, program, results
from tests.servers import ScriptedPop3Server, SmtpSink
from tests.servers import mailbox as pop3_mailbox

pytestmark = pytest.mark.django_db
MAILBOXES = ROOT + "mailboxes/"
BODY = {
    "name": "Sales",
    "email_address": "Rep@Mail.Example",
    "incoming_host": "pop.mail.example",
    "incoming_username": "rep",
    "incoming_password": "in-secret",
    "use_same_credentials": True,
    "sharing_mode": "public",
    "skip_test": True,
}


@pytest.fixture
def rep() -> User:
    """Somebody with a CRM Mail account and nothing else."""
    user = factories.user(email="rep@our.example")
    open_mail_account(user, "rep@our.example")
    return user


def add(user: User, **changes: Any) -> Any:
    """POST a mailbox; a change to None leaves the field out."""
    body = {name: value for name, value in (BODY | changes).items() if value is not None}
    return program(user).post(MAILBOXES, body)


def test_a_mailbox_is_added_with_what_follows_from_its_fields(rep: User) -> None:
    """R6, R8, R9."""
    answer = add(rep, excluded_domains=["@Lawyers.Example."])
    assert answer.status_code == 201, answer.content
    made = answer.json()
    mailbox = Mailbox.objects.get(pk=made["id"])
    assert made == {
        "id": mailbox.pk,
        "kind": "pop3",
        "owner": rep.pk,
        "name": "Sales",
        "email_address": "rep@mail.example",
        "incoming_host": "pop.mail.example",
        "incoming_port": 995,
        "incoming_security": "ssl",
        "incoming_username": "rep",
        "use_same_credentials": True,
        "outgoing_host": "smtp.mail.example",
        "outgoing_port": 465,
        "outgoing_security": "ssl",
        "outgoing_username": "rep",
        "allow_plain_text": False,
        "delete_policy": "leave",
        "delete_after_days": None,
        "used_by_other_clients": False,
        "import_since": "all",
        "import_days": None,
        "poll_interval_minutes": None,
        "sharing_mode": "public",
        "excluded_domains": ["lawyers.example"],
        "is_active": True,
        "state": "never_fetched",
        "last_error": "",
        "last_fetched_at": None,
        "next_fetch_at": made["next_fetch_at"],
        "message_count": 0,
    }
    assert made["next_fetch_at"] is not None
    assert mailbox.incoming_password.reveal() == mailbox.outgoing_password.reveal() == "in-secret"


def test_the_crm_mail_account_is_listed_first(rep: User) -> None:
    """R4: it has no incoming server, no sharing mode until chosen, and is not active by itself."""
    add(rep)
    add(rep, email_address="second@mail.example")
    listed = results(program(rep), "mailboxes/")
    assert [row["kind"] for row in listed] == ["crm_mail", "pop3", "pop3"]
    assert [row["is_active"] for row in listed] == [False, True, False]
    assert [row["sharing_mode"] for row in listed] == [None, "public", "public"]


def test_nothing_is_added_before_the_crm_mail_account() -> None:
    """R4."""
    user = factories.user()
    assert add(user).status_code == 409
    assert program(user).post(MAILBOXES, {}).status_code == 409


def test_there_is_no_default_sharing_mode(rep: User) -> None:
    """R13."""
    for body in ({}, {"sharing_mode": ""}, {"sharing_mode": "all"}):
        answer = add(rep, sharing_mode=None, **body) if not body else add(rep, **body)
        assert (answer.status_code, set(answer.json())) == (400, {"sharing_mode"})
    answer = program(rep).post(MAILBOXES, BODY | {"sharing_mode": None})
    assert (answer.status_code, set(answer.json())) == (400, {"sharing_mode"})
    assert not Mailbox.objects.filter(kind="pop3").exists()


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"name": None}, {"name"}),
        ({"email_address": "nobody"}, {"email_address"}),
        ({"incoming_host": ""}, {"incoming_host"}),
        ({"incoming_host": "https://pop.mail.example/"}, {"incoming_host"}),
        ({"incoming_host": "pop.mail.example:995"}, {"incoming_host"}),
        ({"incoming_port": 0}, {"incoming_port"}),
        ({"incoming_port": 65536}, {"incoming_port"}),
        ({"incoming_port": "x"}, {"incoming_port"}),
        ({"incoming_security": "tls"}, {"incoming_security"}),
        ({"incoming_security": "none"}, {"incoming_security"}),
        ({"outgoing_security": "none"}, {"outgoing_security"}),
        ({"incoming_password": None}, {"incoming_password"}),
        ({"incoming_host": "mailhost.example"}, {"outgoing_host"}),
        ({"use_same_credentials": False}, {"outgoing_host", "outgoing_username", "outgoing_password"}),
        ({"delete_policy": "after_days"}, {"delete_after_days"}),
        ({"delete_policy": "after_days", "delete_after_days": 0}, {"delete_after_days"}),
        ({"import_since": "days"}, {"import_days"}),
        ({"poll_interval_minutes": 2}, {"poll_interval_minutes"}),
        ({"poll_interval_minutes": 61}, {"poll_interval_minutes"}),
        ({"excluded_domains": [f"d{number}.example" for number in range(6)]}, {"excluded_domains"}),
        ({"excluded_domains": ["co.uk"]}, {"excluded_domains"}),
        ({"excluded_domains": "acme.example"}, {"excluded_domains"}),
        ({"organization": 1, "state": "ok", "lease_token": "x"}, {"organization", "state", "lease_token"}),
    ],
)
def test_what_is_missing_or_not_usable_is_named(rep: User, changes: dict[str, Any], fields: set[str]) -> None:
    answer = add(rep, **changes)
    assert (answer.status_code, set(answer.json())) == (400, fields)
    assert all(isinstance(message, str) for messages in answer.json().values() for message in messages)
    assert not Mailbox.objects.filter(kind="pop3").exists()


def test_plain_text_needs_to_be_confirmed(rep: User) -> None:
    """R8; ports follow the security choice."""
    answer = add(rep, incoming_security="none", outgoing_security="starttls", allow_plain_text=True)
    assert answer.status_code == 201
    assert (answer.json()["incoming_port"], answer.json()["outgoing_port"]) == (110, 587)


def test_an_address_is_connected_once(rep: User) -> None:
    add(rep)
    answer = add(rep)
    assert (answer.status_code, set(answer.json())) == (400, {"email_address"})


def test_gmail_shared_with_other_clients_leaves_messages_on_the_server(rep: User) -> None:
    """R11."""
    answer = add(rep, incoming_host="pop.gmail.com", used_by_other_clients=True, delete_policy="after_fetch")
    assert (answer.json()["used_by_other_clients"], answer.json()["delete_policy"]) == (True, "leave")


def test_an_account_that_fails_its_test_is_saved_only_with_skip_test(rep: User) -> None:
    """R12: a 400 with `test` says which server and why."""
    with ScriptedPop3Server(pop3_mailbox(password="in-secret")) as pop3, SmtpSink(users={"user": "in-secret"}) as smtp:
        right = connection(pop3.port, smtp.port) | {"skip_test": None}
        refused = add(rep, **right | {"incoming_password": "other"})
        assert (refused.status_code, set(refused.json())) == (400, {"test"})
        assert [said.partition(":")[0] for said in refused.json()["test"]] == ["Incoming mail", "Outgoing mail"]
        assert not Mailbox.objects.filter(kind="pop3").exists()
        made = add(rep, **right)
        assert made.status_code == 201, made.content
        assert "skip_test" not in made.json()


def test_a_changed_server_or_password_is_tested_again_and_nothing_else_is(rep: User) -> None:
    """R12."""
    mailbox = factories.mailbox(owner=rep)
    one = f"{MAILBOXES}{mailbox.pk}/"
    with ScriptedPop3Server(pop3_mailbox(password="in-secret")) as pop3, SmtpSink(users={"user": "in-secret"}) as smtp:
        moved = connection(pop3.port, smtp.port)
        assert program(rep).patch(one, moved | {"incoming_password": "other"}).status_code == 400
        assert program(rep).patch(one, moved).status_code == 200
    assert program(rep).patch(one, {"name": "No server is there any more"}).status_code == 200
    assert set(program(rep).patch(one, {"incoming_password": "in-secret"}).json()) == {"test"}


def test_settings_are_changed_one_by_one(rep: User) -> None:
    made = add(rep).json()
    one = f"{MAILBOXES}{made['id']}/"
    client = program(rep)
    answer = client.patch(
        one, {"name": "New", "incoming_security": "starttls", "poll_interval_minutes": 10, "skip_test": True}
    )
    assert answer.status_code == 200
    assert answer.json() == made | {
        "name": "New",
        "incoming_security": "starttls",
        "incoming_port": 110,
        "poll_interval_minutes": 10,
        "next_fetch_at": answer.json()["next_fetch_at"],
    }
    client.patch(one, {"incoming_port": 1110, "skip_test": True})
    assert client.patch(one, {"incoming_security": "ssl", "skip_test": True}).json()["incoming_port"] == 1110
    mailbox = Mailbox.objects.get(pk=made["id"])
    assert mailbox.incoming_password.reveal() == "in-secret"
    client.patch(one, {"incoming_password": "new-secret", "skip_test": True})
    mailbox.refresh_from_db()
    assert mailbox.incoming_password.reveal() == mailbox.outgoing_password.reveal() == "new-secret"


def test_a_new_password_ends_password_rejected(rep: User) -> None:
    """R18."""
    mailbox = factories.mailbox(owner=rep)
    Mailbox.objects.filter(pk=mailbox.pk).update(state="password_rejected", last_error="No", next_fetch_at=None)
    one = f"{MAILBOXES}{mailbox.pk}/"
    client = program(rep)
    assert client.get(one).json()["state"] == "password_rejected"
    answer = client.patch(one, {"incoming_password": "right", "skip_test": True}).json()
    assert (answer["state"], answer["last_error"]) == ("never_fetched", "")
    assert answer["next_fetch_at"] is not None


def test_sharing_mode_and_excluded_domains_are_changed_with_an_audit_entry(rep: User) -> None:
    mailbox = factories.mailbox(owner=rep)
    answer = program(rep).patch(
        f"{MAILBOXES}{mailbox.pk}/", {"sharing_mode": "custom", "excluded_domains": ["acme.example"]}
    )
    assert (answer.json()["sharing_mode"], answer.json()["excluded_domains"]) == ("custom", ["acme.example"])
    assert AuditEntry.objects.filter(mailbox=mailbox, action="policy_changed").count() == 2


def test_a_refused_change_changes_nothing(rep: User) -> None:
    mailbox = factories.mailbox(owner=rep)
    answer = program(rep).patch(f"{MAILBOXES}{mailbox.pk}/", {"name": "Other", "excluded_domains": ["co.uk"]})
    assert (answer.status_code, set(answer.json())) == (400, {"excluded_domains"})
    mailbox.refresh_from_db()
    assert mailbox.name != "Other"


def test_the_crm_mail_account_takes_a_sharing_mode_but_no_server(rep: User) -> None:
    account = rep.mailboxes.get()
    one = f"{MAILBOXES}{account.pk}/"
    client = program(rep)
    answer = client.patch(one, {"incoming_host": "pop.mail.example", "delete_policy": "after_fetch"})
    assert (answer.status_code, set(answer.json())) == (400, {"incoming_host", "delete_policy"})
    answer = client.patch(one, {"excluded_domains": []})
    assert (answer.status_code, set(answer.json())) == (400, {"sharing_mode"})
    assert client.patch(one, {"sharing_mode": "private", "name": "Mail"}).json()["sharing_mode"] == "private"


def test_the_crm_mail_account_is_sent_from_once_it_has_an_outgoing_server(rep: User) -> None:
    """interface.md, *finer points*; R12, R14, R38: tested before it is saved, like its new password."""
    account = rep.mailboxes.get()
    one, client = f"{MAILBOXES}{account.pk}/", program(rep)
    assert client.put(f"{one}outgoing-password/", {"password": "in-secret"}).status_code == 409
    assert set(client.patch(one, {"outgoing_username": "user"}).json()) == {"outgoing_host", "outgoing_password"}
    with SmtpSink(users={"user": "in-secret"}) as smtp:
        server = {name: value for name, value in connection(0, smtp.port).items() if name.startswith("outgoing")}
        server |= {"outgoing_username": "user", "outgoing_password": "wrong"}
        assert set(client.patch(one, server).json()) == {"outgoing_security"}
        server["allow_plain_text"] = True
        assert set(client.patch(one, server).json()) == {"test"}
        answer = client.patch(one, server | {"outgoing_password": "in-secret"})
        assert (answer.status_code, "outgoing_password" in answer.json()) == (200, False)
        assert set(client.post(f"{one}test/", {}).json()) == {"outgoing"}
        assert client.put(f"{one}outgoing-password/", {"password": "wrong"}).status_code == 400
        assert client.put(f"{one}outgoing-password/", {"password": "in-secret"}).status_code == 204
    assert client.put(f"{one}incoming-password/", {"password": "in-secret"}).status_code == 409
    account.refresh_from_db()
    assert account.outgoing_password.reveal() == "in-secret"
    assert not account.is_active
    assert client.patch(one, {"outgoing_host": ""}).status_code == 200
    account.refresh_from_db()
    assert (account.outgoing_username, bool(account.outgoing_password)) == ("", False)


def test_exactly_one_mailbox_is_active(rep: User) -> None:
    """R5."""
    first = factories.mailbox(owner=rep)
    second = factories.mailbox(owner=rep)
    client = program(rep)

    def active() -> list[int]:
        return [row["id"] for row in results(client, "mailboxes/") if row["is_active"]]

    assert active() == [first.pk]
    answer = client.post(f"{MAILBOXES}{second.pk}/activate/")
    assert (answer.status_code, answer.json()["is_active"]) == (200, True)
    assert active() == [second.pk]
    assert client.get(f"{MAILBOXES}{first.pk}/").json()["state"] == "paused"
    client.patch(f"{MAILBOXES}{first.pk}/", {"is_active": True})
    assert active() == [first.pk]
    client.patch(f"{MAILBOXES}{first.pk}/", {"is_active": False})
    assert active() == []


def test_fetching_answers_with_the_run_that_is_going(rep: User) -> None:
    mailbox = factories.mailbox(owner=rep)
    client = program(rep)
    answer = client.post(f"{MAILBOXES}{mailbox.pk}/fetch/")
    assert answer.status_code == 202
    run = answer.json()["run"]
    assert set(run) == {"id", "started", "finished", "state", "new", "deleted", "error"}
    again = client.post(f"{MAILBOXES}{mailbox.pk}/fetch/")
    assert (again.status_code, again.json()["run"]["id"]) == (202, run["id"])
    assert FetchRun.objects.count() == 1


def test_what_is_not_polled_is_not_fetched(rep: User) -> None:
    factories.mailbox(owner=rep)
    inactive = factories.mailbox(owner=rep)
    for mailbox in (inactive, rep.mailboxes.get(kind="crm_mail")):
        answer = program(rep).post(f"{MAILBOXES}{mailbox.pk}/fetch/")
        assert (answer.status_code, set(answer.json())) == (409, {"detail"})


def test_runs_are_listed_the_latest_first(rep: User) -> None:
    """R18."""
    mailbox = factories.mailbox(owner=rep)
    other = factories.mailbox(owner=rep)
    runs = [FetchRun.objects.create(mailbox=mailbox, token=uuid.uuid4(), new=number) for number in range(3)]
    FetchRun.objects.create(mailbox=other, token=uuid.uuid4())
    listed = results(program(rep), f"mailboxes/{mailbox.pk}/runs/", page_size=2)
    assert [row["id"] for row in listed] == [run.pk for run in reversed(runs)]
    assert listed[0]["new"] == 2


def test_sharing_is_read_and_replaced(rep: User) -> None:
    """R20, R21."""
    mailbox = factories.mailbox(owner=rep, excluded_domains=["a.example"])
    url = f"{MAILBOXES}{mailbox.pk}/sharing/"
    client = program(rep)
    off = {"enabled": False}
    shared = {"mode": "public", "excluded_domains": ["a.example"], "consolidate": off, "fixed": None}
    assert client.get(url).json() == shared
    assert client.put(url, {"mode": "private"}).json() == shared | {"mode": "private"}
    six = [f"d{number}.example" for number in range(6)]
    for body, field in (
        ({}, "mode"),
        ({"mode": None}, "mode"),
        ({"mode": "all"}, "mode"),
        ({"mode": "public", "excluded_domains": six}, "excluded_domains"),
        ({"mode": "public", "owner": 1}, "owner"),
    ):
        answer = client.put(url, body)
        assert (answer.status_code, set(answer.json())) == (400, {field})
    assert client.get(url).json()["mode"] == "private"
    account = rep.mailboxes.get(kind="crm_mail")
    assert client.get(f"{MAILBOXES}{account.pk}/sharing/").json() == {
        "mode": None,
        "excluded_domains": [],
        "consolidate": off,
        "fixed": None,
    }


def test_customers_mail_is_put_together_by_its_owner(rep: User) -> None:
    """R33: in a folder or under a label; left out, it stays as it is."""
    mailbox = factories.mailbox(owner=rep)
    url, client = f"{MAILBOXES}{mailbox.pk}/sharing/", program(rep)
    stored = {"state": "not_asked", "looked_at": 0, "total": 0, "put": 0}
    chosen = {"enabled": True, "kind": "folder", "name": "Customers"}
    shown = chosen | {"stored": stored}
    assert client.put(url, {"mode": "public", "consolidate": chosen}).json()["consolidate"] == shown
    assert client.put(url, {"mode": "public"}).json()["consolidate"] == shown
    factories.message(mailbox=mailbox)
    asked = client.put(url, {"mode": "public", "consolidate": chosen | {"include_stored": True}})
    assert asked.json()["consolidate"]["stored"] == stored | {"state": "going", "total": 1}
    assert client.put(url, {"mode": "public", "consolidate": {"enabled": False}}).json()["consolidate"] == {
        "enabled": False
    }


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"enabled": True},
        {"enabled": True, "kind": "folder"},
        {"enabled": True, "kind": "drawer", "name": "Customers"},
        {"enabled": True, "kind": "folder", "name": "Inbox"},
        {"enabled": True, "kind": "folder", "name": " "},
        {"enabled": True, "kind": "label", "name": "x" * 101},
        {"enabled": True, "kind": "label", "name": "Customers", "colour": "red"},
    ],
)
def test_a_place_that_can_t_be_is_refused_and_nothing_changes(rep: User, wanted: dict[str, Any]) -> None:
    """R33: neither the place nor the mode."""
    mailbox = factories.mailbox(owner=rep)
    answer = program(rep).put(f"{MAILBOXES}{mailbox.pk}/sharing/", {"mode": "private", "consolidate": wanted})
    assert (answer.status_code, set(answer.json())) == (400, {"consolidate"})
    shown = program(rep).get(f"{MAILBOXES}{mailbox.pk}/sharing/").json()
    assert (shown["mode"], shown["consolidate"]) == ("public", {"enabled": False})


def test_administrators_know_nothing_of_the_folders_of_others(rep: User) -> None:
    """R25, R33."""
    mailbox = factories.mailbox(owner=rep)
    url = f"{MAILBOXES}{mailbox.pk}/sharing/"
    wanted = {"enabled": True, "kind": "folder", "name": "Customers"}
    program(rep).put(url, {"mode": "public", "consolidate": wanted})
    admin = program(factories.user(organization=rep.organization, role="admin"))
    assert admin.get(url).json()["consolidate"] is None
    answer = admin.put(url, {"mode": "private", "consolidate": wanted})
    assert (answer.status_code, set(answer.json())) == (400, {"consolidate"})


def test_a_preview_answers_in_numbers_and_changes_nothing(rep: User) -> None:
    """R26."""
    mailbox = factories.mailbox(owner=rep, mode="private")
    factories.customer(organization=rep.organization, addresses=["bea@acme.example"])
    for _ in range(2):
        factories.message(mailbox=mailbox, sender="bea@acme.example")
    url = f"{MAILBOXES}{mailbox.pk}/sharing/preview/"
    client = program(rep)
    answer = client.post(url, {"mode": "public"})
    assert answer.json() == {"becomes_visible": 2, "becomes_hidden": 0, "customers": 1}
    assert client.post(url, {"mode": "public", "excluded_domains": ["acme.example"]}).json()["becomes_visible"] == 0
    assert client.post(url, {"mode": "public", "excluded_domains": ["example"]}).status_code == 400
    assert client.get(f"{MAILBOXES}{mailbox.pk}/sharing/").json()["mode"] == "private"
    assert not mailbox.policy.excluded_domains.exists()
    assert program(factories.user(organization=rep.organization)).post(url, {"mode": "public"}).status_code == 404


def test_a_mode_that_administrators_fixed_is_a_conflict(rep: User) -> None:
    """R25."""
    mailbox = factories.mailbox(owner=rep, mode="public")
    admin = factories.user(organization=rep.organization, role="admin")
    set_rule(admin, [rep], mode="private", reason="Mergers.")
    url = f"{MAILBOXES}{mailbox.pk}/"
    client = program(rep)
    assert client.get(f"{url}sharing/").json()["fixed"] == {"reason": "Mergers.", "by": admin.pk}
    assert client.get(url).json()["sharing_mode"] == "private"
    answers = [
        client.put(f"{url}sharing/", {"mode": "public"}),
        client.post(f"{url}sharing/preview/", {"mode": "public"}),
        client.patch(url, {"sharing_mode": "public"}),
        add(rep, sharing_mode="public"),
    ]
    assert [answer.status_code for answer in answers] == [409] * 4
    assert "Mergers." in answers[0].json()["detail"]
    assert client.put(f"{url}sharing/", {"mode": "private", "excluded_domains": ["a.example"]}).status_code == 200


def test_a_colleagues_mailbox_is_unknown_to_a_member(rep: User) -> None:
    mailbox = factories.mailbox(owner=factories.user(organization=rep.organization))
    client = program(rep)
    one = f"{MAILBOXES}{mailbox.pk}/"
    answers = [
        client.get(one),
        client.patch(one, {"name": "x"}),
        client.get(f"{one}runs/"),
        client.get(f"{one}sharing/"),
    ]
    answers += [client.put(f"{one}sharing/", {"mode": "public"}), client.post(f"{one}activate/")]
    answers += [client.post(f"{one}fetch/")]
    assert {answer.status_code for answer in answers} == {404}
    assert mailbox.pk not in [row["id"] for row in results(client, "mailboxes/")]
    answer = add(rep, owner=mailbox.owner_id)
    assert (answer.status_code, set(answer.json())) == (400, {"owner"})


class TestAnAdministrator:
    """Configures anybody's mailbox, and learns neither passwords nor how much mail there is."""

    @pytest.fixture
    def admin(self, rep: User) -> User:
        """Of rep's organisation."""
        return factories.user(organization=rep.organization, role="admin", mail_account=True)

    def test_sees_state_but_no_message_count(self, rep: User, admin: User) -> None:
        mailbox = factories.mailbox(owner=rep)
        factories.message(mailbox=mailbox)
        assert program(rep).get(f"{MAILBOXES}{mailbox.pk}/").json()["message_count"] == 1
        seen = program(admin).get(f"{MAILBOXES}{mailbox.pk}/").json()
        assert (seen["state"], seen["owner"], seen["message_count"]) == ("never_fetched", rep.pk, None)
        FetchRun.objects.create(mailbox=mailbox, token=uuid.uuid4(), new=1, deleted=1)
        run = results(program(admin), f"mailboxes/{mailbox.pk}/runs/")[0]
        assert (run["new"], run["deleted"]) == (None, None)

    def test_lists_own_mailboxes_first_and_anybodys_by_owner(self, rep: User, admin: User) -> None:
        theirs = factories.mailbox(owner=rep)
        own = factories.mailbox(owner=admin)
        factories.mailbox()
        client = program(admin)
        listed = [row["id"] for row in results(client, "mailboxes/", page_size=1)]
        assert listed == [
            admin.mailboxes.get(kind="crm_mail").pk,
            own.pk,
            rep.mailboxes.get(kind="crm_mail").pk,
            theirs.pk,
        ]
        assert {row["owner"] for row in results(client, "mailboxes/", owner=rep.pk)} == {rep.pk}

    def test_adds_a_mailbox_for_a_colleague(self, rep: User, admin: User) -> None:
        answer = add(admin, owner=rep.pk)
        assert (answer.status_code, answer.json()["owner"]) == (201, rep.pk)
        assert AuditEntry.objects.get(action="policy_changed").actor == admin
        new = factories.user(organization=rep.organization)
        assert add(admin, owner=new.pk).status_code == 409
        stranger = factories.user(mail_account=True)
        answer = add(admin, owner=stranger.pk)
        assert (answer.status_code, set(answer.json())) == (400, {"owner"})

    def test_cannot_give_a_mailbox_to_somebody_else(self, rep: User, admin: User) -> None:
        mailbox = factories.mailbox(owner=rep)
        answer = program(admin).patch(f"{MAILBOXES}{mailbox.pk}/", {"owner": admin.pk})
        assert (answer.status_code, set(answer.json())) == (400, {"owner"})

    def test_cannot_send_a_saved_password_to_another_server(self, rep: User, admin: User) -> None:
        """R14."""
        mailbox = factories.mailbox(owner=rep)
        client = program(admin)
        one = f"{MAILBOXES}{mailbox.pk}/"
        for body in (
            {"incoming_host": "evil.example"},
            {"incoming_port": 110},
            {"incoming_security": "none", "allow_plain_text": True},
        ):
            answer = client.patch(one, body)
            assert (answer.status_code, set(answer.json())) == (400, {"incoming_password"})
        answer = client.patch(one, {"outgoing_host": "evil.example", "use_same_credentials": False})
        assert (answer.status_code, set(answer.json())) == (400, {"outgoing_password"})
        assert client.patch(one, {"name": "Sales", "poll_interval_minutes": 9}).status_code == 200
        answer = client.patch(
            one, {"incoming_host": "pop.new.example", "incoming_password": "known", "skip_test": True}
        )
        assert answer.status_code == 200

    def test_another_organisations_mailbox_is_unknown(self, admin: User) -> None:
        mailbox = factories.mailbox()
        assert program(admin).get(f"{MAILBOXES}{mailbox.pk}/").status_code == 404
        assert results(program(admin), "mailboxes/", owner=mailbox.owner_id) == []


def test_passwords_are_in_no_answer(rep: User) -> None:
    """R14."""
    client = program(rep)
    body = BODY | {
        "use_same_credentials": False,
        "outgoing_host": "smtp.mail.example",
        "outgoing_username": "rep",
        "outgoing_password": "out-secret",
    }
    made = client.post(MAILBOXES, body)
    one = f"{MAILBOXES}{made.json()['id']}/"
    answers = [
        made,
        client.get(MAILBOXES),
        client.get(one),
        client.patch(one, {"incoming_password": "in-secret-2"}),
        client.post(f"{one}activate/"),
        client.post(f"{one}fetch/"),
        client.get(f"{one}runs/"),
        client.get(f"{one}sharing/"),
        client.post(MAILBOXES, body | {"incoming_port": 0}),
    ]
    mailbox = Mailbox.objects.get(pk=made.json()["id"])
    for answer in answers:
        text = answer.content.decode()
        for secret in ("in-secret", "out-secret", mailbox.incoming_password.token, mailbox.outgoing_password.token):
            assert secret not in text
    answer = client.get(one).json()
    assert "incoming_password" not in answer
    assert "outgoing_password" not in answer


def test_a_mailbox_whose_key_is_lost_is_still_listed(rep: User) -> None:
    mailbox = factories.mailbox(owner=rep)
    Mailbox.objects.filter(pk=mailbox.pk).update(incoming_password="nonsense")
    assert program(rep).get(f"{MAILBOXES}{mailbox.pk}/").status_code == 200


def test_a_held_mailbox_shows_the_run_that_holds_it(rep: User) -> None:
    mailbox = factories.mailbox(owner=rep)
    run, _ = scheduling.claim(mailbox)
    assert results(program(rep), f"mailboxes/{mailbox.pk}/runs/")[0]["id"] == run.pk


# --- testing ---------------------------------------------------------------------------------------------------------


def test_an_account_is_tested_before_it_is_saved(rep: User) -> None:
    """R12: both servers, each step, nothing saved."""
    with (
        ScriptedPop3Server(pop3_mailbox(b"Subject: x\r\n\r\nx\r\n", password="in-secret")) as pop3,
        SmtpSink(users={"user": "in-secret"}) as smtp,
    ):
        body = connection(pop3.port, smtp.port)
        answer = program(rep).post(f"{MAILBOXES}test/", body)
        wrong = program(rep).post(f"{MAILBOXES}test/", body | {"incoming_password": "other"})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["incoming"]["ok"], found["outgoing"]["ok"]) == (True, True)
    assert found["incoming"]["detail"] == "1 message is on the server."
    assert [step["name"] for step in found["outgoing"]["steps"]] == ["name", "connection", "encryption", "sign_in"]
    assert [wrong.json()[side]["cause"] for side in ("incoming", "outgoing")] == ["password_rejected"] * 2
    assert not Mailbox.objects.filter(kind="pop3").exists()


def test_a_saved_account_is_tested_with_its_password_or_another(rep: User) -> None:
    """R12, R14: what the body leaves out is as it was saved, and stays so."""
    with ScriptedPop3Server(pop3_mailbox(password="in-secret")) as pop3, SmtpSink(users={"user": "in-secret"}) as smtp:
        mailbox = factories.mailbox(owner=rep, **connection(pop3.port, smtp.port))
        before = mailbox.incoming_password.reveal()
        url = f"{MAILBOXES}{mailbox.pk}/test/"
        assert program(rep).post(url, {}).json()["incoming"]["ok"]
        assert not program(rep).post(url, {"incoming_password": "other"}).json()["incoming"]["ok"]
    mailbox.refresh_from_db()
    assert mailbox.incoming_password.reveal() == before


def test_an_administrator_tests_without_learning_how_much_mail_there_is(rep: User) -> None:
    """R25."""
    admin = factories.user(organization=rep.organization, role="admin")
    with ScriptedPop3Server(pop3_mailbox(b"x", password="in-secret")) as pop3, SmtpSink() as smtp:
        mailbox = factories.mailbox(owner=rep, **connection(pop3.port, smtp.port))
        url = f"{MAILBOXES}{mailbox.pk}/test/"
        assert program(admin).post(url, {}).json()["incoming"]["detail"] == "The mailbox can be opened."
        moved = program(admin).post(url, {"incoming_port": smtp.port})
    assert (moved.status_code, set(moved.json())) == (400, {"incoming_password"})


def test_what_is_missing_for_a_test_is_named(rep: User) -> None:
    """R12: a 400 with the field, no connection."""
    answer = program(rep).post(f"{MAILBOXES}test/", {"incoming_host": "pop.mail.example"})
    assert (answer.status_code, set(answer.json())) == (400, {"incoming_username", "incoming_password"})
    account = Mailbox.objects.get(owner=rep, kind="crm_mail")
    assert program(rep).post(f"{MAILBOXES}{account.pk}/test/", {}).status_code == 409


def connection(incoming: int, outgoing: int) -> dict[str, Any]:
    """The settings of an account whose servers are on loopback."""
    return {
        "incoming_host": "127.0.0.1",
        "incoming_port": incoming,
        "incoming_security": "none",
        "incoming_username": "user",
        "incoming_password": "in-secret",
        "use_same_credentials": True,
        "outgoing_host": "127.0.0.1",
        "outgoing_port": outgoing,
        "outgoing_security": "none",
        "allow_plain_text": True,
    }


# --- passwords and removal -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "other"), [("incoming", "outgoing"), ("outgoing", "incoming")])
def test_a_password_is_tested_and_saved(rep: User, side: str, other: str) -> None:
    """R38: that of one server, or of both while they are the same."""
    with ScriptedPop3Server(pop3_mailbox(password="in-secret")) as pop3, SmtpSink(users={"user": "in-secret"}) as smtp:
        there = connection(pop3.port, smtp.port) | {"outgoing_username": "user", "outgoing_password": "old"}
        mailbox = factories.mailbox(owner=rep, **there | {"incoming_password": "old", "use_same_credentials": False})
        url = f"{MAILBOXES}{mailbox.pk}/{side}-password/"
        assert set(program(rep).put(url, {"password": "wrong"}).json()) == {"test"}
        assert program(rep).put(url, {"password": "in-secret"}).status_code == 204
        mailbox.refresh_from_db()
        assert getattr(mailbox, f"{side}_password").reveal() == "in-secret"
        assert getattr(mailbox, f"{other}_password").reveal() == "old"
        Mailbox.objects.filter(pk=mailbox.pk).update(use_same_credentials=True)
        assert program(rep).put(url, {"password": "in-secret"}).status_code == 204
    mailbox.refresh_from_db()
    assert mailbox.incoming_password.reveal() == mailbox.outgoing_password.reveal() == "in-secret"


def test_a_removed_mailbox_is_listed_no_more_and_keeps_its_mail(rep: User) -> None:
    """R5."""
    message = factories.message(mailbox=factories.mailbox(owner=rep))
    one = f"{MAILBOXES}{message.mailbox_id}/"
    assert program(rep).delete(f"{one}?mail=burn").status_code == 400
    assert program(rep).delete(one).status_code == 204
    assert program(rep).get(one).status_code == 404
    assert program(rep).get(f"{ROOT}messages/{message.pk}/").status_code == 200


def test_a_mailbox_is_removed_with_its_mail(rep: User) -> None:
    """R5: gone for colleagues at once, for good soon."""
    message = factories.message(mailbox=factories.mailbox(owner=rep, mode="public"))
    assert program(rep).delete(f"{MAILBOXES}{message.mailbox_id}/?mail=delete").status_code == 204
    message.refresh_from_db()
    assert message.is_private
    assert delete_mail_of_removed() == 1
    assert not Mailbox.objects.filter(pk=message.mailbox_id).exists()


def test_the_crm_mail_account_cannot_be_removed(rep: User) -> None:
    """R4."""
    account = Mailbox.objects.get(owner=rep, kind="crm_mail")
    assert program(rep).delete(f"{MAILBOXES}{account.pk}/").status_code == 409
    assert program(rep).put(f"{MAILBOXES}{account.pk}/incoming-password/", {"password": "x"}).status_code == 409
