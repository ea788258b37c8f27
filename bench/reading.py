"""`make bench-reading`: what pages cost at 100,000 and at 1,000,000 messages, on PostgreSQL.

300 mailboxes, a third in each sharing mode, 20,000 customers of whom some have thousands of messages. Each page is
asked for by random viewers through the whole of Django; its figures are queries, milliseconds of server time, and those
of processor time, with the database's, which say more where others use the machine too. Both sizes have the same people
and customers. The aims: at most 12 queries, 50 ms in 95 of 100 requests, and at the large size at most 1.3 times what
the small one takes; searches may take 200 ms. The statements' plans must not read all messages. "Further" pages are
those behind the link at the end of a list. A tenth of all mail is one user's, in one folder, a fifth of that with one
label. Of words some are in most messages, some in hardly any; "all private" and "ticks only" are searches while a rule
of the administrators hides nearly everything. What the machine itself did between the sizes shows in the calibration: a
fixed piece of work in Python and the database.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

# ruff: noqa: E402
import django

import tests.environment  # noqa: F401  # must come before Django's settings are read

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")
django.setup()

from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

import crm_mail.wsgi  # noqa: F401  # as the server that is measured starts
from accounts.models import Organization, User
from bench.corpus import generate
from bench.database import database
from bench.population import (
    ARCHIVE,
    VOCABULARY,
    WORDS,
    Owner,
    Population,
    check,
    grow,
    hoard,
    mark_reading,
    populate,
    stored,
)
from mail import blobs
from mail.models import Correspondence, Labelling, Message, Participant, RawChunk, SearchEntry, Thread
from sharing.models import SharingRule

MOST_QUERIES, MOST_MS, MOST_GROWTH = 12, 50.0, 1.3
SEARCH_MS = 200.0
WARM_UP = 20
#: Of so many messages one is opened at random.
READ = 200
#: Further pages of records are those of this many with the most mail; the others' lists mostly end on the first.
LONGEST_RECORDS = 20
#: How many lists are looked at for one that goes on, before a further page counts as absent.
TRIES = 50
_MORE = re.compile(r'href="([^"]*[?&;]cursor=[^"]*)"')
LARGE_TABLES = {
    model._meta.db_table for model in (Message, Participant, Correspondence, Thread, Labelling, SearchEntry)
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What a page cost: most queries of a request, median and 95th percentile of milliseconds, and of processor time."""

    queries: int
    median: float
    p95: float
    cpu: float
    cpu_p95: float


@dataclass(frozen=True, slots=True)
class Page:
    """Something to ask for: where it is, at random, and whether what is meant is the page that follows it."""

    url: Callable[[], str]
    further: bool = False
    #: Who asks; anybody if None.
    viewer: Owner | None = None
    #: The part of the page that is asked for by htmx, if any.
    part: str = ""
    #: A mode that is fixed for all members meanwhile, if any.
    mode: str = ""

    @contextmanager
    def circumstances(self, population: Population) -> Iterator[None]:
        """The rule that is to hold while it is asked for."""
        rules = SharingRule.objects.filter(organization=population.organization)
        if self.mode:
            rules.create(organization=population.organization, role="member", mode=self.mode, is_fixed=True)
        try:
            yield
        finally:
            rules.delete()

    def address(self, client: Client) -> str | None:
        """An address, None if no list went on to a further page."""
        if not self.further:
            return self.url()
        for _ in range(TRIES):
            first = self.url()
            link = _MORE.search(client.get(first).content.decode())
            if link:
                return urljoin(first, html.unescape(link[1]))
        return None

    def ask(self, client: Client, address: str) -> None:
        """Get it as a browser does: further pages as fragments. Exits with a sentence if it is not there."""
        part = self.part or ("further-from-here" if self.further else "")
        answer = client.get(address, headers={"HX-Request": "true", "HX-Target": part} if part else None)
        if answer.status_code not in {200, 204}:
            raise SystemExit(f"{address} answered {answer.status_code}")


class Statements:
    """Counts what a request asks of the database and, if asked to, keeps it."""

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[tuple[str, Any]] = []

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.count += 1
        self.kept.append((sql, params))
        return execute(sql, params, many, context)


@contextmanager
def counted() -> Iterator[Statements]:
    """The statements of the block."""
    statements = Statements()
    with connection.execute_wrapper(statements):
        yield statements


