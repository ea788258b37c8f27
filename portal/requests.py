"""Who asks: the signed-in user of a request, and the doors that only some may pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponseBase

from accounts.models import User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def member(request: HttpRequest) -> User:
    """The user who sends a request to a view that only signed-in users reach."""
    return cast("User", request.user)


def ids_in(texts: Iterable[str]) -> list[int]:
    """The ids that a query string or a form names; what can be none is left out."""
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]


def administrators_only(view: View[P]) -> View[P]:
    """A view for administrators. Others get 404: what they may not see does not exist for them."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not member(request).is_admin:
            raise Http404
        return view(request, *args, **kwargs)

    return cast("View[P]", login_required(guarded))
