"""Sending and deleting for good at once: each waits for the other, and neither is made to fail by the database (R31, R36).

What is done to a message that was written here is stopped before each of its statements that locks a row; meanwhile the
message is deleted as far as that comes. Whatever both want is then wanted in every order there is.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.leases import LeaseLost
from accounts.mailboxes import NotPossible
from accounts.models import Mailbox, Organization, User
from fetcher.models import SeenUid
from mail import blobs, drafts
from mail.boxes import Box
from mail.deeds import delete_message, do, move_message, undo
from mail.filing import Arrival, file_messages
from mail.indexing import index_stored
from mail.matching import redirect
from mail.models import Deed, Folder, Message
from mail.removal import delete_mail_of_removed, remove_with_mail
from mail.retention import delete_expired
from mail.threads import hold
from sender import delivery, scheduling
from sender.composing import discard, reply_to, save_draft, throw_away_untouched
from sender.files import attach
from sender.models import Outgoing, Recipient
from sender.sending import send, settle_unknown, take_back, try_again
from sharing.policies import set_policy
from tests import factories
from tests.sender.senders import sender_on, written

pytestmark = pytest.mark.django_db(transaction=True)

Status = Outgoing.Status
#: What both lock rows of. What is below a message is nobody's who has not locked that.
_BOTH = r'"(mail_(mailaccount|message|notification|thread)|sender_\w+)"'
_LOCKS = re.compile(rf"^(INSERT INTO|UPDATE|DELETE FROM) {_BOTH}|^SELECT .* {_BOTH} .*FOR (NO KEY )?UPDATE|advisory")
#: What whoever comes second is told: it is gone, or somebody else's.
_TOO_LATE = (NotPossible, LeaseLost, Outgoing.DoesNotExist, Message.DoesNotExist)


@dataclass
class Aside:
    """Something done on a connection of its own, stopped before its statement number `stop` that locks; 0 is never."""

    deed: Callable[[], object]
    stop: int = 0
    in_one_transaction: bool = False
    locked: int = 0
    error: Exception | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    session: int = 0

    def begin(self) -> None:
        """Until it is stopped, waits for a lock or has ended."""
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        while self.thread.is_alive() and not self.stopped.is_set() and not self._is_waiting():
            self.thread.join(0.005)

    def end(self) -> None:
        """Let it go on to its end; what it raised but for what may be said to whoever comes second is raised here."""
        self.go_on.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self.error is not None and not isinstance(self.error, _TOO_LATE):
            raise self.error

    def _run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                [self.session] = cursor.fetchone()
            with transaction.atomic() if self.in_one_transaction else nullcontext(), self._watched():
                self.deed()
                self._passes()
        except Exception as error:  # noqa: BLE001 - raised by `end`
            self.error = error
        finally:
            connection.close()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        def watch(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            if _LOCKS.search(sql):
                self._passes()
            return execute(sql, *rest)

        with connection.execute_wrapper(watch):
            yield

    def _passes(self) -> None:
        self.locked += 1
        if self.locked == self.stop:
            self.stopped.set()
            assert self.go_on.wait(60)

    def _is_waiting(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [self.session])
            return bool(cursor.fetchone()[0])


def at_once(prepare: Callable[[], tuple[Callable[[], object], Callable[[], object]]], *, is_one: bool = True) -> None:
    """Do two things, prepared anew each time, with the first stopped at each of its locks while the second goes on.

    `is_one`: the first is one transaction, and is stopped before it is committed, too.
    """
    if connection.vendor != "postgresql":
        pytest.skip("two transactions at once")
    stop = 0
    while True:
        stop += 1
        first, second = prepare()
        sending, deleting = Aside(first, stop, in_one_transaction=is_one), Aside(second)
        sending.begin()
        if not sending.stopped.is_set():
            sending.end()
            break
        deleting.begin()
        sending.end()
        deleting.end()
    assert stop > 2


def in_trash(outgoing: Outgoing) -> Outgoing:
    """Put into Trash, from where it is deleted for good."""
    trash = Folder.objects.get(account__user=outgoing.message.owner, kind=Folder.Kind.TRASH)
    Message.objects.filter(pk=outgoing.pk).update(folder=trash)
    return Outgoing.objects.owned_by(outgoing.message.owner).get(pk=outgoing.pk)


def waiting(user: User, **fields: str) -> Outgoing:
    """Queued and due."""
    return send(written(user, **fields), undo_seconds=0)


def claimed(user: User) -> Outgoing:
    """In a worker's hand."""
    made = scheduling.claim(waiting(user).pk)
    assert made is not None
    return made


