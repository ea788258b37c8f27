"""Several mailboxes, one active; passwords that never show (R5, R11, R14)."""

from __future__ import annotations

import io

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from accounts.connecting import complete
from accounts.credentials import Secret, SecretUnreadable
from accounts.mailboxes import NotPossible, activate, change_mailbox, poll_username
from accounts.models import Mailbox
from tests import factories

pytestmark = pytest.mark.django_db


def test_the_first_mailbox_becomes_active_and_the_second_does_not() -> None:
    """R5."""
    first = factories.mailbox()
    second = factories.mailbox(owner=first.owner)
    assert (first.is_active, second.is_active) == (True, False)
    assert second.next_fetch_at is None


def test_activating_one_mailbox_deactivates_the_other() -> None:
    """R5."""
    first = factories.mailbox()
    second = factories.mailbox(owner=first.owner)
    activate(second)
    first.refresh_from_db()
    assert (first.is_active, second.is_active) == (False, True)
    assert (first.next_fetch_at, second.next_fetch_at is not None) == (None, True)


def test_the_database_refuses_a_second_active_mailbox() -> None:
    """R5."""
    first = factories.mailbox()
    second = factories.mailbox(owner=first.owner)
    with pytest.raises(IntegrityError), transaction.atomic():
        Mailbox.objects.filter(pk=second.pk).update(is_active=True)


def test_the_crm_mail_account_is_listed_first_and_is_never_polled() -> None:
    """R4."""
    mailbox = factories.mailbox()
    kinds = [each.kind for each in Mailbox.objects.owned_by(mailbox.owner)]
    assert kinds == ["crm_mail", "pop3"]
    activate(mailbox.owner.mail_account.mailbox)
    assert not Mailbox.objects.polled().exists()


def test_an_address_is_added_once_per_owner() -> None:
    """R6."""
    mailbox = factories.mailbox(email_address="me@our.example")
    with pytest.raises(NotPossible, match="already a mailbox"):
        factories.mailbox(owner=mailbox.owner, email_address="me@our.example")


def test_a_mailbox_gmail_shares_with_other_clients_is_tagged_and_left_alone() -> None:
    """R11."""
    gmail = {
        "incoming_host": "pop.gmail.com",
        "delete_policy": "after_fetch",
        "incoming_username": "me@gmail.com",
    }
    ticked = factories.mailbox(used_by_other_clients=True, **gmail)
    assert ticked.delete_policy == Mailbox.DeletePolicy.LEAVE
    assert poll_username(ticked) == "recent:me@gmail.com"
    typed = factories.mailbox(**gmail | {"incoming_username": "recent:me@gmail.com"})
    assert (typed.used_by_other_clients, typed.delete_policy) == (True, Mailbox.DeletePolicy.LEAVE)
    assert poll_username(typed) == "recent:me@gmail.com"
    elsewhere = factories.mailbox(used_by_other_clients=True, delete_policy="after_fetch")
    assert (elsewhere.used_by_other_clients, elsewhere.delete_policy) == (False, "after_fetch")


def test_the_same_credentials_follow_to_the_outgoing_server() -> None:
    """R9."""
    mailbox = factories.mailbox(incoming_username="me", incoming_password="marker-1")
    assert mailbox.outgoing_username == "me"
    change_mailbox(mailbox, incoming_password="marker-2")
    assert mailbox.outgoing_password.reveal() == "marker-2"


def test_an_administrator_cannot_have_the_same_credentials_follow_to_a_server_of_their_own() -> None:
    """R14: in two steps, of which the first enters another password."""
    own = {"outgoing_host": "smtp.evil.example", "outgoing_username": "x", "outgoing_password": "x"}
    mailbox = factories.mailbox(incoming_password="secret", use_same_credentials=False)
    change_mailbox(mailbox, **complete({"use_same_credentials": False, **own}, mailbox, by_owner=False))
    with pytest.raises(ValidationError) as error:
        complete({"use_same_credentials": True}, mailbox, by_owner=False)
    assert set(error.value.message_dict) == {"incoming_password"}
    assert complete({"use_same_credentials": True, "incoming_password": "secret"}, mailbox, by_owner=False)
    assert complete({"use_same_credentials": True}, mailbox)


def test_a_password_is_sealed_in_the_database_and_in_dumps() -> None:
    """R14."""
    mailbox = factories.mailbox(incoming_password="marker-password")
    stored = Mailbox.objects.filter(pk=mailbox.pk).values_list("incoming_password", flat=True)
    dump = serializers.serialize("json", Mailbox.objects.all())
    assert "marker-password" not in f"{mailbox.incoming_password!r} {mailbox.__dict__} {list(stored)} {dump}"
    assert Mailbox.objects.get(pk=mailbox.pk).incoming_password.reveal() == "marker-password"


def test_rotation_seals_every_password_with_the_first_key(settings: object) -> None:
    """R14: afterwards the old key can go."""
    mailbox = factories.mailbox(incoming_password="kept")
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]
    call_command("rotate_encryption_keys", stdout=io.StringIO())
    settings.ENCRYPTION_KEYS = [new]
    mailbox.refresh_from_db()
    assert mailbox.incoming_password.reveal() == "kept"


def test_a_lost_key_is_said_and_breaks_nothing_else(settings: object) -> None:
    """R14."""
    mailbox = factories.mailbox()
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    mailbox.refresh_from_db()
    with pytest.raises(SecretUnreadable):
        mailbox.incoming_password.reveal()
    with pytest.raises(CommandError, match=mailbox.email_address):
        call_command("rotate_encryption_keys", stdout=io.StringIO())
    assert Secret.seal("").reveal() == ""
