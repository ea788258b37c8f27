"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from tests.portal.chromium import quit_browser


def pytest_configure() -> None:
    """Sign in quickly: the strength of the password hash is Django's to test. No example of a property is timed."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    hypothesis.settings.register_profile("untimed", hypothesis.settings(deadline=None))
    hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The test database, with the table of the cache where that is the database's.

    What a test commits is deleted after it. Django would truncate instead, for which PostgreSQL makes the files of every
    table and index anew, and then fill tables again that migrations have filled.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        call_command("createcachetable", verbosity=0)
        tables = []
        for table in map(connection.ops.quote_name, connection.introspection.django_table_names()):
            cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608
            if cursor.fetchone() is None:
                tables.append(table)

    def delete_all(_: TransactionTestCase) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", delete_all)
        yield


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