def failed(user: User) -> Outgoing:
    """Refused."""
    made = claimed(user)
    scheduling.finish(made, refused={"bea@acme.example": "no"})
    return made


def doubtful(user: User) -> Outgoing:
    """In doubt."""
    made = claimed(user)
    scheduling.hand_over(made, ["bea@acme.example"])
    scheduling.in_doubt(made)
    return made


def left_by_the_dead(user: User) -> Outgoing:
    """Of a worker that died, and that has reached somebody."""
    made = claimed(user)
    made.recipients.update(state=Recipient.State.ACCEPTED)
    Outgoing.objects.filter(pk=made.pk).update(lease_until=timezone.now())
    return made


def answering() -> tuple[User, Callable[[str | None], tuple[Message, Outgoing]]]:
    """Somebody, and what has them answer mail that a colleague has put into Trash, to an address or else that colleague."""
    user = sender_on(1)
    colleague = factories.user(organization=user.organization)
    box = factories.mailbox(owner=colleague)
    set_policy(box, actor=colleague, mode="public")
    trash = Folder.objects.get(account__user=colleague, kind=Folder.Kind.TRASH)

    def answer(to: str | None) -> tuple[Message, Outgoing]:
        answered = factories.message(mailbox=box)
        draft = reply_to(user, answered)
        draft = save_draft(draft, draft.revision, to=to or colleague.mail_account.mailbox.email_address)
        Message.objects.filter(pk=answered.pk).update(folder=trash)
        answered.refresh_from_db()
        return answered, draft

    return user, answer


def comes_back(outgoing: Outgoing) -> None:
    """A server hands it back beside what is new."""
    mailbox = outgoing.message.mailbox
    arrivals = [Arrival.read(blobs.read(outgoing.message)), Arrival.read(factories.raw_message())]
    with transaction.atomic():
        hold(mailbox.owner_id)
        for here in drafts.handed_back(mailbox.owner_id, [arrival.parsed for arrival in arrivals]).values():
            SeenUid.objects.create(mailbox=mailbox, uid=f"{here}", outcome=SeenUid.Outcome.STORED, message_id=here)
        file_messages(mailbox, arrivals[1:])


@pytest.mark.parametrize(
    ("prepare", "deed"),
    [
        pytest.param(written, lambda draft: save_draft(draft, draft.revision, subject="Better"), id="save"),
        pytest.param(written, lambda draft: attach(draft, "offer.pdf", b"%PDF"), id="attach"),
        pytest.param(written, send, id="send"),
        pytest.param(written, discard, id="discard"),
        pytest.param(waiting, take_back, id="take back"),
        pytest.param(claimed, lambda sent: scheduling.finish(sent, taken=["bea@acme.example"]), id="sent"),
        pytest.param(claimed, scheduling.in_doubt, id="in doubt"),
        pytest.param(left_by_the_dead, lambda _: scheduling.recover(), id="recover"),
        pytest.param(failed, try_again, id="try again"),
        pytest.param(doubtful, lambda sent: settle_unknown(sent, arrived=True), id="arrived"),
        pytest.param(doubtful, comes_back, id="comes back"),
    ],
)
def test_what_is_deleted_for_good_meanwhile(
    prepare: Callable[[User], Outgoing], deed: Callable[[Outgoing], object]
) -> None:
    user = sender_on(1)

    def prepared() -> tuple[Callable[[], object], Callable[[], object]]:
        outgoing = in_trash(prepare(user))
        return lambda: deed(outgoing), lambda: delete_message(outgoing.message)

    at_once(prepared)


def test_what_comes_back_while_a_worker_that_is_late_ends_it() -> None:
    """Whoever is second finds it settled, and the poll goes on."""
    user = sender_on(1)

    def comes(outgoing: Outgoing) -> None:
        try:
            comes_back(outgoing)
        except NotPossible as error:
            raise AssertionError("the poll ended") from error

    def prepared() -> tuple[Callable[[], object], Callable[[], object]]:
        outgoing = doubtful(user)
        late = Outgoing.objects.get(pk=outgoing.pk)
        return lambda: scheduling.finish(late, taken=["bea@acme.example"]), lambda: comes(outgoing)

    at_once(prepared)


