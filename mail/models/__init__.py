"""What was exchanged, where it is kept, what is still to be done with it, and what its owners did."""

from mail.models.accounts import Folder, Label, MailAccount, Receipt
from mail.models.backlogs import Backfill, Consolidation, SearchBuild
from mail.models.messages import (
    IN_TRASH,
    MESSAGE_ID_LENGTH,
    Attachment,
    Correspondence,
    Labelling,
    Message,
    MessageQuerySet,
    MessageText,
    Participant,
    RawChunk,
    SearchEntry,
    Thread,
)
from mail.models.personal import Change, Deed, ImageSender, Notification

__all__ = [
    "IN_TRASH",
    "MESSAGE_ID_LENGTH",
    "Attachment",
    "Backfill",
    "Change",
    "Consolidation",
    "Correspondence",
    "Deed",
    "Folder",
    "ImageSender",
    "Label",
    "Labelling",
    "MailAccount",
    "Message",
    "MessageQuerySet",
    "MessageText",
    "Notification",
    "Participant",
    "RawChunk",
    "Receipt",
    "SearchBuild",
    "SearchEntry",
    "Thread",
]
