"""Sending, taking back, and what becomes of a message (R35, R36)."""

from __future__ import annotations

import email
import threading
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.mailboxes import NotPossible, remove_mailbox
from accounts.models import User
from accounts.organizations import deactivate_user, reactivate_user
from mail import blobs
from mail.deeds import delete_message, move_message
from mail.models import Folder, Message, Notification
from mail.parsing import parse
from sender import delivery, scheduling
from sender.composing import DraftChanged, reply_to, save_draft
from sender.files import attach
from sender.models import Outgoing, Recipient
from sender.sending import MAX_RECIPIENTS, send, settle_unknown, take_back, try_again
from sender.tasks import dispatch_due
from sharing.policies import keep_private
from sharing.visibility import visible_to
from tests import factories
from tests.leases import told_of_renewal
from tests.sender.senders import deliver, sender_on, server, written
from tests.servers import SmtpSink

pytestmark = pytest.mark.django_db

Status = Outgoing.Status
State = Recipient.State


def people(outgoing: Outgoing) -> dict[str, tuple[str, str]]:
    """State and the server's words for each recipient."""
    return {one.address: (one.state, one.words) for one in outgoing.recipients.all()}


def test_a_message_is_sent_with_bcc_in_the_envelope_alone() -> None:
    """R35."""
    with server() as sink:
        user = sender_on(sink.port)
        draft = written(user, cc="Carl <carl@x.example>", bcc="hidden@y.example, bea@acme.example")
        attach(draft, "offer.pdf", b"%PDF", "application/pdf")
        outgoing = send(draft)
        assert outgoing.status == Status.QUEUED
        outgoing = deliver(outgoing)
    [arrived] = sink.accepted
    assert arrived.sender == outgoing.message.mailbox.email_address
    assert sorted(arrived.recipients) == ["bea@acme.example", "carl@x.example", "hidden@y.example"]
    assert b"hidden" not in arrived.raw
    read = parse(arrived.raw)
    assert [(p.role, p.name, p.address) for p in read.participants if p.role != "from"] == [
        ("to", "Bea", "bea@acme.example"),
        ("cc", "Carl", "carl@x.example"),
    ]
    assert [part.name for part in read.attachments] == ["offer.pdf"]
    message = outgoing.message
    assert (outgoing.status, message.folder.kind, message.is_draft) == (Status.SENT, Folder.Kind.SENT, False)
    assert blobs.read(message).strip() == arrived.raw.strip()
    assert message.message_id == read.message_id
    assert message.participants.filter(role="bcc").count() == 2
    assert not outgoing.files.exists()


def test_until_it_is_sent_nobody_else_sees_it_then_the_rule_decides() -> None:
    """R35: shared like any other; not while it can be taken back, nor when it failed."""
    with server(replies={"DATA": "554 no"}) as sink:
        user = sender_on(sink.port, mode="public")
        factories.customer(organization=user.organization, addresses=["bea@acme.example"])
        colleague = factories.user(organization=user.organization)
        outgoing = send(written(user, bcc="hidden@y.example"))
        assert not visible_to(colleague).exists()
        outgoing = deliver(outgoing)
        assert outgoing.status == Status.FAILED
        assert not visible_to(colleague).exists()
        sink.replies.clear()
        outgoing = deliver(try_again(outgoing))
    assert outgoing.status == Status.SENT
    assert visible_to(colleague).get() == outgoing.message
    assert outgoing.message.correspondences.get().role == "to"


def test_a_message_can_be_taken_back_until_a_worker_has_it() -> None:
    """R35: undo send."""
    user = sender_on(1)
    draft = written(user, html="<b>Hi</b>", bcc="hidden@y.example")
    file = attach(draft, "a.txt", b"a")
    outgoing = send(draft)
    assert outgoing.due_at > timezone.now() + timedelta(seconds=5)
    back = take_back(outgoing)
    assert (back.status, back.message.folder.kind, back.html) == (Status.DRAFT, Folder.Kind.DRAFTS, "<b>Hi</b>")
    assert list(back.files.all()) == [file]
    assert Message.objects.get().has_attachments
    assert back.bcc == "hidden@y.example"
    assert save_draft(back, back.revision, text="better").text == "better"
    outgoing = send(Outgoing.objects.owned_by(user).get())
    Outgoing.objects.update(due_at=timezone.now())
    assert scheduling.claim(outgoing.pk) is not None
    with pytest.raises(NotPossible, match="too late"):
        take_back(outgoing)


