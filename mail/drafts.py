"""Messages that are being written here: rows like any other's, in their owner's Drafts, shared with nobody until `publish` (R35).

What is typed, how it is sent and what became of it is `sender`'s to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from accounts.models import Mailbox
from customers.locks import addresses_stay
from mail import blobs, matching
from mail.filing import Arrival, columns, store_parts
from mail.models import Folder, Labelling, Message, MessageQuerySet, MessageText, SearchEntry, Thread
from mail.parsing import ParsedMessage
from mail.removal import delete_for_good, lock
from mail.threads import assign_threads, hold

#: Sent inside the transaction, with the ids of `messages` sent from here that a server has handed back.
came_back = Signal()


def open_draft(mailbox: Mailbox, arrival: Arrival, **fields: Any) -> Message:
    """A new draft in the Drafts of the mailbox's owner, in the conversation that it answers; `fields` overrule what was read."""
    owner = mailbox.owner
    with transaction.atomic():
        hold(owner.pk)
        [thread] = assign_threads(owner, [arrival.parsed])
        message = Message.objects.create(
            organization_id=owner.organization_id,
            mailbox=mailbox,
            owner=owner,
            thread=thread,
            folder=Folder.objects.get(account__user=owner, kind=Folder.Kind.DRAFTS),
            direction=Message.Direction.SENT,
            is_draft=True,
            is_read=True,
            is_written_here=True,
            **columns(arrival) | fields,
        )
        store_parts([(message, arrival)])
        blobs.store([(message, arrival.chunks)])
    return message


def rewrite(message: Message, mailbox: Mailbox, arrival: Arrival, kind: Folder.Kind, **fields: Any) -> None:
    """Put other content in the place of a draft's, sent from `mailbox`, and the draft into the folder of this kind.

    `fields` overrule what was read. Nobody else sees it yet, and no customer is met. In another conversation than before
    it is kept private as it was. Call it in a transaction that holds its owner's threads (`mail.threads.hold`).
    """
    with transaction.atomic():
        for below in (message.participants, message.attachments, message.chunks, message.correspondences):
            below.all().delete()
        MessageText.objects.filter(message=message).delete()
        SearchEntry.objects.filter(message=message).delete()
        left = Thread.objects.select_for_update(of=("self",)).get(messages=message)
        [thread] = assign_threads(message.owner, [arrival.parsed])
        changed = columns(arrival) | fields
        changed |= {
            "mailbox": mailbox,
            "thread": thread,
            "folder": Folder.objects.get(account__user=message.owner_id, kind=kind),
            "has_customer": False,
        }
        for name, value in changed.items():
            setattr(message, name, value)
        message.save(update_fields=list(changed))
        Labelling.objects.filter(message=message).update(date=message.date)
        if thread.pk != left.pk:
            if left.is_private and not thread.is_private:
                Thread.objects.filter(pk=thread.pk).update(is_private=True)
                thread.is_private = True
            Thread.objects.filter(pk=left.pk, messages=None).delete()
        store_parts([(message, arrival)])
        blobs.store([(message, arrival.chunks)])


def throw_away(drafts: MessageQuerySet) -> int:
    """Delete drafts for good, and conversations that they alone were; how many drafts."""
    thrown = 0
    for owner in drafts.order_by().values_list("owner", flat=True).distinct():
        with transaction.atomic():
            hold(owner)
            thrown += delete_for_good(lock(drafts.filter(owner=owner, is_draft=True)))
    return thrown


def publish(message: Message) -> None:
    """A draft was sent: it meets its customers, is shared as its mailbox says, and whoever listens is told (R19, R35).

    If its owner has put it among the drafts while it waited, it goes to Sent: nobody would see it there, nor look for it.
    """
    with transaction.atomic():
        addresses_stay(message.organization_id)
        # Addresses of customers may have changed since, and drafts with them.
        message.correspondences.all().delete()
        [met] = matching.customers_met(message.owner.organization, [list(message.participants.all())])
        message.is_draft = False
        message.has_customer = bool(met)
        message.save(update_fields=["is_draft", "has_customer"])
        folders = Folder.objects.filter(account__user=message.owner_id)
        among_drafts = Message.objects.filter(pk=message.pk, folder__in=folders.filter(kind=Folder.Kind.DRAFTS))
        among_drafts.update(folder=folders.get(kind=Folder.Kind.SENT))
        matching.link([(message, met)])


def handed_back(owner: int, arrived: Sequence[ParsedMessage]) -> dict[str, int]:
    """Which of the messages that a server hands out their owner sent from here: ids by fingerprint; some servers keep
    what they send (R19). Call it in the transaction that notes them as seen and holds the owner's threads
    (`mail.threads.hold`): what is found then stays.

    It takes the same Message-ID, sender, date, subject, text and files: who knows a Message-ID alone can hide nothing.
    """
    fingerprints = {parsed.fingerprint for parsed in arrived}
    here = Message.objects.filter(owner=owner, is_written_here=True, fingerprint__in=fingerprints)
    found = dict(here.values_list("fingerprint", "pk"))
    if found:
        came_back.send(sender=Message, messages=list(found.values()))
    return found
