"""Places in a list of messages, newest first: where a page ended and the next one begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Q
from django.utils.dateparse import parse_datetime

_MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Place:
    """The message that a page ended with, as its date and id say it; it need not exist any more."""

    date: datetime
    pk: int

    def __str__(self) -> str:
        return f"{self.date.isoformat()}|{self.pk}"

    @classmethod
    def read(cls, text: str) -> Place | None:
        """What `str()` of a place gave; None for anything else, which counts as the beginning of the list."""
        moment, _, number = text.partition("|")
        try:
            date = parse_datetime(moment)
            if date is None or date.tzinfo is None or not number.isascii() or not 0 < int(number) <= _MAX_ID:
                return None
            return cls(date.astimezone(UTC), int(number))
        except (ValueError, OverflowError):
            return None

    def after(self, date: str = "date", pk: str = "pk") -> Q:
        """Condition on rows whose columns are named: they come later in the list, being older."""
        return Q(**{f"{date}__lt": self.date}) | Q(**{date: self.date, f"{pk}__lt": self.pk})

    def upto(self) -> Q:
        """Condition on messages: they are on this page or an earlier one."""
        return Q(date__gt=self.date) | Q(date=self.date, pk__gte=self.pk)
