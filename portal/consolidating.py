"""*Consolidate all my customers' emails in a single place*, under Advanced Settings of an account's sharing (R33).

It is its owner's alone: administrators know nothing of anybody's folders and labels.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox
from mail.accounts import has_mail_account
from mail.consolidating import (
    NAME_LENGTH,
    cancel_stored,
    consolidate,
    consolidation_of,
    put_stored,
    stop_consolidating,
)
from mail.models import Consolidation, Folder
from mail.tasks import hint_consolidating
from portal.forms import ChoiceCards
from portal.requests import member

KINDS = [("folder", "Folder"), ("label", "Label")]


class ConsolidationForm(forms.Form):
    """Whether, and where."""

    is_on = forms.BooleanField(
        label="Consolidate all my customers’ emails in a single place",
        help_text="Everything that you receive from leads and contacts, as it arrives. What you send stays in Sent.",
        required=False,
    )
    kind = forms.ChoiceField(
        label="Where?",
        choices=KINDS,
        required=False,
        widget=ChoiceCards(
            descriptions={
                "folder": "Their mail goes there instead of into your Inbox.",
                "label": "Their mail stays in your Inbox and is marked with the label.",
            }
        ),
    )
    folder = forms.CharField(
        required=False, max_length=NAME_LENGTH, help_text="One of yours, or the name of a new one."
    )
    label = forms.CharField(required=False, max_length=NAME_LENGTH, help_text="One of yours, or the name of a new one.")

    def __init__(self, mailbox: Mailbox, data: Any = None) -> None:
        self.mailbox = mailbox
        self.consolidation = consolidation_of(mailbox)
        initial: dict[str, object] = {"kind": "folder", "folder": "Customers", "label": "Customers"}
        if self.consolidation is not None:
            kind = self.consolidation.kind
            initial |= {"is_on": True, "kind": kind, kind: self.consolidation.name}
        super().__init__(data, initial=initial, prefix="consolidate")
        account = mailbox.owner.mail_account
        #: The names to choose from, by kind.
        self.known = {
            "folder": account.folders.filter(kind=Folder.Kind.CUSTOM).values_list("name", flat=True),
            "label": account.labels.values_list("name", flat=True),
        }
        for kind in self.known:
            self.fields[kind].widget.attrs |= {"list": f"known-{kind}s", "autocomplete": "off"}

    def save(self) -> None:
        """Do what was chosen.

        Raises:
            NotPossible: see `mail.consolidating.consolidate`.
        """
        if not self.cleaned_data["is_on"]:
            stop_consolidating(self.mailbox)
            return
        kind = self.cleaned_data["kind"] or "folder"
        consolidate(self.mailbox, kind=kind, name=self.cleaned_data[kind])


def advanced(mailbox: Mailbox, form: ConsolidationForm | None = None) -> dict[str, object]:
    """What `settings/consolidate.html` shows to the owner of a mailbox."""
    if not has_mail_account(mailbox.owner):
        return {"mailbox": mailbox, "may_consolidate": False}
    form = form or ConsolidationForm(mailbox)
    return {
        "mailbox": mailbox,
        "may_consolidate": True,
        "consolidate_form": form,
        "consolidation": form.consolidation,
    }


@login_required
@require_http_methods(["GET", "POST"])
def mailbox_consolidate(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose it, with a page of its own for what has to be corrected."""
    mailbox = _own(request, pk)
    if not has_mail_account(mailbox.owner):
        return render(request, "settings/advanced.html", advanced(mailbox))
    form = ConsolidationForm(mailbox, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            form.save()
        except NotPossible as error:
            form.add_error(form.cleaned_data["kind"] or None, str(error))
        else:
            notices.success(request, _saved(consolidation_of(mailbox)))
            return redirect(_page(mailbox))
    return render(request, "settings/advanced.html", advanced(mailbox, form))


@login_required
@require_safe
def mailbox_consolidate_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is with mail that was there before, for htmx."""
    mailbox = _own(request, pk)
    context = {"mailbox": mailbox, "consolidation": consolidation_of(mailbox)}
    return render(request, "settings/consolidate_progress.html", context)


@login_required
@require_POST
def mailbox_consolidate_stored(request: HttpRequest, pk: int) -> HttpResponse:
    """Put mail that is there already in the same place."""
    mailbox = _own(request, pk)
    put_stored(_chosen(mailbox))
    hint_consolidating()
    return redirect(_page(mailbox))


@login_required
@require_POST
def mailbox_consolidate_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop doing so."""
    mailbox = _own(request, pk)
    cancel_stored(_chosen(mailbox))
    return redirect(_page(mailbox))


def _own(request: HttpRequest, pk: int) -> Mailbox:
    return get_object_or_404(Mailbox.objects.owned_by(member(request)).filter(deletes_mail=False), pk=pk)


def _chosen(mailbox: Mailbox) -> Consolidation:
    return get_object_or_404(Consolidation, mailbox=mailbox)


def _page(mailbox: Mailbox) -> str:
    return reverse("mailbox-sharing", args=[mailbox.pk]) + "#advanced"


def _saved(consolidation: Consolidation | None) -> str:
    if consolidation is None:
        return "Saved: new mail from customers stays in your Inbox. Nothing was moved."
    if consolidation.kind == "folder":
        return f"Saved: new mail from customers goes into the folder “{consolidation}”."
    return f"Saved: new mail from customers gets the label “{consolidation}”."


urlpatterns = [
    path("settings/email/<int:pk>/consolidate/", mailbox_consolidate, name="mailbox-consolidate"),
    path(
        "settings/email/<int:pk>/consolidate/progress/",
        mailbox_consolidate_progress,
        name="mailbox-consolidate-progress",
    ),
    path("settings/email/<int:pk>/consolidate/stored/", mailbox_consolidate_stored, name="mailbox-consolidate-stored"),
    path("settings/email/<int:pk>/consolidate/cancel/", mailbox_consolidate_cancel, name="mailbox-consolidate-cancel"),
]
