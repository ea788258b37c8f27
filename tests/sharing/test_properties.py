"""Every surface shows of any world exactly what the contract allows: random worlds against an oracle (sharing.md, R20–R26).

`CRM_MAIL_WORLDS` says how many worlds are tried.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from random import Random

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from accounts.mailboxes import NotPossible
from accounts.models import MailDomain
from customers.changes import change_customer
from customers.importing import Import, Table, guess_mapping
from customers.models import Customer, RecordChange
from customers.syncing import Upsert, upsert
from mail import conversations, walking
from mail.deeds import delete_message, move_message
from mail.models import Folder
from sharing import feed, records, searching
from sharing.administering import add_mail_domain, change_mailbox, change_user, remove_mail_domain
from sharing.policies import keep_private, set_policy, tick, untick
from sharing.preview import preview
from sharing.rules import drop_rule, set_rule
from tests.sharing.surfaces import Surfaces, openings
from tests.sharing.worlds import (
    CRM_BOX,
    DOMAINS,
    INSIDE,
    MODES,
    ORGANIZATIONS,
    OUTSIDE,
    OWNERS,
    Built,
    Converted,
    Gone,
    Pool,
    Record,
    World,
    box_addresses,
    build,
    make_pool,
    worlds,
)

COUNT = int(os.environ.get("CRM_MAIL_WORLDS", "12"))
ALLOWING = {2, 8, 9}


def covers(domain: str, address: str) -> bool:
    """*domain D covers an address*."""
    return f".{address.partition('@')[2]}".endswith(f".{domain}")


@dataclass
class Oracle:
    """The contract, read from plain data alone: sharing.md's words and table, and R25. It knows nothing of the product."""

    world: World

    def org(self, person: int) -> int:
        """The organisation of somebody."""
        return ORGANIZATIONS[person]

    def own_addresses(self, person: int) -> set[str]:
        """*own addresses*: sign-in, and all mailboxes, active or not; each has a CRM Mail account besides."""
        home = ("our.example", "rival.example")[self.org(person)]
        boxes = {box.address for box, owner in zip(self.world.boxes, OWNERS, strict=True) if owner == person}
        return {self.world.people[person].login, f"mail{person}@{home}", *boxes}

    def is_internal(self, address: str, org: int) -> bool:
        """*internal address*: anybody's own, deactivated or not, or at one of the organisation's mail domains."""
        return any(covers(domain, address) for domain in self.world.domains[org]) or any(
            address in self.own_addresses(person) for person, home in enumerate(ORGANIZATIONS) if home == org
        )

    def direction(self, number: int) -> str:
        """*sent* if the first address in From is the owner's own."""
        sender = self.world.mails[self.world.content(number)].sender[:1]
        return "sent" if set(sender) & self.own_addresses(self.world.owner(number)) else "received"

    def correspondents(self, number: int) -> set[int]:
        """*correspondent customer*: the first From of what was received, To and Cc of what was sent, never internal."""
        content, org = self.world.mails[self.world.content(number)], self.org(self.world.owner(number))
        addresses = [*content.to, *content.cc] if self.direction(number) == "sent" else content.sender[:1]
        outside = {address for address in addresses if not self.is_internal(address, org)}
        return {
            place
            for place, customer in enumerate(self.world.customers)
            if customer.org == org and not customer.gone and outside.intersection(customer.addresses)
        }

    def fixed_mode(self, person: int) -> str:
        """What the user's rule, or else that of their role, fixes; empty where the choice is theirs (R25)."""
        rules = self.world.rules if self.org(person) == 0 else {}
        mode, is_fixed = rules.get(person) or rules.get(self.world.people[person].role) or ("", False)
        return mode if is_fixed else ""

    def mode(self, box: int) -> str | None:
        """What holds for a mailbox."""
        return self.fixed_mode(OWNERS[box]) or self.world.boxes[box].mode or None

    def has_excluded_participant(self, number: int) -> bool:
        """Line 7: somebody outside is covered; who can't be read may be (*the more private one holds*)."""
        org, excluded = self.org(self.world.owner(number)), self.world.boxes[self.world.mails[number].box].excluded
        content = self.world.mails[self.world.content(number)]
        participants = {*content.sender, *content.to, *content.cc, *content.bcc, *content.others}
        if content.bcc:
            participants.add("hidden@secret.example")
        outside = [address for address in participants if not self.is_internal(address, org)]
        return any(covers(domain, address) for domain in excluded for address in outside) or bool(
            content.unreadable and excluded
        )

    def colleagues_line(self, number: int) -> int:
        """The first of lines 3 to 10 that applies."""
        mail, owner = self.world.mails[number], self.world.owner(number)
        if mail.private or (owner, self.world.root(number)) in self.world.kept_threads:
            return 3
        if mail.trash or mail.draft:
            return 4
        mode, customers = self.mode(mail.box), self.correspondents(number)
        if mode not in {"public", "custom"}:
            return 5
        if not customers:
            return 6
        if mode == "public":
            return 7 if self.has_excluded_participant(number) else 8
        return 9 if any((owner, customer) in self.world.ticks for customer in customers) else 10

    def line(self, viewer: int, number: int) -> int:
        """The line of the table that decides."""
        owner = self.world.owner(number)
        if not self.world.people[viewer].active or self.org(viewer) != self.org(owner):
            return 1
        return 2 if viewer == owner else self.colleagues_line(number)

    def is_shared(self, number: int) -> bool:
        """Whether the owner's active colleagues may see it."""
        return self.colleagues_line(number) in ALLOWING

    def seen_by(self, viewer: int) -> set[int]:
        """The messages that somebody may see."""
        return {number for number in range(len(self.world.mails)) if self.line(viewer, number) in ALLOWING}

    def viewers(self, number: int) -> set[int]:
        """Who may see a message besides its owner."""
        people = set(range(len(self.world.people))) - {self.world.owner(number)}
        return {person for person in people if self.line(person, number) in ALLOWING}

    def is_related(self, number: int, customer: int) -> bool:
        """Whether a record lists it for those who may see it."""
        return not self.world.mails[number].trash and customer in self.correspondents(number)

    def is_customer_mail(self, viewer: int, number: int) -> bool:
        """Whether the home page may list it for those who may see it."""
        mail = self.world.mails[number]
        return not mail.trash and not mail.draft and bool(self.correspondents(number))

    def reveals(self, person: int, customer: int) -> int | None:
        """How many messages a tick of somebody's on a record reveals; None where no tick is offered (R21, R22)."""
        boxes = [box for box, owner in enumerate(OWNERS) if owner == person and self.mode(box) == "custom"]
        if not boxes:
            return None
        found = [number for number, mail in enumerate(self.world.mails) if mail.box in boxes]
        return sum(
            self.colleagues_line(number) in {9, 10} and customer in self.correspondents(number) for number in found
        )


