"""Setting up an organisation and changing who belongs to it (R1–R3)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.addresses import is_public_provider, normalize_address, normalize_domain
from accounts.mailboxes import NotPossible
from accounts.models import ApiToken, Invitation, MailDomain, Organization, User, validate_time_zone

INVITATION_DAYS = 7


def is_set_up() -> bool:
    """Whether the installation has an organisation yet; until then only the set-up page is shown (R3)."""
    return Organization.objects.exists()


def check_own_domain(text: str) -> str:
    """`text` as a stored mail domain.

    Raises:
        ValidationError: no domain, or a public provider's, all of whose addresses would count as colleagues (R3).
    """
    domain = normalize_domain(text)
    if domain is None or "." not in domain:
        raise ValidationError(f"“{text}” is not a mail domain. Write it like our-company.com.")
    if is_public_provider(domain):
        raise ValidationError(
            f"{domain} belongs to a public mail provider: everybody with an address there would count as a colleague, "
            "and their mail would never be shared. Enter a domain that only your company uses."
        )
    return domain


def set_up_organization(
    *,
    name: str,
    domains: Iterable[str],
    time_zone: str,
    admin_email: str,
    admin_name: str,
    password: str,
) -> User:
    """Create an organisation with its own mail domains and first administrator, whom it returns.

    Raises:
        ValidationError: a value is not usable; nothing was created. `message_dict` names the fields.
    """
    errors: dict[str, list[str]] = {}
    checked: list[str] = []
    email = normalize_address(admin_email)
    if not name.strip():
        errors["name"] = ["Enter the organisation's name."]
    if email is None:
        errors["admin_email"] = ["Enter a valid e-mail address."]
    elif User.objects.filter(email=email).exists():
        errors["admin_email"] = ["Somebody already signs in with this address."]
    for field, check in (
        ("domains", partial(_collect_domains, domains, checked)),
        ("time_zone", partial(validate_time_zone, time_zone)),
        ("password", partial(validate_password, password, User(email=email or "", name=admin_name))),
    ):
        try:
            check()
        except ValidationError as error:
            errors[field] = list(error.messages)
    if not checked and "domains" not in errors:
        errors["domains"] = ["Enter at least one mail domain of your own."]
    if errors:
        raise ValidationError(errors)
    with transaction.atomic():
        organization = Organization.objects.create(name=name.strip(), time_zone=time_zone)
        MailDomain.objects.bulk_create(MailDomain(organization=organization, domain=domain) for domain in checked)
        return User.objects.create_user(
            email or "",
            password,
            organization=organization,
            name=admin_name.strip() or (email or "").partition("@")[0],
            role=User.Role.ADMIN,
        )


def add_mail_domain(organization: Organization, text: str) -> MailDomain:
    """Add a mail domain of the organisation's own; its addresses are colleagues' from the next request on.

    Raises:
        ValidationError: see `check_own_domain`; or it is in the list already.
    """
    domain = check_own_domain(text)
    added, is_new = MailDomain.objects.get_or_create(organization=organization, domain=domain)
    if not is_new:
        raise ValidationError(f"{domain} is already in the list.")
    return added


def remove_mail_domain(domain: MailDomain) -> None:
    """Remove a mail domain; its addresses are strangers' from the next request on.

    Raises:
        NotPossible: it is the only one, and CRM Mail accounts need one.
    """
    with transaction.atomic():
        Organization.objects.select_for_update().get(pk=domain.organization_id)
        if not MailDomain.objects.filter(organization=domain.organization_id).exclude(pk=domain.pk).exists():
            raise NotPossible("This is your only mail domain. Add another one first.")
        MailDomain.objects.filter(pk=domain.pk).delete()


def _collect_domains(domains: Iterable[str], checked: list[str]) -> None:
    checked.extend(dict.fromkeys(check_own_domain(domain) for domain in domains))


def hash_token(token: str) -> str:
    """What is kept of an invitation's or program's token: random and long, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def invite(inviter: User, *, email: str, name: str = "", role: str = User.Role.MEMBER) -> tuple[Invitation, str]:
    """Invite a colleague; the second value is the token for the link, which is not kept. An earlier open one ends.

    Raises:
        NotPossible: the address can't be invited.
    """
    address = normalize_address(email)
    if address is None:
        raise NotPossible("Enter a valid e-mail address.")
    if User.objects.filter(email=address).exists():
        raise NotPossible("Somebody with this address already has an account.")
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        inviter.organization.invitations.filter(email=address, accepted_at=None).delete()
        invitation = Invitation.objects.create(
            organization=inviter.organization,
            email=address,
            name=name,
            role=role,
            token_hash=hash_token(token),
            invited_by=inviter,
            expires_at=timezone.now() + timedelta(days=INVITATION_DAYS),
        )
    return invitation, token


