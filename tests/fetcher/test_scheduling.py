"""What is due and who holds it (R15, R17, R18)."""

from __future__ import annotations

import threading
import uuid
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from accounts.hosts import DOUBTFUL, connection_to
from accounts.leases import LeaseLost
from accounts.mailboxes import NotPossible, activate, change_mailbox
from accounts.models import Mailbox
from accounts.organizations import deactivate_user, reactivate_user
from fetcher import scheduling
from fetcher.models import FetchRun
from fetcher.tasks import dispatch_due, poll_mailbox
from tests import factories, servers
from tests.leases import told_of_renewal
from tests.servers import ScriptedPop3Server

pytestmark = pytest.mark.django_db


def ago(**span: float) -> object:
    """A moment in the past."""
    return timezone.now() - timedelta(**span)


def test_a_new_mailbox_is_due_at_once() -> None:
    """R15."""
    mailbox = factories.mailbox()
    assert list(scheduling.due()) == [mailbox]


def test_a_claimed_mailbox_is_not_due_until_its_lease_ends() -> None:
    """R17; a dead worker's lease ends within two minutes."""
    mailbox = factories.mailbox()
    scheduling.claim(mailbox)
    assert not scheduling.due().exists()
    mailbox.refresh_from_db()
    assert mailbox.lease_until <= timezone.now() + timedelta(seconds=120)
    Mailbox.objects.update(lease_until=ago(seconds=1))
    assert list(scheduling.due()) == [mailbox]


def test_only_one_of_two_workers_begins_a_run() -> None:
    """R17: a task that is delivered twice runs once."""
    run, _ = scheduling.claim(factories.mailbox())
    assert scheduling.start(run.mailbox_id, run.token) is not None
    assert scheduling.start(run.mailbox_id, run.token) is None


def test_a_hint_that_was_lost_is_given_again_for_the_same_run() -> None:
    """The queue may lose a message; the rows do not."""
    run, _ = scheduling.claim(factories.mailbox())
    Mailbox.objects.update(lease_until=ago(seconds=1))
    assert [again.pk for again in scheduling.claim_due(10)] == [run.pk]


def test_a_run_whose_worker_died_is_ended_and_followed_by_another() -> None:
    """R16, R17."""
    dead, _ = scheduling.claim(factories.mailbox())
    scheduling.start(dead.mailbox_id, dead.token)
    Mailbox.objects.update(lease_until=ago(seconds=1))
    (following,) = scheduling.claim_due(10)
    dead.refresh_from_db()
    assert dead.state == FetchRun.State.FAILED
    assert "stopped before it was done" in dead.error
    assert following.pk != dead.pk
    with pytest.raises(LeaseLost):
        scheduling.renew(dead)


def test_a_run_that_waited_long_for_a_worker_has_its_lease_renewed_at_once() -> None:
    """R17: else it would end in mid poll."""
    run, _ = scheduling.claim(factories.mailbox())
    Mailbox.objects.update(lease_until=timezone.now() + timedelta(seconds=10))
    begun = scheduling.start(run.mailbox_id, run.token)
    with scheduling.kept(begun):
        assert Mailbox.objects.get(pk=run.mailbox_id).lease_until > timezone.now() + timedelta(seconds=100)
    Mailbox.objects.update(lease_token=uuid.uuid4(), lease_until=ago(seconds=1))
    begun.mailbox.refresh_from_db()
    with pytest.raises(LeaseLost), scheduling.kept(begun):
        raise AssertionError("went on")


@pytest.mark.django_db(transaction=True)
def test_the_lease_of_a_poll_that_goes_on_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """R17: however long a server takes for one message."""
    run, _ = scheduling.claim(factories.mailbox())
    begun = scheduling.start(run.mailbox_id, run.token)
    renewed = threading.Event()
    monkeypatch.setattr(scheduling, "_keeper", told_of_renewal(scheduling._keeper, renewed))
    with override_settings(LEASE_SECONDS=0.6), scheduling.kept(begun):
        assert renewed.wait(20)
    # 120 seconds at first, 0.6 when it is renewed.
    assert begun.mailbox.lease_until > timezone.now() + timedelta(seconds=60)
    assert Mailbox.objects.get(pk=run.mailbox_id).lease_until < timezone.now() + timedelta(seconds=5)


def test_fetch_now_joins_a_run_that_is_going() -> None:
    """interface.md: POST fetch/ while a run is going answers with that run."""
    mailbox = factories.mailbox()
    first, is_new = scheduling.claim(mailbox)
    scheduling.start(mailbox.pk, first.token)
    again, is_newer = scheduling.claim(mailbox)
    assert (again.pk, is_new, is_newer) == (first.pk, True, False)


