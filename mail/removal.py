"""Deleting mail for good: a few messages, and that of accounts that were removed, a batch at a time (R5, R31)."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.dispatch import Signal

from accounts.mailboxes import remove_mailbox
from accounts.models import Mailbox
from mail.models import Message, Thread
from mail.threads import hold

#: How many messages go in one transaction.
BATCH = 200
#: Sent inside the transaction, before it deletes them, with the ids of the `messages`.
messages_go = Signal()


def delete_for_good(found: Sequence[tuple[int, int]]) -> int:
    """Remove messages, given with their threads' ids, and their bytes; how many. Call it in a transaction that
    holds its owner's threads (`mail.threads.hold`).

    A conversation goes with its last one, unless it is kept private: what answers it later must be private too.
    """
    _delete({pk for pk, _ in found})
    Thread.objects.filter(pk__in={thread for _, thread in found}, is_private=False, messages=None).delete()
    return len(found)


def remove_with_mail(mailbox: Mailbox) -> None:
    """Take an account away together with its mail, which colleagues cease to see at once.

    Raises:
        NotPossible: it is the CRM Mail account.
    """
    with transaction.atomic():
        remove_mailbox(mailbox, deletes_mail=True)
        Message.objects.filter(mailbox=mailbox).update(is_private=True)


def delete_mail_of_removed() -> int:
    """Delete the mail of every account that was removed with it, then the account; how many messages that were.

    Stopped half-way it goes on where it was. On the servers nothing is deleted.
    """
    total = 0
    for mailbox in Mailbox.objects.filter(deletes_mail=True).exclude(removed_at=None):
        while gone := _delete_batch(mailbox):
            total += gone
        mailbox.delete()
    return total


def _delete_batch(mailbox: Mailbox) -> int:
    with transaction.atomic():
        hold(mailbox.owner_id)
        batch = Message.objects.filter(mailbox=mailbox).order_by("pk").values_list("pk", "thread")[:BATCH]
        messages, threads = {pk for pk, _ in batch}, {thread for _, thread in batch}
        _delete(messages)
        Thread.objects.filter(pk__in=threads, messages=None).delete()
    return len(messages)


def _delete(messages: set[int]) -> None:
    messages_go.send(sender=Message, messages=messages)
    Message.objects.filter(pk__in=messages).delete()
