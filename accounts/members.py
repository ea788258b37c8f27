"""New people in an organisation: invited by mail, or added with a password by a program (R2)."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse

from accounts.addresses import normalize_address
from accounts.mailboxes import NotPossible
from accounts.models import Invitation, User
from accounts.organizations import INVITATION_DAYS, invite

log = logging.getLogger(__name__)


def invitation_link(token: str) -> str:
    """The link by which an invitation is accepted."""
    return f"{settings.BASE_URL}{reverse('invitation', args=[token])}"


def mail_invitation(invitation: Invitation, link: str) -> bool:
    """Mail the link; False when there is no mail server to send it through, or the server would not take it."""
    if settings.EMAIL_BACKEND.rpartition(".")[0].endswith((".console", ".dummy")):
        return False
    organization = invitation.organization
    try:
        send_mail(
            " ".join(f"{invitation.invited_by} invites you to {organization}'s CRM Mail".split()),
            f"{invitation.invited_by} has invited you to CRM Mail, where {organization} reads customer mail together.\n\n"
            f"Choose your password here within {INVITATION_DAYS} days; the link works once:\n{link}\n\n"
            "If you did not expect this mail, ignore it.\n",
            None,
            [invitation.email],
        )
    except (OSError, SMTPException) as error:
        log.warning("invitation %s could not be mailed: %s", invitation.pk, error)
        return False
    return True


def invite_by_mail(inviter: User, *, email: str, name: str = "", role: str = User.Role.MEMBER) -> Invitation:
    """Invite a colleague and mail them the link; without the mail there is no invitation either.

    Raises:
        NotPossible: the address can't be invited, or the mail can't be sent.
    """
    with transaction.atomic():
        invitation, token = invite(inviter, email=email, name=name, role=role)
        if not mail_invitation(invitation, invitation_link(token)):
            raise NotPossible("The invitation could not be mailed, so nobody was invited. Is a mail server set up?")
    return invitation


def add_member(inviter: User, *, email: str, name: str, role: str, password: str) -> User:
    """Create a colleague who can sign in at once with `password`.

    Raises:
        ValidationError: `message_dict` names the fields that are not usable.
    """
    errors: dict[str, list[str]] = {}
    address = normalize_address(email)
    if address is None:
        errors["email"] = ["Enter a valid e-mail address."]
    elif User.objects.filter(email=address).exists():
        errors["email"] = ["Somebody with this address already has an account."]
    try:
        validate_password(password, User(email=address or "", name=name))
    except ValidationError as error:
        errors["password"] = list(error.messages)
    if errors:
        raise ValidationError(errors)
    return User.objects.create_user(
        address or "",
        password,
        organization=inviter.organization,
        name=name.strip() or (address or "").partition("@")[0],
        role=role,
    )


def rename(user: User, name: str) -> None:
    """Change the name that colleagues see."""
    User.objects.filter(pk=user.pk).update(name=name.strip())
    user.refresh_from_db()