def test_what_waits_in_trash_and_is_let_go() -> None:
    """In two transactions: what is claimed and what is held."""
    user = sender_on(1)

    def prepared() -> tuple[Callable[[], object], Callable[[], object]]:
        outgoing = in_trash(waiting(user))
        return lambda: scheduling.claim(outgoing.pk), lambda: delete_message(outgoing.message)

    at_once(prepared, is_one=False)


def test_what_is_let_go_and_is_taken_out_of_trash_meanwhile() -> None:
    """R35: it stays where its owner has put it."""
    user = sender_on(1)
    sent = Folder.objects.get(account__user=user, kind=Folder.Kind.SENT)

    def prepared() -> tuple[Callable[[], object], Callable[[], object]]:
        outgoing = in_trash(waiting(user))
        return lambda: scheduling.claim(outgoing.pk), lambda: move_message(outgoing.message, sent)

    at_once(prepared, is_one=False)
    stands = Outgoing.objects.order_by("pk").values_list("message__folder__kind", "status", "attempts", "lease_token")
    *met, alone = [(*how, token is None) for *how, token in stands]
    assert alone == ("trash", Status.DRAFT, 0, True)
    # Claimed as if it had never been in Trash; seen out of it once it was held, so that it waits; a draft by then.
    claimed_after, waits, draft = (
        ("sent", Status.SENDING, 1, False),
        ("sent", Status.QUEUED, 0, True),
        ("sent", *alone[1:]),
    )
    assert (met[0], met[1], met[-1]) == (claimed_after, waits, draft)
    assert set(met) == {claimed_after, waits, draft}
    assert scheduling.due().count() == met.count(waits)


def test_what_is_let_go_while_a_colleague_deletes_what_it_answers() -> None:
    """The answer forgets what it answers; whoever lets go of it must not remember."""
    answers = answering()[1]

    def prepared() -> tuple[Callable[[], object], Callable[[], object]]:
        answered, draft = answers("x@acme.example")
        outgoing = in_trash(send(draft, undo_seconds=0))
        return lambda: scheduling.claim(outgoing.pk), lambda: delete_message(answered)

    at_once(prepared, is_one=False)
    assert set(Outgoing.objects.values_list("status", "message__folder__kind")) == {(Status.DRAFT, "trash")}
    # The last time nobody deletes.
    *met, alone = Outgoing.objects.order_by("pk").values_list("answers", flat=True)
    assert set(met) == {None}
    assert alone is not None


def test_all_of_trash() -> None:
    """A deed to many."""
    user = sender_on(1)
    trash = Folder.objects.get(account__user=user, kind=Folder.Kind.TRASH)

    def prepared() -> tuple[Callable[[], object], Callable[[], object]]:
        sent = [claimed(user) for _ in range(2)]
        chosen = Message.objects.filter(pk__in=[in_trash(each).pk for each in sent])
        return (
            lambda: scheduling.finish(sent[0], taken=["bea@acme.example"]),
            lambda: do(Deed.Kind.DELETE, Box(user, trash), chosen),
        )

    at_once(prepared)


def test_an_account_that_is_removed_with_its_mail() -> None:
    def prepared() -> tuple[Callable[[], object], Callable[[], object]]:
        sent = claimed(sender_on(1))
        remove_with_mail(sent.message.mailbox)
        return lambda: scheduling.finish(sent, taken=["bea@acme.example"]), delete_mail_of_removed

    at_once(prepared)


def test_what_is_too_old() -> None:
    def prepared() -> tuple[Callable[[], object], Callable[[], object]]:
        sent = left_by_the_dead(sender_on(1))
        long_ago = timezone.now() - timedelta(days=1000)
        Message.objects.filter(pk=sent.pk).update(is_draft=False, date=long_ago, filed_at=long_ago)
        Organization.objects.filter(pk=sent.message.organization_id).update(
            retention_months=12, retention_set_at=long_ago
        )
        return lambda: scheduling.finish(sent, refused={"bea@acme.example": "no"}), delete_expired

    at_once(prepared)


