"""What administrators do to people and mailboxes, each deed with its entry in the audit log (R2, R25, R26)."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import mailboxes, members, organizations
from accounts.models import Invitation, Mailbox, MailDomain, Organization, User
from mail import accounts
from mail.models import MailAccount
from mail.removal import remove_with_mail
from mail.tasks import hint_removed
from sharing.audit import record
from sharing.models import AuditEntry

Action = AuditEntry.Action


def invite(actor: User, *, email: str, name: str = "", role: str = User.Role.MEMBER) -> tuple[Invitation, str]:
    """Invite a colleague: `accounts.organizations.invite`."""
    with transaction.atomic():
        invitation, token = organizations.invite(actor, email=email, name=name, role=role)
        record(actor, Action.USER_INVITED, email=invitation.email, role=role)
    return invitation, token


def invite_by_mail(actor: User, *, email: str, name: str = "", role: str = User.Role.MEMBER) -> Invitation:
    """Invite a colleague and mail the link: `accounts.members.invite_by_mail`."""
    with transaction.atomic():
        invitation = members.invite_by_mail(actor, email=email, name=name, role=role)
        record(actor, Action.USER_INVITED, email=invitation.email, role=role)
    return invitation


def withdraw(actor: User, invitation: Invitation) -> None:
    """Make the link of an invitation worthless."""
    with transaction.atomic():
        invitation.delete()
        record(actor, Action.INVITATION_WITHDRAWN, email=invitation.email)


def add_member(actor: User, **fields: Any) -> User:
    """Create a colleague who can sign in at once: `accounts.members.add_member`."""
    with transaction.atomic():
        user = members.add_member(actor, **fields)
        record(actor, Action.USER_ADDED, about=user, role=user.role)
    return user


def change_user(
    actor: User, user: User, *, name: str | None = None, role: str | None = None, is_active: bool | None = None
) -> None:
    """Rename a user, change their role, deactivate or reactivate them; None leaves a thing as it is.

    Raises:
        NotPossible: nobody would be left to administer the organisation; nothing was changed.
    """
    wanted = {"name": name, "role": role, "is_active": is_active}
    after = {field: value for field, value in wanted.items() if value is not None and value != getattr(user, field)}
    if not after:
        return
    before = {field: getattr(user, field) for field in after}
    with transaction.atomic():
        if "name" in after:
            members.rename(user, name or "")
        if "role" in after:
            organizations.change_role(user, role or "")
        if "is_active" in after:
            (organizations.reactivate_user if is_active else organizations.deactivate_user)(user)
        record(actor, Action.USER_CHANGED, about=user, before=before, after=after)


def change_organization(actor: User, organization: Organization, **fields: Any) -> None:
    """Save changed settings of the organisation."""
    stored = Organization.objects.get(pk=organization.pk)
    after = {field: value for field, value in fields.items() if value != getattr(stored, field)}
    with transaction.atomic():
        for field, value in fields.items():
            setattr(organization, field, value)
        organization.save()
        if after:
            before = {field: getattr(stored, field) for field in after}
            record(actor, Action.ORGANIZATION_CHANGED, before=before, after=after)


def set_retention(actor: User, organization: Organization, months: int | None) -> None:
    """Have mail deleted here when it is older than `months`, beginning `mail.retention.DELAY` from now; None keeps it."""
    with transaction.atomic():
        stored = Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if stored.retention_months == months:
            return
        before = {"retention_months": stored.retention_months}
        stored.retention_months, stored.retention_set_at = months, timezone.now() if months else None
        stored.save(update_fields=["retention_months", "retention_set_at"])
        record(actor, Action.ORGANIZATION_CHANGED, before=before, after={"retention_months": months})


def add_mail_domain(actor: User, text: str) -> MailDomain:
    """Add a mail domain of the organisation's own: `accounts.organizations.add_mail_domain`."""
    with transaction.atomic():
        domain = organizations.add_mail_domain(actor.organization, text)
        record(actor, Action.ORGANIZATION_CHANGED, mail_domain_added=domain.domain)
    return domain


def remove_mail_domain(actor: User, domain: MailDomain) -> None:
    """Remove a mail domain: `accounts.organizations.remove_mail_domain`."""
    with transaction.atomic():
        organizations.remove_mail_domain(domain)
        record(actor, Action.ORGANIZATION_CHANGED, mail_domain_removed=domain.domain)


def open_mail_account(actor: User, user: User, address: str, signature: str = "") -> MailAccount:
    """Make a user's CRM Mail account: `mail.accounts.open_mail_account`."""
    with transaction.atomic():
        account = accounts.open_mail_account(user, address, signature)
        _note(actor, account.mailbox, added=True)
    return account


def change_mailbox(actor: User, mailbox: Mailbox, **fields: Any) -> Mailbox:
    """Save changed settings of a mailbox: `accounts.mailboxes.change_mailbox`. The log names them, never their values."""
    with transaction.atomic():
        changed = mailboxes.change_mailbox(mailbox, **fields)
        _note(actor, mailbox, changed=sorted(fields))
    return changed


def switch_mailbox(actor: User, mailbox: Mailbox, *, is_active: bool) -> None:
    """Make a mailbox the active one of its owner, or stop it (R5)."""
    with transaction.atomic():
        (mailboxes.activate if is_active else mailboxes.deactivate)(mailbox)
        _note(actor, mailbox, is_active=is_active)


def remove_mailbox(actor: User, mailbox: Mailbox, *, deletes_mail: bool) -> None:
    """Take a POP3 account away and keep its mail, or delete that too: `accounts.mailboxes.remove_mailbox`.

    Raises:
        NotPossible: it is the CRM Mail account.
    """
    with transaction.atomic():
        if deletes_mail:
            remove_with_mail(mailbox)
            hint_removed()
        else:
            mailboxes.remove_mailbox(mailbox, deletes_mail=False)
        _note(actor, mailbox, removed=True, deletes_mail=deletes_mail)


def _note(actor: User, mailbox: Mailbox, **details: Any) -> None:
    """What owners do to their own mailbox is nobody else's business; what others do is."""
    if actor.pk != mailbox.owner_id:
        record(actor, Action.MAILBOX_CHANGED, about=mailbox.owner, mailbox=mailbox, **details)
