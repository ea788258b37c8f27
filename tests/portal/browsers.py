"""People who look at the pages."""

from __future__ import annotations

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User

_BACKEND = "portal.adapter.Backend"


def browser(user: User) -> Client:
    """The browser of somebody who has signed in."""
    client = Client()
    client.force_login(user, backend=_BACKEND)
    return client


def page(user: User, name: str, *args: object, status: int = 200, **query: str) -> str:
    """What `user` sees at the page `name`; the answer's status must be `status`."""
    answer = browser(user).get(reverse(name, args=args), query)
    assert answer.status_code == status, (answer.status_code, answer.content[:500])
    return answer.content.decode()


def queries_of(user: User, name: str, *args: object, **query: str) -> int:
    """How many queries the page takes on a second visit."""
    client = browser(user)
    url = reverse(name, args=args, query=query)
    client.get(url)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)