def test_what_may_not_be_polled_is_refused_with_what_to_do() -> None:
    """R5, R18."""
    active = factories.mailbox()
    spare = factories.mailbox(owner=active.owner)
    with pytest.raises(NotPossible, match="Activate it first"):
        scheduling.claim(spare)
    with pytest.raises(NotPossible, match="CRM Mail account"):
        scheduling.claim(active.owner.mail_account.mailbox)
    Mailbox.objects.filter(pk=active.pk).update(state=Mailbox.State.PASSWORD_REJECTED)
    with pytest.raises(NotPossible, match="rejected the password"):
        scheduling.claim(active)


def test_a_rejected_password_stops_polling_until_a_new_one_is_saved() -> None:
    """R18."""
    mailbox = factories.mailbox()
    Mailbox.objects.update(state=Mailbox.State.PASSWORD_REJECTED, next_fetch_at=None)
    assert not scheduling.due().exists()
    change_mailbox(mailbox, incoming_password="the right one")
    assert list(scheduling.due()) == [mailbox]


def test_new_settings_take_the_mailbox_away_from_a_poll_that_uses_the_old_ones() -> None:
    """A poll with the old password must not mark the new one rejected."""
    mailbox = factories.mailbox()
    run, _ = scheduling.claim(mailbox)
    scheduling.start(mailbox.pk, run.token)
    change_mailbox(mailbox, incoming_password="another")
    scheduling.finish(run, FetchRun.State.FAILED, "rejected", state=Mailbox.State.PASSWORD_REJECTED)
    mailbox.refresh_from_db()
    assert mailbox.state == Mailbox.State.NEVER_FETCHED


def test_polling_stops_while_the_owner_is_deactivated() -> None:
    """R2."""
    admin = factories.user(role="admin")
    mailbox = factories.mailbox(owner=factories.user(organization=admin.organization))
    run, _ = scheduling.claim(mailbox)
    deactivate_user(mailbox.owner)
    assert scheduling.start(mailbox.pk, run.token) is None
    assert not scheduling.due().exists()
    reactivate_user(mailbox.owner)
    assert list(scheduling.due()) == [mailbox]


def test_activating_another_mailbox_in_mid_poll_leaves_the_old_one_without_next_fetch() -> None:
    """R5."""
    old = factories.mailbox()
    new = factories.mailbox(owner=old.owner)
    run, _ = scheduling.claim(old)
    scheduling.start(old.pk, run.token)
    activate(new)
    scheduling.finish(run, FetchRun.State.DONE, "", next_fetch_at=timezone.now())
    old.refresh_from_db()
    assert old.next_fetch_at is None
    assert list(scheduling.due()) == [new]


def test_temporary_errors_back_off_to_an_hour_at_most() -> None:
    """R18."""
    mailbox = factories.mailbox(poll_interval_minutes=5)
    minutes = [(scheduling.after_failure(mailbox, n) - timezone.now()).total_seconds() / 60 for n in (1, 2, 3, 9)]
    assert 4.7 < minutes[0] < 5.3
    assert 9.4 < minutes[1] < 10.6
    assert 18.9 < minutes[2] < 21.1
    assert 56 < minutes[3] <= 60


def minutes_until(moment: datetime) -> float:
    """How far off it is."""
    return (moment - timezone.now()).total_seconds() / 60


def test_how_soon_it_is_tried_again_depends_on_what_the_server_says() -> None:
    """R18: in use, soon; broken for good, not every few minutes; signing in too often, as long as it asks for."""
    mailbox = factories.mailbox(poll_interval_minutes=5)
    assert minutes_until(scheduling.after_failure(mailbox, 1, "in_use")) < 1.1
    assert 3.7 < minutes_until(scheduling.after_failure(mailbox, 3, "in_use")) < 4.3
    assert minutes_until(scheduling.after_failure(mailbox, 1, "sys_perm")) > 56
    assert 29 < minutes_until(scheduling.after_failure(mailbox, 1, "login_delay", timedelta(minutes=30))) <= 30
    assert 29 < minutes_until(scheduling.after_success(mailbox, timedelta(minutes=30))) <= 30
    assert minutes_until(scheduling.after_success(mailbox, timedelta(days=99))) <= 60


def test_the_last_fifty_runs_are_kept() -> None:
    """R18."""
    mailbox = factories.mailbox()
    for _ in range(scheduling.RUNS_KEPT + 5):
        run, _is_new = scheduling.claim(mailbox)
        scheduling.start(mailbox.pk, run.token)
        scheduling.finish(run, FetchRun.State.DONE, "")
    assert mailbox.runs.count() == scheduling.RUNS_KEPT
    assert mailbox.runs.first() == run


