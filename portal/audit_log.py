"""Administration › Audit log: what was done, searched and exported (R26). For administrators only."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import messages as notices
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from mail.cursors import Place
from portal.downloads import csv_file
from portal.requests import administrators_only, member
from sharing.audit import exported, log_for, record, search
from sharing.models import AuditEntry
from sharing.visibility import visible_to

PER_PAGE = 50
#: Days outside of these have no moment in every time zone that a database could compare.
_DAYS = (
    MinValueValidator(date(1900, 1, 1), "Enter a day after 1900."),
    MaxValueValidator(date(2999, 12, 31), "Enter a day before 3000."),
)


class AuditFilterForm(forms.Form):
    """Which entries of the audit log are listed. Days are those of the organisation's time zone."""

    find = forms.CharField(label="Person, mailbox or customer", required=False, max_length=200)
    action = forms.ChoiceField(
        label="What was done", required=False, choices=[("", "Anything"), *AuditEntry.Action.choices]
    )
    since = forms.DateField(
        label="From", required=False, validators=_DAYS, widget=forms.DateInput(attrs={"type": "date", "class": "input"})
    )
    until = forms.DateField(
        label="To", required=False, validators=_DAYS, widget=forms.DateInput(attrs={"type": "date", "class": "input"})
    )

    def clean(self) -> dict[str, Any]:
        """The days are in order."""
        given = super().clean() or {}
        if given.get("since") and given.get("until") and given["until"] < given["since"]:
            self.add_error("until", "This is before the first day.")
        return given

    def search(self, administrator: User) -> Any:
        """The entries that fit; all of them while something is not usable."""
        entries = log_for(administrator)
        if not self.is_valid():
            return entries
        zone = ZoneInfo(administrator.organization.time_zone)
        given = self.cleaned_data
        return search(
            entries,
            text=given["find"],
            action=given["action"],
            since=_moment(given["since"], time.min, zone),
            until=_moment(given["until"], time.max, zone),
        )


@administrators_only
@require_safe
def audit_log(request: HttpRequest) -> HttpResponse:
    """What was done, the latest first, searchable (R26). Messages are named only where the reader may see them."""
    user = member(request)
    form = AuditFilterForm(request.GET)
    entries = form.search(user)
    place = Place.read(request.GET.get("cursor", ""))
    if place is not None:
        entries = entries.filter(place.after("at"))
    found = list(entries[: PER_PAGE + 1])
    shown = found[:PER_PAGE]
    subjects = visible_to(user).in_bulk({entry.message_id for entry in shown if entry.message_id})
    context = {
        "form": form,
        "entries": [(entry, subjects.get(entry.message_id)) for entry in shown],
        "cursor": str(Place(shown[-1].at, shown[-1].pk)) if len(found) > PER_PAGE else "",
        "is_filtered": any(form.data.get(name) for name in form.fields),
        "is_later_page": place is not None,
        "days": settings.AUDIT_DAYS,
    }
    return render(request, "administration/audit.html", context)


@administrators_only
@require_POST
def audit_export(request: HttpRequest) -> HttpResponseBase:
    """The entries that the filters name as a CSV file; that somebody took it along is an entry, too."""
    user = member(request)
    form = AuditFilterForm(request.POST)
    if not form.is_valid():
        notices.error(request, "The filter has an error, so nothing was exported.")
        query = {name: form.data[name] for name in form.fields if form.data.get(name)}
        return redirect(reverse("audit-log", query=query))
    filters = {name: str(value) for name, value in form.cleaned_data.items() if value}
    record(user, AuditEntry.Action.LOG_EXPORTED, filters=filters)
    return csv_file(exported(form.search(user), user), "audit-log.csv")


def _moment(day: date | None, at: time, zone: ZoneInfo) -> datetime | None:
    return None if day is None else datetime.combine(day, at, zone)


urlpatterns = [
    path("administration/audit/", audit_log, name="audit-log"),
    path("administration/audit/export/", audit_export, name="audit-export"),
]
