"""A large organisation for `bench.reading`: people, customers and up to a million messages, written with COPY.

The rows are what the product itself would store; `check` holds a sample of them against its own functions. Choices come
from one seed. Messages lie in the tables in no order of date, as after the first fetch of many old mailboxes: a place
where rows of the same week are neighbours can only be faster.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from accounts.addresses import domain_of
from accounts.internal import own_addresses
from accounts.models import Mailbox, MailDomain, Organization, User
from customers.models import Customer, CustomerAddress
from mail.indexing import index_stored
from mail.matching import customers_met, link
from mail.models import (
    Correspondence,
    Folder,
    Label,
    Labelling,
    Message,
    MessageText,
    Participant,
    SearchEntry,
    Thread,
)
from mail.search import sequence
from mail.search import stored as stored_words
from sharing.models import CaughtUp, ReadMark, SharedRecord
from sharing.policies import set_policy
from tests import factories

NAME = "Large"
BATCH = 20_000
YEARS = 2
MODES = ("public", "custom", "private")
#: The name of the folder and of the label with very much mail.
ARCHIVE = "Archive"
TICKS = 200
LONGEST = 20
OWN_DOMAINS = ("our.example", "our-sales.example", "our-group.example")
#: Domains of copied people; Public mailboxes exclude some of them.
BYSTANDERS = [f"partner{number}.example" for number in range(12)]
_TABLES: dict[Any, tuple[str, ...]] = {
    Thread: ("id", "owner_id", "root", "is_private"),
    Message: (
        "id", "organization_id", "mailbox_id", "owner_id", "thread_id", "folder_id", "direction", "message_id",
        "subject", "from_name", "from_address", "date", "filed_at", "snippet", "fingerprint", "size",
        "has_attachments", "is_complete", "has_all_participants", "has_customer", "note", "is_draft", "is_read",
        "is_starred", "is_private", "is_written_here",
    ),
    MessageText: ("message_id", "text"),
    SearchEntry: ("message_id", "mailbox_id", "date", "words"),
    Participant: ("message_id", "role", "name", "address", "domain"),
    Correspondence: ("message_id", "customer_id", "role", "address", "domain", "date", "owner_id"),
}  # fmt: skip


#: What messages are written with, the most common word first, as unevenly as in a natural language.
WORDS = 30_000
SYLLABLES = "ba be bi bo da de di do ka ke ki ko la le li lo ma me mi mo na ne ni no ra re ri ro sa se si so ta te ti to".split()
VOCABULARY = [
    "".join(
        SYLLABLES[place // len(SYLLABLES) ** power % len(SYLLABLES)]
        for power in range(2 + place % 3 if place < len(SYLLABLES) ** 2 else 3 + place % 2)
    )
    + (f"{place}" if place % 11 == 0 else "")
    for place in range(WORDS)
]
_WEIGHTS = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(WORDS)))


@dataclass(frozen=True, slots=True)
class Owner:
    """A user with what a message of theirs needs to know."""

    user: User
    mailbox: int
    address: str
    folders: dict[str, int]


@dataclass(frozen=True, slots=True)
class Mail:
    """What was written: who takes part, the sender first, the words, and the number of its first copy."""

    people: Sequence[tuple[str, str]]
    date: datetime
    number: int
    is_draft: bool
    subject: str
    text: str


@dataclass
class Population:
    """The organisation that is measured; `weights` say how much of the mail each customer has, added up."""

    organization: Organization
    owners: list[Owner]
    customers: list[int]
    addresses: list[list[str]]
    by_address: dict[str, int]
    weights: list[float]
    random: random.Random
    now: datetime
    next_message: int
    next_thread: int
    made: int

    def place(self) -> int:
        """One of the customers, those with much mail more often."""
        return self.random.choices(range(len(self.customers)), cum_weights=self.weights)[0]


def populate(*, users: int, customers: int, seed: int) -> Population:
    """The people, their mailboxes and policies, and the customers; no mail yet."""
    rng = random.Random(seed)
    organization = factories.organization(domain=OWN_DOMAINS[0], name=NAME)
    MailDomain.objects.bulk_create(MailDomain(organization=organization, domain=name) for name in OWN_DOMAINS[1:])
    _customers(organization, customers)
    ids = list(organization.customers.values_list("pk", flat=True))
    for number in range(users):
        user = _user(organization, number, rng)
        if MODES[number % 3] == "custom":
            ticked = rng.sample(ids, min(TICKS, len(ids)))
            SharedRecord.objects.bulk_create(SharedRecord(owner=user, customer_id=pk) for pk in ticked)
    _customers(factories.organization(domain="rival.example", name="Rival"), min(100, customers))
    return stored(seed=seed)


def stored(*, seed: int) -> Population:
    """The organisation as the database has it, so that more mail can be added.

    Raises:
        Organization.DoesNotExist: there is none.
    """
    organization = Organization.objects.get(name=NAME)
    folders: dict[int, dict[str, int]] = {}
    for user, kind, pk in Folder.objects.values_list("account__user", "kind", "pk"):
        folders.setdefault(user, {})[kind] = pk
    mailboxes = Mailbox.objects.filter(owner__organization=organization, kind=Mailbox.Kind.POP3).order_by("pk")
    addresses: dict[int, list[str]] = {}
    for customer, address in (
        CustomerAddress.objects.filter(organization=organization).order_by("pk").values_list("customer", "address")
    ):
        addresses.setdefault(customer, []).append(address)
    customers = sorted(addresses)
    highest = [model.objects.aggregate(highest=Max("pk"))["highest"] or 0 for model in (Message, Thread)]
    made = Message.objects.count()
    return Population(
        organization=organization,
        owners=[
            Owner(box.owner, box.pk, box.email_address, folders[box.owner_id])
            for box in mailboxes.select_related("owner")
        ],
        customers=customers,
        addresses=[addresses[pk] for pk in customers],
        by_address={address: pk for pk in customers for address in addresses[pk]},
        weights=list(itertools.accumulate((rank + 10) ** -0.9 for rank in range(len(customers)))),
        random=random.Random(f"{seed}/{made}"),
        now=datetime.now(UTC),
        next_message=highest[0] + 1,
        next_thread=highest[1] + 1,
        made=made,
    )


def grow(population: Population, size: int) -> None:
    """Add messages until there are `size`, or a conversation more, and tell the database what it has now."""
    is_much = connection.vendor == "postgresql" and size - population.made > 2 * BATCH
    if is_much:
        # Made afterwards it is ready sooner, and no different.
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX search_words")
    while population.made < size:
        upto = min(population.made + BATCH, size)
        rows: dict[Any, list[tuple[Any, ...]]] = {model: [] for model in _TABLES}
        while population.made < upto:
            _conversation(population, rows)
        _write(rows)
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.execute("ANALYZE")
            return
        if is_much:
            cursor.execute("SET maintenance_work_mem = '256MB'")
            cursor.execute("CREATE INDEX search_words ON mail_searchentry USING gin (words) WHERE is_indexed")
        for model, following in ((Thread, population.next_thread), (Message, population.next_message)):
            table = model._meta.db_table
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, false)", [table, following])
        cursor.execute("VACUUM ANALYZE")


def hoard(population: Population, count: int) -> None:
    """Give the first user a folder with `count` messages, or a conversation more, and a label on all of them."""
    owner = population.owners[0]
    archive, _ = Folder.objects.get_or_create(account=owner.user.mail_account, name=ARCHIVE)
    label, _ = Label.objects.get_or_create(account=owner.user.mail_account, name=ARCHIVE)
    hoarder = replace(owner, folders=dict.fromkeys(owner.folders, archive.pk))
    have = archive.messages.count()
    while have < count:
        rows: dict[Any, list[tuple[Any, ...]]] = {model: [] for model in _TABLES}
        while len(rows[Message]) < min(count - have, BATCH):
            _conversation(population, rows, hoarder)
        _write(rows)
        have = archive.messages.count()
    unlabelled = archive.messages.filter(labellings=None).values_list("pk", "date", "is_read")
    Labelling.objects.bulk_create(
        (Labelling(label=label, message_id=pk, date=date, is_read=is_read) for pk, date, is_read in unlabelled),
        batch_size=5000,
    )


def mark_reading(population: Population) -> None:
    """Everybody caught up at some moment of the last two weeks and has opened some of the newest shared mail since."""
    rng = population.random
    newest = list(
        Message.objects.filter(organization=population.organization, has_customer=True)
        .newest_first()
        .values_list("pk", flat=True)[:2000]
    )
    CaughtUp.objects.bulk_create(
        (
            CaughtUp(reader=owner.user, until=population.now - timedelta(days=rng.random() * 14))
            for owner in population.owners
        ),
        update_conflicts=True,
        unique_fields=["reader"],
        update_fields=["until"],
    )
    ReadMark.objects.bulk_create(
        (
            ReadMark(reader=owner.user, message_id=pk)
            for owner in population.owners
            for pk in rng.sample(newest, min(30, len(newest)))
        ),
        ignore_conflicts=True,
        batch_size=5000,
    )


def check(population: Population, sample: int = 200) -> None:
    """Hold a sample of the messages against what the product makes of the same headers; nothing stays changed.

    Raises:
        AssertionError: a row differs.
    """
    every = range(1, population.next_message)
    chosen = Message.objects.filter(pk__in=population.random.sample(every, min(sample, len(every))))
    columns = ("message_id", "customer_id", "role", "address", "domain", "date")
    with transaction.atomic():
        links = Correspondence.objects.filter(message__in=[message.pk for message in chosen])
        before = set(links.values_list(*columns))
        marks = {message.pk: message.has_customer for message in chosen}
        links.delete()
        chosen.update(has_customer=False)
        met = customers_met(population.organization, [list(message.participants.all()) for message in chosen])
        link(zip(chosen, met, strict=True))
        chosen.filter(pk__in=[message.pk for message, customers in zip(chosen, met, strict=True) if customers]).update(
            has_customer=True
        )
        assert before == set(links.values_list(*columns)), before ^ set(links.values_list(*columns))
        assert marks == dict(chosen.values_list("pk", "has_customer"))
        entries = SearchEntry.objects.filter(message__in=chosen)
        indexed = set(entries.values_list("message", "mailbox", "date", "words"))
        index_stored(chosen.values_list("pk", flat=True))
        assert indexed == set(entries.values_list("message", "mailbox", "date", "words"))
        transaction.set_rollback(True)
    for message in chosen.select_related("owner", "folder__account", "thread"):
        people = list(message.participants.values_list("role", "address", "domain"))
        sent = message.from_address in own_addresses(message.owner)
        assert message.direction == ("sent" if sent else "received"), message.pk
        assert people[0][:2] == ("from", message.from_address), message.pk
        assert all(domain == domain_of(address) for _, address, domain in people), message.pk
        assert message.organization_id == message.owner.organization_id, message.pk
        assert message.owner_id == message.thread.owner_id == message.folder.account.user_id, message.pk


def _customers(organization: Organization, count: int) -> None:
    """Half leads, half contacts, every tenth with a second address."""
    made = Customer.objects.bulk_create(
        (
            Customer(
                organization=organization,
                kind="lead" if number % 2 else "contact",
                first_name=f"First{number}",
                last_name=f"Last{number % 997}",
                company=f"Company {number % 4000}",
            )
            for number in range(count)
        ),
        batch_size=5000,
    )
    CustomerAddress.objects.bulk_create(
        (
            CustomerAddress(customer=customer, organization=organization, address=address, is_primary=not place)
            for number, customer in enumerate(made)
            for place, address in enumerate(
                [f"person{number}@customer{number % 4000}.example", f"person{number}@home.example"][
                    : 1 + (number % 10 == 3)
                ]
            )
        ),
        batch_size=5000,
    )


def _user(organization: Organization, number: int, rng: random.Random) -> User:
    user = User.objects.create_user(f"rep{number}@{OWN_DOMAINS[0]}", organization=organization, name=f"Rep {number}")
    mode = MODES[number % 3]
    mailbox = factories.mailbox(owner=user, mode=mode, email_address=f"sales{number}@{rng.choice(OWN_DOMAINS)}")
    if mode == "public" and number % 2:
        set_policy(mailbox, actor=user, mode=mode, excluded_domains=rng.sample(BYSTANDERS, rng.randint(1, 5)))
    return user


def _conversation(population: Population, rows: dict[Any, list[tuple[Any, ...]]], whose: Owner | None = None) -> None:
    """Put 1 to 20 messages of one user with one other into `rows`, and copies if a colleague is in Cc throughout."""
    rng = population.random
    owner, colleague = rng.sample(population.owners, 2)
    if whose is not None:
        owner, colleague = whose, rng.choice(population.owners[1:])
    chance = rng.random()
    with_customer = chance < 0.6
    if with_customer:
        other = rng.choice(population.addresses[population.place()])
    else:
        other = colleague.address if chance < 0.7 else f"news@letters{rng.randint(0, 50)}.example"
    copied = with_customer and rng.random() < 0.08
    holders = [owner, colleague] if copied else [owner]
    threads = range(population.next_thread, population.next_thread + len(holders))
    population.next_thread += len(holders)
    root = _message_id(population.next_message)
    rows[Thread] += [
        (thread, holder.user.pk, root, rng.random() < 0.01) for thread, holder in zip(threads, holders, strict=True)
    ]
    date = population.now - timedelta(days=rng.random() * YEARS * 365)
    for _ in range(min(LONGEST, 1 + int(rng.expovariate(0.5)))):
        sent = with_customer and rng.random() < 1 / 3
        people = [("from", owner.address), ("to", other)] if sent else [("from", other), ("to", owner.address)]
        if copied:
            people.append(("cc", colleague.address))
        if rng.random() < 0.3:
            people.append(("cc", _bystander(population)))
        mail = Mail(
            people,
            date,
            population.next_message,
            sent and not copied and rng.random() < 0.06,
            f"About order {threads[0] % 5000}",
            f"{_text(rng)} message number {population.next_message}",
        )
        for thread, holder in zip(threads, holders, strict=True):
            _file(population, rows, holder, thread, mail)
        date += timedelta(days=rng.expovariate(0.5))
        if date > population.now:
            break


def _text(rng: random.Random) -> str:
    """What a message says: mostly a few dozen words, sometimes hundreds."""
    length = max(5, min(1000, int(rng.lognormvariate(4, 0.7))))
    return " ".join(rng.choices(VOCABULARY, cum_weights=_WEIGHTS, k=length))


def _bystander(population: Population) -> str:
    """Somebody who is copied: at a domain that some exclude, or sometimes a customer."""
    rng = population.random
    if rng.random() < 0.1:
        return population.addresses[population.place()][0]
    return f"someone{rng.randint(0, 999)}@{rng.choice(BYSTANDERS)}"


def _message_id(number: int) -> str:
    return f"{number}@mail.example"


def _file(
    population: Population, rows: dict[Any, list[tuple[Any, ...]]], owner: Owner, thread: int, mail: Mail
) -> None:
    """Put one copy of a message into `rows`, as `mail.filing` and `mail.matching` would."""
    rng = population.random
    pk = population.next_message
    population.next_message += 1
    population.made += 1
    sender = mail.people[0][1]
    sent = sender == owner.address
    folder = "drafts" if mail.is_draft else "trash" if rng.random() < 0.03 else "sent" if sent else "inbox"
    links = [
        (pk, population.by_address[address], role, address, domain_of(address), mail.date, owner.user.pk)
        for role, address in mail.people
        if address in population.by_address
    ]
    rows[Message].append(
        (
            pk, population.organization.pk, owner.mailbox, owner.user.pk, thread, owner.folders[folder],
            "sent" if sent else "received", _message_id(mail.number), mail.subject, "", sender,
            mail.date, mail.date, mail.text[:200],
            hashlib.sha256(str(mail.number).encode()).hexdigest(), 8000, rng.random() < 0.1, True, True,
            bool(links), "", mail.is_draft, sent or rng.random() < 0.75, False, rng.random() < 0.01, False,
        )
    )  # fmt: skip
    rows[MessageText].append((pk, mail.text))
    fields: dict[str, list[str]] = {"subject": [mail.subject]}
    for role, address in mail.people:
        fields.setdefault(role, []).append(address)
    rows[SearchEntry].append((pk, owner.mailbox, mail.date, stored_words(sequence(fields, mail.text))))
    rows[Participant] += [(pk, role, "", address, domain_of(address)) for role, address in mail.people]
    rows[Correspondence] += links


def _write(rows: dict[Any, list[tuple[Any, ...]]]) -> None:
    with connection.cursor() as cursor:
        for model, columns in _TABLES.items():
            _copy(cursor, model._meta.db_table, columns, rows[model])


def _copy(cursor: Any, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows with COPY, in its text form; none of the values needs escaping. SQLite gets statements."""
    quoted = ", ".join(f'"{column}"' for column in columns)
    if connection.vendor != "postgresql":
        values = ", ".join(["%s"] * len(columns))
        plain = [[str(v).replace("+00:00", "") if isinstance(v, datetime) else v for v in row] for row in rows]
        cursor.executemany(f'INSERT INTO "{table}" ({quoted}) VALUES ({values})', plain)  # noqa: S608
        return
    block = io.StringIO()
    for row in rows:
        block.write("\t".join("t" if v is True else "f" if v is False else str(v) for v in row) + "\n")
    block.seek(0)
    cursor.copy_expert(f'COPY "{table}" ({quoted}) FROM STDIN', block)