def test_one_server_never_has_all_connections_of_a_worker() -> None:
    """R17: what finds none free is due again at the next look, as the same run."""
    with override_settings(CONNECTIONS_PER_HOST=1), connection_to("127.0.0.1"):
        mailbox = factories.mailbox()
        (run,) = scheduling.claim_due(10)
        poll_mailbox(mailbox.pk, str(run.token))
        run.refresh_from_db()
        assert run.state == FetchRun.State.QUEUED
        assert [again.pk for again in scheduling.claim_due(10)] == [run.pk]
        with connection_to("other.example", patience=0) as is_free:
            assert is_free
    with connection_to("127.0.0.1", patience=0) as is_free:
        assert is_free


def test_servers_that_failed_before_never_have_all_threads_of_a_worker() -> None:
    """R17: many that hang at once hold up only each other."""
    mailbox = factories.mailbox()
    Mailbox.objects.filter(pk=mailbox.pk).update(failures=1)
    with override_settings(CONNECTIONS_PER_HOST=1), connection_to(DOUBTFUL):
        (run,) = scheduling.claim_due(10)
        poll_mailbox(mailbox.pk, str(run.token))
    run.refresh_from_db()
    assert run.state == FetchRun.State.QUEUED


def test_a_clock_that_ran_ahead_stops_nobody() -> None:
    """What it wrote, hours ahead, would keep a mailbox waiting until then."""
    waiting, held, later = factories.mailbox(), factories.mailbox(), factories.mailbox()
    ahead = timezone.now() + timedelta(days=1)
    Mailbox.objects.filter(pk=waiting.pk).update(next_fetch_at=ahead)
    Mailbox.objects.filter(pk=held.pk).update(lease_token=uuid.uuid4(), lease_until=ahead)
    Mailbox.objects.filter(pk=later.pk).update(next_fetch_at=timezone.now() + timedelta(hours=1))
    assert {run.mailbox_id for run in scheduling.claim_due(10)} == {waiting.pk, held.pk}


def test_organisations_take_turns() -> None:
    """R17: a large one that is far behind does not keep a small one waiting."""
    large, small = factories.organization(), factories.organization()
    many = [factories.mailbox(owner=factories.user(organization=large)) for _ in range(4)]
    few = [factories.mailbox(owner=factories.user(organization=small)) for _ in range(2)]
    for place, mailbox in enumerate(many + few):
        Mailbox.objects.filter(pk=mailbox.pk).update(next_fetch_at=timezone.now() - timedelta(minutes=60 - place))
    claimed = [run.mailbox_id for run in scheduling.claim_due(4)]
    assert claimed == [many[0].pk, few[0].pk, many[1].pk, few[1].pk]


def test_no_more_is_claimed_than_may_wait() -> None:
    """R17: who is due later would stand behind all of it."""
    for _ in range(4):
        factories.mailbox()
    (first, _second) = scheduling.claim_due(2)
    assert scheduling.claim_due(2) == []
    scheduling.start(first.mailbox_id, first.token)
    assert len(scheduling.claim_due(2)) == 1


def test_a_poll_that_yielded_goes_on_without_waiting_for_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """R15: a first import is done in portions; others that are due come in between."""
    looks: list[None] = []
    monkeypatch.setattr("fetcher.tasks.dispatch_due", lambda: looks.append(None))
    raws = [factories.raw_message(subject=f"{n}") for n in range(3)]
    with ScriptedPop3Server(servers.mailbox(*raws)) as server:
        mailbox = factories.mailbox_on(server.port)
        with override_settings(POLL_SECONDS=0):
            run, _ = scheduling.claim(mailbox)
            poll_mailbox(mailbox.pk, str(run.token))
        assert len(looks) == 1
        run, _ = scheduling.claim(mailbox)
        poll_mailbox(mailbox.pk, str(run.token))
    assert len(looks) == 1


@pytest.mark.parametrize(("count", "hints"), [(1, 0), (2, 1), (5, 3)])
def test_while_much_is_fetched_workers_are_told_to_index_it(
    count: int, hints: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R31: what is looked at message by message stays little; a few new messages wait for the next look."""
    told: list[None] = []
    monkeypatch.setattr("fetcher.tasks.hint_indexing", lambda: told.append(None))
    monkeypatch.setattr("fetcher.polling.BATCH_MESSAGES", 2)
    raws = [factories.raw_message(subject=f"{n}") for n in range(count)]
    with ScriptedPop3Server(servers.mailbox(*raws)) as server:
        mailbox = factories.mailbox_on(server.port)
        run, _ = scheduling.claim(mailbox)
        poll_mailbox(mailbox.pk, str(run.token))
    assert len(told) == hints


def test_dispatching_claims_everything_that_is_due() -> None:
    """R15."""
    boxes = [factories.mailbox() for _ in range(3)]
    assert dispatch_due() == 3
    assert FetchRun.objects.filter(mailbox__in=boxes, state=FetchRun.State.QUEUED).count() == 3
    assert dispatch_due() == 0
    assert settings.LEASE_SECONDS <= 120
