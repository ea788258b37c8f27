"""Which conversation a message belongs to: by Message-ID, In-Reply-To and References (RFC 5322 section 3.6.4).

Subjects never join threads. Threads are one owner's, so a Message-ID forged or shared on purpose can at most join
mail that this owner has anyway.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from accounts.models import User
from mail import rows
from mail.models import MESSAGE_ID_LENGTH, MailAccount, Message, Thread
from mail.parsing import ParsedMessage

_BATCH = 500


def hold(owner: int) -> None:
    """Have threads of an owner joined, and deleted with their last message, by one transaction after the other.

    Else mail that is filed into a conversation while that is deleted would go with it. Call it before anything that goes
    with messages is locked (*Order of locks* in docs/contributing.md).
    """
    MailAccount.objects.select_for_update(no_key=True).filter(user=owner).first()


def id_key(message_id: str) -> str:
    """A Message-ID as it is stored: itself, or for one longer than the column a hash of it."""
    if len(message_id) <= MESSAGE_ID_LENGTH:
        return message_id
    return "sha256:" + hashlib.sha256(message_id.encode("utf-8", "replace")).hexdigest()


def assign_threads(owner: User, parsed: Sequence[ParsedMessage]) -> list[Thread]:
    """The thread of each message, in order; new ones are created, ones that turn out to be the same are joined.

    A message joins the thread of the nearest message it answers, else the one started by an id that it names, else
    starts its own. When it arrives after an answer to it, the answer's thread is joined to its own. A joined thread
    is private if either was.
    """
    named = [[id_key(name) for name in _named(message)] for message in parsed]
    own = [id_key(message.message_id) for message in parsed]
    known = _known_threads(owner, {name for names in named for name in names} | {name for name in own if name})
    threads: list[Thread] = []
    for message_id, names in zip(own, named, strict=True):
        thread = next((known[name] for name in reversed(names) if name in known), None)
        started_by_answers = known.get(message_id) if message_id else None
        if thread is None:
            thread = started_by_answers
        elif started_by_answers is not None and started_by_answers is not thread:
            thread = _join(started_by_answers, thread, known, threads)
        if thread is None:
            thread = Thread(owner=owner, root=(names[0] if names else message_id) or uuid.uuid4().hex)
        threads.append(thread)
        for name in (thread.root, message_id):
            if name:
                known.setdefault(name, thread)
    rows.create(list({id(thread): thread for thread in threads if thread.pk is None}.values()))
    return threads


def _named(message: ParsedMessage) -> list[str]:
    """The ids that a message answers, the oldest first, without its own."""
    names = [*message.references, *([message.in_reply_to] if message.in_reply_to else [])]
    return [name for name in dict.fromkeys(names) if name and name != message.message_id]


def _known_threads(owner: User, ids: set[str]) -> dict[str, Thread]:
    """Stored threads by the Message-IDs among `ids` that are in them or started them."""
    by_id: dict[str, Thread] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), _BATCH):
        some = wanted[start : start + _BATCH]
        for thread in Thread.objects.filter(owner=owner, root__in=some).order_by("-id"):
            by_id[thread.root] = thread
        for message in Message.objects.owned_by(owner).filter(message_id__in=some).select_related("thread"):
            by_id[message.message_id] = message.thread
    unique = {thread.pk: thread for thread in by_id.values()}
    return {name: unique[thread.pk] for name, thread in by_id.items()}


def _join(one: Thread, other: Thread, known: dict[str, Thread], assigned: list[Thread]) -> Thread:
    """Make two threads one, in the database, in the ids known so far, and among threads assigned; a stored one is kept."""
    kept, gone = (one, other) if other.pk is None else (other, one)
    if gone.pk is not None:
        Message.objects.filter(thread=gone).lock()
        gone.messages.update(thread=kept)
        if gone.is_private and not kept.is_private:
            kept.is_private = True
            kept.save(update_fields=["is_private"])
        gone.delete()
    for name, thread in known.items():
        if thread is gone:
            known[name] = kept
    assigned[:] = [kept if thread is gone else thread for thread in assigned]
    return kept
