"""Each page that lists or shows mail asks the database at most twelve times, whoever looks at it and whatever they ask (speed.md).

Session and user are among the twelve. Everybody here who has a mailbox has trouble with it, which pages tell; they have
mail that was not sent, labels, folders, ticks, and more mail than a page shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urljoin

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from accounts.models import Mailbox, User
from customers.models import Customer
from fetcher.scheduling import claim
from mail import boxes, conversations
from mail.arranging import add_folder, add_label
from mail.deeds import delete_message, label_message, mark_message, move_message
from mail.models import Backfill, Folder, ImageSender, Label, Message, SearchBuild
from mail.notifying import Kind, note
from sharing import answering, feed, searching
from sharing.models import CaughtUp
from sharing.policies import tick
from tests import factories
from tests.portal.browsers import browser

pytestmark = pytest.mark.django_db

MOST = 12
NOW = timezone.now().replace(microsecond=0)
_MORE = re.compile(r'href="([^"]*[?&;]cursor=[^"]*)"')


@dataclass
class World:
    """Ann (Public, with excluded domains), Ben (Custom, with ticks), Ada (an administrator, Private), Zoe (no mailbox)."""

    ann: User
    ben: User
    ada: User
    zoe: User
    bea: Customer
    #: Messages to be opened: of Ann's, of Ben's and of Ada's, of each kind.
    messages: list[Message]

    @property
    def everybody(self) -> list[User]:
        """All who look at pages."""
        return [self.ann, self.ben, self.ada, self.zoe]


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (boxes, conversations, feed, answering, searching):
        monkeypatch.setattr(module, "PER_PAGE" if module is boxes else "PAGE", 3)


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Made once; what each test adds to it is taken back."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield _world()
        transaction.set_rollback(True)


def _world() -> World:
    """Older mail is still being indexed, and added to a record."""
    organization = factories.organization()
    ann, ben, ada, zoe = (
        factories.user(organization=organization, name=name, email=f"{name}@our.example", role=role)
        for name, role in (("ann", "member"), ("ben", "member"), ("ada", "admin"), ("zoe", "member"))
    )
    people: dict[str, Any] = {"first_name": "Bea", "last_name": "Bell", "company": "Acme"}
    bea = factories.customer(organization=organization, addresses=["bea@acme.example", "bell@acme.example"], **people)
    factories.customer(organization=organization, addresses=["bea@acme.example"], **people)
    factories.customer(organization=organization, last_name="Stone", addresses=["stone@acme.example"])
    for number in range(10):
        factories.customer(organization=organization, addresses=[f"c{number}@acme.example"])
    mailboxes = [
        factories.mailbox(owner=ann, mode="public", excluded_domains=["lawyers.example"]),
        factories.mailbox(owner=ben, mode="custom"),
        factories.mailbox(owner=ada, mode="private"),
    ]
    claim(mailboxes[0])
    tick(ben, bea)
    messages = [message for mailbox in mailboxes for message in _filled(mailbox)]
    for mailbox, state in zip(mailboxes, ("error", "password_rejected", "error"), strict=True):
        Mailbox.objects.filter(pk=mailbox.pk).update(state=state, last_error="The server is busy.")
        note(mailbox.owner, Kind.PASSWORD_REJECTED, mailbox=mailbox)
        note(mailbox.owner, Kind.ANSWERED, actor=ann, message=messages[0])
        ImageSender.objects.create(viewer=mailbox.owner, address="bea@acme.example")
    CaughtUp.objects.create(reader=zoe, until=NOW - timedelta(days=1))
    Backfill.objects.create(customer=bea, address="bell@acme.example", before=1)
    SearchBuild.objects.create(before=1)
    return World(ann, ben, ada, zoe, bea, messages)


def _filled(mailbox: Mailbox) -> list[Message]:
    """Fill a mailbox; some of its messages."""
    owner, sent = mailbox.owner, {"sender": mailbox.email_address, "to": ["bea@acme.example"]}
    labels = [add_label(owner.mail_account, name, "#c2413b") for name in ("Hot", "Cold", "None")]
    archive = add_folder(owner.mail_account, "Archive")
    received = [
        factories.message(
            mailbox=mailbox,
            sender=f"c{number}@acme.example" if number % 2 else "bea@acme.example",
            to=[mailbox.email_address, "all@our.example"],
            subject=f"Steel {number}",
            text="steel pipes",
            html='<p>steel pipes</p><img src="https://acme.example/logo.png">',
            attachments=[("steel.pdf", "application/pdf", b"%PDF")],
            date=NOW - timedelta(hours=number),
            # Two in one conversation, which others have copies of.
            message_id=f"steel{number}@acme.example",
            references=["steel0@acme.example"] if number == 1 else [],
        )
        for number in range(10)
    ]
    for number, message in enumerate(received):
        label_message(message, labels[:2])
        mark_message(message, is_starred=True)
        if number > 4:
            move_message(message, archive)
    delete_message(factories.message(mailbox=mailbox, subject="Steel that is gone"))
    unknown = factories.message(mailbox=mailbox, sender="rocky@quarry.example", subject="Steel of nobody")
    for number in range(4):
        factories.message(mailbox=mailbox, subject="Re: steel", date=NOW - timedelta(hours=number), **sent)
    unsent = [
        factories.outgoing(mailbox, status).message for status in ("draft", "queued", "failed", "unknown", "draft")
    ]
    return [received[0], received[8], unknown, *unsent[1:4]]


class Visit:
    """Somebody who looks at pages, and the pages of which one took too many queries."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.client: Client = browser(user)
        # What a process asks once, such as whether anything is set up.
        self.client.get(reverse("help"))
        self.too_many: dict[str, int] = {}

    def see(self, address: str) -> str:
        """A page, and how it goes on."""
        shown = self.part(address)
        more = _MORE.search(shown)
        if more:
            self.part(urljoin(address, unescape(more[1])))
        return shown

    def part(self, address: str, *, target: str = "", may_be_missing: bool = False) -> str:
        """A page, or what htmx puts into a `target` of one."""
        headers = {"HX-Request": "true", "HX-Target": target} if target else {}
        with CaptureQueriesContext(connection) as captured:
            answer = self.client.get(address, headers=headers)
        assert answer.status_code == 200 or (may_be_missing and answer.status_code == 404), address
        # Outside of a test there are no savepoints.
        asked = [query["sql"] for query in captured if "SAVEPOINT" not in query["sql"]]
        if len(asked) > MOST:
            self.too_many[f"{self.user}: {address} {target}"] = len(asked)
        return answer.content.decode()


