"""Deleting mail for good: a few messages, and that of accounts that were removed, a batch at a time (R5, R31).

It takes a row that sending takes too only in the order that all of CRM Mail locks in (*Order of locks* in
docs/contributing.md): `hold`, then `lock`, then `delete_for_good`.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.dispatch import Signal

from accounts.mailboxes import remove_mailbox
from accounts.models import Mailbox
from mail.models import Message, MessageQuerySet, Thread
from mail.threads import hold

#: How many messages go in one transaction.
BATCH = 200
#: Sent inside the transaction, before it locks them, with the ids of `messages` that may be deleted next: whoever keeps
#: rows that are locked before messages locks those that this will change.
messages_may_go = Signal()
#: Sent inside the transaction, before it deletes them, with the ids of the `messages`.
messages_go = Signal()


def lock(messages: MessageQuerySet, most: int | None = None) -> list[tuple[int, int]]:
    """Lock messages of one owner that are to be deleted, all or the first `most`; their ids with their threads' ids.

    Call it in a transaction that holds its owner's threads (`mail.threads.hold`). What `messages` asks for still holds
    once they are locked.
    """
    found = list(messages.values_list("pk", flat=True)[:most])
    messages_may_go.send(sender=Message, messages=found)
    locked = messages.filter(pk__in=found).select_for_update(of=("self",)).order_by("pk")
    return list(locked.values_list("pk", "thread_id"))


def delete_for_good(found: Sequence[tuple[int, int]]) -> int:
    """Remove messages that `lock` has locked, and their bytes; how many.

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
        messages = Message.objects.filter(mailbox=mailbox)
        messages.lock()
        messages.update(is_private=True)


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
        batch = lock(Message.objects.filter(mailbox=mailbox).order_by("pk"), BATCH)
        messages, threads = {pk for pk, _ in batch}, {thread for _, thread in batch}
        _delete(messages)
        Thread.objects.filter(pk__in=threads, messages=None).delete()
    return len(messages)


def _delete(messages: set[int]) -> None:
    messages_go.send(sender=Message, messages=messages)
    Message.objects.filter(pk__in=messages).delete()
