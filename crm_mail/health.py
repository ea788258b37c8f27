"""What machines ask: is it alive, can it serve, how is fetching going (R40)."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from django.conf import settings
from django.core.cache import cache
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min, Sum
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from accounts.models import Mailbox
from fetcher.models import FetchRun
from fetcher.scheduling import due
from mail.models import Message
from sender.models import Outgoing
from sender.scheduling import due as due_messages

_ON_THE_WAY = tuple(
    str(status)
    for status in (Outgoing.Status.QUEUED, Outgoing.Status.SENDING, Outgoing.Status.FAILED, Outgoing.Status.UNKNOWN)
)


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """The process answers."""
    return JsonResponse({"status": "live"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """Whether requests can be served; 503 names what is not ready, without details that could help an attacker."""
    checks: dict[str, Callable[[], bool]] = {
        "database": _database_answers,
        "cache": _cache_answers,
        "migrations": _migrations_are_applied,
    }
    failing = [name for name, check in checks.items() if not check()]
    if failing:
        return JsonResponse({"status": "not ready", "not_ready": failing}, status=503)
    return JsonResponse({"status": "ready"})


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics, read from the database now. For the machine itself and for who knows the token; else 404."""
    if not (_is_from_this_machine(request) or _knows_the_token(request)):
        raise Http404
    registry = CollectorRegistry()
    registry.register(FetchingCollector())
    registry.register(SendingCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class FetchingCollector(Collector):
    """How fetching goes, over all organisations and without a name or address of anybody."""

    def collect(self) -> Iterator[Metric]:
        """What is kept in rows; seven queries, whatever the number of mailboxes."""
        mailboxes = GaugeMetricFamily("crm_mail_mailboxes", "POP3 mailboxes by state.", labels=["state"])
        for state, number in _mailboxes_by_state().items():
            mailboxes.add_metric([state], number)
        yield mailboxes
        waiting = due()
        late = _seconds_since(waiting.values_list("next_fetch_at", flat=True).first())
        yield GaugeMetricFamily("crm_mail_mailboxes_due", "Mailboxes whose time has come.", value=waiting.count())
        yield GaugeMetricFamily(
            "crm_mail_oldest_due_seconds", "How long the longest overdue mailbox waits.", value=late
        )
        yield GaugeMetricFamily(
            "crm_mail_fetches_running",
            "Polls that are going on.",
            value=FetchRun.objects.filter(finished=None, state=FetchRun.State.RUNNING).count(),
        )
        failing = GaugeMetricFamily(
            "crm_mail_mailboxes_failing", "Mailboxes whose last poll failed, by what went wrong.", labels=["kind"]
        )
        for kind, number in _mailboxes_by_error():
            failing.add_metric([kind], number)
        yield failing
        fetched = Mailbox.objects.aggregate(messages=Sum("fetched_messages"), bytes=Sum("fetched_bytes"))
        yield CounterMetricFamily(
            "crm_mail_fetched_messages", "Messages fetched and stored.", value=fetched["messages"] or 0
        )
        yield CounterMetricFamily("crm_mail_fetched_bytes", "Their size on the servers.", value=fetched["bytes"] or 0)
        yield GaugeMetricFamily("crm_mail_messages", "Messages stored.", value=Message.objects.count())


class SendingCollector(Collector):
    """How sending goes, over all organisations and without a name or address of anybody."""

    def collect(self) -> Iterator[Metric]:
        """What is kept in rows; three queries."""
        messages = GaugeMetricFamily(
            "crm_mail_outgoing", "Messages written here that are on their way, or need their sender.", labels=["status"]
        )
        numbers = dict.fromkeys(_ON_THE_WAY, 0)
        found = Outgoing.objects.filter(status__in=_ON_THE_WAY).values_list("status").annotate(number=Count("pk"))
        numbers.update(found.order_by())
        for status, number in numbers.items():
            messages.add_metric([status], number)
        yield messages
        waiting = Outgoing.objects.filter(status=Outgoing.Status.QUEUED)
        yield GaugeMetricFamily(
            "crm_mail_oldest_queued_seconds",
            "How long ago the message was sent off that waits longest, tries included.",
            value=_seconds_since(waiting.aggregate(oldest=Min("queued_at"))["oldest"]),
        )
        yield GaugeMetricFamily(
            "crm_mail_outgoing_overdue_seconds",
            "How long the longest overdue message waits for a worker.",
            value=_seconds_since(due_messages().values_list("due_at", flat=True).first()),
        )


def _seconds_since(moment: datetime | None) -> float:
    return max((timezone.now() - moment).total_seconds(), 0.0) if moment else 0.0


def _mailboxes_by_state() -> dict[str, int]:
    numbers = dict.fromkeys(Mailbox.State.values, 0)
    rows = (
        Mailbox.objects.filter(kind=Mailbox.Kind.POP3)
        .values_list("state", "is_active", "owner__is_active")
        .annotate(number=Count("pk"))
        .order_by()
    )
    for state, is_active, owner_is_active, number in rows:
        numbers[state if is_active and owner_is_active else Mailbox.State.PAUSED] += number
    return numbers


def _mailboxes_by_error() -> Iterable[tuple[str, int]]:
    failing = Mailbox.objects.connected().exclude(error_kind="")
    return failing.values_list("error_kind").annotate(number=Count("pk")).order_by("error_kind")


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except Error:
        return False


def _cache_answers() -> bool:
    probe = secrets.token_hex(8)
    try:
        cache.set("health", probe, 60)
        return cache.get("health") is not None
    except Exception:  # noqa: BLE001 - each cache has its own errors; any of them means that it is not ready
        return False


def _migrations_are_applied() -> bool:
    try:
        executor = MigrationExecutor(connection)
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        return False


def _is_from_this_machine(request: HttpRequest) -> bool:
    """Whether nobody but this machine asks: a proxy beside us connects from loopback too, but says for whom."""
    if "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _knows_the_token(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    return bool(token) and secrets.compare_digest(given.encode(), f"Bearer {token}".encode())
