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
from customers.models import Customer
from mail.models import Message, Thread
from sharing.audit import record
from sharing.models import (
    MAX_EXCLUDED_DOMAINS,
    AuditEntry,
    ExcludedDomain,
    SharedRecord,
    SharingPolicy,
)

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
        NotPossible: see `accounts.mailboxes.add_mailbox`.
        ValidationError: an excluded domain is not usable; nothing was saved.
    """
    with transaction.atomic():
        mailbox = add_mailbox(owner, **fields)
        set_policy(mailbox, actor=actor, mode=sharing_mode, excluded_domains=excluded_domains)
    return mailbox


def policy_of(mailbox: Mailbox) -> SharingPolicy | None:
    """The mailbox's policy, or None while nothing was chosen."""
    return SharingPolicy.objects.filter(mailbox=mailbox).prefetch_related("excluded_domains").first()


def set_policy(
    mailbox: Mailbox, *, actor: User, mode: str, excluded_domains: Sequence[str] | None = None
) -> SharingPolicy:
    """Choose the sharing mode and, where given, the whole list of excluded domains; acts on the next request (R20).

    Excluded domains and ticks are kept, unused, in modes that don't use them.

    Raises:
        ValidationError: the mode or a domain is not usable; nothing was changed.
    """
    if mode not in SharingPolicy.Mode.values:
        raise ValidationError("Choose Public, Custom or Private.")
    domains = None if excluded_domains is None else check_excluded_domains(excluded_domains)
    with transaction.atomic():
        before = policy_of(mailbox)
        old = [domain.domain for domain in before.excluded_domains.all()] if before else []
        policy, _ = SharingPolicy.objects.update_or_create(
            mailbox=mailbox, defaults={"mode": mode, "changed_at": timezone.now()}
        )
        if domains is not None and domains != old:
            policy.excluded_domains.all().delete()
            ExcludedDomain.objects.bulk_create(
                ExcludedDomain(policy=policy, place=place, domain=domain) for place, domain in enumerate(domains, 1)
            )
        record(
            actor,
            Action.POLICY_CHANGED,
            mailbox=mailbox,
            before={"mode": before.mode if before else None, "excluded_domains": old},
            after={"mode": mode, "excluded_domains": old if domains is None else domains},
        )
    return policy


def may_tick(user: User) -> bool:
    """Whether *Share Email* is offered to `user`: one of their mailboxes is Custom (R21, R22)."""
    return SharingPolicy.objects.filter(mailbox__owner=user, mode=SharingPolicy.Mode.CUSTOM).exists()


def is_ticked(user: User, customer: Customer) -> bool:
    """Whether `user` has ticked *Share Email* on `customer`."""
    return SharedRecord.objects.filter(owner=user, customer=customer).exists()


def tick(user: User, customer: Customer) -> None:
    """Tick *Share Email* on a record; ticking twice is ticking once.

    Raises:
        NotPossible: none of the user's mailboxes is Custom.
    """
    with transaction.atomic():
        _require_custom(user)
        if SharedRecord.objects.get_or_create(owner=user, customer=customer)[1]:
            record(user, Action.RECORD_SHARED, customer=customer)


def untick(user: User, customer: Customer) -> None:
    """Untick *Share Email* on a record.

    Raises:
        NotPossible: none of the user's mailboxes is Custom.
    """
    with transaction.atomic():
        _require_custom(user)
        if SharedRecord.objects.filter(owner=user, customer=customer).delete()[0]:
            record(user, Action.RECORD_UNSHARED, customer=customer)


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
            message=kept if isinstance(kept, Message) else None,
            thread=kept.pk if isinstance(kept, Thread) else None,
        )


def _require_custom(user: User) -> None:
    if not may_tick(user):
        raise NotPossible("Share Email works with Custom sharing only, and none of your mailboxes uses it.")
