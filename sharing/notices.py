"""The notifications that somebody is shown: what is over, or about mail that they may not see, is not among them (R18, R34)."""

from __future__ import annotations

from accounts.models import Mailbox
from mail.models import Notification
from sharing.visibility import Sight

MOST = 100
Kind = Notification.Kind


def notifications_for(sight: Sight) -> list[Notification]:
    """What the viewer should know of, the latest first; at most two queries."""
    related = ("actor", "mailbox", "message", "customer_import")
    noted = list(Notification.objects.filter(user=sight.viewer).select_related(*related)[:MOST])
    about = {each.message_id for each in noted if each.message_id}
    visible = set(sight.messages().filter(pk__in=about).values_list("pk", flat=True)) if about else set()
    return [each for each in noted if not _is_over(each) and (each.message_id is None or each.message_id in visible)]


def _is_over(noted: Notification) -> bool:
    """Whether a rejected password was replaced, or its account removed, since."""
    mailbox = noted.mailbox
    return noted.kind == Kind.PASSWORD_REJECTED and (
        mailbox is None or mailbox.removed_at is not None or mailbox.state != Mailbox.State.PASSWORD_REJECTED
    )
