"""Administration › Sharing and › Audit log: rules for sharing, who shares what, and what was done (R25, R26)."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from accounts.models import User
from mail.models import Message
from sharing.audit import OWNERS_ONLY, purge
from sharing.models import AuditEntry, SharingRule
from sharing.modes import standing_of
from sharing.policies import keep_private, tick
from sharing.rules import drop_rule, set_rule
from tests import factories
from tests.portal.browsers import browser, page, queries_of

pytestmark = pytest.mark.django_db
Action = AuditEntry.Action


@pytest.fixture
def admin() -> User:
    """An administrator."""
    return factories.user(name="Ada", email="ada@our.example", role="admin")


@pytest.fixture
def message(admin: User) -> Message:
    """A customer's message in Ann's Custom mailbox; nothing is ticked."""
    ann = factories.user(organization=admin.organization, name="Ann", email="ann@our.example")
    factories.customer(organization=admin.organization, addresses=["bea@acme.example"], last_name="Bea")
    return factories.message(
        mailbox=factories.mailbox(owner=ann, mode="custom"), sender="bea@acme.example", subject="A merger"
    )


def change(admin: User, **given: Any) -> Any:
    """Post the form that lays down a rule."""
    return browser(admin).post(reverse("sharing-change"), given)


def sees(viewer: User, message: Message) -> bool:
    """Whether the message's page opens."""
    return browser(viewer).get(reverse("message", args=[message.pk])).status_code == 200


def test_a_fixed_mode_is_previewed_and_acts_when_it_is_confirmed(admin: User, message: Message) -> None:
    """R25, R26."""
    given = {"user": message.owner_id, "kind": "fixed", "mode": "public", "reason": "We work as a team."}
    answer = change(admin, **given)
    assert answer.context["preview"].becomes_visible == 1
    assert "A merger" not in answer.content.decode()
    assert not SharingRule.objects.exists()
    assert not sees(admin, message)
    assert change(admin, **given, confirmed="1").status_code == 302
    assert sees(admin, message)
    entry = AuditEntry.objects.filter(action=Action.RULE_CHANGED).get()
    assert (entry.actor, entry.about, entry.details["after"]["mode"]) == (admin, message.owner, "public")


def test_a_fixed_private_hides_at_the_next_request(admin: User, message: Message) -> None:
    """R25: it acts at once, on mail that was shared before, too."""
    factories.share(message.mailbox, "public")
    ben = factories.user(organization=admin.organization)
    assert sees(ben, message)
    change(admin, user=message.owner_id, kind="fixed", mode="private", reason="A merger.", confirmed="1")
    assert not sees(ben, message)


def test_the_preview_has_a_line_for_each_person_with_numbers_and_words(admin: User, message: Message) -> None:
    """R26."""
    ben = factories.mailbox(owner=factories.user(organization=admin.organization, name="Ben"), mode="public").owner
    given = {"user": [ben.pk, message.owner_id], "kind": "fixed", "mode": "public", "reason": "Team."}
    ann, unchanged = change(admin, **given).context["outlooks"]
    assert (ann.after.user, ann.becomes_visible, ann.becomes_hidden) == (message.owner, 1, 0)
    assert ann.in_words == "Public holds for all their mailboxes."
    assert (message.mailbox, "custom", "public") in ann.switches
    assert (unchanged.after.user, unchanged.becomes_visible, unchanged.becomes_hidden) == (ben, 0, 0)


def test_the_lines_of_a_preview_add_up_to_its_total(admin: User) -> None:
    """R26."""
    factories.customer(organization=admin.organization, addresses=["bea@acme.example"])
    for number in range(1, 4):
        box = factories.mailbox(owner=factories.user(organization=admin.organization), mode="public")
        for _ in range(number):
            factories.message(mailbox=box, sender="bea@acme.example")
    shown = change(admin, role="member", kind="fixed", mode="private", reason="Quiet.").context
    assert [outlook.becomes_hidden for outlook in shown["outlooks"]] == [1, 2, 3]
    assert (shown["preview"].becomes_hidden, shown["preview"].customers) == (6, 1)