def pages(population: Population, rng: random.Random) -> dict[str, Page]:
    """Each page, at a random address whenever asked for. Records are chosen in proportion to their mail."""

    def record(among: int = len(population.customers)) -> str:
        place = rng.choices(range(among), cum_weights=population.weights[:among])[0]
        return reverse("customer", args=["leads" if place % 2 else "contacts", population.customers[place]])

    hoarder = population.owners[0]
    account = hoarder.user.mail_account
    folder = reverse("mail-folder", args=[account.folders.get(name=ARCHIVE).pk])
    label = reverse("mail-label", args=[account.labels.get(name=ARCHIVE).pk])

    read = readable(hoarder.user)

    def colleague() -> str:
        return f"{reverse('shared')}?colleague={rng.choice(population.owners).user.pk}"

    return {
        "related list": Page(record),
        "related list, further": Page(lambda: record(min(LONGEST_RECORDS, len(population.customers))), further=True),
        "shared feed": Page(lambda: reverse("shared")),
        "shared feed, further": Page(lambda: reverse("shared"), further=True),
        "shared feed of a colleague": Page(colleague),
        "inbox": Page(lambda: reverse("mail")),
        "large folder": Page(lambda: folder, viewer=hoarder),
        "large folder, further": Page(lambda: folder, viewer=hoarder, further=True),
        "large folder, unread": Page(lambda: f"{folder}?show=unread", viewer=hoarder),
        "large label": Page(lambda: label, viewer=hoarder),
        "large label, unread": Page(lambda: f"{label}?show=unread", viewer=hoarder),
        "large folder, is anything new": Page(
            lambda: f"{folder}?since={population.next_message}", viewer=hoarder, part="mail-arrivals"
        ),
        "message": Page(lambda: reverse("message", args=[rng.choice(read)]), viewer=hoarder),
        "frame of a message": Page(lambda: reverse("message-html", args=[rng.choice(read)]), viewer=hoarder),
        "count of unread": Page(lambda: reverse("unread")),
        "home": Page(lambda: reverse("home")),
        "waiting for an answer": Page(lambda: reverse("home-answers")),
        "waiting, further": Page(lambda: reverse("answers"), further=True),
        "unread by customer": Page(lambda: reverse("home-unread")),
        **searches(population, rng),
    }


def readable(owner: User) -> list[int]:
    """Messages of somebody, given the bytes of the corpus to be read: text and HTML, some with attachments."""
    messages = list(Message.objects.owned_by(owner).order_by("-pk")[:READ])
    with transaction.atomic():
        RawChunk.objects.filter(message__in=messages).delete()
        raws = generate(READ, seed=1, customers=400, attachments=0.05)
        blobs.store((message, blobs.Compressed(raw)) for message, raw in zip(messages, raws, strict=False))
    return [message.pk for message in messages]


def searches(population: Population, rng: random.Random) -> dict[str, Page]:
    """Searches of each kind."""

    def among(first: int, last: int) -> str:
        return VOCABULARY[rng.randrange(first, last)]

    def searched(q: Callable[[], str], **options: Any) -> Page:
        return Page(lambda: f"{reverse('search')}?{urlencode({'q': q()})}", **options)

    def with_operators() -> str:
        person = rng.choice(population.addresses[population.place()])
        return rng.choice(
            [
                f"from:{person} after:1y ",
                f"subject:order has:attachment {among(0, 50)} ",
                f"{among(0, 50)} {among(50, 500)} -{among(0, 200)} is:sent before:30d ",
                f"customer:{person} {among(0, 20)} ",
                f"is:unread {among(0, 20)} ",
            ]
        )

    def common() -> str:
        return f"{among(0, 20)} "

    return {
        "search: rare word": searched(lambda: f"{among(20_000, WORDS)} "),
        "search: middling word": searched(lambda: f"{among(100, 3_000)} "),
        "search: common word": searched(common),
        "search: common word, further": searched(common, further=True),
        "search: common, all private": searched(common, mode="private"),
        "search: common, ticks only": searched(common, mode="custom"),
        "search: middling, ticks only": searched(lambda: f"{among(100, 3_000)} ", mode="custom"),
        "search: several words": searched(lambda: f"{among(0, 50)} {among(0, 500)} {among(0, 5_000)} "),
        "search: phrase": searched(lambda: f'"{among(0, 30)} {among(0, 30)}" '),
        "search: beginning": searched(lambda: among(0, 3_000)[:4]),
        "search: operators": searched(with_operators),
        "search: has attachment": searched(lambda: "has:attachment "),
    }


