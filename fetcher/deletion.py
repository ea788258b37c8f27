"""Which messages may be deleted from a server, and when: only fetched ones whose copy is committed (R10)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from itertools import islice

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Mailbox
from fetcher.models import SeenUid

_IN_QUERY = 500


def deletable(mailbox: Mailbox) -> QuerySet[SeenUid]:
    """The stored messages of a mailbox that its delete setting allows to be deleted from the server now.

    Only what this account fetched and committed counts: never one that the import choice left out, never an over-size
    one, of which only the headers are here. A message deleted for good in CRM Mail leaves its row here without one;
    what retention deleted here nobody wished to delete there.
    """
    stored = SeenUid.objects.filter(mailbox=mailbox, outcome=SeenUid.Outcome.STORED, deleted_at=None)
    match mailbox.delete_policy:
        case Mailbox.DeletePolicy.AFTER_FETCH:
            return stored
        case Mailbox.DeletePolicy.AFTER_DAYS:
            return stored.filter(seen_at__lte=timezone.now() - timedelta(days=mailbox.delete_after_days or 0))
        case Mailbox.DeletePolicy.WHEN_DELETED:
            return stored.filter(message=None, has_expired=False)
        case _:
            return stored.none()


def deletable_uids(mailbox: Mailbox) -> set[str]:
    """The UIDs of what is `deletable`. Nothing is asked for the most usual setting."""
    if mailbox.delete_policy == Mailbox.DeletePolicy.LEAVE:
        return set()
    return set(deletable(mailbox).values_list("uid", flat=True))


def deletion_words(mailboxes: Iterable[Mailbox]) -> list[str]:
    """What deleting mail for good here means for its copies on the servers, as sentences for people (R10).

    One sentence where it means the same for all of `mailboxes`; otherwise one for each of them, which names it.
    """
    said: dict[str, list[str]] = defaultdict(list)
    for mailbox in mailboxes:
        said[_on_server(mailbox)].append(mailbox.email_address)
    if len(said) == 1:
        return list(said)
    return [f"{', '.join(addresses)}: {sentence}" for sentence, addresses in said.items()]


def _on_server(mailbox: Mailbox) -> str:
    if mailbox.kind == Mailbox.Kind.CRM_MAIL:
        return "It is kept only here: no mail server has another copy."
    if mailbox.removed_at is not None:
        return "The account was removed: what its mail server still has stays there."
    match mailbox.delete_policy:
        case Mailbox.DeletePolicy.AFTER_FETCH:
            return "It is kept only here: the mail server’s copy is deleted once it is fetched."
        case Mailbox.DeletePolicy.AFTER_DAYS:
            days = mailbox.delete_after_days or 0
            span = "a day" if days == 1 else f"{days} days"
            return f"The mail server deletes its copy {span} after it was fetched, whatever you do here."
        case Mailbox.DeletePolicy.WHEN_DELETED:
            when = "at the next fetch" if mailbox.is_active else "as soon as the account is active and fetched again"
            return f"The mail server’s copy is deleted too, {when}. In Trash it is not yet deleted there."
        case _:
            return "The mail server keeps its copy; it is not fetched again."


def confirm_deleted(mailbox: Mailbox, uids: Collection[str]) -> None:
    """Note that these messages are gone from the server: its answer to QUIT said so (RFC 1939 section 6), or its list."""
    _note(mailbox, uids, timezone.now())


def forget_deleted(mailbox: Mailbox, uids: Collection[str]) -> None:
    """Note that the server still has these messages, whatever it answered when they were deleted."""
    _note(mailbox, uids, None)


def _note(mailbox: Mailbox, uids: Collection[str], deleted_at: datetime | None) -> None:
    rest = iter(uids)
    while some := list(islice(rest, _IN_QUERY)):
        SeenUid.objects.filter(mailbox=mailbox, uid__in=some).update(deleted_at=deleted_at)
