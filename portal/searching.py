"""Searching the mail that one may see, one's own and what colleagues share (R31)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from accounts.models import User
from customers.models import Customer
from mail.highlighting import Piece, extract, has_hit, marked
from mail.matching import correspondents
from mail.models import Attachment, Message
from mail.search_query import MAX_CHARS, Query, Words, parse
from portal.requests import ids_in, member
from sharing.searching import COUNTED, Order, Scope, SearchPage, page_of, search_for, today, with_customer
from sharing.visibility import Sight

_SCOPES = {Scope.ALL: "All I can see", Scope.MINE: "My mail", Scope.SHARED: "Shared with me"}
_ORDERS = {Order.NEWEST: "Newest", Order.BEST: "Best match"}
_CHIPS = {"has:attachment": "Has attachment", "is:unread": "Unread", "is:starred": "Starred", "after:7d": "Last 7 days"}


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter to put in or take out with one click; `q` is the search as it is then."""

    label: str
    q: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class Result:
    """A message that was found, what of it is searched for being marked; `files` are such names of attachments."""

    message: Message
    customers: list[Customer]
    sender: list[Piece]
    subject: list[Piece]
    extract: list[Piece]
    files: list[list[Piece]]


@login_required
@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """What is found; while somebody types the results alone, and further ones as rows."""
    user = member(request)
    text = request.GET.get("q", "").replace("\0", "")[: MAX_CHARS + 1]
    scope = Scope(request.GET["in"]) if request.GET.get("in") in set(Scope) else Scope.ALL
    order = Order(request.GET["order"]) if request.GET.get("order") in set(Order) else Order.NEWEST
    customer = _customer(request, user)
    query = parse(text, today(user))
    context: dict[str, Any] = {
        "q": text,
        "scope": scope,
        "scopes": [(value, label, value == scope) for value, label in _SCOPES.items()],
        "order": order,
        "orders": [(value, label, value == order) for value, label in _ORDERS.items()],
        "chips": [_chip(operator, label, text) for operator, label in _CHIPS.items()],
        "customer": customer,
        "query": query,
        "problems": query.problems,
    }
    if not query.is_empty:
        context |= _found(request, user, query, scope=scope, order=order, customer=customer)
    htmx: Any = request.htmx  # type: ignore[attr-defined]
    if not htmx or htmx.history_restore_request:
        template = "search/search.html"
    else:
        template = "search/rows.html" if "cursor" in request.GET else "search/results.html"
    answer = render(request, template, context)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


def _found(
    request: HttpRequest, user: User, query: Query, *, scope: Scope, order: Order, customer: Customer | None
) -> dict[str, Any]:
    """A page of results for the template."""
    sight = Sight(user)
    asked = search_for(user, query)
    if customer is not None:
        asked = with_customer(asked, customer)
    page = page_of(sight, asked, scope, request.GET.get("cursor", ""), order)
    return {
        "results": _results(page, query.words),
        "page": page,
        "counted": COUNTED,
        "problems": asked.problems,
        "names": sight.modes.names(),
    }


def _results(page: SearchPage, words: Words) -> list[Result]:
    customers = correspondents(page.messages)
    files = _files(page, words)
    return [
        Result(
            message=message,
            customers=customers[message.pk],
            sender=marked(message.from_name or message.from_address or "(unknown sender)", words, "from"),
            subject=marked(str(message), words, "subject"),
            extract=extract(message.body.text if hasattr(message, "body") else "", words)
            or [Piece(message.snippet, is_hit=False)],
            files=files.get(message.pk, []),
        )
        for message in page.messages
    ]


def _files(page: SearchPage, words: Words) -> dict[int, list[list[Piece]]]:
    """The names of attachments in which something that is searched for stands, marked, by message."""
    names = page.names if page.names is not None or not words.clauses else _names(page.messages)
    return {
        pk: [marked(name, words, "name") for name in some if has_hit(name, words, "name")]
        for pk, some in (names or {}).items()
    }


def _names(messages: Sequence[Message]) -> dict[int, list[str]]:
    holders = [message.pk for message in messages if message.has_attachments]
    found: dict[int, list[str]] = {}
    for part in Attachment.objects.filter(message__in=holders) if holders else ():
        found.setdefault(part.message_id, []).append(part.name)
    return found


def _customer(request: HttpRequest, user: User) -> Customer | None:
    """The record in whose mail is searched, if it is that of one; 404 for what is none of the organisation's."""
    if not request.GET.get("customer"):
        return None
    known = Customer.objects.for_organization(user.organization)
    return get_object_or_404(known, pk__in=ids_in([request.GET["customer"]]))


def _chip(operator: str, label: str, text: str) -> Chip:
    """A chip that puts an operator into the search, or takes it out where it is."""
    parts = text.split()
    is_on = operator in parts
    # A space at the end, so that the last word stays as it is.
    rest = " ".join(part for part in parts if part != operator) if is_on else f"{text.strip()} {operator}".strip()
    return Chip(label, f"{rest} " if rest else "", is_on)


urlpatterns = [path("search/", search, name="search")]
