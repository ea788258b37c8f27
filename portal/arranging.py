"""Folders and labels of one's own: added, renamed, coloured and removed (R31)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST

from accounts.mailboxes import NotPossible
from mail.arranging import (
    PALETTE,
    add_folder,
    add_label,
    change_label,
    remove_folder,
    remove_label,
    rename_folder,
)
from mail.models import Folder, Label, MailAccount
from mail.tasks import hint_deeds
from portal.requests import member


class FolderForm(forms.Form):
    """The name of a folder."""

    name = forms.CharField(label="Name", max_length=100)


class LabelForm(forms.Form):
    """The name and colour of a label. A colour that a program gave it is kept until another one is chosen."""

    name = forms.CharField(label="Name", max_length=100)
    colour = forms.ChoiceField(label="Colour", choices=list(PALETTE.items()), widget=forms.RadioSelect)

    def __init__(self, *args: Any, label: Label | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if label is not None and label.colour not in PALETTE:
            self.fields["colour"].choices = [(label.colour, "As it is"), *PALETTE.items()]  # type: ignore[attr-defined]


class RemovalForm(forms.Form):
    """Where the mail of a folder goes."""

    into = forms.ModelChoiceField(Folder.objects.none(), label="Its mail goes to", empty_label=None)

    def __init__(self, *args: Any, folder: Folder, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = Folder.objects.filter(account=folder.account_id).exclude(pk=folder.pk)
        self.fields["into"].queryset = others.exclude(kind=Folder.Kind.DRAFTS)  # type: ignore[attr-defined]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def arrange(request: HttpRequest) -> HttpResponse:
    """One's folders and labels, and the forms that add some: `what` says which was sent."""
    account = get_object_or_404(MailAccount, user=member(request))
    what = request.POST.get("what")
    folder_form = FolderForm(request.POST if what == "folder" else None, prefix="folder")
    label_form = LabelForm(
        request.POST if what == "label" else None, prefix="label", initial={"colour": next(iter(PALETTE))}
    )
    if folder_form.is_valid() and _done(folder_form, lambda name: add_folder(account, name)):
        return redirect("mail-arrange")
    if label_form.is_valid() and _done(label_form, lambda name, colour: add_label(account, name, colour)):
        return redirect("mail-arrange")
    context = {
        "folders": account.folders.all(),
        "labels": account.labels.all(),
        "folder_form": folder_form,
        "label_form": label_form,
    }
    return render(request, "mail/arrange.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def folder_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Rename a folder of one's own."""
    folder = _folder(request, pk)
    form = FolderForm(request.POST or None, initial={"name": folder.name})
    if form.is_valid() and _done(form, lambda name: rename_folder(folder, name)):
        notices.success(request, f"The folder is called {folder} now.")
        return redirect("mail-arrange")
    return render(request, "mail/arrange_edit.html", {"form": form, "what": "folder", "thing": folder})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def folder_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a folder of one's own; its mail goes where the form says."""
    folder = _folder(request, pk)
    form = RemovalForm(request.POST or None, folder=folder)
    if form.is_valid():
        with transaction.atomic():
            deed = remove_folder(folder, form.cleaned_data["into"])
            hint_deeds()
        going = " Very much mail is in it: it goes when all of that is moved." if deed.is_going_on else ""
        notices.success(request, f"The folder {folder} is removed; its mail is in {form.cleaned_data['into']}.{going}")
        return redirect("mail-arrange")
    context = {"form": form, "what": "folder", "thing": folder, "count": folder.messages.count()}
    return render(request, "mail/arrange_remove.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def label_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a label of one's own another name and colour."""
    label = get_object_or_404(Label.objects.select_related("account"), account__user=member(request), pk=pk)
    form = LabelForm(request.POST or None, initial={"name": label.name, "colour": label.colour}, label=label)
    if form.is_valid() and _done(form, lambda name, colour: change_label(label, name, colour)):
        notices.success(request, f"The label is called {label} now.")
        return redirect("mail-arrange")
    return render(request, "mail/arrange_edit.html", {"form": form, "what": "label", "thing": label})


@login_required
@require_POST
def label_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a label off all messages, and away."""
    label = get_object_or_404(Label, account__user=member(request), pk=pk)
    remove_label(label)
    notices.success(request, f"The label {label.name} is removed. Its messages stay where they are.")
    return redirect("mail-arrange")


def _folder(request: HttpRequest, pk: int) -> Folder:
    folders = Folder.objects.select_related("account__user").filter(kind=Folder.Kind.CUSTOM)
    return get_object_or_404(folders, account__user=member(request), pk=pk)


def _done(form: forms.Form, deed: Any) -> bool:
    """Do something with what a form holds; what makes it impossible is said beside the name."""
    try:
        deed(**form.cleaned_data)
    except NotPossible as error:
        form.add_error("name", str(error))
        return False
    return True


urlpatterns = [
    path("mail/folders/", arrange, name="mail-arrange"),
    path("mail/folders/<int:pk>/", folder_edit, name="mail-folder-edit"),
    path("mail/folders/<int:pk>/remove/", folder_remove, name="mail-folder-remove"),
    path("mail/labels/<int:pk>/edit/", label_edit, name="mail-label-edit"),
    path("mail/labels/<int:pk>/remove/", label_remove, name="mail-label-remove"),
]