def find_invitation(token: str) -> Invitation | None:
    """The open invitation that `token` belongs to, or None."""
    invitation = Invitation.objects.filter(token_hash=hash_token(token)).select_related("organization").first()
    return invitation if invitation and invitation.is_open else None


def accept_invitation(invitation: Invitation, *, name: str, password: str) -> User:
    """Create the invited user; an invitation is used once, however many requests race for it.

    Raises:
        NotPossible: it was used, has expired, or the address got an account meanwhile.
    """
    with transaction.atomic():
        used = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, expires_at__gt=timezone.now()).update(
            accepted_at=timezone.now()
        )
        if not used or User.objects.filter(email=invitation.email).exists():
            raise NotPossible("This invitation has been used or has expired. Ask for a new one.")
        return User.objects.create_user(
            invitation.email,
            password,
            organization=invitation.organization,
            name=name,
            role=invitation.role,
        )


def deactivate_user(user: User) -> None:
    """Keep somebody out: no sign-in, no token, no polling; what they shared stays shared (R2).

    Raises:
        NotPossible: nobody would be left to administer the organisation.
    """
    with transaction.atomic():
        _require_another_admin(user)
        User.objects.filter(pk=user.pk).update(is_active=False)
        user.mailboxes.update(next_fetch_at=None, lease_token=None, lease_until=None)
    user.refresh_from_db()


def reactivate_user(user: User) -> None:
    """Let somebody in again; the mailbox that was active is due at once (R2)."""
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(is_active=True)
        user.mailboxes.polled().update(next_fetch_at=timezone.now())
    user.refresh_from_db()


def change_role(user: User, role: str) -> None:
    """Make a user administrator or member.

    Raises:
        NotPossible: nobody would be left to administer the organisation.
    """
    with transaction.atomic():
        if role != User.Role.ADMIN:
            _require_another_admin(user)
        User.objects.filter(pk=user.pk).update(role=role)
    user.refresh_from_db()


def issue_token(user: User) -> str:
    """A new API token for `user`; it is shown once and only its hash is kept."""
    token = secrets.token_urlsafe(32)
    ApiToken.objects.create(user=user, token_hash=hash_token(token))
    return token


def revoke_tokens(user: User) -> None:
    """Sign out every program of `user`: whoever changes a password wants the old ways in closed."""
    user.api_tokens.all().delete()


def user_of_token(token: str) -> User | None:
    """The active user whom an API token signs in, or None."""
    row = ApiToken.objects.select_related("user__organization").filter(token_hash=hash_token(token)).first()
    return row.user if row and row.user.is_active else None


def _require_another_admin(user: User) -> None:
    """Lock the organisation's active administrators and see that one is left besides `user`."""
    admins = User.objects.select_for_update().filter(
        organization=user.organization, role=User.Role.ADMIN, is_active=True
    )
    if not [admin for admin in admins if admin.pk != user.pk]:
        raise NotPossible("This is the only active administrator. Make somebody else one first.")
