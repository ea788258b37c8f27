"""`manage.py import_customers`: leads and contacts from a CSV file (R28)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Organization
from accounts.spreadsheets import as_csv
from customers.importing import Batch, Import, Refusal, Table, Tally, Unreadable, guess_mapping, with_refusals

BAR = 30
SHOWN = 20


class Command(BaseCommand):
    """Import a CSV file, one summary line; rows that can't be imported are named, the others are saved."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Which file, whose customers, and how."""
        parser.add_argument("file", type=Path, help="CSV, its first row naming the columns")
        parser.add_argument("--organization", required=True, metavar="NAME")
        parser.add_argument("--dry-run", action="store_true", help="check everything, save nothing")
        parser.add_argument("--kind", choices=("lead", "contact"), default="contact", help="of rows that don't say")
        parser.add_argument("--skip-existing", action="store_true", help="leave records alone that are there already")
        parser.add_argument("--errors", type=Path, metavar="FILE", help="write the rows that can't be imported there")

    def handle(self, *_: Any, file: Path, organization: str, errors: Path | None = None, **options: Any) -> None:
        """Import it; exit 1 if a row could not be imported."""
        owner = Organization.objects.filter(name=organization).first()
        if owner is None:
            raise CommandError(f"There is no organisation “{organization}”.")
        with ExitStack() as stack:
            try:
                source = stack.enter_context(file.open("rb"))
                table = Table.of(source)
                rejected = stack.enter_context(errors.open("w", newline="", encoding="utf-8")) if errors else None
                work = Import(
                    owner,
                    guess_mapping(table.columns),
                    kind=options["kind"],
                    updates=not options["skip_existing"],
                    is_dry=options["dry_run"],
                )
            except OSError as error:
                raise CommandError(f"{error.filename}: {error.strerror}") from error
            except Unreadable as error:
                raise CommandError(str(error)) from error
            size = file.stat().st_size or 1
            refused = self._saved(work, work.batches(table.rows(source)), lambda: source.tell() / size)
            try:
                for line in as_csv(with_refusals(table.columns, refused)):
                    if rejected:
                        rejected.write(line)
            except Unreadable as error:
                raise CommandError(f"{error} {work.tally.rows} rows before it are done.") from error
        tally = work.tally
        if tally.failed > SHOWN:
            where = f", all in {errors}" if errors else "; see --errors"
            self.stdout.write(f"… and {tally.failed - SHOWN} more{where}")
        self.stdout.write(
            f"{'would be: ' if options['dry_run'] else ''}{tally.created} created, {tally.updated} updated, "
            f"{tally.unchanged} unchanged, {tally.skipped} skipped, {tally.failed} not imported"
        )
        if tally.failed:
            raise CommandError(f"{tally.failed} of {tally.rows} rows could not be imported.", returncode=1)

    def _saved(self, work: Import, batches: Iterable[Batch], share: Callable[[], float]) -> Iterator[Refusal]:
        """Save them and tell how far it is; what was refused."""
        shown = 0
        for batch in batches:
            work.save(batch)
            for refusal in batch.refused[: SHOWN - shown]:
                shown += 1
                self.stdout.write(f"line {refusal.line}: {refusal.why}")
            yield from batch.refused
            self._show(work.tally, share())

    def _show(self, tally: Tally, share: float) -> None:
        if self.stderr.isatty():
            done = int(BAR * share)
            sys.stderr.write(f"\r[{'#' * done}{'.' * (BAR - done)}] {tally.rows} rows")
            if share >= 1:
                sys.stderr.write("\n")
