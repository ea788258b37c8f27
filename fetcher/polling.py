"""One poll of one mailbox: sign in, see what is new, store it batch by batch, delete what may be deleted (R15–R18).

The order is the point:
1. fetch a window of messages,
2. store them and their UIDs in one transaction that also proves that the mailbox is still held,
3. only after the last commit send DELE, then QUIT, and believe a deletion only when QUIT was answered with +OK.
A crash between any two steps leaves at worst messages on the server whose UIDs are known.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DataError, InternalError, OperationalError, transaction
from django.db.models import F
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from accounts.credentials import SecretUnreadable
from accounts.leases import LeaseLost
from accounts.mailboxes import poll_username
from accounts.models import Mailbox
from accounts.servers import Endpoint, ServerError
from fetcher import deletion, scheduling
from fetcher.ahead import ahead
from fetcher.listing import look, remember
from fetcher.models import FetchRun, SeenUid
from fetcher.pop3 import Limits, Pop3Error, Pop3Session, SessionBroken
from mail import drafts, notifying, rows
from mail.filing import Arrival, file_messages
from mail.parsing import ParsedMessage, parse
from mail.threads import hold

log = logging.getLogger(__name__)

#: Set when the worker is asked to stop: polls commit what they have and go on in the next run.
stopping = threading.Event()

BATCH_MESSAGES = 500
BATCH_BYTES = 8 << 20
BATCH_SECONDS = 5.0
_IN_QUERY = 500
#: A poll that is to yield has so many seconds to finish the message that it is reading.
_GRACE_SECONDS = 300.0
#: So long no commands are sent ahead to a server that broke under it.
_ONE_BY_ONE = timedelta(days=1)

Progress = Callable[[FetchRun], None]
#: A new message and the UID that it has on the server.
Fetched = tuple[str, Arrival]


def poll(run: FetchRun, progress: Progress = lambda _run: None) -> FetchRun:
    """Poll the mailbox of a run that `scheduling.start` began, and end the run with its result.

    Whatever the server does, the result is a state of the mailbox and a sentence for its owner. `progress` is called
    after each batch that was stored.
    """
    work = _Poll(run, progress)
    try:
        with scheduling.kept(run):
            finished = work.go()
    except (Pop3Error, ServerError) as error:
        if work.doubts_pipelining(error):
            sentence = f"{error.sentence} It is tried again in a minute, asking for one message at a time."
            _fail(run, "pipelining", sentence, work.login_delay, one_by_one_until=timezone.now() + _ONE_BY_ONE)
        else:
            _fail(run, error.kind, error.sentence, work.login_delay)
    except SecretUnreadable:
        _fail(run, "password_unreadable", "The saved password can't be read any more. Enter it again.")
    except LeaseLost as error:
        log.info("%s", error)
        scheduling.finish(run, FetchRun.State.FAILED, "Stopped: the mailbox's settings changed meanwhile.")
    except (OSError, OperationalError):
        # Where large messages are put while they are read, or the database: full, read-only, gone.
        _fail(
            run,
            "storage",
            "CRM Mail could not keep what it fetched. It is tried again; its administrators find the reason in the log.",
        )
        raise
    except Exception:
        _fail(
            run,
            "internal",
            "An error inside CRM Mail stopped this fetch; its administrators find it in the log.",
        )
        raise
    else:
        scheduling.finish(
            run,
            FetchRun.State.DONE if finished else FetchRun.State.YIELDED,
            run.error,
            state=Mailbox.State.OK,
            failures=0,
            last_error="",
            error_kind="",
            one_by_one_until=work.one_by_one_until,
            last_fetched_at=timezone.now(),
            next_fetch_at=scheduling.after_success(run.mailbox, work.login_delay) if finished else timezone.now(),
        )
    return run


def _fail(run: FetchRun, kind: str, sentence: str, login_delay: timedelta = timedelta(0), **fields: object) -> None:
    """End a run with an error and put the mailbox into the state that the kind of error calls for (R18)."""
    mailbox = run.mailbox
    rejected = kind in {"password_rejected", "password_unreadable"}
    failures = mailbox.failures + 1
    scheduling.finish(
        run,
        FetchRun.State.FAILED,
        sentence,
        state=Mailbox.State.PASSWORD_REJECTED if rejected else Mailbox.State.ERROR,
        last_error=sentence,
        error_kind=kind,
        failures=failures,
        next_fetch_at=None if rejected else scheduling.after_failure(mailbox, failures, kind, login_delay),
        **fields,
    )
    if rejected:
        notifying.note(mailbox.owner, notifying.Kind.PASSWORD_REJECTED, mailbox=mailbox)


class _Poll:
    """The state of one poll while it goes on."""

    def __init__(self, run: FetchRun, progress: Progress) -> None:
        self.run = run
        self.mailbox = run.mailbox
        self.progress = progress
        self.deadline = time.monotonic() + settings.POLL_SECONDS
        self.login_delay = timedelta(0)
        self.one_by_one_until = self.mailbox.one_by_one_until
        self.refused = 0
        self.is_cut_short = False

    def go(self) -> bool:
        """Do the whole poll; False when it stopped early, to go on in the next run."""
        mailbox = self.mailbox
        endpoint = Endpoint(mailbox.incoming_host, mailbox.incoming_port, mailbox.incoming_security)
        limits = Limits(message=settings.MAX_MESSAGE_BYTES)
        with Pop3Session.open(
            endpoint,
            timeout=settings.MAIL_SERVER_TIMEOUT,
            deadline=self.deadline + _GRACE_SECONDS,
            limits=limits,
            pipelining=not (self.one_by_one_until and self.one_by_one_until > timezone.now()),
        ) as session:
            self.login_delay = session.login_delay
            session.login(poll_username(mailbox), mailbox.incoming_password.reveal())
            self.deletable = deletion.deletable_uids(mailbox)
            self.listing = look(session, mailbox, whole=bool(self.deletable))
            deletion.forget_deleted(mailbox, self.listing.returned)
            if self.listing.is_whole:
                # Gone without us; as long as they counted as deletable everything would be listed at each poll.
                deletion.confirm_deleted(mailbox, self.deletable - self.listing.numbers.keys())
            new = self.listing.new
            if new and mailbox.last_fetched_at is None:
                new = self._choose(session, new)
            finished = not new or self._fetch(session, new)
            doomed = self._doomed() if finished else {}
            if finished and not self.refused and not doomed:
                remember(mailbox, self.listing)
            self._leave(session, doomed)
        return finished

    def doubts_pipelining(self, error: Exception) -> bool:
        """Whether the server may fare better with one command at a time: several were under way and not one message came."""
        return isinstance(error, SessionBroken) and error.while_pipelining and not self.run.new

    def _leave(self, session: Pop3Session, doomed: dict[str, int]) -> None:
        """Delete and sign off. What the server did not confirm stays to be deleted by a later poll."""
        try:
            marked = set(session.delete(list(doomed.values())))
            session.quit()
        except Pop3Error as error:
            log.info("mailbox %s: the end of the session was not confirmed: %s", self.mailbox.pk, error.sentence)
            if self.doubts_pipelining(error):
                self.one_by_one_until = timezone.now() + _ONE_BY_ONE
        else:
            deleted = [uid for uid, number in doomed.items() if number in marked]
            deletion.confirm_deleted(self.mailbox, deleted)
            self.run.deleted = len(deleted)

    def _choose(self, session: Pop3Session, new: dict[str, int]) -> dict[str, int]:
        """What the first fetch takes (R15); the rest is noted as left out, once and for all, before anything is fetched."""
        mailbox = self.mailbox
        if mailbox.import_since == Mailbox.ImportSince.NOW:
            chosen: dict[str, int] = {}
        elif mailbox.import_since == Mailbox.ImportSince.DAYS:
            since = timezone.now() - timedelta(days=mailbox.import_days or 0)
            uids = {number: uid for uid, number in new.items()}
            chosen = {
                uids[item.number]: item.number
                for item in session.retrieve(list(new.values()), headers_only=True)
                if item.raw is None or _came_after(since, parse(item.raw))
            }
        else:
            return new
        SeenUid.objects.bulk_create(
            (SeenUid(mailbox=mailbox, uid=uid, outcome=SeenUid.Outcome.SKIPPED) for uid in new if uid not in chosen),
            batch_size=_IN_QUERY,
        )
        return chosen

    def _fetch(self, session: Pop3Session, new: dict[str, int]) -> bool:
        """Fetch and store, reading one batch while the one before it is committed; False when the time is up.

        What arrived whole before a connection broke is stored before the error goes on.
        """
        self.run.total = len(new)
        FetchRun.objects.filter(pk=self.run.pk).update(total=len(new))
        for batch in ahead(self._batches(session, new)):
            self._store(batch)
        if self.refused:
            self.run.error = (
                f"The server did not hand out {self.refused} of its messages. They are tried again next time."
            )
        return not self.is_cut_short

    def _batches(self, session: Pop3Session, new: dict[str, int]) -> Iterator[list[Fetched]]:
        """The new messages, read, in batches that are large or old enough to be stored."""
        uids = {number: uid for uid, number in new.items()}
        batch: list[Fetched] = []
        size, began = 0, time.monotonic()
        try:
            for item in session.retrieve(list(new.values())):
                if item.raw is None and not (item.error and item.error.kind == "too_big"):
                    self.refused += 1
                    continue
                raw = item.raw or b""
                note = "" if item.is_complete else _too_large()
                batch.append((uids[item.number], Arrival.read(raw, size=item.size, note=note)))
                size += len(raw)
                self.is_cut_short = time.monotonic() > self.deadline or stopping.is_set()
                if self.is_cut_short:
                    break
                if len(batch) >= BATCH_MESSAGES or size >= BATCH_BYTES or time.monotonic() - began > BATCH_SECONDS:
                    yield batch
                    batch, size, began = [], 0, time.monotonic()
        except (Pop3Error, OSError):
            if batch:
                yield batch
            raise
        if batch:
            yield batch

    def _store(self, batch: list[Fetched]) -> None:
        """Commit a batch; if the database refuses what was read in one of its messages, one after the other.

        Of that one the bytes alone are stored then: it must not keep others from being fetched (R16).
        """
        try:
            self._commit(batch)
        except (DataError, InternalError) as error:
            if len(batch) > 1:
                for fetched in batch:
                    self._store([fetched])
                return
            [(uid, arrival)] = batch
            # What follows in the words of the database is of the message.
            words = str(error).partition("\n")[0]
            log.error("mailbox %s: the database does not take what was read in a message: %s", self.mailbox.pk, words)  # noqa: TRY400
            self._commit([(uid, arrival.unread())])

    def _commit(self, batch: list[Fetched]) -> None:
        """Store a batch: messages, UIDs and the run's progress, all or nothing, and only while the mailbox is held."""
        with transaction.atomic():
            hold(self.mailbox.owner_id)
            fresh = self._without_renamed(batch)
            scheduling.renew(
                self.run,
                fetched_messages=F("fetched_messages") + len(fresh),
                fetched_bytes=F("fetched_bytes") + sum(arrival.size for _, arrival in fresh),
            )
            messages = self._filed([arrival for _, arrival in fresh])
            now = timezone.now()
            rows.insert(
                SeenUid,
                ("mailbox", "uid", "outcome", "digest", "message", "seen_at", "deleted_at"),
                (
                    (
                        self.mailbox.pk,
                        uid,
                        SeenUid.Outcome.OVERSIZE if arrival.note else SeenUid.Outcome.STORED,
                        "" if arrival.note else arrival.digest,
                        message,
                        now,
                        None,
                    )
                    for (uid, arrival), message in zip(fresh, messages, strict=True)
                ),
            )
            self.run.new += len(fresh)
            FetchRun.objects.filter(pk=self.run.pk).update(new=self.run.new)
        self.progress(self.run)

    def _filed(self, arrivals: list[Arrival]) -> list[int]:
        """File what is new; the ids in order. What the server hands back of mail sent from here is there already (R19)."""
        sent = drafts.handed_back(self.mailbox.owner_id, [arrival.parsed for arrival in arrivals])
        new = iter(file_messages(self.mailbox, [each for each in arrivals if each.parsed.fingerprint not in sent]))
        return [sent.get(arrival.parsed.fingerprint) or next(new).pk for arrival in arrivals]

    def _without_renamed(self, batch: list[Fetched]) -> list[Fetched]:
        """The batch less messages that are here under a UID that the server no longer lists.

        Such a server changed its UIDs: the row gets the new one, and the same bytes are not stored twice. Bytes that
        stand on the server twice at once, under two UIDs, are two messages (interface.md, *finer points*).
        """
        renamed: dict[str, list[SeenUid]] = {}
        if self.listing.is_whole:
            digests = {arrival.digest for _, arrival in batch if not arrival.note}
            for seen in self.mailbox.seen_uids.filter(digest__in=digests):
                if seen.uid not in self.listing.numbers:
                    renamed.setdefault(seen.digest, []).append(seen)
        fresh, changed = [], []
        for uid, arrival in batch:
            if not arrival.note and renamed.get(arrival.digest):
                seen = renamed[arrival.digest].pop()
                seen.uid = uid
                seen.deleted_at = None
                changed.append(seen)
            else:
                fresh.append((uid, arrival))
        SeenUid.objects.bulk_update(changed, ["uid", "deleted_at"], batch_size=_IN_QUERY)
        return fresh

    def _doomed(self) -> dict[str, int]:
        """What is still on the server and may be deleted there now, by UID. A UID that stands for several is left alone."""
        if self.run.new or self.listing.returned:
            self.deletable = deletion.deletable_uids(self.mailbox)
        uids = self.deletable - self.listing.doubled
        return {uid: number for uid, number in self.listing.numbers.items() if uid in uids}


def _too_large() -> str:
    return (
        f"This message is larger than the limit of {filesizeformat(settings.MAX_MESSAGE_BYTES)}. "
        "Only its headers were fetched; the message itself stays on the server."
    )


def _came_after(since: datetime, parsed: ParsedMessage) -> bool:
    """Whether a message came after `since`; one that does not say counts as new."""
    date = parsed.received_date or parsed.date
    return date is None or date >= since