def test_what_is_put_into_trash_before_it_is_due_is_not_sent() -> None:
    """R35."""
    with server() as sink:
        outgoing = send(written(sender_on(sink.port)))
        delete_message(outgoing.message)
        outgoing = deliver(outgoing)
        assert sink.accepted == []
    assert (outgoing.status, outgoing.message.folder.kind) == (Status.DRAFT, Folder.Kind.TRASH)


def test_what_was_put_among_the_drafts_while_it_waited_is_in_sent_once_it_is_sent() -> None:
    """R35: there nobody would look for it, and no colleague would see it."""
    with server() as sink:
        user = sender_on(sink.port, mode="public")
        factories.customer(organization=user.organization, addresses=["bea@acme.example"])
        outgoing = send(written(user))
        move_message(outgoing.message, Folder.objects.get(account__user=user, kind="drafts"))
        outgoing = deliver(outgoing)
    assert (outgoing.status, outgoing.message.folder.kind) == (Status.SENT, Folder.Kind.SENT)
    assert visible_to(factories.user(organization=user.organization)).get() == outgoing.message


def test_taking_back_and_sending_lock_in_one_order() -> None:
    """R37: the day's count is changed last, so that two windows of one sender never wait for each other."""
    user = sender_on(1)
    statements = {}
    for name, deed in (("send", send), ("take back", take_back)):
        with CaptureQueriesContext(connection) as queries:
            deed(Outgoing.objects.first() or written(user))
        statements[name] = [query["sql"] for query in queries]
    for done in statements.values():
        drafts = max(at for at, sql in enumerate(done) if sql.startswith("UPDATE") and "mail_message" in sql)
        counted = next(at for at, sql in enumerate(done) if sql.startswith("UPDATE") and "sender_daysends" in sql)
        assert counted > drafts


@pytest.mark.parametrize(
    ("fields", "where", "says"),
    [
        ({"to": ""}, "to", "at least one recipient"),
        ({"to": "bea@acme.example, bob"}, "to", "“bob” is not an e-mail address"),
        ({"bcc": "bea@acme.example bob@x.example"}, "bcc", "is not an e-mail address"),
        ({"cc": '"a,b"@x.example'}, "cc", "is not an e-mail address"),
        ({"to": "x> SIZE=1@y.example"}, "to", "is not an e-mail address"),
        ({"to": ",".join(f"{n}@x.example" for n in range(MAX_RECIPIENTS + 1))}, "to", "at most 100 recipients"),
    ],
)
def test_what_cant_be_sent_is_refused_by_field_and_stays_a_draft(fields: dict[str, str], where: str, says: str) -> None:
    """R35."""
    draft = written(sender_on(1), **fields)
    with pytest.raises(ValidationError) as refused:
        send(draft)
    assert says in refused.value.message_dict[where][0]
    assert Outgoing.objects.get().status == Status.DRAFT
    assert Message.objects.get().folder.kind == Folder.Kind.DRAFTS


def test_only_what_the_sender_has_seen_is_sent() -> None:
    """R35: another window saved meanwhile."""
    draft = written(sender_on(1))
    save_draft(draft, 0, text="other")
    with pytest.raises(DraftChanged):
        send(draft, revision=0)
    send(draft, revision=1)
    with pytest.raises(NotPossible, match="no draft any more"):
        send(draft, revision=1)


def test_a_draft_of_a_removed_mailbox_is_not_sent() -> None:
    """R35."""
    user = sender_on(1)
    draft = written(user)
    remove_mailbox(user.mailboxes.get(kind="pop3"), deletes_mail=False)
    with pytest.raises(ValidationError) as refused:
        send(draft)
    assert "Choose another mailbox" in refused.value.message_dict["mailbox"][0]


def test_an_own_address_that_would_need_quotes_is_not_sent_from() -> None:
    """attacks.md: it could end the envelope's address."""
    user = sender_on(1, email_address="a>b@our.example")
    with pytest.raises(ValidationError) as refused:
        send(written(user))
    assert list(refused.value.message_dict) == ["mailbox"]


