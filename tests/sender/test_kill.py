"""kill -9 around delivery: no message is sent twice, none is lost, and doubtful ones are shown as such (R36)."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections import Counter

import pytest
from django.db import connections
from django.utils import timezone

from accounts.models import User
from mail.models import Message
from sender import delivery, scheduling
from sender.models import Outgoing
from sender.sending import send
from sender.tasks import dispatch_due
from tests.patience import PATIENCE
from tests.processes import worker
from tests.sender.mta import STEPS, SteppingMta
from tests.sender.senders import sender_on, written

pytestmark = pytest.mark.django_db(transaction=True)

Status = Outgoing.Status
#: Beside the steps that the server sees, those when all data but its end is sent, around the mark that it is handed over.
POINTS = (*STEPS[: STEPS.index("END")], "BEFORE THE MARK", "AFTER THE MARK", *STEPS[STEPS.index("END") :])
#: From here on nobody can know whether the server has the message.
DOUBTFUL = POINTS[POINTS.index("AFTER THE MARK") :]
ROUNDS = 33


def queued(user: User, number: int) -> Outgoing:
    """A message that is due."""
    outgoing = send(written(user, to=f"{number}@acme.example"), undo_seconds=0)
    return Outgoing.objects.get(pk=outgoing.pk)


def worker_that_dies(pk: int, point: str, mta: SteppingMta) -> None:
    """Try to deliver in a process of its own, which is killed at a point."""
    born: queue.SimpleQueue[int] = queue.SimpleQueue()
    is_dead = threading.Event()

    def kill(step: str) -> None:
        if step == point:
            os.kill(born.get(timeout=PATIENCE), signal.SIGKILL)
            is_dead.wait(PATIENCE)

    mta.at = kill
    connections.close_all()
    child = os.fork()
    if not child:
        try:
            _die_around_the_mark(point)
            delivery.deliver(pk)
        finally:
            os._exit(0)
    born.put(child)
    _, status = os.waitpid(child, 0)
    is_dead.set()
    mta.at = lambda _step: None
    assert os.WIFSIGNALED(status), point


def _die_around_the_mark(point: str) -> None:
    hand_over = scheduling.hand_over

    def dying(claimed: Outgoing, addresses: list[str]) -> None:
        if point == "AFTER THE MARK":
            hand_over(claimed, addresses)
        os.kill(os.getpid(), signal.SIGKILL)

    if point.endswith("THE MARK"):
        scheduling.hand_over = dying


def test_of_messages_whose_worker_was_killed_none_is_sent_twice_and_none_is_lost() -> None:
    """R36: at each step of the conversation, several times over."""
    seen = Counter[tuple[str, str]]()
    with SteppingMta() as mta:
        user = sender_on(mta.port)
        for number in range(ROUNDS):
            point = POINTS[number % len(POINTS)]
            outgoing = queued(user, number)
            worker_that_dies(outgoing.pk, point, mta)
            Outgoing.objects.filter(status=Status.SENDING).update(lease_until=timezone.now())
            scheduling.recover()
            Outgoing.objects.filter(status=Status.QUEUED).update(due_at=timezone.now())
            delivery.deliver(outgoing.pk)
            outgoing.refresh_from_db()
            arrived = mta.accepted.count([f"RCPT TO:<{number}@acme.example>"])
            seen[point, outgoing.status] += 1
            if point in DOUBTFUL:
                assert (arrived, outgoing.status) in {(0, "unknown"), (1, "unknown"), (1, "sent")}, point
            else:
                assert (arrived, outgoing.status) == (1, "sent"), point
    assert seen["AFTER THE MARK", "unknown"] == ROUNDS // len(POINTS)
    assert seen["END", "unknown"] == ROUNDS // len(POINTS)
    assert seen["ACCEPTED", "unknown"] == ROUNDS // len(POINTS)
    assert not Message.objects.filter(outgoing__status="unknown", is_draft=False).exists()


@pytest.mark.parametrize(("step", "arrives", "status"), [("DATA", 1, "sent"), ("ACCEPTED", 1, "unknown")])
def test_a_celery_worker_is_killed_and_another_goes_on(step: str, arrives: int, status: str) -> None:
    """R36: the product's own processes."""
    with worker() as process, SteppingMta() as mta:

        def kill(reached: str) -> None:
            if reached == step:
                process.kill()
                process.wait(PATIENCE)

        mta.at = kill
        outgoing = queued(sender_on(mta.port), 1)
        process.wait(PATIENCE)
        assert Outgoing.objects.get().status == Status.SENDING
        mta.at = lambda _step: None
        Outgoing.objects.update(lease_until=timezone.now())
        dispatch_due()
        Outgoing.objects.filter(status=Status.QUEUED).update(due_at=timezone.now())
        delivery.deliver(outgoing.pk)
        assert len(mta.accepted) == arrives
    assert Outgoing.objects.get().status == status
