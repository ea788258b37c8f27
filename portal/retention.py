"""Retention, under Administration › Organisation: how long mail is kept here (R40). For administrators only."""

from __future__ import annotations

from django import forms
from django.contrib import messages as notices
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods

from mail.retention import ARRIVED_LATELY, DELAY, expired
from portal.requests import administrators_only, member
from sharing.administering import set_retention

MOST_MONTHS = 1200


class RetentionForm(forms.Form):
    """For how many months."""

    months = forms.IntegerField(
        label="Delete mail that is older than (months)",
        min_value=1,
        max_value=MOST_MONTHS,
        required=False,
        help_text="Empty: mail is kept for ever.",
    )


@administrators_only
@require_http_methods(["GET", "POST"])
def retention(request: HttpRequest) -> HttpResponse:
    """Choose it; what it would delete is shown as a number, and saved when that is confirmed."""
    administrator = member(request)
    organization = administrator.organization
    form = RetentionForm(request.POST or None, initial={"months": organization.retention_months})
    context: dict[str, object] = {"form": form, "organization": organization}
    if "back" in request.POST or not form.is_valid():
        return render(request, "administration/retention.html", context)
    months = form.cleaned_data["months"]
    if months is not None and "confirmed" not in request.POST:
        context |= {
            "months": months,
            "count": expired(organization, months).count(),
            "delay": DELAY,
            "lately": ARRIVED_LATELY,
        }
        return render(request, "administration/retention_preview.html", context)
    set_retention(administrator, organization, months)
    notices.success(request, f"Saved: mail is kept {f'{months} months' if months else 'for ever'}.")
    return redirect("organization")


urlpatterns = [path("administration/organization/retention/", retention, name="organization-retention")]
