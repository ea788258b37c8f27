"""Random worlds of the sharing rule: plain data, the strategies that draw it, and the rows that it becomes.

The people and their mailboxes are rows that stay from one world to the next, signed in once; a world gives them other
addresses, roles and policies, files its mail, and is rolled back. Nothing here decides who sees what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from django.db.models import Model
from django.test import Client
from hypothesis import strategies as st

from accounts.models import Mailbox, MailDomain, Organization, User
from customers.changes import create_customer
from customers.models import Customer
from mail.accounts import open_mail_account
from mail.filing import Arrival, file_messages
from mail.models import Attachment, Folder, Message, Thread
from sharing.models import ExcludedDomain, SharedRecord, SharingPolicy, SharingRule
from tests import factories
from tests.portal.browsers import browser

MODES = ("public", "custom", "private")
#: Everybody joined in the middle of the days on which mail is written.
FIRST_DAY = datetime(2025, 3, 1, 9, 30, tzinfo=UTC)
JOINED = FIRST_DAY + timedelta(days=1, hours=1)
#: The organisation of each person: four colleagues and a stranger.
ORGANIZATIONS = (0, 0, 0, 0, 1)
STRANGER = 4
HOMES = ("our.example", "rival.example")
#: The owner of each mailbox that mail comes to; the sixth is the first person's CRM Mail account.
OWNERS = (0, 0, 1, 2, 3, 4, 0)
CRM_BOX = 6

OUTSIDE = (
    "bea@acme.example",
    "carl@lawyers.example",
    "dan@notlawyers.example",
    "bob@eu.acme.example",
    "cy@eu.lawyers.example",
    "a@xn--bcher-kva.example",
    "pat@partner.example",
)
#: Addresses that are colleagues' in some worlds or in all of them.
INSIDE = (
    "p1@acme.example",
    "p3@lawyers.example",
    "shared@acme.example",
    "u0@our.example",
    "box2@our.example",
    "x@sub.our.example",
    "u4@rival.example",
)
DOMAINS = (
    "acme.example",
    "lawyers.example",
    "eu.acme.example",
    "xn--bcher-kva.example",
    "partner.example",
    "our.example",
    "secret.example",
)
#: In From: the address of the mailbox that the message is in.
OWN = "own"


@dataclass
class Person:
    """Somebody who signs in."""

    login: str
    role: str = "member"
    active: bool = True


@dataclass
class Box:
    """A mailbox; `mode` is what its owner chose, None while nothing was chosen."""

    address: str
    mode: str | None = None
    excluded: list[str] = field(default_factory=list)


@dataclass
class Record:
    """A lead or contact of organisation `org`; `late` ones are entered when the mail is there already."""

    addresses: list[str]
    kind: str = "contact"
    org: int = 0
    late: bool = False
    gone: bool = False
    external: str = ""


@dataclass(frozen=True)
class Converted:
    """A lead that was made a contact."""

    customer: int


@dataclass(frozen=True)
class Gone:
    """A record that was deleted, or merged into another.

    That one got the addresses that it `brought`, `was` of another kind, or got its `external` id.
    """

    customer: int
    kept: int | None = None
    brought: tuple[str, ...] = ()
    was: str = ""
    external: str = ""


@dataclass
class Mail:
    """A message in a mailbox. `copy` and `answers` name an earlier one; a copy has all but box and state from it."""

    box: int
    sender: list[str]
    to: list[str]
    cc: list[str] = field(default_factory=list)
    bcc: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    kept: InitVar[str] = ""
    trash: bool = field(init=False)
    draft: bool = field(init=False)
    private: bool = field(init=False)
    copy: int | None = None
    answers: int | None = None
    spelling: int = 0
    unreadable: bool = False
    form: str = "text"
    day: int = 0

    def __post_init__(self, kept: str) -> None:
        """`kept` says in one word or two how its owner keeps it at first."""
        self.trash, self.draft, self.private = (word in kept for word in ("trash", "draft", "private"))


@dataclass
class World:
    """Everything that decides who sees what, as plain data. `salt` chooses which of many equal questions are asked."""

    people: list[Person]
    boxes: list[Box]
    customers: list[Record]
    mails: list[Mail]
    ticks: set[tuple[int, int]]
    rules: dict[int | str, tuple[str, bool]]
    domains: list[list[str]]
    kept_threads: set[tuple[int, int]]
    salt: int
    page: int
    #: What was deleted, merged or converted and can be undone, and the ticks that a merge handed on.
    undoable: list[Gone | Converted] = field(default_factory=list)
    inherited: set[tuple[int, int, int]] = field(default_factory=set)

    def became(self, customer: int) -> int | None:
        """The record that a merged one became part of; None for one that was deleted."""
        gone = (deed for deed in self.undoable if isinstance(deed, Gone))
        return next((deed.kept for deed in gone if deed.customer == customer), None)

    def became_at_last(self, customer: int) -> int | None:
        """The record that is there of a customer: itself, or what it became part of; None if that was deleted."""
        found: int | None = customer
        while found is not None and self.customers[found].gone:
            found = self.became(found)
        return found

    def content(self, number: int) -> int:
        """The message whose bytes a message has: itself, unless it is a copy."""
        while number and self.mails[number].copy is not None:
            number = (self.mails[number].copy or 0) % number
        return number

    def chain(self, number: int) -> list[int]:
        """The messages that a message answers, the first of the conversation first."""
        content = self.content(number)
        answered = self.mails[content].answers
        if not content or answered is None:
            return []
        parent = self.content(answered % content)
        return [*self.chain(parent), parent]

    def root(self, number: int) -> int:
        """The message that started the conversation of a message."""
        return [*self.chain(number), self.content(number)][0]

    def owner(self, number: int) -> int:
        """Whose copy a message is."""
        return OWNERS[self.mails[number].box]


def login_addresses(person: int) -> list[str]:
    """What somebody may sign in with: an address at home, or one that looks like a customer's."""
    return [f"u{person}@{HOMES[ORGANIZATIONS[person]]}", f"p{person}@acme.example"]


