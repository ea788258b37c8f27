"""Noting what a user should know of, and taking it away again. Who may be told of a message is asked when it is shown."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from accounts.models import Mailbox, User
from customers.models import CustomerImport
from mail.models import Message, Notification

Kind = Notification.Kind
#: So long a notification that nobody clears is kept.
KEPT_FOR = timedelta(days=60)


def note(
    user: User,
    kind: Notification.Kind,
    *,
    actor: User | None = None,
    mailbox: Mailbox | None = None,
    message: Message | None = None,
    customer_import: CustomerImport | None = None,
) -> None:
    """Tell `user` of something; the same again counts once, as of now. Call it in the transaction of what happened.

    Args:
        actor: who did it, where that was not the user.
        message: what they are told of: the answer of a colleague, the message that was not sent.
    """
    about = {"actor": actor, "mailbox": mailbox, "message": message, "customer_import": customer_import}
    if not Notification.objects.filter(user=user, kind=kind, **about).update(at=timezone.now()):
        Notification.objects.create(user=user, kind=kind, **about)


def clear(user: User, **about: object) -> int:
    """Take away what `user` was told of: all of it, or what is `about` something, by the names of the fields."""
    return Notification.objects.filter(user=user, **about).delete()[0]


def forget_old(now: datetime | None = None) -> int:
    """Take away what nobody has cleared for long; how many."""
    return Notification.objects.filter(at__lt=(now or timezone.now()) - KEPT_FOR).delete()[0]
