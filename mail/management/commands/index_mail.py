"""`manage.py index_mail`: index stored mail for search in this process (R31)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mail.indexing import index_further, index_waiting, start_indexing
from mail.models import Message

_TOLD = 10_000


class Command(BaseCommand):
    """Do now what workers do by and by after an upgrade; ended at any time, it goes on where it was."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Whether to begin anew."""
        parser.add_argument("--again", action="store_true", help="index all mail, also what is indexed already")

    def handle(self, *_: Any, again: bool, **__: Any) -> None:
        """Index, saying now and then how far it is."""
        if again:
            start_indexing()
        total, told, done = Message.objects.count(), 0, 0
        while build := index_further():
            index_waiting()
            done = build.done
            if done >= told + _TOLD:
                told = done
                self.stdout.write(f"{done:,} of {total:,} messages", ending="\r")
                self.stdout.flush()
        self.stdout.write(f"{done:,} messages indexed. Search finds all mail.")