def box_addresses(box: int) -> list[str]:
    """What a mailbox's address may be; two colleagues may fetch the same one."""
    home = HOMES[ORGANIZATIONS[OWNERS[box]]]
    if box == CRM_BOX:
        return [f"mail0@{home}"]
    return [f"box{box}@{home}", "shared@acme.example" if box in {2, 3} else f"p{box}@lawyers.example"]


# The first three are those of most customers and of most mail, so that they meet often.
_likely = st.sampled_from(OUTSIDE[:3] * 2 + OUTSIDE)
_anybody = st.sampled_from(OUTSIDE[:3] + OUTSIDE + INSIDE)
_few = st.lists(_anybody, max_size=1) | st.lists(_anybody, max_size=2, unique=True)


def _rarely(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.none() | values


def _seldom(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 6).flatmap(lambda number: values if number == 1 else st.none())


_mails = st.builds(
    Mail,
    box=st.sampled_from((0, 0, 0, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6)),
    sender=st.one_of(
        st.lists(_likely, min_size=1, max_size=1),
        st.lists(_likely, min_size=1, max_size=1),
        st.just([OWN]),
        st.just([OWN]),
        st.lists(st.sampled_from((*OUTSIDE, *INSIDE, OWN)), max_size=2, unique=True),
    ),
    to=st.lists(_likely, min_size=1, max_size=3, unique=True) | st.lists(_anybody, min_size=1, max_size=1),
    cc=_few,
    bcc=_few,
    others=_few,
    kept=st.sampled_from((*[""] * 11, "private", "private trash", "trash", "draft", "draft trash")),
    copy=_seldom(st.integers(0, 6)),
    answers=_rarely(st.integers(0, 6)),
    spelling=st.integers(0, 3),
    unreadable=_seldom(st.just(True)).map(bool),
    form=st.sampled_from(("text", "html", "attached")),
    day=st.integers(0, 3),
)
_boxes = [
    st.builds(
        Box,
        address=st.sampled_from(box_addresses(box)),
        mode=st.sampled_from((*["public", "custom"] * 4, "private", None)),
        excluded=st.lists(st.sampled_from(DOMAINS[:2] + DOMAINS), max_size=2, unique=True),
    )
    for box in range(len(OWNERS))
]
_people = [
    st.builds(
        Person,
        login=st.sampled_from(login_addresses(person)),
        role=st.just("admin") if person == 2 else st.sampled_from(("member", "member", "admin")),
        active=st.just(True) if person in {0, 2, STRANGER} else st.sampled_from((True, True, False)),
    )
    for person in range(len(ORGANIZATIONS))
]
_customer = st.builds(
    Record,
    addresses=st.lists(_likely | _anybody, min_size=1, max_size=2, unique=True),
    kind=st.sampled_from(("lead", "contact")),
    late=st.booleans(),
)
_targets: tuple[int | str, ...] = (0, 1, 2, 3, "member", "admin")
_rules = st.dictionaries(
    st.sampled_from(_targets),
    st.tuples(st.sampled_from(("public", "custom", "private", "")), st.booleans()),
    max_size=4,
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A world of five people and up to seven messages; the stranger's organisation knows the first customer, too."""
    customers = draw(st.lists(_customer, min_size=1, max_size=3))
    for likely, customer in zip(OUTSIDE, customers, strict=False):
        if likely not in customer.addresses and draw(st.integers(0, 4)) != 1:
            customer.addresses[:1] = [likely]
    boxes = list(draw(st.tuples(*_boxes)))
    mails = draw(st.lists(_mails, min_size=4, max_size=7))
    for mail in mails:
        mail.sender = [boxes[mail.box].address if address == OWN else address for address in mail.sender]
    known = Record([*customers[0].addresses], kind=customers[0].kind, org=1)
    ticks = draw(st.sets(st.tuples(st.integers(0, 3), st.integers(0, len(customers) - 1)), min_size=1, max_size=6))
    kept = draw(_seldom(st.integers(0, len(mails) - 1)))
    world = World(
        people=list(draw(st.tuples(*_people))),
        boxes=boxes,
        customers=[*customers, known],
        mails=mails,
        ticks=ticks | {(STRANGER, len(customers))},
        rules=draw(_rules),
        domains=[
            [HOMES[0], *draw(st.lists(st.sampled_from(("partner.example", "acme.example")), max_size=1))],
            [HOMES[1]],
        ],
        kept_threads=set(),
        salt=draw(st.integers(0, 999)),
        page=draw(st.sampled_from((0, 0, 1, 2))),
    )
    if kept is not None:
        world.kept_threads.add((world.owner(kept), world.root(kept)))
    return world


def bytes_of(world: World, number: int, *, hidden: bool = True) -> bytes:
    """The message as a server sends it; without `hidden`, less what only its owner may see."""
    content = world.content(number)
    mail = world.mails[content]
    secret = [f"hqmark{content}h@secret.example"] if mail.bcc else []
    ids = [f"<id{each}@mail.example>" for each in world.chain(number)]
    headers = [
        ("Delivered-To", f"hqmark{content}h@server.example" if hidden else ""),
        ("From", _people_in(mail.sender, mail.spelling)),
        ("Reply-To" if content % 2 else "Sender", _people_in(mail.others, mail.spelling)),
        ("To", _people_in(mail.to, mail.spelling)),
        ("Cc", _people_in(mail.cc, mail.spelling) + (", zoe@acme.example@x" if mail.unreadable else "")),
        ("Bcc", _people_in([*mail.bcc, *secret], mail.spelling) if hidden else ""),
        ("Subject", f"zqmark{content}z subject"),
        ("Date", format_datetime(FIRST_DAY + timedelta(days=mail.day))),
        ("Message-ID", f"<id{content}@mail.example>"),
        ("In-Reply-To", ids[-1] if ids else ""),
        ("References", " ".join(ids)),
    ]
    head = "".join(f"{name}: {value.removeprefix(', ')}\r\n" for name, value in headers if value)
    return (head + _body(content, mail.form)).encode()


def attached(content: int) -> bytes:
    """The bytes of the attachment of a message that has one."""
    return b"zqmark%dz attached" % content


def _body(content: int, form: str) -> str:
    text = f"zqmark{content}z text word{content}word.\r\n"
    if form == "text":
        return f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}"
    second = (
        f"Content-Type: text/html; charset=utf-8\r\n\r\n<p>zqmark{content}z html</p>\r\n"
        if form == "html"
        else f'Content-Type: text/csv\r\nContent-Disposition: attachment; filename="zqmark{content}z.csv"\r\n\r\n'
        f"{attached(content).decode()}\r\n"
    )
    kind = "alternative" if form == "html" else "mixed"
    return (
        f'MIME-Version: 1.0\r\nContent-Type: multipart/{kind}; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}--b\r\n{second}--b--\r\n"
    )


def _people_in(addresses: Sequence[str], spelling: int) -> str:
    """The addresses as a header has them, spelled in one of four ways that all mean the same."""
    return ", ".join(_SPELLINGS[spelling](address) for address in addresses)


def _shouted(address: str) -> str:
    local, _, domain = address.partition("@")
    return f"{local.capitalize()}@{domain.upper()}"


_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    _shouted,
    lambda address: f'"carl@lawyers.example" <{address.replace("xn--bcher-kva", "Bücher")}>',
    lambda address: f"Bea <{address}.>",
)