def chosen(population: Population, options: argparse.Namespace, rng: random.Random) -> dict[str, Page]:
    """The pages that are to be measured."""
    return {name: page for name, page in pages(population, rng).items() if options.only in name}


def measure(population: Population, page: Page, requests: int, rng: random.Random) -> Figures | None:
    """Ask for a page as random viewers, `requests` times after a warm-up; None where there is no such page."""
    client = Client()
    times, worked, queries = [], [], 0
    for number in range(WARM_UP + requests):
        client.force_login((page.viewer or rng.choice(population.owners)).user)
        address = page.address(client)
        if address is None:
            return None
        with counted() as statements:
            start, work = time.perf_counter(), processor_time()
            page.ask(client, address)
            elapsed, work = time.perf_counter() - start, processor_time() - work
        if number >= WARM_UP:
            times.append(elapsed * 1000)
            worked.append(work * 1000)
            queries = max(queries, statements.count)
    return Figures(queries, *middle_and_most(times), *middle_and_most(worked))


def middle_and_most(figures: Sequence[float]) -> tuple[float, float]:
    """Their median and 95th percentile."""
    return statistics.median(figures), statistics.quantiles(figures, n=20)[18]


def processor_time() -> float:
    """Seconds of it that this process has had, and the database's that answers it, where Linux can tell."""
    own = time.process_time()
    if connection.vendor != "postgresql" or connection.connection is None:
        return own
    try:
        # The first number is nanoseconds on a processor (Linux, Documentation/scheduler/sched-stats).
        schedule = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text()
    except FileNotFoundError:  # elsewhere: it is not on this machine
        return own
    return own + int(schedule.split()[0]) / 1e9


def sequential_scans(population: Population, page: Page, *, explain: bool, rng: random.Random) -> list[str]:
    """The large tables that statements of one request read from end to end, with the statement.

    With `explain` all plans are printed, as they were carried out.
    """
    client = Client()
    client.force_login((page.viewer or rng.choice(population.owners)).user)
    address = page.address(client)
    if address is None:
        return []
    with counted() as statements:
        page.ask(client, address)
    found: list[str] = []
    for sql, plan in planned(statements, explain=explain):
        tables = {str(node.get("Relation Name")) for node in nodes(plan) if node.get("Node Type") == "Seq Scan"}
        found += [f"{table}, in: {sql[:160]}…" for table in sorted(tables & LARGE_TABLES)]
    return found


def planned(statements: Statements, *, explain: bool = False) -> Iterator[tuple[str, Any]]:
    """The statements with the plan that PostgreSQL makes for each; with `explain` printed, those that read as carried out.

    Statements that add rows have none.
    """
    with connection.cursor() as cursor:
        for sql, params in statements.kept:
            reads = sql.lstrip("( ").startswith(("SELECT", "WITH"))
            if not reads and not sql.startswith(("UPDATE", "DELETE")):
                continue
            if explain:
                cursor.execute(f"EXPLAIN ({'ANALYZE, BUFFERS' if reads else 'VERBOSE'}) {sql}", params)
                print(sql[:3000], *(row[0] for row in cursor.fetchall()), "", sep="\n")
            cursor.execute("EXPLAIN (FORMAT JSON) " + sql, params)
            plan = cursor.fetchone()[0]
            yield sql, json.loads(plan) if isinstance(plan, str) else plan


