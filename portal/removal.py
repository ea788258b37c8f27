"""Removing a POP3 account: its mail is kept, or deleted too after its name was typed (R5)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods

from accounts.models import Mailbox
from portal.forms import ChoiceCards
from portal.requests import configurable_mailbox, member
from sharing.administering import remove_mailbox


class RemovalForm(forms.Form):
    """What becomes of the mail. Of an account that was removed before there is only the mail left to delete."""

    mail = forms.ChoiceField(
        label="What about its mail?",
        choices=[("keep", "Keep the mail"), ("delete", "Delete the mail")],
        widget=ChoiceCards(
            descriptions={
                "keep": "Everything that was fetched stays here, in its folders and as far shared as now. Add the "
                "account again at any time to go on.",
                "delete": "Everything that was fetched is deleted from CRM Mail for good, also for colleagues. This "
                "can’t be undone. On the mail server nothing is deleted.",
            }
        ),
        error_messages={"required": "Choose what becomes of the mail."},
    )
    name = forms.CharField(label="Type the account’s name to delete its mail", required=False, max_length=100)

    def __init__(self, *args: Any, mailbox: Mailbox, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mailbox = mailbox
        self.fields["name"].help_text = f"It is: {mailbox.name}"
        self.fields["name"].widget.attrs["autocomplete"] = "off"
        if mailbox.removed_at is not None:
            self.fields["mail"].choices = [("delete", "Delete the mail")]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Mail is deleted only with the account's name typed."""
        given = super().clean() or {}
        if given.get("mail") == "delete" and given.get("name", "").strip() != self.mailbox.name.strip():
            self.add_error("name", f"Type “{self.mailbox.name}”, exactly, to delete its mail.")
        return given


@login_required
@require_http_methods(["GET", "POST"])
def mailbox_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove an account, or delete the mail that a removed one left."""
    mailbox = configurable_mailbox(request, pk, or_removed=True)
    if mailbox.kind != Mailbox.Kind.POP3:
        raise Http404
    is_owner = mailbox.owner_id == member(request).pk
    form = RemovalForm(request.POST or None, mailbox=mailbox)
    if form.is_valid():
        deletes = form.cleaned_data["mail"] == "delete"
        remove_mailbox(member(request), mailbox, deletes_mail=deletes)
        said = "Its mail is being deleted." if deletes else "Its mail is kept."
        notices.success(request, f"{mailbox.email_address} was removed. {said}")
        return redirect("email-settings" if is_owner else "mailboxes")
    others = mailbox.owner.mailboxes.connected().exclude(pk=pk).filter(kind=Mailbox.Kind.POP3)
    context = {
        "form": form,
        "mailbox": mailbox,
        "owner": mailbox.owner,
        "is_owner": is_owner,
        "message_count": mailbox.messages.count() if is_owner else None,
        "leaves_none_active": mailbox.is_active and others.exists(),
    }
    return render(request, "settings/remove.html", context)


urlpatterns = [path("settings/email/<int:pk>/remove/", mailbox_remove, name="mailbox-remove")]