@dataclass
class Pool:
    """The rows that all worlds of a test share, and a signed-in browser for everybody."""

    organizations: list[Organization]
    users: list[User]
    mailboxes: list[Mailbox]
    clients: list[Client]


def make_pool() -> Pool:
    """Two organisations, five people with their mailboxes."""
    organizations = [factories.organization(domain=domain, name=domain) for domain in HOMES]
    users = [
        User.objects.create_user(
            login_addresses(number)[0],
            organization=organizations[place],
            name=f"Person {number}",
            date_joined=JOINED,
        )
        for number, place in enumerate(ORGANIZATIONS)
    ]
    accounts = [open_mail_account(user, f"mail{n}@{HOMES[ORGANIZATIONS[n]]}") for n, user in enumerate(users)]
    mailboxes = [
        Mailbox.objects.create(owner=users[owner], name=f"Box {n}", email_address=box_addresses(n)[0])
        for n, owner in enumerate(OWNERS[:CRM_BOX])
    ]
    return Pool(organizations, users, [*mailboxes, accounts[0].mailbox], [browser(user) for user in users])


@dataclass
class Built:
    """A world as rows, by the numbers that its plain data has."""

    pool: Pool
    customers: dict[int, Customer] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    attachments: dict[int, Attachment] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[int, int]:
        """The message's number by its id."""
        return {message.pk: number for number, message in self.messages.items()}

    def user(self, person: int) -> User:
        """Somebody as a request would load them now."""
        return User.objects.select_related("organization").get(pk=self.pool.users[person].pk)

    def mailbox(self, box: int) -> Mailbox:
        """A mailbox as it is now."""
        return Mailbox.objects.select_related("owner__organization").get(pk=self.pool.mailboxes[box].pk)

    def message(self, number: int) -> Message:
        """A message as it is now."""
        loaded = Message.objects.select_related("owner__organization", "thread", "folder", "mailbox__owner")
        return loaded.get(pk=self.messages[number].pk)


