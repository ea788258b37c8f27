"""`manage.py fetch_mail`: poll now, in this process, with a progress bar."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.addresses import normalize_address
from accounts.mailboxes import NotPossible
from accounts.models import Mailbox
from fetcher import polling, scheduling
from fetcher.models import FetchRun

BAR = 30


class Command(BaseCommand):
    """Poll mailboxes now, one summary line each; exit 1 if one failed."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Which mailboxes."""
        parser.add_argument("--mailbox", metavar="ADDRESS", help="the active mailbox with this e-mail address")
        parser.add_argument("--all", action="store_true", help="every active mailbox")

    def handle(self, *_: Any, mailbox: str | None = None, **options: Any) -> None:
        """Poll each chosen mailbox until it has nothing new left."""
        if bool(mailbox) == options["all"]:
            raise CommandError("Name one mailbox with --mailbox ADDRESS, or take all of them with --all.")
        chosen = Mailbox.objects.filter(kind=Mailbox.Kind.POP3, is_active=True).order_by("pk")
        if mailbox:
            chosen = chosen.filter(email_address=normalize_address(mailbox) or "")
        if not chosen:
            raise CommandError(f"No active mailbox has the address {mailbox}." if mailbox else "No mailbox is active.")
        failed = [each for each in chosen if not self._fetch(each)]
        if failed:
            raise CommandError(f"{len(failed)} of {len(chosen)} mailboxes could not be fetched.", returncode=1)

    def _fetch(self, mailbox: Mailbox) -> bool:
        new = deleted = 0
        seconds = 0.0
        while True:
            try:
                run, is_new = scheduling.claim(mailbox)
            except NotPossible as error:
                self.stdout.write(f"{mailbox.email_address}: {error}")
                return False
            begun = scheduling.start(mailbox.pk, run.token) if is_new else None
            if begun is None:
                self.stdout.write(f"{mailbox.email_address}: a worker is fetching it right now.")
                return True
            run = polling.poll(begun, self._show)
            new, deleted, seconds = new + run.new, deleted + run.deleted, seconds + run.seconds
            if run.state != FetchRun.State.YIELDED:
                break
        result = f"{new} new, {deleted} deleted on the server, {seconds:.1f} s"
        self.stdout.write(f"{mailbox.email_address}: {result}" + (f": {run.error}" if run.error else ""))
        return run.state == FetchRun.State.DONE

    def _show(self, run: FetchRun) -> None:
        if not sys.stderr.isatty() or not run.total:
            return
        filled = BAR * run.new // run.total
        end = "\n" if run.new >= run.total else ""
        self.stderr.write(f"\r[{'#' * filled:<{BAR}}] {run.new} of {run.total}", ending=end)
