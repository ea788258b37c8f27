"""Importing leads and contacts: upload, choice of columns, check, import, and what could not be imported (R28).

For administrators: members enter records one by one.
"""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages as notices
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.mailboxes import NotPossible
from customers import imports
from customers.importing import FIELDS, Unreadable
from customers.models import Customer, CustomerImport
from customers.tasks import hint_import
from portal.downloads import csv_file
from portal.requests import administrators_only, member

SHOWN = 20
LISTED = 20


class UploadForm(forms.Form):
    """The file."""

    file = forms.FileField(
        label="CSV file",
        help_text=f"Its first row names the columns. At most {imports.MOST_BYTES >> 20} MB; "
        "the encoding and the delimiter are found out.",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.tsv,.txt,text/csv"}),
        error_messages={"required": "Choose a file.", "empty": "The file is empty."},
    )


class ColumnsForm(forms.Form):
    """What each column is, and what becomes of records that are there already."""

    kind = forms.ChoiceField(label="New records are", choices=Customer.Kind, help_text="Unless a column says it.")
    updates = forms.TypedChoiceField(
        label="Records that are there already",
        help_text="A record is known by any of its e-mail addresses, without one by name and company.",
        choices=[("yes", "Update them; empty cells change nothing"), ("no", "Skip them")],
        coerce=lambda chosen: chosen == "yes",
    )

    def __init__(self, work: CustomerImport, data: Any = None) -> None:
        super().__init__(data, initial={"kind": work.kind, "updates": "yes" if work.updates else "no"})
        self._names = [f"column_{number}" for number in range(len(work.headings))]
        choices = [("", "Leave out"), *FIELDS.items()]
        for name, heading, guessed, samples in zip(
            self._names, work.headings, work.mapping, imports.samples(work), strict=True
        ):
            self.fields[name] = forms.ChoiceField(
                label=heading or "(no heading)",
                choices=choices,
                required=False,
                initial=guessed,
                help_text=", ".join(sample[:60] for sample in samples) or "(empty)",
            )
        self.order_fields([*self._names, "kind", "updates"])

    @property
    def mapping(self) -> list[str]:
        """The field of each column."""
        return [self.cleaned_data[name] for name in self._names]


@administrators_only
@require_http_methods(["GET", "POST"])
def import_list(request: HttpRequest) -> HttpResponse:
    """Upload a file; one's own imports."""
    user = member(request)
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if form.is_valid():
        try:
            return redirect(imports.upload(user, cast("UploadedFile[bytes]", form.cleaned_data["file"])))
        except Unreadable as error:
            form.add_error("file", str(error))
    context = {"form": form, "imports": CustomerImport.objects.of(user)[:LISTED]}
    return render(request, "customers/imports.html", context)


@administrators_only
@require_http_methods(["GET", "POST"])
def import_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One import: its columns to choose, then how far it is, then what came of it."""
    work = _import(request, pk)
    may_choose = work.state in (CustomerImport.State.UPLOADED, CustomerImport.State.CHECKED)
    form = ColumnsForm(work, request.POST if request.method == "POST" else None) if may_choose else None
    if request.method == "POST":
        if form is None:
            notices.error(request, f"This import is {work.get_state_display()}.")
            return redirect(work)
        if form.is_valid():
            try:
                imports.check(work, form.mapping, kind=form.cleaned_data["kind"], updates=form.cleaned_data["updates"])
            except (Unreadable, NotPossible) as error:
                form.add_error(None, str(error))
            else:
                hint_import(work)
                return redirect(work)
    return render(request, "customers/import.html", _shown(work) | ({"form": form} if form else {}))


@administrators_only
@require_safe
def import_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is, for htmx; once the worker is done, the page is asked for anew."""
    work = _import(request, pk)
    answer = render(request, "customers/import_progress.html", _shown(work))
    if not work.is_working:
        answer["HX-Refresh"] = "true"
    return answer


@administrators_only
@require_POST
def import_start(request: HttpRequest, pk: int) -> HttpResponse:
    """Import what was checked."""
    work = _import(request, pk)
    try:
        imports.start(work)
    except NotPossible as error:
        notices.error(request, str(error))
    else:
        hint_import(work)
    return redirect(work)


@administrators_only
@require_POST
def import_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop it."""
    work = _import(request, pk)
    try:
        imports.cancel(work)
    except NotPossible as error:
        notices.error(request, str(error))
    return redirect(work)


@administrators_only
@require_safe
def import_errors(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The rows that could not be imported, as a file to correct and import."""
    return csv_file(imports.refused(_import(request, pk)), f"not-imported-{pk}.csv")


def _import(request: HttpRequest, pk: int) -> CustomerImport:
    return get_object_or_404(CustomerImport.objects.of(member(request)), pk=pk)


def _shown(work: CustomerImport) -> dict[str, Any]:
    return {"import": work, "refused": work.refused_rows.all()[:SHOWN], "more": max(work.failed - SHOWN, 0)}


urlpatterns = [
    path("records/imports/", import_list, name="imports"),
    path("records/imports/<int:pk>/", import_page, name="import"),
    path("records/imports/<int:pk>/progress/", import_progress, name="import-progress"),
    path("records/imports/<int:pk>/start/", import_start, name="import-start"),
    path("records/imports/<int:pk>/cancel/", import_cancel, name="import-cancel"),
    path("records/imports/<int:pk>/errors/", import_errors, name="import-errors"),
]
