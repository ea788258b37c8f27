"""What administrators lay down about sharing, and the table of who shares what (R25)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.models import Mailbox, Organization, User
from sharing.audit import record
from sharing.models import AuditEntry, SharingPolicy, SharingRule
from sharing.modes import modes_of

USERS_CHOICE = ""


def set_rule(
    actor: User,
    targets: Sequence[User | str],
    *,
    mode: str = USERS_CHOICE,
    is_fixed: bool = True,
    reason: str = "",
) -> list[SharingRule]:
    """Lay down for each of `targets`, users or roles, that a mode is fixed, recommended, or (empty) the user's choice.

    It acts on the next request and in place of an earlier rule for the same target.

    Raises:
        ValidationError: the mode or a role is none; nothing was changed.
    """
    if mode and mode not in SharingPolicy.Mode.values:
        raise ValidationError("Choose Public, Custom, Private, or the user’s choice.")
    with transaction.atomic():
        # One after the other: two administrators may lay down the first rule for somebody at once.
        Organization.objects.select_for_update().get(pk=actor.organization_id)
        return [_set(actor, target, mode, bool(mode) and is_fixed, reason.strip()) for target in targets]


def drop_rule(actor: User, targets: Sequence[User | str]) -> None:
    """Take the rules of `targets` away: for users that of their role holds again, for a role everybody's own choice."""
    with transaction.atomic():
        for rule in filter(None, (_current(actor.organization, target) for target in targets)):
            record(
                actor,
                AuditEntry.Action.RULE_CHANGED,
                about=rule.user,
                role=rule.role,
                before=_facts(rule),
                after={"mode": None},
            )
            rule.delete()


@dataclass(frozen=True, slots=True)
class Shared:
    """A mailbox in the table of who shares what: the mode that holds, since when, and whether a rule fixed it."""

    mailbox: Mailbox
    mode: str
    since: datetime | None
    excluded_domains: list[str]


@dataclass(frozen=True, slots=True)
class Sharer:
    """A user in the table of who shares what; `rule` is the one that applies, which may be that of the role."""

    user: User
    rule: SharingRule | None
    mailboxes: list[Shared] = field(default_factory=list)

    @property
    def fixed(self) -> SharingRule | None:
        """The rule that fixes the user's mode, if one does."""
        return self.rule if self.rule and self.rule.mode and self.rule.is_fixed else None


def overview(organization: Organization) -> list[Sharer]:
    """Who shares what and since when, active users first; a fixed number of queries."""
    rules = list(organization.sharing_rules.select_related("set_by"))
    of_user = {rule.user_id: rule for rule in rules if rule.user_id}
    of_role = {rule.role: rule for rule in rules if rule.role}
    people = User.objects.for_organization(organization).order_by("-is_active", "name", "id")
    sharers = {user.pk: Sharer(user, of_user.get(user.pk) or of_role.get(user.role)) for user in people}
    modes = modes_of(organization)
    mailboxes = Mailbox.objects.for_organization(organization).select_related("policy")
    for mailbox in mailboxes.prefetch_related("policy__excluded_domains").order_by("kind", "id"):
        sharer = sharers[mailbox.owner_id]
        policy = getattr(mailbox, "policy", None)
        since = sharer.fixed.set_at if sharer.fixed else policy.changed_at if policy and policy.mode else None
        domains = [domain.domain for domain in policy.excluded_domains.all()] if policy else []
        sharer.mailboxes.append(Shared(mailbox, modes.of(mailbox) or "", since, domains))
    return list(sharers.values())


def _current(organization: Organization, target: User | str) -> SharingRule | None:
    if isinstance(target, User):
        return organization.sharing_rules.filter(user=target).first()
    if target not in User.Role.values:
        raise ValidationError("Choose a role: administrator or member.")
    return organization.sharing_rules.filter(user=None, role=target).first()


def _set(actor: User, target: User | str, mode: str, is_fixed: bool, reason: str) -> SharingRule:
    before = _current(actor.organization, target)
    facts = _facts(before) if before else {}
    rule = before or SharingRule(organization=actor.organization)
    if isinstance(target, User):
        rule.user = target
    else:
        rule.role = target
    if before is None or (before.mode, before.is_fixed) != (mode, is_fixed):
        rule.set_at = timezone.now()
    rule.mode, rule.is_fixed, rule.reason, rule.set_by = mode, is_fixed, reason, actor
    rule.save()
    record(actor, AuditEntry.Action.RULE_CHANGED, about=rule.user, role=rule.role, before=facts, after=_facts(rule))
    return rule


def _facts(rule: SharingRule) -> dict[str, object]:
    mode = rule.mode or "user's choice"
    return {"mode": mode, "is_fixed": rule.is_fixed, "reason": rule.reason}
