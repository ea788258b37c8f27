"""Which programs `manage.py up` starts."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from crm_mail.management.commands.up import _programs


@pytest.mark.parametrize(("address", "more"), [("", []), ("127.0.0.1:8024", ["LMTP listener"])])
def test_the_lmtp_listener_starts_where_an_address_is_named(settings: Settings, address: str, more: list[str]) -> None:
    settings.LMTP_LISTEN = address
    programs = _programs(0)
    assert [child.name for child in programs] == ["web", "scheduler", "worker", *more]
    # Whatever takes mail in stops before the worker, which is told of it.
    assert max(programs, key=lambda child: child.wave).name == "worker"
