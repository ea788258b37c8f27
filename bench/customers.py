"""`make bench-customers`: lists of 20,000 customers, linking stored mail, and importing 100,000 rows, on PostgreSQL.

The organisation is that of `bench.reading`, with a million messages. Lists are asked for by random viewers in Custom
mode; the aims are 12 queries, 50 ms in 95 of 100 requests, and no statement that reads all messages. Mail with a new
address is linked within a second, by index, and leaves as fast. The figures of `bench.importing` come last.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

# ruff: noqa: E402
import django

import tests.environment  # noqa: F401  # must come before Django's settings are read

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")
django.setup()

from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse

from bench import importing
from bench.database import database
from bench.population import MODES, Population, check, grow
from bench.reading import (
    LARGE_TABLES,
    MOST_MS,
    MOST_QUERIES,
    Page,
    Statements,
    counted,
    measure,
    nodes,
    people,
    planned,
)
from customers.changes import change_customer, create_customer
from mail.matching import LINKED_AT_ONCE, link_further
from mail.models import Backfill, Correspondence, Message, Participant

LINKED = 500
#: More than are linked while somebody waits.
VERY_MANY = 20_000
MOST_SECONDS = 1.0


def lists(population: Population, rng: random.Random) -> dict[str, Page]:
    """Each way to narrow and sort a list, with random words and colleagues."""

    def asked(**query: Callable[[], object]) -> Page:
        def address() -> str:
            words = {name: value() for name, value in query.items()}
            return reverse("customer-list", args=[rng.choice(["leads", "contacts"])], query=words)

        return Page(address)

    def number() -> int:
        return rng.randrange(len(population.customers))

    return {
        "all, by name": asked(),
        "all, page 150": asked(page=lambda: 150),
        "by company": asked(order=lambda: "company"),
        "by company, page 150": asked(order=lambda: "company", page=lambda: 150),
        "newest first": asked(order=lambda: "newest"),
        "search: one name": asked(search=lambda: f"First{number()}"),
        "search: an address": asked(search=lambda: f"person{number()}@customer"),
        "search: what most have": asked(search=lambda: "company"),
        "search: three words": asked(search=lambda: f"First{number()} company example"),
        "owner: a colleague": asked(owner=lambda: rng.choice(population.owners).user.pk),
        "owner: nobody": asked(owner=lambda: "nobody"),
        "with unread mail": asked(only=lambda: "unread"),
        "shared by me": asked(only=lambda: "shared"),
        "unread, searched, by company": asked(only=lambda: "unread", search=lambda: "first1", order=lambda: "company"),
    }


def measure_lists(population: Population, options: argparse.Namespace) -> bool:
    """Print what each list costs and by which indexes it is read; whether the aims are met."""
    rng = random.Random(options.seed)
    viewers = replace(population, owners=population.owners[MODES.index("custom") :: len(MODES)])
    is_right = True
    print(f"{'list':28} {'queries':>7} {'median ms':>9} {'p95 ms':>7}")
    for name, page in lists(population, rng).items():
        figures = measure(viewers, page, options.requests, rng)
        assert figures is not None
        client = Client()
        client.force_login(rng.choice(viewers.owners).user)
        with counted() as statements:
            page.ask(client, page.url())
        indexes, whole = read_by(statements, explain=options.explain)
        fits = figures.queries <= MOST_QUERIES and figures.p95 <= MOST_MS and not set(whole) & LARGE_TABLES
        is_right &= fits
        print(
            f"{name:28} {figures.queries:>7} {figures.median:>9.1f} {figures.p95:>7.1f} {_word(fits)}; "
            f"by {_listed(indexes)}; end to end {_listed(whole)}",
            flush=True,
        )
    return is_right


def read_by(statements: Statements, *, explain: bool) -> tuple[list[str], list[str]]:
    """The indexes by which statements read customers and mail, and those of their tables that they read from end to end."""
    found: list[dict[str, Any]] = [node for _, plan in planned(statements, explain=explain) for node in nodes(plan)]
    indexes = {str(node["Index Name"]) for node in found if "Index Name" in node}
    tables = {str(node["Relation Name"]) for node in found if node.get("Node Type") == "Seq Scan"}
    beside = ("accounts_", "django_", "sharing_")
    return (
        sorted(name for name in indexes if not name.startswith(beside)),
        sorted(name for name in tables if not name.startswith(beside)),
    )


class Linking:
    """Addresses that are given to customers and taken away again, each change timed and looked at."""

    def __init__(self, population: Population, options: argparse.Namespace) -> None:
        self.is_right = True
        self._explain = options.explain
        self._made = population.made
        self._fields = {"organization": population.organization, "kind": "lead", "last_name": "New"}
        rng = random.Random(options.seed)
        self._some = spread("some@unknown.example", LINKED, rng)
        self._very_many = spread("many@unknown.example", min(VERY_MANY, population.made // 10), rng)

    def measure(self) -> bool:
        """Whether each change was done in its time, by index."""
        address = "some@unknown.example"
        made = self._timed(
            f"a new customer with {self._some} of {self._made:,} messages",
            lambda: create_customer(addresses=[address], **self._fields),
            self._some,
        )
        self._timed("its address taken away", lambda: change_customer(made, addresses=[], keep_earlier_mail=False), 0)
        self._timed("and given again", lambda: change_customer(made, addresses=[address]), self._some)
        change_customer(made, addresses=[], keep_earlier_mail=False)
        self._measure_very_many()
        return self.is_right

    def _measure_very_many(self) -> None:
        address = "many@unknown.example"
        made = self._timed(
            f"a new customer with {self._very_many:,} messages, the newest at once",
            lambda: create_customer(addresses=[address], **self._fields),
            min(self._very_many, LINKED_AT_ONCE),
        )
        step = 1
        while backfill := Backfill.objects.filter(customer=made).first():
            step += 1
            linked = min(self._very_many, step * LINKED_AT_ONCE)
            self._timed(f"step {step} of a worker", partial(link_further, backfill), linked)
        self._timed("its address taken away", lambda: change_customer(made, addresses=[], keep_earlier_mail=False), 0)

    def _timed(self, what: str, deed: Callable[[], Any], expected: int) -> Any:
        with counted() as statements:
            started = time.perf_counter()
            outcome = deed()
            seconds = time.perf_counter() - started
        links = Correspondence.objects.filter(address__endswith="@unknown.example").count()
        _, whole = read_by(statements, explain=self._explain)
        fits = seconds <= MOST_SECONDS and links == expected and not set(whole) & LARGE_TABLES
        self.is_right &= fits
        print(
            f"{what}: {seconds * 1000:.0f} ms, {statements.count} statements, then {links:,} links; "
            f"end to end {_listed(whole)}: {_word(fits)}",
            flush=True,
        )
        return outcome


def spread(address: str, count: int, rng: random.Random) -> int:
    """Have `count` received messages from nobody known, all over the table, be from `address`; how many these are.

    Those that an earlier run left are enough.
    """
    there = Message.objects.filter(from_address=address).count()
    if there:
        return there
    strangers = Message.objects.filter(has_customer=False, direction="received").exclude(
        from_address__endswith="@unknown.example"
    )
    chosen = rng.sample(list(strangers.order_by("pk").values_list("pk", flat=True)), count)
    Message.objects.filter(pk__in=chosen).update(from_address=address)
    people = Participant.objects.filter(message__in=chosen, role="from")
    return people.update(address=address, domain="unknown.example")


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _word(fits: bool) -> str:
    return "ok" if fits else "not ok"


def run(options: argparse.Namespace) -> bool:
    """Make the organisation and measure what was asked for; whether every aim was met."""
    is_right = True
    if options.messages:
        population = people(options)
        if population.made < options.messages:
            grow(population, options.messages)
            check(population)
        is_right &= measure_lists(population, options)
        is_right &= Linking(population, options).measure()
    if options.rows:
        is_right &= importing.run(options.rows, options.seed)
    return is_right


def main() -> None:
    """Measure and exit with 1 where an aim is missed."""
    parser = argparse.ArgumentParser(prog="make bench-customers", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--messages", type=int, default=1_000_000, help="0 leaves lists and linking out")
    parser.add_argument("--rows", type=int, default=100_000, help="of the file to import; 0 leaves it out")
    parser.add_argument("--requests", type=int, default=40, help="requests a list")
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--explain", action="store_true", help="print the plan of every statement")
    parser.add_argument("--keep", action="store_true", help="leave the database, for a run with --reuse")
    parser.add_argument("--reuse", action="store_true", help="measure what a run with --keep has left, and leave it")
    options = parser.parse_args()
    if connection.vendor != "postgresql":
        raise SystemExit("This measures PostgreSQL: set DATABASE_URL, or run it with `make bench-customers`.")
    settings.ALLOWED_HOSTS = ["testserver"]
    with database(keep=options.keep or options.reuse):
        is_right = run(options)
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