def test_the_preview_of_a_role_says_whose_own_rule_goes_first(admin: User, message: Message) -> None:
    """R25."""
    set_rule(admin, [message.owner], mode="private", reason="Mergers.")
    answer = change(admin, role="member", kind="fixed", mode="public", reason="Team.")
    [ann] = answer.context["outlooks"]
    assert (ann.in_words, ann.switches) == ("Private holds for all their mailboxes.", [])
    assert "A rule of their own goes before this one." in answer.content.decode()


def test_a_role_that_nobody_has_can_have_a_rule(admin: User) -> None:
    """R25: it acts as soon as somebody has."""
    assert "Nobody has this role" in change(admin, role="member", kind="choice").content.decode()


def test_what_was_confirmed_is_what_was_previewed(admin: User, message: Message) -> None:
    """R26: the page to confirm carries everything that was chosen, and *Back* takes nothing of it away."""
    given = {"user": message.owner_id, "kind": "fixed", "mode": "public", "reason": "We work <as> a team."}
    text = change(admin, **given).content.decode()
    for name, value in {**given, "reason": "We work &lt;as&gt; a team."}.items():
        assert f'name="{name}" value="{value}"' in text
    back = change(admin, **given, back="1")
    assert back.context["form"]["reason"].value() == given["reason"]
    assert not SharingRule.objects.exists()


def test_nobody_reads_a_reason_that_goes_with_no_mode(admin: User) -> None:
    """R25: without the portal's script, hidden fields are sent as well."""
    change(admin, user=admin.pk, kind="choice", mode="public", reason="Left over.", confirmed="1")
    rule = SharingRule.objects.get()
    assert (rule.mode, rule.reason) == ("", "")


def test_the_owners_own_choice_holds_again_when_the_rule_goes(admin: User, message: Message) -> None:
    """R25: *user's choice*."""
    set_rule(admin, [message.owner], mode="public", reason="Team.")
    assert standing_of(message.mailbox).mode == "public"
    change(admin, user=message.owner_id, kind="role", confirmed="1")
    assert standing_of(message.mailbox).mode == "custom"
    assert not sees(admin, message)


def test_a_users_rule_goes_before_that_of_the_role(admin: User, message: Message) -> None:
    """R25: per user or per role."""
    change(admin, role="member", kind="fixed", mode="public", reason="Team.", confirmed="1")
    assert sees(admin, message)
    change(admin, user=message.owner_id, kind="choice", confirmed="1")
    assert not sees(admin, message)
    drop_rule(admin, [message.owner])
    assert sees(admin, message)


def test_a_recommendation_shares_nothing(admin: User, message: Message) -> None:
    """R13, R25."""
    answer = change(admin, user=message.owner_id, kind="recommended", mode="public")
    assert not answer.context["preview"].changes_something
    assert "A recommendation changes nothing by itself" in answer.content.decode()
    assert "The setting acts on mail to come" not in answer.content.decode()
    change(admin, user=message.owner_id, kind="recommended", mode="public", confirmed="1")
    assert not sees(admin, message)


def test_many_people_are_changed_at_once(admin: User) -> None:
    """R25."""
    people = [factories.user(organization=admin.organization) for _ in range(3)]
    given = {"user": [user.pk for user in people], "kind": "fixed", "mode": "private", "reason": "Quiet period."}
    change(admin, **given, confirmed="1")
    assert set(SharingRule.objects.values_list("user", "mode")) == {(user.pk, "private") for user in people}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": ""}, "kind"),
        ({"kind": "fixed", "reason": "Because."}, "mode"),
        ({"kind": "fixed", "mode": "public"}, "reason"),
        ({"kind": "fixed", "mode": "all", "reason": "Because."}, "mode"),
    ],
)
def test_what_is_missing_is_said_beside_its_field(admin: User, given: dict[str, str], field: str) -> None:
    """R25: a fixed mode needs a reason, which its people see."""
    answer = change(admin, user=admin.pk, **given, confirmed="1")
    assert set(answer.context["form"].errors) == {field}
    assert not SharingRule.objects.exists()


