"""Mail to colleagues' CRM Mail addresses that stays here, beside what goes to a server (R35, R36)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from mail import blobs
from mail.delivering import NotDeliverable, account_of
from mail.models import Folder, Message
from sender import delivery, scheduling
from sender.models import Outgoing, Recipient
from sender.sending import send
from sharing.visibility import visible_to
from tests import factories
from tests.sender.senders import deliver, sender_on, server, written

pytestmark = pytest.mark.django_db

State = Recipient.State
Status = Outgoing.Status
BEN = "ben.mail@our.example"


def people(port: int) -> tuple[User, User]:
    """Somebody who sends through the server on this port, and Ben; what is for colleagues stays here."""
    user = sender_on(port)
    user.organization.delivers_locally = True
    user.organization.save()
    ben = factories.user(organization=user.organization, mail_account=True)
    ben.mailboxes.update(email_address=BEN)
    return user, ben


def states(outgoing: Outgoing) -> dict[str, str]:
    """How far it is with each recipient."""
    return dict(outgoing.recipients.values_list("address", "state"))


def test_a_colleague_gets_it_here_and_the_server_hears_of_the_others_alone() -> None:
    with server() as sink:
        user, ben = people(sink.port)
        outgoing = deliver(send(written(user, cc=BEN.title(), bcc="hidden@y.example")))
    [sent] = sink.accepted
    assert sorted(sent.recipients) == ["bea@acme.example", "hidden@y.example"]
    assert (outgoing.status, set(states(outgoing).values())) == (Status.SENT, {State.ACCEPTED})
    received = Message.objects.owned_by(ben).get()
    sender = outgoing.message.mailbox.email_address.encode()
    assert blobs.read(received) == (
        b"Return-Path: <%b>\r\nDelivered-To: %b\r\n" % (sender, BEN.encode()) + blobs.read(outgoing.message)
    )
    assert (received.folder.kind, received.is_read, received.is_draft) == (Folder.Kind.INBOX, False, False)
    assert not received.participants.filter(role="bcc").exists()


def test_a_colleague_who_is_a_bcc_is_named_in_no_other_copy() -> None:
    with server() as sink:
        user, ben = people(sink.port)
        factories.user(organization=user.organization, mail_account=True).mailboxes.filter(kind="crm_mail").update(
            email_address="cleo.mail@our.example"
        )
        deliver(send(written(user, cc="cleo.mail@our.example", bcc=BEN)))
    assert b"ben.mail" not in sink.accepted[0].raw
    cleo_s = Message.objects.get(mailbox__email_address="cleo.mail@our.example")
    assert b"ben.mail" not in blobs.read(cleo_s)
    assert Message.objects.owned_by(ben).exists()


def test_without_the_organisation_s_choice_everything_goes_to_the_server() -> None:
    with server() as sink:
        user, ben = people(sink.port)
        user.organization.delivers_locally = False
        user.organization.save()
        deliver(send(written(user, cc=BEN)))
    assert sorted(sink.accepted[0].recipients) == ["bea@acme.example", BEN]
    assert not Message.objects.owned_by(ben).exists()


def test_for_colleagues_alone_no_server_is_needed() -> None:
    user, ben = people(1)
    assert deliver(send(written(user, to=BEN))).status == Status.SENT
    assert Message.objects.owned_by(ben).exists()


def test_later_tries_for_the_others_deliver_no_second_copy_here() -> None:
    with server(replies={"bea@acme.example": "451 later"}) as sink:
        user, ben = people(sink.port)
        outgoing = deliver(send(written(user, cc=BEN)))
        assert states(outgoing) == {"bea@acme.example": State.OPEN, BEN: State.ACCEPTED}
        sink.replies.clear()
        assert deliver(outgoing).status == Status.SENT
    assert [accepted.recipients for accepted in sink.accepted] == [["bea@acme.example"]]
    assert Message.objects.owned_by(ben).count() == 1


def test_a_worker_that_dies_between_the_colleague_and_the_server_doubles_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with server() as sink:
        user, ben = people(sink.port)
        outgoing = send(written(user, cc=BEN))
        with monkeypatch.context() as patched:
            patched.setattr(delivery, "_submit", die)
            with pytest.raises(Killed):
                deliver(outgoing)
        assert Message.objects.owned_by(ben).count() == 1
        Outgoing.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        scheduling.recover()
        assert deliver(outgoing).status == Status.SENT
    assert [accepted.recipients for accepted in sink.accepted] == [["bea@acme.example"]]
    assert Message.objects.owned_by(ben).count() == 1


@pytest.mark.parametrize("why", ["deactivated", "removed"])
def test_a_colleague_whose_account_takes_no_mail_is_the_server_s_business(why: str) -> None:
    """R2: who is deactivated, or whose account was removed, is known to the organisation's server, or is not."""
    with server() as sink:
        user, ben = people(sink.port)
        if why == "deactivated":
            User.objects.filter(pk=ben.pk).update(is_active=False)
        else:
            ben.mailboxes.update(removed_at=timezone.now())
        with pytest.raises(NotDeliverable):
            account_of(BEN)
        deliver(send(written(user, to=BEN)))
    assert sink.accepted[0].recipients == [BEN]
    assert not Message.objects.owned_by(ben).exists()


def test_mail_among_colleagues_is_shared_with_nobody() -> None:
    """sharing.md: no internal address makes a correspondent, in either copy."""
    user, ben = people(1)
    factories.share(ben.mailboxes.get(), "public")
    factories.customer(organization=user.organization, addresses=[BEN])
    deliver(send(written(user, to=BEN)))
    cleo = factories.user(organization=user.organization)
    assert Message.objects.count() == 2
    assert not visible_to(cleo).exists()


def test_what_somebody_sends_to_themselves_is_in_sent_and_in_their_inbox() -> None:
    user, _ = people(1)
    own = user.mailboxes.get(kind="crm_mail").email_address
    deliver(send(written(user, to=own)))
    assert sorted(Message.objects.owned_by(user).values_list("folder__kind", flat=True)) == ["inbox", "sent"]
