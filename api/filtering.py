"""Query parameters that several resources take."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_date, parse_datetime
from django_filters import rest_framework as filters  # type: ignore[import-untyped]

_MAX_ID = 2**63 - 1
_YEARS = (1900, 2200)


class IdFilter(filters.NumberFilter):
    """The id of something. One that does not exist, or is not the caller's to know, finds nothing."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, min_value=1, max_value=_MAX_ID, **options)

    def get_max_validator(self) -> None:
        """None: the field has its own limit."""


class MomentField(forms.CharField):
    """A date or a date and time, as in ISO 8601."""

    def clean(self, value: Any) -> dt.date | dt.datetime | None:
        """The moment or day, None when nothing was entered (`ValidationError` for anything else)."""
        text = super().clean(value)
        if not text:
            return None
        if "T" in text:
            text = text.replace(" ", "+")  # a plus sign that was not escaped in the address
        try:
            moment = parse_date(text) or parse_datetime(text)
        except ValueError:
            moment = None
        if moment is None or not _YEARS[0] <= moment.year <= _YEARS[1]:
            raise ValidationError("Enter a date like 2026-11-02, or a time like 2026-11-02T09:30:00Z.")
        return moment


class MomentFilter(filters.CharFilter):
    """A date, or a date and time; without an offset, in the organisation's time zone."""

    field_class = MomentField


def bound(moment: dt.date, zone: str, *, end: bool) -> dt.datetime:
    """`moment` as a point in time: the start of a day, or with `end` its end; what has an offset stays as it is."""
    if isinstance(moment, dt.datetime):
        return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
    return dt.datetime.combine(moment, dt.time.max if end else dt.time.min, ZoneInfo(zone))