def test_a_role_can_not_be_set_back_to_its_role(admin: User) -> None:
    answer = change(admin, role="member", kind="role", confirmed="1")
    assert set(answer.context["form"].errors) == {"kind"}


def test_people_of_another_organisation_are_nobody(admin: User) -> None:
    """R1."""
    stranger = factories.user(organization=factories.organization(domain="rival.example"))
    given = {"user": stranger.pk, "kind": "fixed", "mode": "private", "reason": "Ha."}
    assert change(admin, **given, confirmed="1").url == reverse("sharing-overview")
    assert not SharingRule.objects.exists()


def test_the_overview_says_who_shares_what_and_never_how_much(admin: User, message: Message) -> None:
    """R25: who shares what at a glance."""
    factories.mailbox(owner=admin, mode="public", excluded_domains=["lawyers.example"])
    text = page(admin, "sharing-overview")
    for word in ("Ann", "Custom", "Public", "without lawyers.example", message.mailbox.name):
        assert word in text
    assert "bea@acme.example" not in text
    found = browser(admin).get(reverse("sharing-overview"), {"mode": "custom"}).context["sharers"]
    assert [sharer.user.name for sharer in found] == ["Ann"]


@pytest.mark.parametrize("name", ["sharing-overview", "audit-log"])
def test_the_number_of_colleagues_costs_no_queries(admin: User, name: str) -> None:
    def another() -> None:
        box = factories.mailbox(owner=factories.user(organization=admin.organization), mode="custom")
        tick(box.owner, factories.customer(organization=admin.organization))

    for _ in range(4):
        another()
    few = queries_of(admin, name)
    assert User.objects.count() == 5
    for _ in range(25):
        another()
    assert queries_of(admin, name) == few <= 12


def test_the_number_of_people_costs_a_preview_of_a_role_no_queries(admin: User) -> None:
    """R26: a rule for a role is one change, however many have it."""

    def queries(people: int) -> int:
        while User.objects.filter(role="member").count() < people:
            factories.mailbox(owner=factories.user(organization=admin.organization), mode="custom")
        client = browser(admin)
        with CaptureQueriesContext(connection) as taken:
            answer = client.post(reverse("sharing-change"), {"role": "member", "kind": "choice"})
        assert len(answer.context["outlooks"]) == people
        return len(taken)

    assert queries(5) == queries(30)


@pytest.mark.parametrize("name", ["sharing-overview", "sharing-change", "audit-log"])
def test_members_find_nothing_there(admin: User, name: str) -> None:
    """Administrators only."""
    member = factories.user(organization=admin.organization)
    assert browser(member).get(reverse(name)).status_code == 404
    assert browser(member).post(reverse("audit-export")).status_code == 404


# --- the audit log --------------------------------------------------------------------------------------------------


def test_what_administrators_do_is_in_the_log(admin: User) -> None:
    """R26."""
    ben = factories.user(organization=admin.organization, name="Ben")
    client = browser(admin)
    client.post(reverse("user-role", args=[ben.pk]), {"role": "admin"})
    client.post(reverse("user-deactivate", args=[ben.pk]))
    client.post(reverse("user-reactivate", args=[ben.pk]))
    client.post(reverse("user-invite"), {"email": "new@our.example", "role": "member"})
    client.post(reverse("mail-domain-add"), {"domain": "second.example"})
    said = [(entry.action, entry.in_words) for entry in AuditEntry.objects.order_by("pk")]
    assert said == [
        (Action.USER_CHANGED, "role: member → admin"),
        (Action.USER_CHANGED, "is active: yes → no"),
        (Action.USER_CHANGED, "is active: no → yes"),
        (Action.USER_INVITED, "email: new@our.example, role: member"),
        (Action.ORGANIZATION_CHANGED, "mail domain added: second.example"),
    ]


