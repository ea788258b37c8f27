"""Mail that reaches a CRM Mail account without being fetched (R4)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from mail import blobs
from mail.delivering import NotDeliverable, account_of, deliver, deliver_once, forget_receipts, local_recipients
from mail.models import Folder, Message, Receipt
from mail.parsing import without_hidden_headers
from sharing.visibility import visible_to
from tests import factories

pytestmark = pytest.mark.django_db

RAW = factories.raw_message(sender="bea@acme.example", to=["ana.mail@our.example"])


@pytest.fixture
def ana() -> User:
    return _user("ana", "ana.mail@our.example")


def _user(name: str, address: str, colleague: User | None = None) -> User:
    organization = colleague.organization if colleague else factories.organization()
    made = factories.user(organization=organization, name=name, mail_account=True)
    made.mailboxes.update(email_address=address)
    return made


def test_a_delivered_message_is_filed_like_any_other_and_its_bytes_are_kept(ana: User) -> None:
    bea = factories.customer(organization=ana.organization, addresses=["bea@acme.example"])
    message = deliver(RAW, "Ana.Mail@OUR.example.", sender="bounces@acme.example")
    assert (message.owner, message.folder.kind, message.direction) == (ana, Folder.Kind.INBOX, "received")
    assert [link.customer for link in message.correspondences.all()] == [bea]
    trace = b"Return-Path: <bounces@acme.example>\r\nDelivered-To: ana.mail@our.example\r\n"
    assert blobs.read(message) == trace + RAW
    assert without_hidden_headers(blobs.read(message)) == b"Return-Path: <bounces@acme.example>\r\n" + RAW


def test_an_answer_joins_the_conversation(ana: User) -> None:
    first = deliver(factories.raw_message(message_id="first@x"), "ana.mail@our.example", sender="")
    answer = factories.raw_message(message_id="second@x", references=["first@x"])
    assert deliver(answer, "ana.mail@our.example", sender="").thread == first.thread


def test_what_somebody_writes_to_themselves_is_in_their_inbox(ana: User) -> None:
    """Its direction is *sent* all the same (sharing.md)."""
    message = deliver(
        factories.raw_message(sender=ana.email, to=["ana.mail@our.example"]), "ana.mail@our.example", sender=""
    )
    message.refresh_from_db()
    assert (message.folder.kind, message.is_read, message.direction) == (Folder.Kind.INBOX, False, "sent")


def test_each_copy_names_its_own_receiver_alone(ana: User) -> None:
    """Ben is a Bcc: nothing in Ana's copy tells of him."""
    _user("ben", "ben.mail@our.example", ana)
    copies = [deliver(RAW, f"{name}.mail@our.example", sender="bea@acme.example") for name in ("ana", "ben")]
    assert [b"ben.mail" in blobs.read(copy) for copy in copies] == [False, True]


@pytest.mark.parametrize("address", ["nobody@our.example", "ana@our.example", "ana.mail", "", "ana.mail+x@our.example"])
def test_other_addresses_are_refused(ana: User, address: str) -> None:
    """Only the address of a CRM Mail account is one: not the sign-in address, nor one with a tag."""
    with pytest.raises(NotDeliverable) as refusal:
        deliver(RAW, address, sender="")
    assert refusal.value.kind == "unknown"
    assert not Message.objects.exists()


def test_a_deactivated_user_gets_no_mail(ana: User) -> None:
    """R2."""
    User.objects.update(is_active=False)
    with pytest.raises(NotDeliverable) as refusal:
        account_of("ana.mail@our.example")
    assert refusal.value.kind == "deactivated"


def test_a_message_over_the_limit_is_refused(ana: User, settings: Settings) -> None:
    settings.MAX_MESSAGE_BYTES = len(RAW) - 1
    with pytest.raises(NotDeliverable) as refusal:
        deliver_once(RAW, "ana.mail@our.example", sender="")
    assert (refusal.value.kind, Message.objects.count()) == ("too_large", 0)


def test_what_a_mail_server_sends_again_is_filed_once(ana: User) -> None:
    first = deliver_once(RAW, "ana.mail@our.example", sender="bea@acme.example", trace="Received: by one\r\n")
    again = deliver_once(RAW, "Ana.mail@our.example", sender="bea@acme.example", trace="Received: by two\r\n")
    assert (first, again) == (Message.objects.get(), None)


def test_what_comes_again_is_not_filed_again_though_its_owner_deleted_it(ana: User) -> None:
    deliver_once(RAW, "ana.mail@our.example", sender="")
    Message.objects.all().delete()
    assert deliver_once(RAW, "ana.mail@our.example", sender="") is None


@pytest.mark.parametrize(
    "stamp", ["Received: by mx with ESMTP id {}; Mon, 2 Nov 2026 10:00:00 +0000", "Message-ID: <{}@x>"]
)
def test_two_messages_that_say_the_same_are_two_when_servers_stamped_them(ana: User, stamp: str) -> None:
    said = b"\r\nSubject: Backup done\r\n\r\nfine\r\n"
    for number in (1, 2, 2):
        deliver_once(stamp.format(number).encode() + said, "ana.mail@our.example", sender="cron@our.example")
    assert Message.objects.count() == 2


def test_bytes_without_any_mark_are_filed_as_often_as_they_come(ana: User) -> None:
    """Better doubled than lost: nothing tells a repetition from a second message."""
    for _ in range(2):
        deliver_once(b"Subject: Backup done\r\n\r\nfine\r\n", "ana.mail@our.example", sender="cron@our.example")
    assert Message.objects.count() == 2


def test_another_sender_or_receiver_makes_another_message(ana: User) -> None:
    _user("ben", "ben.mail@our.example", ana)
    for address in ("ana.mail@our.example", "ben.mail@our.example"):
        for sender in ("bea@acme.example", ""):
            assert deliver_once(RAW, address, sender=sender)


def test_deliveries_are_forgotten_after_a_week(ana: User) -> None:
    deliver_once(RAW, "ana.mail@our.example", sender="")
    assert forget_receipts() == 0
    Receipt.objects.update(received_at=timezone.now() - timedelta(days=8))
    assert forget_receipts() == 1


def test_delivered_mail_is_shared_only_when_its_account_has_a_mode(ana: User) -> None:
    """sharing.md, line 5: a CRM Mail account has none until one is chosen."""
    factories.customer(organization=ana.organization, addresses=["bea@acme.example"])
    ben = factories.user(organization=ana.organization)
    message = deliver(RAW, "ana.mail@our.example", sender="bea@acme.example")
    assert not visible_to(ben).exists()
    factories.share(message.mailbox, "public")
    assert visible_to(ben).get() == message


def test_mail_stays_here_only_where_the_organisation_chose_that(ana: User) -> None:
    """Off at first: the organisation's own server may deliver these addresses elsewhere too."""
    addresses = ["Ana.Mail@our.example", "bea@acme.example", "ana@our.example"]
    assert local_recipients(ana.organization, addresses) == []
    ana.organization.delivers_locally = True
    assert local_recipients(ana.organization, addresses) == ["Ana.Mail@our.example"]


def test_mail_stays_within_one_organisation_and_with_those_who_read_it(ana: User) -> None:
    """R1, R2."""
    other = factories.user(organization=factories.organization(domain="other.example"), mail_account=True)
    theirs = other.mailboxes.get().email_address
    gone = _user("gone", "gone.mail@our.example", ana)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    ana.organization.delivers_locally = True
    assert local_recipients(ana.organization, [theirs, "gone.mail@our.example"]) == []