def _lists(world: World, user: User) -> Iterator[str]:
    """The addresses of lists that a user can open; of a user's own folders and labels it is enough to see one user's."""
    yield from (reverse(f"home{part}") for part in ("", "-latest", "-mailbox", "-answers", "-unread"))
    yield from (reverse(name) for name in ("answers", "notifications", "unread", "mail", "mail-starred", "shared"))
    if user == world.ben:
        for folder in Folder.objects.filter(account__user=user):
            yield reverse("mail-folder", args=[folder.pk])
        label = Label.objects.get(account__user=user, name="Hot")
        yield from (reverse("mail-label", args=[label.pk], query=query) for query in ({}, {"show": "unread"}))
    narrowed = ({"colleague": world.ann.pk}, {"customer": world.bea.pk}, {"colleague": world.ben.pk, "find": "bea"})
    yield from (reverse("shared", query=query) for query in narrowed)
    for name in ("customer", "customer-emails"):
        yield reverse(name, args=["contacts", world.bea.pk])


def test_lists(world: World) -> None:
    """R24, R30, R31, R34: also where they go on."""
    too_many: dict[str, int] = {}
    for user in world.everybody:
        visit = Visit(user)
        for address in _lists(world, user):
            visit.see(address)
        if user != world.zoe:
            arrivals = {"since": 1, "row": [message.thread_id for message in world.messages]}
            visit.part(reverse("mail", query=arrivals), target="mail-arrivals")
        too_many |= visit.too_many
    assert too_many == {}


#: Operators, each alone; all of them together ask for a message in `Archive`.
OPERATORS = (
    "steel", '"steel pipes"', "-iron", "from:bea", "to:our", "-cc:our", "subject:steel", "filename:steel",
    "customer:bea", "-customer:bea", "has:attachment", "is:received", "after:2000-01-01", "before:2200",
    "label:hot", "-label:none", "in:archive", "-in:inbox", "in:trash", "in:anywhere", "is:unread", "is:starred",
)  # fmt: skip
TOGETHER = (
    'steel "steel pipes" -iron from:bea to:our subject:steel filename:steel customer:bea customer:acme -customer:stone '
    "has:attachment is:received after:2000-01-01 before:2200 label:hot label:cold in:archive -in:inbox is:starred "
)


def test_searches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """R31: with every operator alone and with all together, in the mail of one customer too."""
    asked = searching.estimates
    # As with so much mail that a search looks at the newest only.
    monkeypatch.setattr(searching, "estimates", lambda *querysets: (asked(*querysets), [1_000, 10_000, 100_000])[1])
    too_many: dict[str, int] = {}
    for user in world.everybody:
        visit = Visit(user)
        for q in OPERATORS if user == world.ben else ("steel", "is:unread"):
            visit.see(reverse("search", query={"q": q, "order": "best", "customer": world.bea.pk}))
        for query in ({}, {"in": "mine"}, {"in": "shared"}, {"order": "best"}, {"customer": world.bea.pk}):
            shown = visit.see(reverse("search", query={"q": TOGETHER, **query}))
            assert ("search-results" in shown) == (user != world.zoe and query != {"in": "shared"}), (user, query)
        too_many |= visit.too_many
    assert too_many == {}


def test_messages(world: World) -> None:
    """R32, R36: for the first time, when it is marked as read and its owner is told of it."""
    too_many: dict[str, int] = {}
    for user in world.everybody:
        visit = Visit(user)
        for message in world.messages:
            visit.part(reverse("message", args=[message.pk]), may_be_missing=True)
        for name in ("message-html", "message-full"):
            visit.part(reverse(name, args=[world.messages[1].pk]))
        too_many |= visit.too_many
    assert too_many == {}