def test_the_log_says_of_a_rule_only_what_changed(admin: User) -> None:
    """R26: a reason that was none and is none is no news."""
    set_rule(admin, ["member"], mode="private")
    set_rule(admin, ["member"], mode="public", reason="One team.")
    said = [entry.in_words for entry in AuditEntry.objects.filter(action=Action.RULE_CHANGED).order_by("pk")]
    assert said == ["is fixed: none → yes; mode: none → private", "mode: private → public; reason: none → One team."]


def test_a_message_is_named_only_to_who_may_see_it(admin: User, message: Message) -> None:
    """R25: the log is no way to read a private message."""
    factories.share(message.mailbox, "public")
    browser(factories.user(organization=admin.organization)).get(reverse("message", args=[message.pk]))
    assert "A merger" in page(admin, "audit-log")
    factories.share(message.mailbox, "private")
    text = " ".join(strip_tags(page(admin, "audit-log")).split())
    assert f"opened a message in {message.mailbox.name} of Ann" in text
    assert "A merger" not in text


@pytest.mark.parametrize("action", [action for action in Action if action not in OWNERS_ONLY])
def test_every_entry_is_a_sentence_even_when_what_it_names_is_gone(admin: User, action: str) -> None:
    """R26."""
    AuditEntry.objects.create(organization=admin.organization, action=action)
    [sentence] = re.findall(r'list__main">\s*<div>(.*?)</div>', page(admin, "audit-log"), re.DOTALL)
    words = " ".join(strip_tags(sentence).split())
    assert words.startswith("A former colleague ")
    assert len(words.split()) > 4
    assert "None" not in words


def test_administrators_read_what_they_themselves_keep_private(admin: User) -> None:
    """R26: their own deeds are no secret to them."""
    kept = factories.message(mailbox=factories.mailbox(owner=admin), subject="My pay")
    keep_private(admin, kept, True)
    keep_private(admin, kept, False)
    text = " ".join(strip_tags(page(admin, "audit-log")).split())
    assert "Ada keeps My pay private" in text
    assert "Ada no longer keeps My pay private" in text


def test_a_rule_for_a_role_is_told_with_its_role(admin: User) -> None:
    """R26: who did what to whom."""
    set_rule(admin, ["member"], mode="private", reason="Quiet.")
    assert "changed the sharing rule for all members" in " ".join(strip_tags(page(admin, "audit-log")).split())


def test_what_others_keep_private_is_not_in_the_log(admin: User, message: Message) -> None:
    """Not even that there is something."""
    keep_private(message.owner, message, True)
    listed = [entry for entry, _ in browser(admin).get(reverse("audit-log")).context["entries"]]
    assert Action.KEPT_PRIVATE not in {entry.action for entry in listed}


def test_the_log_is_searched(admin: User, message: Message) -> None:
    """R26."""
    tick(message.owner, factories.customer(organization=admin.organization, last_name="Zoe"))

    def found(**filters: str) -> list[str]:
        return [entry.action for entry, _ in browser(admin).get(reverse("audit-log"), filters).context["entries"]]

    assert found(find="zoe") == [Action.RECORD_SHARED]
    assert found(find="ann", action=Action.RECORD_SHARED) == [Action.RECORD_SHARED]
    assert found(find="nobody") == []
    assert found(until=str(timezone.localdate() - timedelta(days=2))) == []
    assert len(found(since=str(timezone.localdate() - timedelta(days=2)))) == 2


@pytest.mark.parametrize("time_zone", ["America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "0001-01-01"}, "since"),
        ({"until": "9999-12-31"}, "until"),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "until"),
        ({"action": "sneezed"}, "action"),
    ],
)
def test_a_wrong_filter_is_told_beside_its_field(time_zone: str, filters: dict[str, str], field: str) -> None:
    """R26. A day at the end of time has no moment everywhere."""
    admin = factories.user(role="admin", organization=factories.organization(time_zone=time_zone))
    answer = browser(admin).get(reverse("audit-log"), filters)
    assert set(answer.context["form"].errors) == {field}
    [error] = answer.context["form"].errors[field]
    assert error in answer.content.decode()
    refused = browser(admin).post(reverse("audit-export"), filters)
    assert refused.url == reverse("audit-log", query=filters)  # type: ignore[attr-defined]
    assert not AuditEntry.objects.exists()


