"""Who asks: the signed-in user of a request, and the doors that only some may pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404

from accounts.models import Mailbox, User
from customers.models import Customer, CustomerQuerySet

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def member(request: HttpRequest) -> User:
    """The user who sends a request to a view that only signed-in users reach."""
    return cast("User", request.user)


def ids_in(texts: Iterable[str]) -> list[int]:
    """The ids that a query string or a form names; what can be none is left out."""
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]


def configurable_mailbox(request: HttpRequest, pk: int, *, or_removed: bool = False) -> Mailbox:
    """A mailbox that the user of the request may set up: `MailboxQuerySet.configurable_by`; 404 for others.

    One that was removed only if `or_removed`, for the pages about the mail that it left.
    """
    mailboxes = Mailbox.objects.configurable_by(member(request)).select_related("owner__organization")
    found = get_object_or_404(mailboxes.filter(deletes_mail=False), pk=pk)
    if found.removed_at is not None and not or_removed:
        raise Http404
    return found


def words_in(request: HttpRequest, name: str) -> str:
    """What somebody looks for, as the query string names it: fit for any database, and bounded."""
    return request.GET.get(name, "").replace("\0", "").strip()[:200]


def customers_of(request: HttpRequest, kind: str) -> CustomerQuerySet:
    """The leads (`kind` is `leads`) or contacts (`contacts`) of the organisation of the user."""
    return Customer.objects.for_organization(member(request).organization).of_kind(kind.removesuffix("s"))


def customer_of(request: HttpRequest, kind: str, pk: int) -> Customer:
    """One of them; 404 where there is none."""
    return get_object_or_404(customers_of(request, kind), pk=pk)


def owner_of_new(request: HttpRequest) -> User:
    """Whose account is set up: one's own, or as `?owner=id` says a colleague's, for administrators; 404 otherwise."""
    user = member(request)
    if "owner" not in request.GET:
        return user
    known = User.objects.for_organization(user.organization).filter(is_active=True)
    if not user.is_admin:
        known = known.filter(pk=user.pk)
    return get_object_or_404(known, pk__in=ids_in([request.GET["owner"]]))


def for_colleague(owner: User, request: HttpRequest) -> str:
    """What `owner_of_new` reads, to be put behind an address; nothing for one's own accounts."""
    return "" if owner.pk == member(request).pk else f"?owner={owner.pk}"


def administrators_only(view: View[P]) -> View[P]:
    """A view for administrators. Others get 404: what they may not see does not exist for them."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not member(request).is_admin:
            raise Http404
        return view(request, *args, **kwargs)

    return cast("View[P]", login_required(guarded))
