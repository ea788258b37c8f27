"""What an owner can decide about sharing, each deed one function with its audit entry in the same transaction (R13, R20–R23)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.addresses import DomainRefused, check_excluded_domain
from accounts.mailboxes import NotPossible, add_mailbox
from accounts.models import Mailbox, User
from customers.models import Customer, CustomerQuerySet
from mail.models import Message, Thread
from sharing.audit import record
from sharing.models import (
    MAX_EXCLUDED_DOMAINS,
    AuditEntry,
    ExcludedDomain,
    SharedRecord,
    SharingPolicy,
)
from sharing.modes import Modes, modes_of, require_open_to

Action = AuditEntry.Action


def check_excluded_domains(texts: Iterable[str]) -> list[str]:
    """`texts` as stored domains, each once, empty ones left out (sharing.md, example 20).

    Raises:
        ValidationError: one is no domain that can be excluded, or there are more than five (R21).
    """
    domains: dict[str, None] = {}
    for text in texts:
        if not text.strip():
            continue
        try:
            domains[check_excluded_domain(text)] = None
        except DomainRefused as error:
            raise ValidationError(str(error)) from error
    if len(domains) > MAX_EXCLUDED_DOMAINS:
        raise ValidationError(
            f"You can exclude at most {MAX_EXCLUDED_DOMAINS} domains; these are {len(domains)}. Remove some."
        )
    return list(domains)


def connect_mailbox(
    owner: User,
    *,
    actor: User,
    sharing_mode: str,
    excluded_domains: Sequence[str] = (),
    **fields: Any,
) -> Mailbox:
    """Add a POP3 mailbox together with the sharing permission that was chosen for it: there is no default (R13).

    Raises:
        NotPossible: see `accounts.mailboxes.add_mailbox` and `set_policy`.
        ValidationError: an excluded domain is not usable; nothing was saved.
    """
    with transaction.atomic():
        mailbox = add_mailbox(owner, **fields)
        set_policy(mailbox, actor=actor, mode=sharing_mode, excluded_domains=excluded_domains)
        if actor != owner:
            record(actor, Action.MAILBOX_CHANGED, about=owner, mailbox=mailbox, added=True)
    return mailbox


def policy_of(mailbox: Mailbox) -> SharingPolicy | None:
    """The mailbox's policy, or None while nothing was chosen. The mode that holds is `sharing.modes.standing_of`'s to say."""
    return SharingPolicy.objects.filter(mailbox=mailbox).prefetch_related("excluded_domains").first()


def set_policy(
    mailbox: Mailbox, *, actor: User, mode: str, excluded_domains: Sequence[str] | None = None
) -> SharingPolicy:
    """Choose the sharing mode and, where given, the whole list of excluded domains; acts on the next request (R20).

    Excluded domains and ticks are kept, unused, in modes that don't use them. Where administrators have fixed the mode
    it can only be confirmed; the owner's own choice stays what it was (R25).

    Raises:
        NotPossible: administrators have fixed another mode.
        ValidationError: the mode or a domain is not usable; nothing was changed.
    """
    if mode not in SharingPolicy.Mode.values:
        raise ValidationError("Choose Public, Custom or Private.")
    domains = None if excluded_domains is None else check_excluded_domains(excluded_domains)
    with transaction.atomic():
        fixed = require_open_to(mailbox.owner, mode)
        before = policy_of(mailbox)
        chosen = (before.mode if before else "") if fixed else mode
        old = [domain.domain for domain in before.excluded_domains.all()] if before else []
        since = before.changed_at if before and before.mode == chosen else timezone.now()
        policy, _ = SharingPolicy.objects.update_or_create(
            mailbox=mailbox, defaults={"mode": chosen, "changed_at": since}
        )
        if domains is not None and domains != old:
            policy.excluded_domains.all().delete()
            ExcludedDomain.objects.bulk_create(
                ExcludedDomain(policy=policy, place=place, domain=domain) for place, domain in enumerate(domains, 1)
            )
        record(
            actor,
            Action.POLICY_CHANGED,
            about=mailbox.owner,
            mailbox=mailbox,
            before={"mode": (before and before.mode) or None, "excluded_domains": old},
            after={"mode": chosen or None, "excluded_domains": old if domains is None else domains},
        )
    return policy


def may_tick(user: User, modes: Modes) -> bool:
    """Whether *Share Email* is offered to `user`: one of their mailboxes is Custom (R21, R22)."""
    return user.pk in modes.owners_in(SharingPolicy.Mode.CUSTOM)


def is_ticked(user: User, customer: Customer) -> bool:
    """Whether `user` has ticked *Share Email* on `customer`."""
    return SharedRecord.objects.filter(owner=user, customer=customer).exists()


def ticked_by(user: User, customers: CustomerQuerySet) -> CustomerQuerySet:
    """Those of `customers` on which `user` has ticked *Share Email*."""
    return customers.filter(pk__in=SharedRecord.objects.filter(owner=user).values("customer"))


def ticked_among(user: User, customers: Iterable[Customer]) -> set[int]:
    """The ids of those of `customers` on which `user` has ticked *Share Email*."""
    ticks = SharedRecord.objects.filter(owner=user, customer__in=list(customers))
    return set(ticks.values_list("customer_id", flat=True))


def tick(user: User, *customers: Customer) -> int:
    """Tick *Share Email* on records; ticking twice is ticking once. How many were not ticked before.

    Raises:
        NotPossible: none of the user's mailboxes is Custom.
    """
    with transaction.atomic():
        _require_custom(user)
        new = [
            customer for customer in customers if SharedRecord.objects.get_or_create(owner=user, customer=customer)[1]
        ]
        for customer in new:
            record(user, Action.RECORD_SHARED, customer=customer)
    return len(new)


def untick(user: User, *customers: Customer) -> int:
    """Untick *Share Email* on records. How many were ticked before.

    Raises:
        NotPossible: none of the user's mailboxes is Custom.
    """
    with transaction.atomic():
        _require_custom(user)
        gone = [
            customer for customer in customers if SharedRecord.objects.filter(owner=user, customer=customer).delete()[0]
        ]
        for customer in gone:
            record(user, Action.RECORD_UNSHARED, customer=customer)
    return len(gone)


def keep_private(actor: User, kept: Message | Thread, private: bool) -> None:
    """Keep one's own message, or a whole conversation, from everybody else, or lift that again (R26)."""
    if kept.is_private == private:
        return
    with transaction.atomic():
        kept.is_private = private
        kept.save(update_fields=["is_private"])
        record(
            actor,
            Action.KEPT_PRIVATE if private else Action.PRIVACY_LIFTED,
            about=kept.owner,
            message=kept if isinstance(kept, Message) else None,
            thread=kept.pk if isinstance(kept, Thread) else None,
        )


def _require_custom(user: User) -> None:
    if not may_tick(user, modes_of(user.organization_id)):
        raise NotPossible("Share Email works with Custom sharing only, and none of your mailboxes uses it.")
