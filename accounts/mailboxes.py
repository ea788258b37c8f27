"""What can be done to a mailbox, each deed one function with its transaction inside (R5, R6, R11, R18)."""

from __future__ import annotations

import copy
from typing import Any

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from accounts.credentials import Secret, no_secret
from accounts.models import Mailbox, User
from accounts.providers import RECENT_TAG, is_gmail

#: Sent inside the transaction, with `user`: their own addresses are others now, so what counts as sent by them may be too.
own_addresses_changed = Signal()

#: Fields whose change makes a rejected password worth another try.
CONNECTION_FIELDS = frozenset(
    {
        "incoming_host",
        "incoming_port",
        "incoming_security",
        "incoming_username",
        "incoming_password",
    }
)
#: Fields whose change makes a new test of the account worthwhile (R12).
TESTED_FIELDS = CONNECTION_FIELDS | {
    "use_same_credentials",
    "outgoing_host",
    "outgoing_port",
    "outgoing_security",
    "outgoing_username",
    "outgoing_password",
}
#: What a test of an account has to know (R12).
FIELDS_OF_A_TEST = TESTED_FIELDS | {"used_by_other_clients", "allow_plain_text"}


class NotPossible(Exception):
    """The deed can't be done; `str()` is a sentence for people that says why."""


def add_mailbox(owner: User, **fields: Any) -> Mailbox:
    """Save a new POP3 mailbox. The first one of a user becomes active and due at once (interface.md, *finer points*).

    One that was removed before, with this address, is taken up again: it knows what it has fetched already.

    `incoming_password` and `outgoing_password` are plain strings here and sealed on the way.

    Raises:
        NotPossible: the user already has a mailbox with this address.
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=owner.pk)
        mailbox = owner.mailboxes.removed().filter(email_address=fields["email_address"]).first()
        if mailbox is None:
            mailbox = Mailbox(owner=owner, kind=Mailbox.Kind.POP3)
        mailbox.removed_at = None
        _assign(mailbox, fields)
        _require_only_one(mailbox)
        if not owner.mailboxes.connected().filter(kind=Mailbox.Kind.POP3).exists():
            owner.mailboxes.filter(is_active=True).update(is_active=False, next_fetch_at=None)
            mailbox.is_active = True
            mailbox.next_fetch_at = timezone.now()
        mailbox.save()
        own_addresses_changed.send(sender=User, user=owner)
    return mailbox


def _require_only_one(mailbox: Mailbox) -> None:
    if mailbox.kind == Mailbox.Kind.CRM_MAIL:
        return
    others = mailbox.owner.mailboxes.filter(kind=Mailbox.Kind.POP3).exclude(pk=mailbox.pk)
    same = others.filter(email_address=mailbox.email_address).first()
    if same is not None and same.deletes_mail:
        raise NotPossible(f"The mail of the earlier account {same.email_address} is being deleted. Try again soon.")
    if same is not None:
        raise NotPossible(f"There is already a mailbox for {same.email_address}.")


def change_mailbox(mailbox: Mailbox, **fields: Any) -> Mailbox:
    """Save changed settings. A new server, user name or password ends *password rejected* and polls at once (R18).

    Passwords are plain strings; one that is left out stays as it is.

    Raises:
        NotPossible: it was removed, or the owner has another mailbox with the new address.
    """
    with transaction.atomic():
        locked = Mailbox.objects.select_for_update().get(pk=mailbox.pk)
        _require_connected(locked)
        before = {name: getattr(locked, name) for name in fields}
        _assign(locked, fields)
        _require_only_one(locked)
        if any(name in CONNECTION_FIELDS and getattr(locked, name) != before[name] for name in fields):
            # A poll that is going with the old settings must neither store nor judge any more.
            locked.lease_token = locked.lease_until = locked.one_by_one_until = None
            locked.failures = 0
            locked.last_error = ""
            locked.error_kind = ""
            if locked.state in {Mailbox.State.PASSWORD_REJECTED, Mailbox.State.ERROR}:
                locked.state = Mailbox.State.OK if locked.last_fetched_at else Mailbox.State.NEVER_FETCHED
            if locked.is_active and locked.kind == Mailbox.Kind.POP3:
                locked.next_fetch_at = timezone.now()
        locked.save()
        own_addresses_changed.send(sender=User, user=locked.owner)
    mailbox.refresh_from_db()
    return mailbox


def password_fields(side: str, password: str, *, both: bool) -> dict[str, Any]:
    """What to save for a new password of the `incoming` or `outgoing` server alone, or of both, linked (R9, R38)."""
    if both:
        return {"incoming_password": password, "use_same_credentials": True}
    return {f"{side}_password": password, "use_same_credentials": False}


def foreseen(fields: dict[str, Any], mailbox: Mailbox | None = None) -> Mailbox:
    """A mailbox, or `mailbox`, as it would be with `fields`; nothing is saved. Passwords are plain strings here."""
    future = copy.copy(mailbox) if mailbox is not None else Mailbox(kind=Mailbox.Kind.POP3)
    _assign(future, fields)
    return future


def needs_test(mailbox: Mailbox, fields: dict[str, Any]) -> bool:
    """Whether saving `fields` would have the account sign in elsewhere or otherwise than it does now (R12).

    The CRM Mail account signs in nowhere unless it has an outgoing server.
    """
    has_server = mailbox.kind == Mailbox.Kind.POP3 or foreseen(fields, mailbox).outgoing_host
    return bool(has_server) and any(
        name.endswith("_password") or fields[name] != getattr(mailbox, name) for name in TESTED_FIELDS & fields.keys()
    )


def deletes_more(fields: dict[str, Any], mailbox: Mailbox | None = None) -> bool:
    """Whether saving `fields` would have messages deleted from the server in a way they are not now (R10)."""
    future = foreseen(fields, mailbox)
    before = (mailbox.delete_policy, mailbox.delete_after_days) if mailbox is not None else None
    return (
        future.delete_policy != Mailbox.DeletePolicy.LEAVE
        and (future.delete_policy, future.delete_after_days) != before
    )


def activate(mailbox: Mailbox) -> None:
    """Make this the mailbox that is polled and sent from; the owner's other one stops in the same transaction (R5).

    Raises:
        NotPossible: it was removed.
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=mailbox.owner_id)
        _require_connected(Mailbox.objects.get(pk=mailbox.pk))
        Mailbox.objects.filter(owner=mailbox.owner_id, is_active=True).exclude(pk=mailbox.pk).update(
            is_active=False, next_fetch_at=None
        )
        polled = mailbox.kind == Mailbox.Kind.POP3
        Mailbox.objects.filter(pk=mailbox.pk).update(is_active=True, next_fetch_at=timezone.now() if polled else None)
    mailbox.refresh_from_db()