@dataclass
class Step:
    """One change: what it does to the plain data, the same deed by the product, and whether the product refuses it.

    `previewed` are the people whose mail a preview of it tells of, None where there is none.
    """

    text: str
    plain: Callable[[World], object]
    deed: Callable[[], object]
    refused: bool = False
    previewed: list[int] | None = None

    def foreseen(self, world: World) -> World:
        """The world as it will be."""
        later = deepcopy(world)
        self.plain(later)
        return later

    def take(self, world: World) -> None:
        """Do it, in the plain data and in the product; what is refused changes nothing."""
        if self.refused:
            with pytest.raises((NotPossible, ValidationError)), transaction.atomic():
                self.deed()
        else:
            self.deed()
            self.plain(world)


class Changes:
    """The changes that can be made to a world, each by the function that pages and API use."""

    def __init__(self, world: World, built: Built, pick: Random) -> None:
        self.world, self.built, self.pick = world, built, pick
        self.oracle = Oracle(world)
        self.admin = built.user(2)

    def mode(self) -> Step:
        """An owner, or an administrator, chooses a mode with or without excluded domains (R20, R21)."""
        box, mode = self.pick.randrange(len(OWNERS)), self.pick.choice(MODES)
        domains = self.pick.choice([None, [], self.pick.sample(DOMAINS, 2)])
        owner = OWNERS[box]
        fixed = self.oracle.fixed_mode(owner)

        def plain(world: World) -> None:
            if not fixed:
                world.boxes[box].mode = mode
            if domains is not None:
                world.boxes[box].excluded = list(domains)

        spelled = None if domains is None else [f" @{domain.upper()}." for domain in domains]
        mailbox = self.built.mailbox(box)
        return Step(
            f"mailbox {box} becomes {mode}, excluding {domains}",
            plain,
            lambda: set_policy(mailbox, actor=mailbox.owner, mode=mode, excluded_domains=spelled),
            refused=bool(fixed) and fixed != mode,
            previewed=[owner],
        )

    def tick(self) -> Step:
        """Somebody ticks or unticks *Share Email* (R22)."""
        person, customer = self.pick.randrange(4), self.pick.choice(self._customers())
        row, wanted = self.built.customers[customer], self.pick.random() < 0.5
        user = self.built.user(person)

        def plain(world: World) -> None:
            if wanted:
                world.ticks.add((person, customer))
            else:
                world.ticks.discard((person, customer))
                world.inherited = {each for each in world.inherited if each[:2] != (person, customer)}

        return Step(
            f"person {person} {'' if wanted else 'un'}ticks customer {customer}",
            plain,
            lambda: (tick if wanted else untick)(user, row),
            refused=self.oracle.reveals(person, customer) is None,
            previewed=[person],
        )

    def keep(self) -> Step:
        """An owner keeps a message or its thread private, or lifts that (R26)."""
        number, wanted, whole = self._mail(), self.pick.random() < 0.6, self.pick.random() < 0.5
        message = self.built.message(number)
        thread = (self.world.owner(number), self.world.root(number))

        def plain(world: World) -> None:
            if whole:
                (world.kept_threads.add if wanted else world.kept_threads.discard)(thread)
            else:
                world.mails[number].private = wanted

        return Step(
            f"{'the thread of ' if whole else ''}{number} is {'' if wanted else 'no longer '}kept private",
            plain,
            lambda: keep_private(message.owner, message.thread if whole else message, wanted),
        )

    def trash(self) -> Step:
        """An owner puts a message into Trash, or takes it out again."""
        number = self._mail()
        message, was_there = self.built.message(number), self.world.mails[number].trash
        inbox = Folder.objects.get(account__user=message.owner_id, kind=Folder.Kind.INBOX)
        return Step(
            f"{number} is {'taken out of' if was_there else 'put into'} Trash",
            lambda world: setattr(world.mails[number], "trash", not was_there),
            lambda: move_message(message, inbox) if was_there else delete_message(message),
        )

    def addresses(self) -> Step:
        """Somebody changes the addresses of a customer (R29)."""
        customer, keep = self.pick.choice(self._customers()), self.pick.random() < 0.5
        wanted = self.pick.sample(OUTSIDE + INSIDE, self.pick.randrange(3))
        row = self.built.customers[customer]

        def plain(world: World) -> None:
            record = world.customers[customer]
            record.addresses = list(dict.fromkeys([*wanted, *(record.addresses if keep else [])]))

        return Step(
            f"customer {customer} has {wanted}, {'keeping' if keep else 'losing'} earlier mail",
            plain,
            lambda: change_customer(row, addresses=[address.upper() for address in wanted], keep_earlier_mail=keep),
        )

    def convert(self) -> Step:
        """Somebody makes a contact of a customer, or tries to make one of a contact (R27)."""
        customer = self.pick.choice(self._customers())

        def plain(world: World) -> None:
            world.customers[customer].kind = "contact"
            world.undoable.append(Converted(customer))

        row = self.built.customers[customer]
        return Step(
            f"customer {customer} becomes a contact",
            plain,
            lambda: records.convert(self.admin, row),
            refused=self.world.customers[customer].kind == "contact",
        )

    def delete(self) -> Step:
        """Somebody deletes a customer (R27)."""
        customer = self.pick.choice(self._customers())

        def plain(world: World) -> None:
            world.customers[customer].gone = True
            world.undoable.append(Gone(customer))

        row = self.built.customers[customer]
        return Step(f"customer {customer} is deleted", plain, lambda: records.delete(self.admin, row))

    def merge(self) -> Step:
        """Somebody merges a customer into another, or tries to merge it with itself (R27)."""
        kept, other = self.pick.choice(self._customers()), self.pick.choice(self._customers())
        taken = self.pick.sample(("name", "company", "phone", "owner", "primary"), 2)
        first, second = self.built.customers[kept], self.built.customers[other]

        def plain(world: World) -> None:
            ours, theirs = world.customers[kept].addresses, world.customers[other].addresses
            brought = tuple(address for address in theirs if address not in ours)
            world.customers[kept].addresses = [*ours, *brought]
            world.customers[other].gone = True
            was = gave = ""
            if world.customers[kept].kind != world.customers[other].kind == "contact":
                was, world.customers[kept].kind = world.customers[kept].kind, "contact"
            if not world.customers[kept].external:
                gave = world.customers[kept].external = world.customers[other].external
            world.undoable.append(Gone(other, kept, brought, was, gave))
            for person in [person for person, ticked in world.ticks if ticked == other]:
                if (person, kept) not in world.ticks:
                    world.ticks.add((person, kept))
                    world.inherited.add((person, kept, other))

        return Step(
            f"customer {other} is merged into {kept}",
            plain,
            lambda: records.merge(self.admin, first, second, taken),
            refused=kept == other,
        )

    def undo(self) -> Step | None:
        """Somebody undoes a deletion, a merge or a conversion (R27)."""
        if not self.world.undoable:
            return None
        deed = self.pick.choice(self.world.undoable)
        if isinstance(deed, Converted):
            return self._undo_conversion(deed)
        row = self.built.customers[deed.customer]
        change = RecordChange.objects.can_be_undone().get(gone=row)

        def plain(world: World) -> None:
            world.undoable.remove(deed)
            if deed.kept is not None:
                _part(world, deed, deed.kept)
            gone = world.customers[deed.customer]
            gone.gone = False
            others = [other for other in world.customers if other is not gone and not other.gone]
            if any(other.org == gone.org and other.external == gone.external for other in others):
                gone.external = ""

        return Step(
            f"that customer {deed.customer} is gone is undone",
            plain,
            lambda: records.undo(self.admin, change),
            refused=deed.kept is not None and self.world.customers[deed.kept].gone,
        )

    def _undo_conversion(self, deed: Converted) -> Step:
        row = self.built.customers[deed.customer]
        change = RecordChange.objects.can_be_undone().get(kind=RecordChange.Kind.CONVERTED, customer=row)

        def plain(world: World) -> None:
            world.undoable.remove(deed)
            world.customers[deed.customer].kind = "lead"

        return Step(
            f"that customer {deed.customer} is a contact is undone",
            plain,
            lambda: records.undo(self.admin, change),
            refused=self.world.customers[deed.customer].gone,
        )

    def upsert(self) -> Step:
        """Another CRM sends one of its records (R28)."""
        external, kind = self.pick.choice(("x1", "x2")), self.pick.choice(("lead", "contact"))
        given = self.pick.choice([None, self.pick.sample(OUTSIDE + INSIDE, self.pick.randrange(3))])
        keep = self.pick.random() < 0.5
        sent = Upsert(external, {"kind": kind, "last_name": "Sent"}, given, keep)

        def plain(world: World) -> None:
            known = _known_as(world, external, given or [])
            if known is None:
                world.customers.append(Record(list(given or []), kind=kind, external=external))
                return
            record = world.customers[known]
            record.external = record.external or external
            record.kind = "contact" if record.kind == "contact" else kind
            if given is not None:
                record.addresses = list(dict.fromkeys([*given, *(record.addresses if keep else [])]))

        def deed() -> None:
            (outcome,) = upsert(self.admin.organization, [sent], new={})
            assert outcome.status != "error", outcome.errors
            self._number_new()

        return Step(f"another CRM sends {external}: {given}, {kind}, {keep=}", plain, deed)

    def imported(self) -> Step:
        """Somebody imports a file of two rows (R28)."""
        rows = [
            (self.pick.sample(OUTSIDE + INSIDE, self.pick.randint(1, 2)), self.pick.choice(("lead", "contact", "")))
            for _ in range(2)
        ]
        updates = self.pick.random() < 0.7
        lines = (f"Row,{' '.join(addresses).upper()},{kind}\n" for addresses, kind in rows)
        text = "Name,Email,Type\n" + "".join(lines)

        def plain(world: World) -> None:
            for addresses, kind in rows:
                _take_row(world, addresses, kind, updates=updates)

        def deed() -> None:
            file = io.BytesIO(text.encode())
            table = Table.of(file)
            work = Import(self.admin.organization, guess_mapping(table.columns), updates=updates)
            for batch in work.batches(table.rows(file)):
                work.save(batch)
            self._number_new()

        return Step(f"{rows} are imported{'' if updates else ', known ones skipped'}", plain, deed)

    def _number_new(self) -> None:
        """Give the records that a deed made the numbers that they have in the plain data."""
        known = [row.pk for row in self.built.customers.values()]
        new = Customer.with_deleted.for_organization(self.admin.organization).exclude(pk__in=known).order_by("pk")
        self.built.customers |= enumerate(new, len(known))

    def person(self) -> Step:
        """An administrator deactivates, reactivates or changes the role of somebody (R2)."""
        person, switch = self.pick.randrange(4), self.pick.random() < 0.6
        now = self.world.people[person]
        role = "member" if now.role == "admin" else "admin"
        user = self.built.user(person)
        others = [p for p in range(4) if p != person and self.world.people[p].role == "admin"]
        has_other_admin = any(self.world.people[other].active for other in others)

        def plain(world: World) -> None:
            if switch:
                world.people[person].active = not now_active
            else:
                world.people[person].role = role

        now_active = now.active
        return Step(
            f"person {person} becomes {('inactive' if now_active else 'active') if switch else role}",
            plain,
            lambda: change_user(self.admin, user, **({"is_active": not now_active} if switch else {"role": role})),
            refused=not has_other_admin and (now_active if switch else role == "member"),
        )

    def domain(self) -> Step:
        """An administrator adds or removes a mail domain (R3)."""
        domain = self.pick.choice(("partner.example", "acme.example", "our.example", "lawyers.example"))
        there = domain in self.world.domains[0]
        deed: Callable[[], object] = lambda: add_mail_domain(self.admin, f"@{domain.upper()}.")  # noqa: E731
        if there:
            row = MailDomain.objects.get(organization=self.admin.organization, domain=domain)
            deed = lambda: remove_mail_domain(self.admin, row)  # noqa: E731

        def plain(world: World) -> None:
            (world.domains[0].remove if there else world.domains[0].append)(domain)

        alone = there and len(self.world.domains[0]) == 1
        return Step(f"{domain} is {'no longer ' if there else ''}a mail domain", plain, deed, refused=alone)

    def rule(self) -> Step:
        """An administrator lays down or drops a rule for a user or a role (R25)."""
        target: int | str = self.pick.choice((0, 1, 2, 3, "member", "admin"))
        mode, is_fixed, drop = self.pick.choice((*MODES, "")), self.pick.random() < 0.7, self.pick.random() < 0.3
        whom = self.built.user(target) if isinstance(target, int) else target
        concerned = [p for p in range(4) if target in {p, self.world.people[p].role}]

        def plain(world: World) -> None:
            if drop:
                world.rules.pop(target, None)
            else:
                world.rules[target] = (mode, is_fixed)

        return Step(
            f"no rule for {target}" if drop else f"rule for {target}: {mode or 'choice'}, {is_fixed=}",
            plain,
            lambda: (
                drop_rule(self.admin, [whom]) if drop else set_rule(self.admin, [whom], mode=mode, is_fixed=is_fixed)
            ),
            previewed=concerned,
        )

    def mailbox(self) -> Step:
        """An owner gives a mailbox another address: what they sent and received is worked out again."""
        box = self.pick.randrange(CRM_BOX)
        address = self.pick.choice(box_addresses(box))
        mailbox = self.built.mailbox(box)
        return Step(
            f"mailbox {box} has the address {address}",
            lambda world: setattr(world.boxes[box], "address", address),
            lambda: change_mailbox(self.built.user(OWNERS[box]), mailbox, email_address=address),
        )

    def _customers(self) -> list[int]:
        return [n for n, customer in enumerate(self.world.customers) if customer.org == 0 and not customer.gone]

    def _mail(self) -> int:
        return self.pick.randrange(len(self.world.mails))


