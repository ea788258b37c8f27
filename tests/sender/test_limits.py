"""How much an organisation may send in a day (R37)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from accounts.leases import LeaseLost
from accounts.mailboxes import NotPossible
from accounts.models import User
from accounts.organizations import deactivate_user
from mail.deeds import delete_message
from sender import limits, scheduling
from sender.limits import LimitReached, allowance, take
from sender.models import DaySends, Outgoing
from sender.sending import send, take_back, try_again
from tests import factories
from tests.sender.senders import deliver, sender_on, server, written


def at(moment: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.django_db
def test_each_active_user_adds_to_what_the_organisation_may_send() -> None:
    """R37."""
    with override_settings(SENDS_PER_USER_PER_DAY=3):
        organization = factories.organization()
        factories.user(organization=organization, role="admin")
        leaving = factories.user(organization=organization)
        factories.user(organization=factories.organization(domain="rival.example"))
        take(organization, 2)
        assert (allowance(organization).limit, allowance(organization).remaining) == (6, 4)
        deactivate_user(leaving)
        assert (allowance(organization).limit, allowance(organization).remaining) == (3, 1)
        take(organization, 1)
        with pytest.raises(LimitReached):
            take(organization, 1)


@pytest.mark.django_db
def test_recipients_count_and_what_does_not_fit_takes_nothing() -> None:
    """R37: in To, Cc and Bcc, each address once."""
    with override_settings(SENDS_PER_USER_PER_DAY=4):
        user = sender_on(1)
        send(written(user, to="a@x.example, b@x.example", cc="A@x.example", bcc="c@x.example"))
        draft = written(user, to="d@x.example, e@x.example")
        with pytest.raises(LimitReached) as refused:
            send(draft)
        assert DaySends.objects.get().recipients == 3
        assert Outgoing.objects.get(pk=draft.pk).status == "draft"
        assert refused.value.allowance.remaining == 1


@pytest.mark.django_db
def test_the_refusal_names_the_limit_and_when_it_resets() -> None:
    """R37."""
    with override_settings(SENDS_PER_USER_PER_DAY=300), time_machine.travel("2026-11-02T22:30:00Z", tick=False):
        organization = factories.organization(time_zone="Europe/Berlin")
        factories.user(organization=organization)
        take(organization, 290)
        with pytest.raises(LimitReached) as refused:
            take(organization, 11)
    assert str(refused.value) == (
        "Your organisation can send to 300 recipients a day, 300 for each of 1 active users. Of these 10 are left, and "
        "this message has 11. The limit resets on 3 November, 00:00 (Europe/Berlin)."
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "before", "after", "resets"),
    [
        ("Europe/Berlin", "2026-11-02T22:59:59", "2026-11-02T23:00:01", "2026-11-02T23:00:00"),
        # Clocks go back: the day has 25 hours.
        ("Europe/Berlin", "2026-10-25T22:59:59", "2026-10-25T23:00:01", "2026-10-25T23:00:00"),
        # Clocks go forward at midnight: the day begins at one o'clock.
        ("America/Santiago", "2026-09-06T03:59:59", "2026-09-06T04:00:01", "2026-09-06T04:00:00"),
        ("Pacific/Kiritimati", "2026-11-02T09:59:59", "2026-11-02T10:00:01", "2026-11-02T10:00:00"),
    ],
)
def test_the_day_is_that_of_the_organisations_time_zone(zone: str, before: str, after: str, resets: str) -> None:
    """R37: whatever clocks do."""
    with override_settings(SENDS_PER_USER_PER_DAY=1):
        organization = factories.organization(time_zone=zone)
        factories.user(organization=organization)
        take(organization, 1, at(before))
        with pytest.raises(LimitReached) as refused:
            take(organization, 1, at(before))
        assert refused.value.allowance.resets_at == allowance(organization, at(before)).resets_at == at(resets)
        take(organization, 1, at(after))
        assert DaySends.objects.count() == 2


@pytest.mark.django_db
def test_what_nobody_got_does_not_count_once_it_is_taken_back() -> None:
    """R37: whether a server was asked or not."""
    with server(replies={"DATA": "554 no"}) as sink:
        user = sender_on(sink.port)
        take_back(send(written(user)))
        assert allowance(user.organization).used == 0
        outgoing = deliver(send(written(user)))
        assert outgoing.status == "failed"
        try_again(outgoing)
        assert allowance(user.organization).used == 1
        deliver(outgoing)
        take_back(outgoing)
        assert allowance(user.organization).used == 0


@pytest.mark.django_db
def test_what_is_deleted_for_good_before_anybody_got_it_does_not_count() -> None:
    """R37: waiting or refused; what somebody has, or may have, does."""
    with server(replies={"refused@x.example": "550 no"}) as sink:
        user = sender_on(sink.port)
        waits = send(written(user, to="a@x.example, b@x.example"))
        failed = deliver(send(written(user, to="refused@x.example")))
        half = deliver(send(written(user, to="a@x.example, refused@x.example")))
        doubtful = send(written(user))
        Outgoing.objects.filter(pk=doubtful.pk).update(status="unknown")
        doubtful.recipients.update(state="handed_over")
        assert allowance(user.organization).used == 6
        for outgoing, left in ((waits, 4), (failed, 3), (half, 3), (doubtful, 3)):
            delete_message(outgoing.message)
            assert delete_message(outgoing.message)
            assert allowance(user.organization).used == left
    assert not Outgoing.objects.exists()


@pytest.mark.django_db
def test_what_a_worker_has_in_hand_is_not_sent_once_it_is_deleted_for_good() -> None:
    """R37: so that it need not count."""
    with server() as sink:
        user = sender_on(sink.port)
        outgoing = send(written(user))
        Outgoing.objects.update(due_at=timezone.now())
        claimed = scheduling.claim(outgoing.pk)
        assert claimed is not None
        delete_message(outgoing.message)
        assert delete_message(outgoing.message)
        with pytest.raises(LeaseLost):
            scheduling.hand_over(claimed, ["bea@acme.example"])
        scheduling.in_doubt(claimed)
        scheduling.finish(claimed, taken=["bea@acme.example"])
    assert allowance(user.organization).used == 0


@pytest.mark.django_db(transaction=True)
def test_taken_back_and_deleted_at_once_it_is_given_back_once() -> None:
    """R37: race-free."""
    user = sender_on(1)
    send(written(user))
    together = threading.Barrier(2)
    outgoing = send(written(user, to="a@x.example, b@x.example, c@x.example"))
    delete_message(outgoing.message)

    def alone(deed: Callable[[], object]) -> None:
        together.wait(30)
        # Whoever comes second finds nothing to do.
        with contextlib.suppress(NotPossible, Outgoing.DoesNotExist):
            deed()
        connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(alone, (lambda: take_back(outgoing), lambda: delete_message(outgoing.message))))
    assert DaySends.objects.get().recipients == 1


@pytest.mark.django_db
def test_days_long_over_are_forgotten() -> None:
    organization = factories.organization()
    DaySends.objects.create(organization=organization, day=date(2020, 1, 1), recipients=1)
    DaySends.objects.create(organization=organization, day=timezone.now().date() - timedelta(days=1), recipients=1)
    assert limits.forget_old() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("left", [7])
def test_of_twenty_parallel_senders_exactly_as_many_send_as_the_limit_lets(left: int) -> None:
    """R37: race-free with many workers; on SQLite one waits for the other anyway."""
    with override_settings(SENDS_PER_USER_PER_DAY=left):
        user = sender_on(1)
        drafts = [written(user) for _ in range(20)]
        together = threading.Barrier(20)

        def try_to_send(draft: Outgoing) -> bool:
            try:
                together.wait(30)
                send(draft)
            except LimitReached:
                return False
            else:
                return True
            finally:
                connection.close()

        with ThreadPoolExecutor(20) as threads:
            sent = list(threads.map(try_to_send, drafts))
    assert sum(sent) == left
    assert DaySends.objects.get().recipients == left
    assert Outgoing.objects.filter(status="queued").count() == left
    assert User.objects.count() == 1
