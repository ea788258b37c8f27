"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command

from tests.portal.chromium import quit_browser


def pytest_configure() -> None:
    """Sign in quickly: the strength of the password hash is Django's to test."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: object) -> None:
    """The test database, with the table of the cache where that is the database's."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        call_command("createcachetable")


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """Start with no counted sign-in failures."""
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("_django_db_helper")
        cache.clear()


@pytest.fixture(autouse=True, scope="module")
def _browser_ends() -> Iterator[None]:
    """No browser outlives the tests of the module that started it."""
    yield
    quit_browser()