def _part(world: World, deed: Gone, kept: int) -> None:
    """Take away from the record that remained what a merge gave it, and settle whose ticks are whose."""
    record = world.customers[kept]
    record.addresses = [address for address in record.addresses if address not in deed.brought]
    record.kind = deed.was or record.kind
    if deed.external and record.external == deed.external:
        record.external = ""
    for person in [person for person, ticked in world.ticks if ticked == deed.customer]:
        if (person, kept) not in world.ticks:
            world.ticks.discard((person, deed.customer))
    for each in [each for each in world.inherited if each[1:] == (kept, deed.customer)]:
        world.inherited.discard(each)
        world.ticks.discard(each[:2])


def _known_as(world: World, external: str, addresses: Sequence[str]) -> int | None:
    """The record that another CRM means: the one with the id, what one with it became, or the only nameless one with an
    address.
    """
    ours = [number for number, record in enumerate(world.customers) if record.org == 0]
    named = [number for number in ours if world.customers[number].external == external]
    merged = [deed.customer for deed in world.undoable if isinstance(deed, Gone) and deed.customer in named]
    for number in [*(number for number in named if not world.customers[number].gone), *reversed(merged)]:
        there = world.became_at_last(number)
        if there is not None:
            return there
    found = [
        number
        for number in ours
        if not world.customers[number].gone
        and not world.customers[number].external
        and set(addresses) & set(world.customers[number].addresses)
    ]
    return found[0] if len(found) == 1 else None