def build(world: World, pool: Pool) -> Built:
    """Make the rows of a world, the mail by the functions that a fetch uses."""
    built = Built(pool)
    _place_people(world, pool)
    _lay_down(world, pool)
    for late in (False, True):
        for number, customer in enumerate(world.customers):
            if customer.late is late:
                built.customers[number] = create_customer(
                    organization=pool.organizations[customer.org],
                    addresses=customer.addresses,
                    kind=customer.kind,
                    last_name=f"Customer {number}",
                )
        if not late:
            _file(world, built)
    SharedRecord.objects.bulk_create(
        SharedRecord(owner=pool.users[person], customer=built.customers[customer]) for person, customer in world.ticks
    )
    return built


def _place_people(world: World, pool: Pool) -> None:
    for user, person in zip(pool.users, world.people, strict=True):
        _set(user, email=person.login, role=person.role, is_active=person.active)
    for mailbox, box in zip(pool.mailboxes, world.boxes, strict=True):
        _set(mailbox, email_address=box.address)
    for organization, domains in zip(pool.organizations, world.domains, strict=True):
        MailDomain.objects.bulk_create(MailDomain(organization=organization, domain=domain) for domain in domains[1:])


def _set(row: Model, **values: object) -> None:
    """Give a row that outlives the world other values; only what differs from what the last world left in it."""
    type(row)._base_manager.filter(pk=row.pk).update(**values)
    for name, value in values.items():
        setattr(row, name, value)


