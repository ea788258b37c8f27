"""Programs that talk to the API."""

from __future__ import annotations

from typing import Any

from rest_framework.test import APIClient

from accounts.models import User
from accounts.organizations import issue_token

ROOT = "/api/v1/"


def program(user: User | None = None) -> APIClient:
    """A program that carries a token of `user`; without one it is nobody."""
    client = APIClient()
    if user is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Token {issue_token(user)}")
    return client


def results(client: APIClient, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """All rows of a list, page after page."""
    answer = client.get(ROOT + path, parameters)
    assert answer.status_code == 200, answer.content
    rows = answer.json()["results"]
    while answer.json()["next"]:
        answer = client.get(answer.json()["next"])
        rows += answer.json()["results"]
    return rows
