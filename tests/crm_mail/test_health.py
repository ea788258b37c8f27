"""Health and metrics, as probes and Prometheus ask for them (R40)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone

from accounts.models import Mailbox
from accounts.organizations import deactivate_user
from fetcher import scheduling
from mail.models import Message
from sender.models import Outgoing
from tests import factories, servers
from tests.fetching import fetch
from tests.servers import ScriptedPop3Server

pytestmark = pytest.mark.django_db


def metrics(client: Client, **extra: Any) -> dict[str, float]:
    """The samples of `/metrics`, by name with labels."""
    lines = client.get("/metrics", **extra).content.decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_a_process_that_answers_is_live(client: Client) -> None:
    """R40."""
    assert client.get("/health/live").json() == {"status": "live"}


def test_with_database_cache_and_migrations_in_order_it_is_ready(client: Client) -> None:
    """R40."""
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    assert "no-store" in answer.headers["Cache-Control"]


def test_a_migration_that_waits_is_named(client: Client) -> None:
    """R40."""
    ((app, newest),) = MigrationLoader(connection).graph.leaf_nodes("fetcher")
    MigrationRecorder(connection).record_unapplied(app, newest)
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["not_ready"]) == (503, ["migrations"])


def test_a_cache_that_does_not_answer_is_named(client: Client, settings: Any) -> None:
    """A closed port of this machine stands for the cache."""
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["not_ready"]) == (503, ["cache"])


def test_metrics_count_mailboxes_by_state_and_what_is_due(client: Client) -> None:
    """R40: read from the database when asked."""
    late, rejected, paused = factories.mailbox(), factories.mailbox(), factories.mailbox()
    Mailbox.objects.filter(pk=late.pk).update(state="ok", next_fetch_at=timezone.now() - timedelta(seconds=90))
    Mailbox.objects.filter(pk=rejected.pk).update(state="password_rejected")
    factories.user(organization=paused.owner.organization, role="admin")
    deactivate_user(paused.owner)
    samples = metrics(client)
    assert samples['crm_mail_mailboxes{state="ok"}'] == 1
    assert samples['crm_mail_mailboxes{state="password_rejected"}'] == 1
    assert samples['crm_mail_mailboxes{state="paused"}'] == 1
    assert samples["crm_mail_mailboxes_due"] == 1
    assert 90 <= samples["crm_mail_oldest_due_seconds"] < 120


def test_metrics_count_running_and_failed_polls_and_messages(client: Client) -> None:
    """R40."""
    mailbox = factories.mailbox()
    factories.message(mailbox=mailbox)
    run, _ = scheduling.claim(mailbox)
    scheduling.start(mailbox.pk, run.token)
    samples = metrics(client)
    assert samples["crm_mail_messages"] == 1
    assert samples["crm_mail_fetches_running"] == 1
    run.refresh_from_db()
    scheduling.finish(run, run.State.FAILED, "The server is busy.", error_kind="sys_temp")
    samples = metrics(client)
    assert samples["crm_mail_fetches_running"] == 0
    assert samples['crm_mail_mailboxes_failing{kind="sys_temp"}'] == 1


def test_metrics_count_messages_and_bytes_that_were_fetched(client: Client) -> None:
    """R40: also those that were deleted here since."""
    raws = [factories.raw_message(subject=f"Message {n}") for n in range(3)]
    with ScriptedPop3Server(servers.mailbox(*raws)) as server:
        fetch(factories.mailbox_on(server.port))
    Message.objects.all().delete()
    samples = metrics(client)
    assert samples["crm_mail_fetched_messages_total"] == 3
    assert samples["crm_mail_fetched_bytes_total"] == sum(map(len, raws))
    assert samples["crm_mail_messages"] == 0


def test_metrics_count_messages_on_their_way_and_those_that_need_their_sender(client: Client) -> None:
    """R36, R40."""
    mailbox = factories.mailbox()
    for status in ("draft", "queued", "queued", "sent", "failed", "unknown"):
        factories.outgoing(mailbox, status)
    ago = timezone.now() - timedelta(seconds=90)
    Outgoing.objects.filter(status="queued").update(queued_at=ago, due_at=ago)
    samples = metrics(client)
    numbers = {name: value for name, value in samples.items() if name.startswith("crm_mail_outgoing{")}
    assert numbers == {
        f'crm_mail_outgoing{{status="{status}"}}': number
        for status, number in (("queued", 2), ("sending", 0), ("failed", 1), ("unknown", 1))
    }
    assert 90 <= samples["crm_mail_oldest_queued_seconds"] < 120
    assert 90 <= samples["crm_mail_outgoing_overdue_seconds"] < 120


def test_an_empty_installation_has_metrics_too(client: Client) -> None:
    """Nothing is due, nothing waits."""
    assert metrics(client)["crm_mail_oldest_due_seconds"] == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"REMOTE_ADDR": "203.0.113.9"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"},
        {"REMOTE_ADDR": "203.0.113.9", "HTTP_AUTHORIZATION": "Bearer "},
        {"REMOTE_ADDR": "203.0.113.9", "HTTP_AUTHORIZATION": "Bearer wröng"},
    ],
)
def test_others_find_no_metrics(client: Client, asked: dict[str, str]) -> None:
    """Also not through a proxy on this machine, and no token means that none opens."""
    assert client.get("/metrics", **asked).status_code == 404


def test_a_token_opens_the_metrics_from_elsewhere(client: Client, settings: Any) -> None:
    """For a Prometheus on another host."""
    settings.METRICS_TOKEN = "long and secret"
    asked = {"REMOTE_ADDR": "203.0.113.9", "HTTP_AUTHORIZATION": "Bearer long and secret"}
    assert client.get("/metrics", **asked).status_code == 200
