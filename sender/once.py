"""What is asked for twice is sent once: a program names its wish with a key, and may ask again when an answer was lost.

That is the header `Idempotency-Key` of draft-ietf-httpapi-idempotency-key-header. A key is a row that is written in the
transaction which sends, so that it is there if and only if something was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.mailboxes import NotPossible
from accounts.models import User
from sender.models import Outgoing, SendKey

#: So long a key is known.
KEPT = timedelta(hours=24)


class KeyReused(Exception):
    """The key stands for something else that was asked for; nothing was done."""


def once(user: User, key: str, digest: str, do: Callable[[], Outgoing]) -> Outgoing:
    """What `do` makes; for a key of the user's that is known, what it made then. `digest` tells what is asked for.

    Who asks while the first is still at work waits for it. What fails uses up no key.

    Raises:
        KeyReused: the key is known, for another `digest`.
        NotPossible: what was made then has been deleted for good.
    """
    with transaction.atomic():
        SendKey.objects.filter(user=user, key=key, created_at__lt=timezone.now() - KEPT).delete()
        row, is_new = SendKey.objects.get_or_create(user=user, key=key, defaults={"digest": digest})
        if row.digest != digest:
            raise KeyReused
        if is_new:
            row.outgoing = do()
            row.save(update_fields=["outgoing"])
        if row.outgoing is None:
            raise NotPossible("What was sent with this key has been deleted. Use a new key to send it again.")
        return row.outgoing


def forget_keys() -> int:
    """Forget keys that are known no more; how many."""
    return SendKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
