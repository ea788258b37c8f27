"""The Email tab: one's own mail in lists, by folder, by label or starred (R31). A single message is `portal.message`'s.

A list's address says all of its state: the box, `show=unread`, the `cursor` of a further page, and the `message` that is
open beside it. To htmx the same addresses answer with parts: further rows, what is new since the message `since`, some
conversations (`row`) as they are now, or how much there is. What is done to the mail is posted to them: `portal.bulk`.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Window
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods

from accounts.models import User
from mail.boxes import Box, folders_of, labels_of, page_of
from mail.models import Folder, Label, Message
from portal.boxes import AT_A_TIME, changed, here, surroundings, with_delivery
from portal.bulk import carry_out
from portal.message import PANE
from portal.requests import ids_in, member

T = TypeVar("T")
#: The elements of the page that parts of it are loaded into.
ARRIVALS, EVERYTHING, FURTHER = "mail-arrivals", "everything", "further"


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def mail(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """A folder of one's own; the Inbox if none is named."""
    user = member(request)
    if _part(request):
        named: dict[str, Any] = {"kind": Folder.Kind.INBOX} if pk is None else {"pk": pk}
        folder = Folder.objects.filter(account__user=user, **named).first()
        return _part_of(request, _box(request, folder=_found(folder)))
    folders = folders_of(user)
    if not folders and pk is None:
        return render(request, "mail/no_account.html")
    folder = next((each for each in folders if (each.pk == pk if pk else each.kind == Folder.Kind.INBOX)), None)
    return _whole(request, _box(request, folder=_found(folder)), folders=folders)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def label(request: HttpRequest, pk: int) -> HttpResponse:
    """What has a label of one's own, outside of Trash."""
    user = member(request)
    if _part(request):
        return _part_of(request, _box(request, label=_found(Label.objects.filter(account__user=user, pk=pk).first())))
    labels = labels_of(user)
    label = next((each for each in labels if each.pk == pk), None)
    return _whole(request, _box(request, label=_found(label)), labels=labels)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def starred(request: HttpRequest) -> HttpResponse:
    """What one has starred, outside of Trash."""
    box = _box(request)
    return _part_of(request, box) if _part(request) else _whole(request, box)


def _part(request: HttpRequest) -> bool:
    """Whether less than the page of a list is wanted: htmx wants a part of it, or something is to be done."""
    target = request.htmx.target if request.htmx else ""  # type: ignore[attr-defined]
    return request.method == "POST" or (target or "").partition("-from-")[0] in {ARRIVALS, EVERYTHING, FURTHER}


def _found(found: T | None) -> T:
    if found is None:
        raise Http404
    return found


def _box(request: HttpRequest, folder: Folder | None = None, label: Label | None = None) -> Box:
    return Box(member(request), folder, label, unread=request.GET.get("show") == "unread")


def _whole(request: HttpRequest, box: Box, **known: Any) -> HttpResponse:
    """The page of a list."""
    page = page_of(box, request.GET.get("cursor", ""))
    context = surroundings(box, **known) | {
        "rows": with_delivery(page.rows),
        "cursor": page.cursor,
        "opened": next(iter(ids_in([request.GET.get("message", "")])), None),
        "pane": PANE,
        "newest": newest_of(box.owner),
        "is_first": "cursor" not in request.GET,
    }
    answer = render(request, "mail/list.html", context)
    patch_vary_headers(answer, ["HX-Request", "HX-Target"])
    return answer


def _part_of(request: HttpRequest, box: Box) -> HttpResponse:
    """Something done to the box, or a part of its page."""
    if request.method == "POST":
        return carry_out(request, box)
    target = request.htmx.target  # type: ignore[attr-defined]
    if target == ARRIVALS:
        return _refreshed(request, box)
    if target == EVERYTHING:
        context = {"box": box, "newest": newest_of(box.owner), "count": box.messages().count()}
        return render(request, "mail/everything.html", context if "all" in request.GET else {})
    page = page_of(box, request.GET.get("cursor", ""))
    context = {"box": box, "here": here(box), "rows": with_delivery(page.rows), "cursor": page.cursor}
    return render(request, "mail/rows.html", context)


def _refreshed(request: HttpRequest, box: Box) -> HttpResponse:
    """Conversations with what was filed after the message `since`, and those named; nothing (204) if there are none.

    With `keep` those that left the box are not taken from the list: one that was just opened where only unread ones are.
    """
    threads = ids_in(request.GET.getlist("row"))[:AT_A_TIME]
    more: dict[str, Any] = {"gone": []} if "keep" in request.GET else {}
    since = next(iter(ids_in([request.GET.get("since", "")])), None)
    if since is not None and since < (newest := newest_of(box.owner)):
        new = box.messages().filter(pk__gt=since).newest_first()
        arrived = dict(new.values_list("thread_id", Window(Count("pk")))[:AT_A_TIME])
        threads += arrived
        more |= {"newest": newest, "arrived": next(iter(arrived.values()), 0)}
    elif not threads:
        return HttpResponse(status=204)
    return render(request, "mail/refreshed.html", changed(box, list(dict.fromkeys(threads))) | more)


def newest_of(user: User) -> int:
    """The message of theirs that was filed last; 0 if there is none."""
    return Message.objects.owned_by(user).order_by("-pk").values_list("pk", flat=True).first() or 0


urlpatterns = [
    path("mail/", mail, name="mail"),
    path("mail/<int:pk>/", mail, name="mail-folder"),
    path("mail/labels/<int:pk>/", label, name="mail-label"),
    path("mail/starred/", starred, name="mail-starred"),
]