def _lay_down(world: World, pool: Pool) -> None:
    """Policies with their excluded domains, and the administrators' rules."""
    policies = SharingPolicy.objects.bulk_create(
        SharingPolicy(mailbox=mailbox, mode=box.mode or "")
        for mailbox, box in zip(pool.mailboxes, world.boxes, strict=True)
        if box.mode or box.excluded
    )
    excluded = {policy.mailbox_id: policy for policy in policies}
    ExcludedDomain.objects.bulk_create(
        ExcludedDomain(policy=excluded[mailbox.pk], place=place, domain=domain)
        for mailbox, box in zip(pool.mailboxes, world.boxes, strict=True)
        for place, domain in enumerate(box.excluded, 1)
    )
    SharingRule.objects.bulk_create(
        SharingRule(
            organization=pool.organizations[0],
            user=pool.users[target] if isinstance(target, int) else None,
            role=target if isinstance(target, str) else "",
            mode=mode,
            is_fixed=is_fixed,
        )
        for target, (mode, is_fixed) in world.rules.items()
    )


def _file(world: World, built: Built) -> None:
    """Put the mail into its mailboxes, one batch for each, and then where its owner keeps it."""
    for box, mailbox in enumerate(built.pool.mailboxes):
        numbers = [number for number, mail in enumerate(world.mails) if mail.box == box]
        raws = [bytes_of(world, number) for number in numbers]
        arrivals = [Arrival.read(raw) for raw in raws]
        built.messages |= zip(numbers, file_messages(mailbox, arrivals), strict=True)
    messages = built.messages
    for number, mail in enumerate(world.mails):
        message = messages[number]
        message.is_private, message.is_draft = mail.private, mail.draft
        if mail.trash or mail.draft:
            kind = Folder.Kind.TRASH if mail.trash else Folder.Kind.DRAFTS
            message.folder = Folder.objects.get(account__user=message.owner_id, kind=kind)
        if mail.trash or mail.draft or mail.private:
            message.save(update_fields=["is_draft", "is_private", "folder"])
    for owner, root in world.kept_threads:
        Thread.objects.filter(owner=built.pool.users[owner], root=f"id{root}@mail.example").update(is_private=True)
    found = Attachment.objects.filter(message__in=messages.values())
    by_message = {attachment.message_id: attachment for attachment in found}
    built.attachments = {n: by_message[message.pk] for n, message in messages.items() if message.pk in by_message}