def deactivate(mailbox: Mailbox) -> None:
    """Stop polling this mailbox and sending from it; its mail stays."""
    Mailbox.objects.filter(pk=mailbox.pk).update(is_active=False, next_fetch_at=None)
    mailbox.refresh_from_db()


def remove_mailbox(mailbox: Mailbox, *, deletes_mail: bool) -> None:
    """Take a POP3 account away: it is neither fetched nor sent from any more, and its passwords are forgotten.

    Its mail stays where it is, shared as far as its permission says; or, with `deletes_mail`, is deleted soon
    (`mail.removal`). On the server nothing is deleted.

    Raises:
        NotPossible: it is the CRM Mail account.
    """
    if mailbox.kind == Mailbox.Kind.CRM_MAIL:
        raise NotPossible("The CRM Mail account keeps all your mail; it can't be removed.")
    Mailbox.objects.filter(pk=mailbox.pk).update(
        removed_at=timezone.now(),
        deletes_mail=deletes_mail,
        is_active=False,
        next_fetch_at=None,
        lease_token=None,
        lease_until=None,
        incoming_password=no_secret(),
        outgoing_password=no_secret(),
        last_error="",
        error_kind="",
    )
    mailbox.refresh_from_db()


def _require_connected(mailbox: Mailbox) -> None:
    if mailbox.removed_at is not None:
        raise NotPossible("This account was removed. Add it again to use it.")


def poll_username(mailbox: Mailbox) -> str:
    """The user name as the server is to hear it: tagged `recent:` where other clients read the same Gmail (R11)."""
    name = mailbox.incoming_username
    if mailbox.used_by_other_clients and is_gmail(mailbox.incoming_host) and not name.startswith(RECENT_TAG):
        return RECENT_TAG + name
    return name


def _assign(mailbox: Mailbox, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        sealed = name in {"incoming_password", "outgoing_password"}
        setattr(mailbox, name, Secret.seal(value) if sealed else value)
    if mailbox.incoming_username.startswith(RECENT_TAG) and is_gmail(mailbox.incoming_host):
        mailbox.used_by_other_clients = True
    if not is_gmail(mailbox.incoming_host):
        mailbox.used_by_other_clients = False
    if mailbox.used_by_other_clients:
        mailbox.delete_policy = Mailbox.DeletePolicy.LEAVE
    if mailbox.use_same_credentials:
        mailbox.outgoing_username = mailbox.incoming_username.removeprefix(RECENT_TAG)
        mailbox.outgoing_password = mailbox.incoming_password