def _take_row(world: World, addresses: Sequence[str], kind: str, *, updates: bool) -> None:
    """What a row of an imported file does: known by its addresses, it adds what is new; known twice, it is refused."""
    found = [
        record
        for record in world.customers
        if record.org == 0 and not record.gone and set(addresses) & set(record.addresses)
    ]
    if not found:
        world.customers.append(Record(list(addresses), kind=kind or "contact"))
    elif len(found) == 1 and updates:
        found[0].addresses = list(dict.fromkeys([*found[0].addresses, *addresses]))
        found[0].kind = "contact" if found[0].kind == "contact" else kind or "lead"


KINDS = (
    "mode",
    "mode",
    "tick",
    "keep",
    "trash",
    "addresses",
    "convert",
    "delete",
    "merge",
    "undo",
    "undo",
    "upsert",
    "upsert",
    "imported",
    "person",
    "domain",
    "rule",
    "mailbox",
)
changes = st.tuples(st.sampled_from(KINDS), st.integers(0, 9999))


def next_step(world: World, built: Built, change: tuple[str, int]) -> Step | None:
    """The change as it can be made in the world as it is; None where nothing is left to change."""
    made = Changes(world, built, Random(change[1]))
    if change[0] in {"tick", "addresses", "convert", "delete", "merge"} and all(
        customer.gone or customer.org for customer in world.customers
    ):
        return None
    step: Step | None = getattr(made, change[0])()
    return step


