"""Which sharing mode holds for a mailbox: its owner's choice, unless administrators have fixed one (R20, R25).

Worked out whenever it is asked for, so that a rule acts on the next request, and the owner's own choice is still there
when the rule is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import BigIntegerField, CharField, Exists, OuterRef, Value

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox, Organization, User
from sharing.models import ExcludedDomain, SharingPolicy, SharingRule

Mode = SharingPolicy.Mode


@dataclass(frozen=True, slots=True)
class Modes:
    """The mode that holds for each mailbox of an organisation, as just read; one without shares nothing."""

    by_mailbox: dict[int, str]
    #: Id and name of the owner of each mailbox.
    owners: dict[int, tuple[int, str]]
    #: The mailboxes that exclude domains, which acts while they are Public.
    excluding: frozenset[int]

    def of(self, mailbox: Mailbox) -> str | None:
        """The mode that holds for a mailbox."""
        return self.by_mailbox.get(mailbox.pk)

    def mailboxes_in(self, *modes: str) -> frozenset[int]:
        """The ids of the mailboxes for which one of `modes` holds."""
        return frozenset(pk for pk, holds in self.by_mailbox.items() if holds in modes)

    def owners_in(self, *modes: str) -> dict[int, str]:
        """The users of whom a mailbox is in one of `modes`: names by id."""
        return dict(sorted((self.owners[pk] for pk in self.mailboxes_in(*modes)), key=lambda owner: owner[1].lower()))

    def names(self) -> dict[int, str]:
        """The name of everybody who has a mailbox, by id."""
        return dict(self.owners.values())


def modes_of(organization: Organization | int) -> Modes:
    """The modes of all mailboxes of an organisation; one query."""
    excludes = Exists(ExcludedDomain.objects.filter(policy__mailbox=OuterRef("pk")))
    mailboxes = Mailbox.objects.filter(owner__organization=organization).order_by()
    rules = SharingRule.objects.filter(organization=organization).order_by()
    # A rule is a row with no mailbox.
    none, empty = Value(None, output_field=BigIntegerField()), Value("", output_field=CharField())
    rows = mailboxes.values_list(
        "pk", "owner", "owner__name", "owner__email", "owner__role", "policy__mode", excludes
    ).union(rules.values_list(none, "user", empty, empty, "role", "mode", "is_fixed"), all=True)
    fixed, by_mailbox, owners, excluding = {}, {}, {}, set()
    for _, user, _, _, role, mode, is_fixed in (row for row in rows if row[0] is None):
        fixed[user or role] = mode if is_fixed else ""
    for pk, owner, name, email, role, chosen, has_excluded in (row for row in rows if row[0] is not None):
        owners[pk] = (owner, name or email)
        by_mailbox[pk] = fixed.get(owner, fixed.get(role, "")) or chosen
        if has_excluded:
            excluding.add(pk)
    return Modes({pk: mode for pk, mode in by_mailbox.items() if mode}, owners, frozenset(excluding))


def rule_for(user: User) -> SharingRule | None:
    """The rule that applies to a user: their own, else that of their role; None where nobody has laid one down."""
    rules = SharingRule.objects.filter(organization=user.organization_id).select_related("set_by")
    return rules.filter(user=user).first() or rules.filter(user=None, role=user.role).first()


def fixed_for(user: User) -> SharingRule | None:
    """The rule that fixes the mode of all the user's mailboxes, None while the choice is theirs."""
    rule = rule_for(user)
    return rule if rule and rule.mode and rule.is_fixed else None


def require_open_to(owner: User, mode: str) -> SharingRule | None:
    """See that `mode` can be chosen for a mailbox of `owner`; the rule that fixes it, if one does.

    Raises:
        NotPossible: administrators have fixed another mode.
    """
    fixed = fixed_for(owner)
    if fixed is not None and mode != fixed.mode:
        raise NotPossible(f"Administrators have set {fixed.get_mode_display()} here. {fixed.reason}".strip())
    return fixed


def recommended_for(user: User) -> SharingRule | None:
    """The rule that recommends a mode to the user, which remains theirs to choose (R13)."""
    rule = rule_for(user)
    return rule if rule and rule.mode and not rule.is_fixed else None


@dataclass(frozen=True, slots=True)
class Standing:
    """The mode that holds for a mailbox, since when, and the rule that fixed it, if one did."""

    mode: str | None
    since: datetime | None
    rule: SharingRule | None = None


def standing_of(mailbox: Mailbox) -> Standing:
    """What holds for a mailbox now."""
    rule = fixed_for(mailbox.owner)
    if rule is not None:
        return Standing(rule.mode, rule.set_at, rule)
    policy = SharingPolicy.objects.filter(mailbox=mailbox).first()
    return Standing(policy.mode, policy.changed_at) if policy and policy.mode else Standing(None, None)