def test_days_are_those_of_the_organisation(admin: User) -> None:
    """R26: half past eleven at night in New York is the next day in UTC."""
    admin = factories.user(role="admin", organization=factories.organization(time_zone="America/New_York"))
    AuditEntry.objects.create(
        organization=admin.organization,
        actor=admin,
        action=Action.USER_ADDED,
        at=datetime(2026, 11, 3, 4, 30, tzinfo=UTC),
    )

    def found(day: str) -> int:
        return len(browser(admin).get(reverse("audit-log"), {"since": day, "until": day}).context["entries"])

    assert (found("2026-11-02"), found("2026-11-03")) == (1, 0)


def test_an_empty_log_and_an_empty_result_are_told_apart(admin: User) -> None:
    assert "Nothing noted yet" in page(admin, "audit-log")
    assert "No entry fits" in page(admin, "audit-log", find="nobody")


def test_how_long_entries_are_kept_is_said(admin: User) -> None:
    """R26."""
    with override_settings(AUDIT_DAYS=90):
        assert "kept for 90 days" in page(admin, "audit-log")
    with override_settings(AUDIT_DAYS=0):
        assert "kept for ever" in page(admin, "audit-log")


def test_the_log_is_read_page_by_page(admin: User) -> None:
    for number in range(60):
        set_rule(admin, [admin], mode="private", reason=str(number))
    client = browser(admin)
    first = client.get(reverse("audit-log"))
    second = client.get(reverse("audit-log"), {"cursor": first.context["cursor"]})
    pks = [entry.pk for answer in (first, second) for entry, _ in answer.context["entries"]]
    assert pks == sorted(AuditEntry.objects.values_list("pk", flat=True), reverse=True)


def test_the_export_holds_what_the_list_shows_and_no_formula(admin: User, message: Message) -> None:
    """R26: exportable."""
    tick(message.owner, factories.customer(organization=admin.organization, last_name="=1+1"))
    answer = browser(admin).post(reverse("audit-export"), {"action": Action.RECORD_SHARED})
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))  # type: ignore[attr-defined]
    assert [row[2] for row in rows[1:]] == ["ticked Share Email"]
    assert rows[1][5] == "'=1+1"
    assert AuditEntry.objects.first().action == Action.LOG_EXPORTED  # type: ignore[union-attr]


def test_the_export_numbers_only_messages_that_its_reader_may_see(admin: User, message: Message) -> None:
    """R25."""
    factories.share(message.mailbox, "public")
    browser(factories.user(organization=admin.organization)).get(reverse("message", args=[message.pk]))

    def numbers() -> list[str]:
        answer = browser(admin).post(reverse("audit-export"), {"action": Action.MESSAGE_OPENED})
        rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))  # type: ignore[attr-defined]
        return [row[6] for row in rows[1:]]

    assert numbers() == [str(message.pk)]
    factories.share(message.mailbox, "private")
    assert numbers() == [""]


def test_the_log_is_only_ever_added_to(admin: User) -> None:
    """R26: append-only for the application."""
    set_rule(admin, [admin], mode="private")
    entry = AuditEntry.objects.get()
    for deed in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(actor=None),
    ):
        with pytest.raises(TypeError):
            deed()
    assert AuditEntry.objects.get().actor == admin


@pytest.mark.parametrize(("days", "left"), [(30, 1), (0, 2)])
def test_entries_are_kept_as_long_as_the_setting_says(admin: User, days: int, left: int) -> None:
    """R26."""
    set_rule(admin, [admin], mode="private")
    set_rule(admin, [admin], mode="public")
    old = AuditEntry.objects.first()
    AuditEntry._base_manager.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=31))  # type: ignore[union-attr]
    with override_settings(AUDIT_DAYS=days):
        purge()
    assert AuditEntry.objects.count() == left
