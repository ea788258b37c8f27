"""New people in an organisation: invited by mail, or added with a password by a program (R2)."""

from __future__ import annotations

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


def invite_by_mail(inviter: User, *, email: str, name: str = "", role: str = User.Role.MEMBER) -> Invitation:
    """Invite a colleague and mail them the link; without the mail there is no invitation either.

    Raises:
        NotPossible: the address can't be invited, or the mail can't be sent.
    """
    with transaction.atomic():
        invitation, token = invite(inviter, email=email, name=name, role=role)
        link = settings.BASE_URL + reverse("invitation", args=[token])
        try:
            send_mail(
                " ".join(f"{inviter} invites you to {inviter.organization}'s CRM Mail".split()),
                f"{inviter} has invited you to CRM Mail, where {inviter.organization} reads customer mail together.\n\n"
                f"Open this link within {INVITATION_DAYS} days to choose your password:\n{link}\n\n"
                "If you don't know what this is about, ignore this message.\n",
                None,
                [invitation.email],
            )
        except (OSError, SMTPException) as error:
            raise NotPossible(f"The invitation could not be mailed, so nobody was invited: {error}") from error
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
