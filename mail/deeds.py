"""What an owner can do to their own mail, each deed one function with its transaction inside (R31)."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from accounts.mailboxes import NotPossible
from mail.models import Folder, Label, Message, Thread


def move_message(message: Message, folder: Folder) -> None:
    """Put a message into another folder of its owner's; out of Trash this restores it.

    Raises:
        NotPossible: the folder is somebody else's, or is Drafts, which holds only what is being written.
    """
    if folder.account.user_id != message.owner_id:
        raise NotPossible("That folder is not in the account that holds this message.")
    if folder.kind == Folder.Kind.DRAFTS and not message.is_draft:
        raise NotPossible("Drafts holds only messages that are being written.")
    message.folder = folder
    message.save(update_fields=["folder"])


def label_message(message: Message, labels: Iterable[Label]) -> None:
    """Give a message exactly these labels of its owner's.

    Raises:
        NotPossible: one is somebody else's.
    """
    wanted = list(labels)
    if any(label.account.user_id != message.owner_id for label in wanted):
        raise NotPossible("That label is not in the account that holds this message.")
    message.labels.set(wanted)


def mark_message(message: Message, *, is_read: bool | None = None, is_starred: bool | None = None) -> None:
    """Mark a message as read or unread, starred or not; None leaves the mark as it is."""
    marks = {"is_read": is_read, "is_starred": is_starred}
    changed = {name: value for name, value in marks.items() if value is not None}
    for name, value in changed.items():
        setattr(message, name, value)
    if changed:
        message.save(update_fields=list(changed))


def delete_message(message: Message) -> bool:
    """Move a message to Trash; one that is there already is deleted for good, which the return value says.

    Deleting for good removes the message with its bytes. What the fetcher remembers of it stays, without a message:
    that is how *delete when deleted in CRM Mail* knows (R10). A conversation without messages goes with its last one,
    unless it is kept private: what answers it later must be private too.
    """
    with transaction.atomic():
        locked = Message.objects.select_for_update(of=("self",)).select_related("folder").get(pk=message.pk)
        if locked.folder.kind != Folder.Kind.TRASH:
            locked.folder = Folder.objects.get(account__user=locked.owner_id, kind=Folder.Kind.TRASH)
            locked.save(update_fields=["folder"])
            return False
        thread = locked.thread_id
        locked.delete()
        Thread.objects.filter(pk=thread, is_private=False, messages=None).delete()
        return True