def test_each_recipient_has_an_answer_of_their_own() -> None:
    """R36: who was refused is shown with the server's words; who is busy is tried again, alone."""
    replies = {"gone@x.example": "550 5.1.1 no such user", "busy@x.example": "450 4.2.1 come back later"}
    with server(replies=replies) as sink:
        outgoing = deliver(send(written(sender_on(sink.port), cc="gone@x.example", bcc="busy@x.example")))
        assert people(outgoing) == {
            "bea@acme.example": (State.ACCEPTED, ""),
            "gone@x.example": (State.REFUSED, "5.1.1 no such user"),
            "busy@x.example": (State.OPEN, "4.2.1 come back later"),
        }
        assert (outgoing.status, outgoing.message.is_draft) == (Status.QUEUED, False)
        assert timezone.now() < outgoing.due_at < timezone.now() + timedelta(minutes=1)
        with pytest.raises(NotPossible, match="too late"):
            take_back(outgoing)
        del sink.replies["busy@x.example"]
        outgoing = deliver(outgoing)
        assert outgoing.status == Status.SENT
        assert [sorted(each.recipients) for each in sink.accepted] == [["bea@acme.example"], ["busy@x.example"]]
        assert Notification.objects.get().kind == Notification.Kind.SENDING_FAILED
        del sink.replies["gone@x.example"]
        outgoing = deliver(try_again(outgoing))
        assert sink.accepted[-1].recipients == ["gone@x.example"]
    assert {state for state, _ in people(outgoing).values()} == {State.ACCEPTED}


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ({"DATA": "554 5.7.1 <b>spam</b>\x1b[31m"}, "5.7.1 <b>spam</b> [31m"),
        ({"bea@acme.example": "550 5.1.1 no such user"}, "5.1.1 no such user"),
    ],
)
def test_a_permanent_refusal_is_shown_in_the_servers_words(replies: dict[str, str], words: str) -> None:
    """R36."""
    with server(replies=replies) as sink:
        outgoing = deliver(send(written(sender_on(sink.port))))
        assert sink.accepted == []
    [(state, said)] = people(outgoing).values()
    assert (outgoing.status, state) == (Status.FAILED, State.REFUSED)
    assert words in said
    notification = Notification.objects.get()
    assert (notification.user, notification.message) == (outgoing.message.owner, outgoing.message)
    assert take_back(outgoing).status == Status.DRAFT


def test_a_temporary_failure_is_tried_again_with_back_off_for_two_days() -> None:
    """R36: first within a minute, at most an hour apart."""
    with server(replies={"DATA": "451 4.3.0 try later"}) as sink:
        outgoing = deliver(send(written(sender_on(sink.port))))
        waits = []
        for _ in range(10):
            assert outgoing.status == Status.QUEUED
            assert "try later" in people(outgoing)["bea@acme.example"][1]
            waits.append((outgoing.due_at - timezone.now()).total_seconds())
            outgoing = deliver(outgoing)
        assert waits[0] < 60
        assert waits[:7] == sorted(waits[:7])
        assert 3_000 < waits[-1] <= 3_600
        Outgoing.objects.update(queued_at=timezone.now() - timedelta(days=2, minutes=1))
        outgoing = deliver(outgoing)
    assert outgoing.status == Status.FAILED
    assert "in two days. " in people(outgoing)["bea@acme.example"][1]


def test_a_server_that_is_away_is_tried_again_and_the_message_says_why_it_waits() -> None:
    """R36."""
    with server() as sink:
        port = sink.port
    outgoing = deliver(send(written(sender_on(port))))
    assert outgoing.status == Status.QUEUED
    assert "refused the connection" in outgoing.words


def test_a_rejected_password_fails_at_once_and_is_in_no_word() -> None:
    """R14, R36: trying again would lock the account."""
    with SmtpSink(users={"user": "other"}) as sink:
        outgoing = deliver(send(written(sender_on(sink.port))))
    assert outgoing.status == Status.FAILED
    assert "rejected the user name or the password" in outgoing.words
    assert "Send Mail As" in outgoing.words
    assert "secret" not in outgoing.words


def test_who_has_decided_is_told_no_more_until_it_fails_again() -> None:
    """R36: the notification goes with what it was about."""
    with server(replies={"DATA": "554 no"}) as sink:
        outgoing = deliver(send(written(sender_on(sink.port))))
        assert Notification.objects.count() == 1
        try_again(outgoing)
        assert not Notification.objects.exists()
        outgoing = deliver(outgoing)
        assert Notification.objects.count() == 1
        take_back(outgoing)
    assert not Notification.objects.exists()


def test_words_that_hold_the_password_are_not_kept() -> None:
    """R14: whatever a server says back."""
    with server(replies={"bea@acme.example": "550 your password is secret"}) as sink:
        outgoing = deliver(send(written(sender_on(sink.port))))
    assert people(outgoing) == {"bea@acme.example": (State.REFUSED, "")}
    with server(replies={"DATA": "554 your password is secret"}) as sink:
        outgoing = deliver(send(written(sender_on(sink.port))))
    assert outgoing.status == Status.FAILED
    assert "secret" not in outgoing.words + str(people(outgoing))


