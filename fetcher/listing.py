"""What is on a server, and what of it is new, without listing it all at every poll (R15, R16)."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from accounts.models import Mailbox
from fetcher.models import LastListing
from fetcher.pop3 import CommandRefused, Pop3Session

#: So many new messages are asked for one by one; for more the whole list is shorter.
FEW = 100
#: Lines that servers and mail programs change in the header of a message that stays the same.
_STATUS_LINE = re.compile(rb"^(?:X-)?(?:Status|UIDL|Keywords|Mozilla-Status2?):[^\n]*\n", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Listing:
    """Messages on a server, by UID with their numbers: all, or those after the ones that were there before."""

    numbers: dict[str, int]
    new: dict[str, int]
    is_whole: bool
    #: UIDs of messages whose deletion the server had confirmed.
    returned: frozenset[str]
    #: UIDs that stand for several messages, or for none that can be told apart.
    doubled: frozenset[str]
    messages: int
    octets: int
    last_uid: str
    listed_at: datetime


def look(session: Pop3Session, mailbox: Mailbox, *, whole: bool = False) -> Listing:
    """What is there and what of it this mailbox has not seen; all of it when `whole`, or when there is any doubt.

    Raises:
        Pop3Error: see `Pop3Session`.
    """
    before = None if whole else _last_listing(mailbox)
    messages, octets, last = _glance(session, before.messages) if before else (*session.stat(), None)
    if before and last == before.last_uid and _may_be_more_of(before, messages, octets):
        listing = _named(session, range(before.messages + 1, messages + 1))
        numbers, doubled = _by_unique_uid(listing)
        # A UID that is known already stands for two messages: what that means only the whole list tells.
        if not doubled and not (numbers and mailbox.seen_uids.filter(uid__in=numbers).exists()):
            last = listing[-1][1] if listing else before.last_uid
            return Listing(numbers, numbers, False, frozenset(), doubled, messages, octets, last, before.listed_at)
    listing = _named(session, None if messages else ())
    numbers, doubled = _by_unique_uid(listing)
    deleted = dict(mailbox.seen_uids.values_list("uid", "deleted_at")) if numbers else {}
    new = {uid: number for uid, number in numbers.items() if uid not in deleted}
    returned = frozenset(uid for uid in numbers if deleted.get(uid))
    last = dict(listing).get(messages, "")
    return Listing(numbers, new, True, returned, doubled, messages, octets, last, timezone.now())


def remember(mailbox: Mailbox, listing: Listing) -> None:
    """Note what was there, once all of it is known and stored; the next poll looks only behind it."""
    if listing.doubled or not listing.last_uid:
        LastListing.objects.filter(mailbox=mailbox).delete()
    elif listing.is_whole or listing.numbers:
        LastListing.objects.update_or_create(
            mailbox=mailbox,
            defaults={
                "messages": listing.messages,
                "octets": listing.octets,
                "last_uid": listing.last_uid,
                "listed_at": listing.listed_at,
            },
        )


def _glance(session: Pop3Session, number: int) -> tuple[int, int, str | None]:
    """How many messages and bytes there are, and the UID of message `number`."""
    try:
        return session.glance(number)
    except CommandRefused as refusal:
        if refusal.kind != "no_uidl":
            raise
        messages, octets = session.stat()
        return messages, octets, dict(_named(session, [number])).get(number) if number <= messages else None


def _last_listing(mailbox: Mailbox) -> LastListing | None:
    """What was there, as long as everything was listed recently."""
    before: LastListing | None = getattr(mailbox, "last_listing", None)
    # Listed in the future is what a wrong clock makes of it.
    if before and timedelta(0) <= timezone.now() - before.listed_at <= timedelta(seconds=settings.FULL_LISTING_SECONDS):
        return before
    return None


def _may_be_more_of(before: LastListing, messages: int, octets: int) -> bool:
    """Whether what is there may be what was there `before`, and little more."""
    if not before.messages <= messages <= before.messages + FEW:
        return False
    return messages > before.messages or octets == before.octets


def _named(session: Pop3Session, numbers: Sequence[int] | None) -> list[tuple[int, str]]:
    """Messages, all or those with `numbers`, with their UIDs; without UIDL, which is optional, with what their header is."""
    try:
        return session.uidl(numbers)
    except CommandRefused as refusal:
        if refusal.kind != "no_uidl":
            raise
        if numbers is None:
            numbers = range(1, session.stat()[0] + 1)
        headers = {item.number: item.raw for item in session.retrieve(numbers, headers_only=True)}
        if any(header is None for header in headers.values()):
            raise
    return [(number, _header_uid(bytes(header or b""))) for number, header in headers.items()]


def _header_uid(header: bytes) -> str:
    return f"header:{hashlib.sha256(_STATUS_LINE.sub(b'', header)).hexdigest()}"


def _by_unique_uid(listing: Sequence[tuple[int, str]]) -> tuple[dict[str, int], frozenset[str]]:
    """Message numbers by UID. A UID that stands for a second message too, against RFC 1939, gets a count behind it.

    The second value names those, and the first of them, and what has no UID: nothing is deleted by such a name.
    """
    numbers: dict[str, int] = {}
    counts = Counter(uid for _, uid in listing)
    doubled = set()
    for number, uid in listing:
        name, count = uid, 1
        while name in numbers:
            count += 1
            name = f"{uid} ({count})"
        numbers[name] = number
        if counts[uid] > 1 or not uid:
            doubled.add(name)
    return numbers, frozenset(doubled)
