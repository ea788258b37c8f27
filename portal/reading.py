"""Reading mail: one's own by folder (R31). A single message is `portal.message`'s."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from mail.accounts import has_mail_account
from mail.cursors import Place
from mail.matching import correspondents
from mail.models import Folder, Message
from portal.requests import member

PER_PAGE = 30
#: As many people are named beside a message; the rest is a number.
NAMED = 10
#: As much of an original is shown on a page; the download has all of it.
SOURCE_BYTES = 1 << 20
_SANDBOX = "default-src 'none'; sandbox"


@login_required
@require_safe
def mail(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """One's own mail, by folder; the Inbox if none is named."""
    user = member(request)
    if not has_mail_account(user):
        return render(request, "mail/no_account.html")
    folders = list(Folder.objects.filter(account__user=user))
    folder = next((f for f in folders if (f.pk == pk if pk else f.kind == Folder.Kind.INBOX)), None)
    if folder is None:
        raise Http404
    place = Place.read(request.GET.get("cursor", ""))
    mail = Message.objects.owned_by(user).in_folder(folder).filter(place.after() if place else Q()).newest_first()
    found = list(mail[: PER_PAGE + 1])
    shown = found[:PER_PAGE]
    customers = correspondents(shown)
    context = {
        "folders": folders,
        "folder": folder,
        "rows": [(message, customers[message.pk]) for message in shown],
        "cursor": str(Place(shown[-1].date, shown[-1].pk)) if len(found) > PER_PAGE else "",
    }
    return render(request, "mail/rows.html" if request.htmx else "mail/list.html", context)  # type: ignore[attr-defined]


urlpatterns = [
    path("mail/", mail, name="mail"),
    path("mail/<int:pk>/", mail, name="mail-folder"),
]