def test_what_waits_when_its_sender_is_deactivated_is_not_sent_when_they_are_back() -> None:
    """R2: weeks later nobody wants it to go out by itself; the sender finds it, with the reason, and decides."""
    with server() as sink:
        user = sender_on(sink.port)
        factories.user(organization=user.organization, role="admin")
        outgoing = send(written(user))
        deactivate_user(user)
        assert deliver(outgoing).status == Status.FAILED
        reactivate_user(user)
        outgoing = deliver(outgoing)
        assert (outgoing.status, sink.accepted) == (Status.FAILED, [])
        assert people(outgoing)["bea@acme.example"][1] == "The account was deactivated before the message was sent."
        assert deliver(try_again(outgoing)).status == Status.SENT


def test_what_some_have_got_stays_as_it_was_sent_when_it_is_put_into_trash() -> None:
    """R36: the others don't get it, which the message says."""
    with server(replies={"later@x.example": "451 later"}) as sink:
        outgoing = deliver(send(written(sender_on(sink.port), to="bea@acme.example, later@x.example", text="As sent")))
        assert outgoing.status == Status.QUEUED
        raw = blobs.read(outgoing.message)
        sink.replies.clear()
        delete_message(outgoing.message)
        outgoing = deliver(outgoing)
        assert len(sink.accepted) == 1
    assert (outgoing.status, outgoing.message.folder.kind) == (Status.SENT, Folder.Kind.TRASH)
    assert blobs.read(outgoing.message) == raw
    assert people(outgoing)["later@x.example"][1].startswith("The message was put into Trash")


def test_a_conversation_that_was_kept_private_while_it_was_written_stays_private() -> None:
    """Line 3 of the rule: the Message-ID that begins it is made on sending."""
    with server() as sink:
        user = sender_on(sink.port, mode="public")
        factories.customer(organization=user.organization, addresses=["bea@acme.example"])
        colleague = factories.user(organization=user.organization)
        draft = written(user)
        keep_private(user, draft.message.thread, True)
        outgoing = deliver(send(draft))
        assert outgoing.status == Status.SENT
        assert outgoing.message.thread.root == outgoing.message.message_id
        assert not visible_to(colleague).exists()


@pytest.mark.parametrize(
    "evil", ["x\r\nBcc: evil@x.example", "x\nEvil: 1\n\nbody", "x\0\x0b\x0c\x85\u2028Evil: 1", "=?utf-8?q?=0AEvil:_1?="]
)
def test_nothing_that_was_typed_becomes_a_header_of_its_own(evil: str) -> None:
    """attacks.md: header injection in every compose field."""
    with server() as sink:
        user = sender_on(sink.port)
        User.objects.filter(pk=user.pk).update(name=evil.replace("\0", ""))
        user.refresh_from_db()
        people = f'"{evil}" <bea@acme.example>'
        draft = written(
            user, to=people, cc=people.replace("bea", "carl"), bcc=people.replace("bea", "dan"), subject=evil, text=evil
        )
        attach(draft, f"{evil}.pdf", b"%PDF", f"application/pdf; {evil}")
        assert deliver(send(draft)).status == Status.SENT
    [arrived] = sink.accepted
    assert arrived.recipients == ["bea@acme.example", "carl@acme.example", "dan@acme.example"]
    read = email.message_from_bytes(arrived.raw)
    headers = [name for part in read.walk() for name in part.keys()]  # noqa: SIM118 - one name as often as it stands there
    assert sorted(read.keys()) == sorted(
        ["Content-Type", "MIME-Version", "Date", "From", "To", "Cc", "Subject", "Message-ID"]
    )
    assert not {"evil", "bcc"} & {name.lower() for name in headers}
    assert [part.get_content_type() for part in read.walk()] == ["multipart/mixed", "text/plain", "application/pdf"]


def test_two_hints_send_one_message() -> None:
    """R36: a task that is delivered twice."""
    with server() as sink:
        outgoing = deliver(send(written(sender_on(sink.port))))
        delivery.deliver(outgoing.pk)
        dispatch_due()
        assert len(sink.accepted) == 1


@pytest.mark.django_db(transaction=True)
def test_a_message_is_held_however_long_a_server_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """R36: else another worker would try it, too. What is in doubt or sent meanwhile is held no more."""
    outgoing = send(written(sender_on(1)), undo_seconds=0)
    claimed = scheduling.claim(outgoing.pk)
    assert claimed is not None
    renewed = threading.Event()
    monkeypatch.setattr(scheduling, "_keeper", told_of_renewal(scheduling._keeper, renewed))
    with override_settings(LEASE_SECONDS=0.6), scheduling.kept(claimed):
        assert renewed.wait(20)
        assert Outgoing.objects.get().lease_until < timezone.now() + timedelta(seconds=5)
        scheduling.in_doubt(claimed)
        renewed.clear()
        assert renewed.wait(20)
    assert Outgoing.objects.get().lease_until is None


