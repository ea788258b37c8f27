"""Shared mail: one list of the customer mail that colleagues share with the reader, and the counts of what is unread (R24, R34)."""

from __future__ import annotations

from typing import Any

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page, require_POST, require_safe

from customers.models import Customer
from portal.requests import ids_in, member, words_in
from sharing.feed import COUNTED, catch_up, count_unread_own, count_unread_shared, page_of
from sharing.modes import Mode
from sharing.notices import notifications_for
from sharing.visibility import Sight


@login_required
@require_safe
def shared(request: HttpRequest) -> HttpResponse:
    """What colleagues share: unread first, newest first; of one colleague or with one customer if asked for."""
    user = member(request)
    sight = Sight(user)
    colleagues = {pk: name for pk, name in sight.modes.owners_in(Mode.PUBLIC, Mode.CUSTOM).items() if pk != user.pk}
    colleague, number = _number(request, "colleague"), _number(request, "customer")
    find = words_in(request, "find")
    everybody = Customer.objects.for_organization(user.organization)
    customers = everybody.search(find, user.organization) if find else None
    if number is not None:
        customers = everybody.filter(pk=number)
    page = page_of(sight, request.GET.get("cursor", ""), colleague=colleague, customers=customers)
    context: dict[str, Any] = {
        "unread": [(message, page.customers[message.pk]) for message in page.unread],
        "read": [(message, page.customers[message.pk]) for message in page.read],
        "cursor": page.cursor,
        "names": sight.modes.names(),
    }
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "shared/rows.html", context)
    context |= {
        "find": find,
        "colleague": colleague,
        "colleagues": colleagues,
        "customer": customers.first() if number is not None and customers is not None else None,
        "is_narrowed": bool(find) or colleague is not None or number is not None,
        "by_customer": page.unread_by_customer(),
        "by_colleague": page.unread_by_colleague(),
    }
    return render(request, "shared/list.html", context)


@login_required
@require_POST
def shared_read(request: HttpRequest) -> HttpResponse:
    """Count everything shared so far as read."""
    catch_up(member(request))
    notices.success(request, "All shared mail up to now counts as read.")
    return redirect("shared")


@login_required
@require_safe
@cache_control(private=True, no_cache=True)
@conditional_page
def unread(request: HttpRequest) -> HttpResponse:
    """How much is unread, one's own and shared, for the navigation; asked for again and again while a page is open.

    While nothing changes the answer is 304, by its ETag.
    """
    user = member(request)
    sight = Sight(user)
    context = {
        "own": count_unread_own(user),
        "shared": count_unread_shared(sight),
        "notifications": len(notifications_for(sight)),
        "counted": COUNTED,
    }
    return render(request, "shared/unread.html", context)


def _number(request: HttpRequest, name: str) -> int | None:
    """The id in a filter of the query string, None where it is left empty; for what is no id, one that nothing has."""
    text = request.GET.get(name, "")
    if not text:
        return None
    return next(iter(ids_in([text])), 0)


urlpatterns = [
    path("shared/", shared, name="shared"),
    path("shared/read/", shared_read, name="shared-read"),
    path("unread/", unread, name="unread"),
]