def nodes(plan: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a plan."""
    if isinstance(plan, list):
        for each in plan:
            yield from nodes(each)
    elif isinstance(plan, dict):
        yield plan
        for value in plan.values():
            yield from nodes(value)


def calibration() -> float:
    """Milliseconds of a fixed piece of work, to see whether the machine itself was slower at one of the sizes."""
    times = []
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(200):
            sum(range(2000))
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def people(options: argparse.Namespace) -> Population:
    """The organisation to measure, new, or the one that an earlier run has kept."""
    try:
        found = stored(seed=options.seed)
    except Organization.DoesNotExist:
        return populate(users=options.users, customers=options.customers, seed=options.seed)
    if not options.reuse:
        raise SystemExit(
            "The test database still has the data of an earlier run: measure them with --reuse, or drop it."
        )
    print(f"{found.made:,} messages of {len(found.owners)} users are there from an earlier run")
    return found


def run(options: argparse.Namespace) -> bool:
    """Make the data, measure at each size, print the table; whether every aim was met."""
    population = people(options)
    sizes = sorted({max(int(size), population.made) for size in options.sizes.split(",")})
    results: dict[int, dict[str, Figures | None]] = {}
    for size in sizes:
        start = time.perf_counter()
        hoard(population, size // 10)
        grow(population, size)
        check(population)
        mark_reading(population)
        made = time.perf_counter() - start
        print(f"{size:,} messages made in {made:.0f} s; calibration {calibration():.1f} ms", flush=True)
        rng = random.Random(options.seed)
        results[size] = {}
        for name, page in chosen(population, options, rng).items():
            print(f"  {name} …", end="\r", file=sys.stderr, flush=True)
            with page.circumstances(population):
                results[size][name] = measure(population, page, options.requests, rng)
        print(f"measured; calibration {calibration():.1f} ms", flush=True)
    fits = table(results)
    if connection.vendor != "postgresql":
        print("plans: read on PostgreSQL only")
        return fits
    return plans(population, options) and fits


def table(results: dict[int, dict[str, Figures | None]]) -> bool:
    """Print the figures, each with its ratio to the smallest size; whether all are within the aims."""
    smallest, largest = min(results), max(results)
    within = True
    print(
        f"{'page':28} {'messages':>10} {'queries':>7} {'median ms':>9} {'p95 ms':>7} {'x median':>8} {'x p95':>6} "
        f"{'cpu ms':>6} {'p95':>6} {'x cpu':>6}"
    )
    for name in results[smallest]:
        base = results[smallest][name]
        for size, figures in sorted((size, each[name]) for size, each in results.items()):
            if figures is None:
                print(f"{name:28} {size:>10,} no list goes on to a further page")
                continue
            growth = figures.p95 / base.p95 if base else 1.0
            median = figures.median / base.median if base else 1.0
            work = figures.cpu / base.cpu if base else 1.0
            missed = _missed(name, figures, growth if size == largest else 1.0, at_large=size == largest)
            within &= not missed
            print(
                f"{name:28} {size:>10,} {figures.queries:>7} {figures.median:>9.1f} {figures.p95:>7.1f} "
                f"{median:>8.2f} {growth:>6.2f} {figures.cpu:>6.1f} {figures.cpu_p95:>6.1f} {work:>6.2f} "
                f"{f'not ok: {missed}' if missed else 'ok'}"
            )
    return within


def _missed(name: str, figures: Figures, growth: float, *, at_large: bool) -> str:
    """The aims that a page misses, in words."""
    is_search = name.startswith("search")
    most = SEARCH_MS if is_search else MOST_MS
    aims = {
        f"more than {MOST_QUERIES} queries": figures.queries > MOST_QUERIES,
        f"over {most:.0f} ms": at_large and figures.p95 > most,
        f"over {MOST_GROWTH} times": growth > MOST_GROWTH and not is_search,
    }
    return ", ".join(name for name, is_missed in aims.items() if is_missed)


def plans(population: Population, options: argparse.Namespace) -> bool:
    """Print which statements read a large table from end to end at the largest size; whether none does."""
    rng = random.Random(options.seed)
    found = [
        f"plans: {name} reads all of {scan}"
        for name, page in chosen(population, options, rng).items()
        for scan in sequential_scans(population, page, explain=options.explain, rng=rng)
    ]
    print(*found or ["plans: no sequential scan of messages, participants, correspondences or threads"], sep="\n")
    return not found


def main() -> None:
    """Measure and exit with 1 where an aim is missed."""
    parser = argparse.ArgumentParser(prog="make bench-reading", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--sizes", default="100000,1000000", help="numbers of messages, the smallest first")
    parser.add_argument("--requests", type=int, default=200, help="requests a page")
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--explain", action="store_true", help="print the plan of every statement")
    parser.add_argument("--only", default="", metavar="TEXT", help="pages with this in their name, such as search")
    parser.add_argument("--keep", action="store_true", help="leave the database, for a run with --reuse")
    parser.add_argument("--reuse", action="store_true", help="measure what a run with --keep has left, and leave it")
    parser.add_argument("--allow-sqlite", action="store_true", help="try it on SQLite; the aims are for PostgreSQL")
    options = parser.parse_args()
    if connection.vendor != "postgresql" and not options.allow_sqlite:
        raise SystemExit("This measures PostgreSQL: set DATABASE_URL, or run it with `make bench-reading`.")
    if options.requests < 2:
        parser.error("--requests must be 2 or more")
    keep = options.keep or options.reuse
    settings.ALLOWED_HOSTS = ["testserver"]  # not the test environment, which copies each context that is rendered
    with database(keep=keep):
        within = run(options)
    sys.exit(0 if within else 1)


if __name__ == "__main__":
    main()