def test_a_draft_that_nobody_touched() -> None:
    def prepared() -> tuple[Callable[[], object], Callable[[], object]]:
        draft = written(sender_on(1))
        Outgoing.objects.filter(pk=draft.pk).update(is_touched=False)
        Message.objects.filter(pk=draft.pk).update(filed_at=timezone.now() - timedelta(days=9))
        return lambda: attach(draft, "offer.pdf", b"%PDF"), throw_away_untouched

    at_once(prepared)
    assert Outgoing.objects.filter(is_touched=True).exists()


def test_an_answer_that_is_delivered_to_a_colleague_who_deletes_what_it_answers() -> None:
    """Deleting forgets in the answer what it answers; delivering files into the account whose mail is deleted."""
    user, answers = answering()
    user.organization.delivers_locally = True
    user.organization.save()

    def prepared() -> tuple[Callable[[], object], Callable[[], object]]:
        answered, draft = answers(None)
        sent = send(draft, undo_seconds=0)
        return lambda: delivery.deliver(sent.pk), lambda: delete_message(answered)

    at_once(prepared, is_one=False)
    assert not Outgoing.objects.exclude(status=Status.SENT).exists()


def taken_back(box: Mailbox, messages: list[Message]) -> Callable[[], object]:
    """Undo that both were moved, each out of another folder: two changes, the later one undone first."""
    folders = {folder.kind: folder for folder in box.owner.mail_account.folders.all()}
    Message.objects.filter(pk=messages[0].pk).update(folder=folders[Folder.Kind.SENT])
    chosen = Message.objects.filter(pk__in=[message.pk for message in messages])
    deed = do(Deed.Kind.MOVE, Box(box.owner, None), chosen, folder=folders[Folder.Kind.TRASH])
    assert deed.changes.count() == 2
    return lambda: undo(box.owner, deed.pk)


def joined(box: Mailbox, messages: list[Message]) -> Callable[[], object]:
    """Mail arrives that joins their conversation to another one."""
    other = factories.message(mailbox=box)
    raw = factories.raw_message(message_id="first@acme.example", references=[other.message_id])
    return lambda: file_messages(box, [Arrival.read(raw)])


def redirected(box: Mailbox, messages: list[Message]) -> Callable[[], object]:
    """One turns out to be sent by their owner, the other one by somebody else."""
    Message.objects.filter(pk=messages[1].pk).update(from_address=box.email_address)
    Message.objects.filter(pk=messages[0].pk).update(direction=Message.Direction.SENT)
    return lambda: in_one(redirect, box.owner)


def in_one(deed: Callable[..., object], *given: object) -> None:
    """In a transaction."""
    with transaction.atomic():
        deed(*given)


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(lambda box, _: lambda: remove_with_mail(box), id="an account is removed"),
        pytest.param(lambda _, messages: lambda: index_stored([each.pk for each in messages]), id="indexed"),
        pytest.param(redirected, id="sent and received"),
        pytest.param(joined, id="conversations are joined"),
        pytest.param(taken_back, id="undone"),
    ],
)
def test_several_messages_are_locked_by_their_primary_key(
    prepare: Callable[[Mailbox, list[Message]], Callable[[], object]],
) -> None:
    """However they lie in the database. What locks them as it comes upon them has the second while it waits for the first."""
    if connection.vendor != "postgresql":
        pytest.skip("two transactions at once")
    user = sender_on(1)
    box = user.mailboxes.get(kind=Mailbox.Kind.POP3)
    messages = [factories.message(mailbox=box, references=["first@acme.example"]) for _ in range(2)]
    first, second = (message.pk for message in messages)
    deed = prepare(box, messages)
    # Each change puts a row to where there is room, and, as the date is in indexes, into those anew.
    for day in range(100):
        Message.objects.filter(pk=second if day == 0 else first).update(date=timezone.now() + timedelta(days=day))
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM mail_message WHERE id IN (%s, %s) ORDER BY ctid", [first, second])
            as_they_lie = [pk for (pk,) in cursor.fetchall()]
        if day and as_they_lie == [second, first]:
            break
    assert as_they_lie == [second, first]
    marking = Aside(lambda: do(Deed.Kind.READ, Box(user, None), Message.objects.filter(pk__in=[first, second])))
    changing = Aside(deed)
    with transaction.atomic():
        list(Message.objects.filter(pk=first).select_for_update(no_key=True))
        for each in (marking, changing):
            each.begin()
            assert each.thread.is_alive()
    for each in (marking, changing):
        each.end()
    assert not Message.objects.filter(pk__in=[first, second], is_read=False).exists()