def test_a_message_whose_worker_died_before_the_end_of_the_data_is_sent_by_another() -> None:
    """R36."""
    with server() as sink:
        outgoing = send(written(sender_on(sink.port)))
        Outgoing.objects.update(due_at=timezone.now())
        dead = scheduling.claim(outgoing.pk)
        scheduling.recover()
        assert Outgoing.objects.get().status == Status.SENDING
        Outgoing.objects.update(lease_until=timezone.now())
        scheduling.recover()
        assert Outgoing.objects.get().status == Status.QUEUED
        with pytest.raises(scheduling.LeaseLost):
            scheduling.hand_over(dead, ["bea@acme.example"])
        assert deliver(outgoing).status == Status.SENT
        assert len(sink.accepted) == 1


def in_doubt(user: User) -> Outgoing:
    """A message whose worker died between the end of the data and the server's answer."""
    outgoing = send(written(user, cc="carl@x.example"))
    Outgoing.objects.update(due_at=timezone.now())
    dead = scheduling.claim(outgoing.pk)
    scheduling.hand_over(dead, ["bea@acme.example"])
    Outgoing.objects.update(lease_until=timezone.now())
    scheduling.recover()
    return Outgoing.objects.owned_by(user).get()


def test_a_message_in_doubt_is_never_sent_again_by_itself_and_its_sender_is_asked() -> None:
    """R36; interface.md, *unknown*."""
    with server() as sink:
        outgoing = in_doubt(sender_on(sink.port))
        assert outgoing.status == Status.UNKNOWN
        assert "may have arrived or not" in outgoing.words
        assert Notification.objects.get().message == outgoing.message
        assert outgoing.message.is_draft
        dispatch_due()
        assert deliver(outgoing).status == Status.UNKNOWN
        for deed in (take_back, try_again):
            with pytest.raises(NotPossible):
                deed(outgoing)
        assert sink.accepted == []


def test_the_sender_says_that_it_arrived_and_the_others_get_it() -> None:
    """R36."""
    with server() as sink:
        outgoing = settle_unknown(in_doubt(sender_on(sink.port)), arrived=True)
        assert not outgoing.message.is_draft
        outgoing = deliver(outgoing)
        assert [each.recipients for each in sink.accepted] == [["carl@x.example"]]
    assert outgoing.status == Status.SENT
    with pytest.raises(NotPossible):
        settle_unknown(outgoing, arrived=False)


def test_or_has_it_sent_once_more() -> None:
    """R36."""
    with server() as sink:
        outgoing = deliver(settle_unknown(in_doubt(sender_on(sink.port)), arrived=False))
        assert [each.recipients for each in sink.accepted] == [["bea@acme.example", "carl@x.example"]]
    assert outgoing.status == Status.SENT


def test_a_reply_to_a_colleagues_message_tells_its_owner() -> None:
    """R24: only once it is sent; what it says is visible as the replier's mailbox is shared."""
    owner = factories.mailbox(mode="public").owner
    factories.customer(organization=owner.organization, addresses=["bea@acme.example"])
    message = factories.message(mailbox=owner.mailboxes.get(kind="pop3"), sender="bea@acme.example")
    with server() as sink:
        replier = sender_on(sink.port, organization=owner.organization, mode="private")
        outgoing = send(reply_to(replier, visible_to(replier).get(pk=message.pk)))
        assert not Notification.objects.exists()
        outgoing = deliver(outgoing)
    told = Notification.objects.get()
    assert (told.user, told.kind, told.actor, told.message) == (owner, "answered", replier, outgoing.message)
    assert not visible_to(owner).filter(pk=outgoing.pk).exists()
    assert visible_to(replier).get(pk=outgoing.pk).correspondences.exists()


def test_mail_to_colleagues_is_delivered_here_where_the_organisation_wants_it() -> None:
    """R4: once, and to the others by the server."""
    with server() as sink:
        user = sender_on(sink.port)
        colleague = factories.user(organization=user.organization, mail_account=True)
        user.organization.delivers_locally = True
        user.organization.save()
        address = colleague.mail_account.mailbox.email_address
        outgoing = deliver(send(written(user, cc=address, bcc="hidden@y.example")))
        assert [sorted(each.recipients) for each in sink.accepted] == [["bea@acme.example", "hidden@y.example"]]
    assert outgoing.status == Status.SENT
    here = Message.objects.owned_by(colleague).get()
    assert here.message_id == outgoing.message.message_id
    assert b"hidden" not in blobs.read(here)