@pytest.fixture
def pool(db: None) -> Iterator[Pool]:
    """The people and mailboxes that all worlds share; nothing is logged of the many pages that are not found."""
    logging.disable(logging.WARNING)
    yield make_pool()
    logging.disable(logging.NOTSET)


@contextmanager
def pages_of(size: int) -> Iterator[None]:
    """Lists show so few on a page that further pages are asked for; 0 leaves them as they are."""
    with pytest.MonkeyPatch.context() as patch:
        if size:
            patch.setattr(conversations, "PAGE", size)
            patch.setattr(feed, "PAGE", size)
            patch.setattr(searching, "PAGE", size)
            patch.setattr(searching, "JUDGED", 2)
            for function in (walking.Candidates.__init__, feed._Feed.candidates):
                patch.setattr(function, "__kwdefaults__", {**(function.__kwdefaults__ or {}), "first": 2})
        yield


@pytest.mark.django_db
@settings(
    max_examples=COUNT,
    derandomize=False,
    print_blob=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
@given(world=worlds(), then=st.just([]) | st.lists(changes, min_size=1, max_size=5))
def test_every_surface_shows_what_the_contract_allows(pool: Pool, world: World, then: list[tuple[str, int]]) -> None:
    """R20–R26, R30: for owners, colleagues, administrators, the deactivated and a stranger; and at once after a change."""
    with pages_of(world.page), transaction.atomic():
        built = build(world, pool)
        surfaces = Surfaces(world, built, Oracle(world))
        surfaces.agree(briefly=bool(then))
        for change in then:
            step = next_step(world, built, change)
            if step is None:
                continue
            note(f"then: {step.text}{' (refused)' if step.refused else ''}")
            _preview(world, surfaces, step)
            step.take(world)
        if then:
            surfaces.agree()
        assert openings(built, built.numbers.values()) == surfaces.opened
        transaction.set_rollback(True)


def _preview(world: World, surfaces: Surfaces, step: Step) -> None:
    """R26: the numbers of a preview are the difference that the change will make."""
    if step.previewed is None or step.refused:
        return
    later = step.foreseen(world)
    before, after = Oracle(world), Oracle(later)
    theirs = [number for number in range(len(world.mails)) if world.owner(number) in step.previewed]
    shown = {number for number in theirs if after.is_shared(number) and not before.is_shared(number)}
    hidden = {number for number in theirs if before.is_shared(number) and not after.is_shared(number)}
    customers = {customer for number in shown | hidden for customer in before.correspondents(number)}
    foreseen = preview([surfaces.built.user(person) for person in step.previewed], step.deed)
    numbers = (foreseen.becomes_visible, foreseen.becomes_hidden, foreseen.customers)
    assert numbers == (len(shown), len(hidden), len(customers)), f"preview of: {step.text}"
    newest = {message.pk for message in (*foreseen.sample_visible(), *foreseen.sample_hidden())}
    assert newest <= {surfaces.built.messages[number].pk for number in shown | hidden}
