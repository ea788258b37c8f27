"""The form of a message that is being written (R35)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django import forms
from django.http import QueryDict

from accounts.models import Mailbox
from mail.documents import text_as_html
from sender.composing import identities
from sender.models import Outgoing


class _Recipients(forms.Textarea):
    """A field for people; the portal's script makes chips of them and completes what is typed."""

    def __init__(self, people: str) -> None:
        super().__init__({"rows": 1, "data-recipients": people, "spellcheck": "false", "autocapitalize": "none"})


class _Several(forms.ClearableFileInput):
    allow_multiple_selected = True


class _Identity(forms.ModelChoiceField):
    #: Addresses that several accounts have.
    ambiguous: frozenset[str] = frozenset()

    def label_from_instance(self, obj: Mailbox) -> str:
        """Name and address, as the recipient sees them; the account where that says too little."""
        shown = f"{obj.owner.name} <{obj.email_address}>"
        return f"{shown} · {obj.name}" if obj.email_address in self.ambiguous else shown


class ComposeForm(forms.Form):
    """What is typed in a draft. Its limits, and who is an address, are `sender`'s to judge.

    Args:
        draft: what is shown to begin with.
        people: the address that completes recipients.
        is_rich: whether it is written with formatting; else text is all there is.
    """

    revision = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    mailbox = _Identity(queryset=Mailbox.objects.none(), label="From", empty_label=None)
    to = forms.CharField(required=False)
    cc = forms.CharField(required=False)
    bcc = forms.CharField(required=False)
    subject = forms.CharField(required=False, widget=forms.TextInput({"autocomplete": "off"}))
    text = forms.CharField(required=False, strip=False, widget=forms.Textarea({"aria-label": "Message", "rows": 16}))
    html = forms.CharField(required=False, strip=False, widget=forms.Textarea({"hidden": True, "disabled": True}))
    attachments = forms.FileField(required=False, widget=_Several(), label="Attach files")

    def __init__(self, posted: QueryDict | None, *, draft: Outgoing, people: str, is_rich: bool) -> None:
        initial = {name: getattr(draft, name) for name in ("revision", "to", "cc", "bcc", "text")}
        initial |= {"subject": draft.message.subject, "mailbox": draft.message.mailbox_id}
        super().__init__(posted, initial=initial)
        self.draft = draft
        #: Whether it was saved or sent elsewhere meanwhile.
        self.is_outdated = False
        for name in ("to", "cc", "bcc"):
            self.fields[name].widget = _Recipients(people)
        own = identities(draft.message.owner).select_related("owner")
        choice = self.fields["mailbox"]
        choice.queryset = own  # type: ignore[attr-defined]
        addresses = Counter(mailbox.email_address for mailbox in own)
        choice.ambiguous = frozenset(each for each, times in addresses.items() if times > 1)  # type: ignore[attr-defined]
        self.has_choice = len(own) > 1 or bool(own and draft.message.mailbox not in own)
        choice.required = self.has_choice
        if not is_rich:
            del self.fields["html"]

    def note_saved(self, draft: Outgoing) -> None:
        """What was typed is saved as `draft`: whoever goes on in this form has seen that."""
        self.draft = draft
        self.data = dict(self.data.items()) | {"revision": draft.revision}

    @property
    def typed(self) -> dict[str, Any]:
        """What to hand to `sender.composing.save_draft`: HTML where there is some, else the text if there is a field of it."""
        fields = {name: self.cleaned_data.get(name, "") for name in ("to", "cc", "bcc", "subject")}
        html = self.cleaned_data.get("html", "")
        if html.strip():
            fields["html"] = with_content_ids(self.draft, html)
        elif "text" in self.data:
            fields["text"] = self.cleaned_data.get("text", "").replace("\r\n", "\n")
        if self.cleaned_data.get("mailbox"):
            fields["mailbox"] = self.cleaned_data["mailbox"]
        return fields


def html_for_editor(draft: Outgoing) -> str:
    """The HTML of a draft with addresses in the place of the Content-IDs of its images; text that was plain becomes HTML."""
    html = draft.html or text_as_html(draft.text, fold=False).replace("\n", "<br>")
    for file in draft.files.filter(is_inline=True):
        html = html.replace(f'"cid:{file.content_id}"', f'"{file.get_absolute_url()}"')
    return html


def with_content_ids(draft: Outgoing, html: str) -> str:
    """The other way round: HTML of the editor as it goes out."""
    for file in draft.files.filter(is_inline=True):
        html = html.replace(f'"{file.get_absolute_url()}"', f'"cid:{file.content_id}"')
    return html
