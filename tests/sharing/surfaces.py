"""Every way in which somebody could see a message of a world, asked and compared with what the oracle says.

The querysets and the rule are asked of every viewer and message. Of the pages and the API each viewer asks some
questions (`CRM_MAIL_QUESTIONS`, 0 for all), chosen by the world's salt: many worlds ask all of them of everything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse, StreamingHttpResponse

from mail.models import Message
from sharing.visibility import Sight, explain, listed_once, shared_by, viewers_of, visible_to
from tests.sharing.worlds import STRANGER, Built, World, attached, bytes_of

if TYPE_CHECKING:
    from tests.sharing.test_properties import Oracle

API = "/api/v1"
DETAILS = ("page", "text", "frame", "raw", "source", "attachment", "API", "API raw", "API attachment", "API visibility")
#: So many questions each viewer asks of pages and API; 0 asks all.
QUESTIONS = int(os.environ.get("CRM_MAIL_QUESTIONS", "3"))
_TRACE = re.compile(r"zqmark(\d+)z")
_SECRET = re.compile(r"hqmark(\d+)h")
_LINK = re.compile(r'"/mail/messages/(\d+)/"')
_OWNER_ONLY = ("bcc", "folder", "labels", "is_read", "is_starred")


@dataclass
class Surfaces:
    """A world with its rows and its oracle; `opened` remembers who has opened which message of a colleague's."""

    world: World
    built: Built
    oracle: Oracle
    opened: set[tuple[int, int]] = field(default_factory=set)

    def agree(self, *, briefly: bool = False) -> None:
        """Every viewer gets from every surface what the oracle says, and no trace of anything else."""
        random = Random(self.world.salt)
        check_rule(self, random)
        for viewer, person in enumerate(self.world.people):
            look = Look(self, viewer, random)
            questions = look.questions() if person.active else look.closed_doors()
            count = 2 if briefly or not person.active else QUESTIONS
            for question in random.sample(questions, min(count, len(questions))) if QUESTIONS else questions:
                question()


def check_rule(asked: Surfaces, random: Random) -> None:
    """The querysets and the rule on plain data, with the line that decided (R20–R26)."""
    world, built, oracle = asked.world, asked.built, asked.oracle
    numbers, people = built.numbers, range(len(world.people))
    users = [built.user(person) for person in people]
    for person in people:
        seen = {numbers[pk] for pk in visible_to(users[person]).values_list("pk", flat=True)}
        assert seen == oracle.seen_by(person), f"visible_to(person {person})"
        if any(world.owner(n) != person for n in seen):
            check_walks(asked, Sight(users[person]), person)
    for owners in (people[:STRANGER], people[STRANGER:]):
        shared = {numbers[pk] for pk in shared_by([users[p] for p in owners]).values_list("pk", flat=True)}
        assert shared == {n for n in numbers.values() if world.owner(n) in owners and oracle.is_shared(n)}, "shared_by"
    person = random.choice(people)
    seen = oracle.seen_by(person)
    once = {numbers[pk] for pk in listed_once(visible_to(users[person]), users[person]).values_list("pk", flat=True)}
    one_of_each(asked, person, once, seen, "listed_once")
    shared = {numbers[pk] for pk in Sight(users[person]).of_colleagues().values_list("pk", flat=True)}
    assert shared == {n for n in seen if world.owner(n) != person}, f"of_colleagues({person})"
    for number in numbers.values():
        message = built.message(number)
        viewer = random.choice(people)
        assert explain(users[viewer], message).line == oracle.line(viewer, number), f"explain({viewer}, {number})"
        named = {user.pk for user in viewers_of(message)}
        assert named == {users[p].pk for p in people if p in oracle.viewers(number)}, f"viewers_of({number})"


def check_walks(asked: Surfaces, sight: Sight, person: int) -> None:
    """What lists walk along holds all that they have to list (R30)."""
    oracle, numbers, seen = asked.oracle, asked.built.numbers, asked.oracle.seen_by(person)
    walked = {numbers[pk] for pk in sight.candidates().values_list("pk", flat=True)}
    lacking = {n for n in seen if oracle.is_customer_mail(person, n)} - walked
    assert not lacking, f"candidates({person}) lacks {lacking}"
    for number, customer in asked.built.customers.items():
        walked = {numbers[pk] for pk in sight.links_of(customer).values_list("message_id", flat=True)}
        lacking = {n for n in seen if oracle.is_related(n, number)} - walked
        assert not lacking, f"links_of({person}, customer {number}) lacks {lacking}"


def one_of_each(asked: Surfaces, viewer: int, listed: Collection[int], expected: set[int], where: str) -> None:
    """Exactly one copy of each of the expected messages is listed: the viewer's own where they have one (R30)."""
    world = asked.world
    assert set(listed) <= expected, f"{where} of person {viewer} lists {set(listed) - expected} as well"
    contents = [world.content(number) for number in listed]
    assert len(contents) == len(set(contents)), f"{where} of person {viewer} lists a message twice: {listed}"
    missing = {world.content(number) for number in expected} - set(contents)
    assert not missing, f"{where} of person {viewer} lacks {missing}"
    for number in listed:
        mine = [n for n in expected if world.content(n) == world.content(number) and world.owner(n) == viewer]
        assert not mine or number in mine, f"{where} of person {viewer} lists {number}, not their own {mine}"


class Look:
    """What one viewer gets."""

    def __init__(self, asked: Surfaces, viewer: int, random: Random) -> None:
        self.asked, self.viewer, self.random = asked, viewer, random
        self.world, self.built, self.oracle = asked.world, asked.built, asked.oracle
        self.client = asked.built.pool.clients[viewer]
        self.numbers = asked.built.numbers
        self.seen = asked.oracle.seen_by(viewer)
        self.known = {self.world.content(number) for number in self.seen}
        self.own = {self.world.content(number) for number in self.seen if self.world.owner(number) == viewer}

    def get(self, url: str, *, status: int = 200, htmx: bool = False, **query: Any) -> HttpResponse:
        """An answer, which must tell of nothing that the viewer may not see."""
        headers = {"HX-Request": "true"} if htmx else {}
        answer: Any = self.client.get(url, query, headers=headers)
        where = f"{url} {query} for person {self.viewer}"
        assert answer.status_code == status, f"{where}: {answer.status_code}"
        self.no_trace(answer, where)
        return answer  # type: ignore[no-any-return]

    def no_trace(self, answer: Any, where: str) -> None:
        """Nothing of hidden messages, and no hidden recipient of another's."""
        is_stream = isinstance(answer, StreamingHttpResponse)
        text = (b"".join(answer) if is_stream else answer.content).decode("utf-8", "replace")
        traces = {int(number) for number in _TRACE.findall(text)} - self.known
        assert not traces, f"{where} tells of {traces}"
        secrets = {int(number) for number in _SECRET.findall(text)} - self.own
        assert not secrets, f"{where} tells the Bcc of {secrets}"

    def links(self, answer: HttpResponse) -> list[int]:
        """The numbers of the messages that a page links to."""
        found = dict.fromkeys(_LINK.findall(answer.content.decode()))
        return [self.numbers[int(pk)] for pk in found]

    def rows(self, path: str, **query: Any) -> list[int]:
        """The numbers of the messages in a list of the API."""
        answer: Any = self.get(f"{API}/{path}", **query)
        rows = answer.json()["results"]
        while answer.json()["next"]:
            answer = self.get(answer.json()["next"])
            rows += answer.json()["results"]
        return [self.numbers[row["id"]] for row in rows]

    def questions(self) -> list[Callable[[], object]]:
        """What somebody asks who may sign in."""
        lists = [
            self.listed,
            self.searched,
            self.looked_for,
            self.filtered,
            self.home,
            self.feed,
            self.unread,
            self.feed_of,
            self.feed_with,
        ]
        records = [partial(ask, n) for n in self.built.customers for ask in (self.record, self.related)]
        details = [partial(self.detail, way, n) for way in DETAILS for n in self.numbers.values()]
        # No more than that, so that the many details leave the lists their chance.
        drawn = self.random.sample(details, min(len(details), 10)) if QUESTIONS else details
        is_admin = self.world.people[self.viewer].role == "admin"
        return [*lists, *records, *drawn, *([self.audit] if is_admin else [])]

    def closed_doors(self) -> list[Callable[[], object]]:
        """What somebody deactivated gets: nothing, from the next request on (line 1)."""
        pk = self.built.messages[self.random.choice(list(self.numbers.values()))].pk
        pages = ("/", f"/mail/messages/{pk}/", f"/mail/messages/{pk}/raw/", "/shared/")
        paths = ("messages/", f"messages/{pk}/", f"messages/{pk}/raw/")
        return [
            *(partial(self.get, page, status=302) for page in pages),
            *(partial(self.get, f"{API}/{path}", status=401) for path in paths),
        ]

    def listed(self) -> None:
        """The API's list."""
        answer: Any = self.get(f"{API}/messages/")
        rows = answer.json()["results"]
        assert sorted(self.numbers[row["id"]] for row in rows) == sorted(self.seen), f"messages/ of {self.viewer}"
        for row in rows:
            self._row(row)

    def searched(self) -> None:
        """The search for a word that one message has, and for a hidden recipient's address."""
        content = self.world.content(self.random.choice(list(self.numbers.values())))
        same = {n for n in self.seen if self.world.content(n) == content}
        assert set(self.rows("messages/", search=f"word{content}word")) == same, "search"
        assert set(self.rows("messages/", search="subject:subject")) == self.seen, "search for what all have"
        assert not self.rows("messages/", search=f"hqmark{content}h"), "search finds a Bcc"

    def looked_for(self) -> None:
        """The search page, page after page: words that one message has or all have, in one's own mail, others' or both."""
        content = self.world.content(self.random.choice(list(self.numbers.values())))
        here = {n for n in self.seen if self.world.content(n) == content}
        kept = {n for n in self.seen if not self.world.mails[n].trash}
        mine = {n for n in self.seen if self.world.owner(n) == self.viewer}
        customer = self.random.choice(list(self.built.customers))
        q, expected = self.random.choice(
            [
                (f"word{content}word", here),
                (f"wor* text -word{content}word", self.seen - here),
                ("subject:subject", self.seen),
                ("subject in:trash", mine - kept),
                ("subject is:unread OR OR", {n for n in mine if not self.built.message(n).is_read}),
                # Not whole, because the page repeats what was asked for.
                ("hqmark*", set()),
                ("to:hqmark* OR cc:hqmark* OR from:hqmark*", set()),
            ]
        )
        scope, within = self.random.choice([("all", self.seen), ("mine", mine), ("shared", self.seen - mine)])
        query: dict[str, Any] = {"q": q, "in": scope}
        if self._is_there(customer) and self.random.random() < 0.3:
            query["customer"] = self.built.customers[customer].pk
            within = {n for n in within if customer in self.oracle.correspondents(n)}
        expected = expected & within & (self.seen if "trash" in q else kept)
        answer: Any = self.get("/search/", **query)
        listed = self.links(answer)
        if answer.context["page"].is_all:
            count = len({self.world.content(n) for n in expected})
            assert answer.context["page"].count == count, f"{query} of person {self.viewer} counts otherwise"
        while answer.context["page"].cursor:
            answer = self.get("/search/", htmx=True, cursor=answer.context["page"].cursor, **query)
            listed += self.links(answer)
        one_of_each(self.asked, self.viewer, listed, expected, f"search {query}")

    def home(self) -> None:
        """The latest customer mail."""
        expected = {n for n in self.seen if self.oracle.is_customer_mail(self.viewer, n)}
        one_of_each(self.asked, self.viewer, self.links(self.get("/")), expected, "home")

    def _row(self, row: dict[str, Any]) -> None:
        """What the API tells of a message."""
        number = self.numbers[row["id"]]
        customers = {self.built.customers[customer].pk for customer in self.oracle.correspondents(number)}
        assert {customer["id"] for customer in row["customers"]} == customers, f"customers of {number}"
        assert row["direction"] == self.oracle.direction(number), f"direction of {number}"
        if self.world.owner(number) != self.viewer:
            assert {row[name] for name in _OWNER_ONLY} == {None}, f"{number} tells what is its owner's"

    def filtered(self) -> None:
        """One filter of the API's list, about some message, seen or not."""
        number = self.random.choice(list(self.numbers.values()))
        message, world, oracle = self.built.messages[number], self.world, self.oracle
        mail, direction = world.mails[number], oracle.direction(number)
        customer = self.random.randrange(len(world.customers))
        row = self.built.customers[customer]
        together = (world.owner(number), world.root(number))
        name, value, fitting = self.random.choice(
            [
                ("customer", row.pk, {n for n in self.seen if customer in oracle.correspondents(n)}),
                ("mailbox", message.mailbox_id, {n for n in self.seen if world.mails[n].box == mail.box}),
                ("direction", direction, {n for n in self.seen if oracle.direction(n) == direction}),
                ("thread", message.thread_id, {n for n in self.seen if (world.owner(n), world.root(n)) == together}),
                ("folder", message.folder_id, None),
            ]
        )
        if name == "folder" and world.owner(number) == self.viewer:
            return
        assert set(self.rows("messages/", **{name: value})) == (fitting or set()), f"{name}={value}"

    def _path(self, number: int) -> str:
        return f"{self.world.customers[number].kind}s/{self.built.customers[number].pk}/"

    def _is_there(self, number: int) -> bool:
        return (
            self.world.customers[number].org == self.oracle.org(self.viewer) and not self.world.customers[number].gone
        )

    def _is_gone(self, number: int) -> None:
        """The link to a record that was merged leads to what it became, any other nowhere."""
        became: int | None = number
        while became is not None and self.world.customers[became].gone:
            became = self.world.became(became)
        if became is None or not self._is_there(became):
            self.get(f"/{self._path(number)}", status=404)
        else:
            answer = self.get(f"/{self._path(number)}", status=302)
            assert answer["Location"] == f"/{self._path(became)}", f"link to {number}"

    def record(self, number: int) -> None:
        """The Emails of a record, page by page; a record of another organisation does not exist."""
        path = self._path(number)
        if not self._is_there(number):
            self._is_gone(number)
            self.get(f"/{path}emails/", status=404)
            return
        answer: Any = self.get(f"/{path}")
        assert answer.context.get("reveals") == self.oracle.reveals(self.viewer, number), f"reveals of {path}"
        listed = self.links(answer)
        while answer.context["page"].cursor:
            answer = self.get(f"/{path}emails/", htmx=True, cursor=answer.context["page"].cursor)
            listed += self.links(answer)
        expected = {n for n in self.seen if self.oracle.is_related(n, number)}
        if self.world.page:
            expected = self._reachable(listed, expected)
        one_of_each(self.asked, self.viewer, listed, expected, f"/{path}")

    def related(self, number: int) -> None:
        """The same by the API."""
        if not self._is_there(number):
            self.get(f"{API}/{self._path(number)}emails/", status=404)
            return
        expected = {n for n in self.seen if self.oracle.is_related(n, number)}
        one_of_each(self.asked, self.viewer, self.rows(f"{self._path(number)}emails/"), expected, "emails/")

    def _reachable(self, listed: Collection[int], expected: set[int]) -> set[int]:
        """Where pages are small: what is listed, and all of every conversation of which nothing is."""
        roots = {self.world.root(number) for number in listed}
        contents = {self.world.content(number) for number in listed}
        return {n for n in expected if self.world.root(n) not in roots or self.world.content(n) in contents}

    @property
    def _shared(self) -> set[int]:
        return {n for n in self.seen if self.world.owner(n) != self.viewer}

    @property
    def _mine(self) -> set[int]:
        """The contents of which the viewer has a copy, not in Trash."""
        world = self.world
        return {world.content(n) for n in self.seen if world.owner(n) == self.viewer and not world.mails[n].trash}

    def feed(self) -> None:
        """Shared mail: unread first, without what the viewer has a copy of."""
        expected = {n for n in self._shared if self.world.content(n) not in self._mine}
        unread, read = self._feed()
        one_of_each(self.asked, self.viewer, unread + read, expected, "feed")
        for number in (*unread, *read):
            fresh = (
                self.world.mails[self.world.content(number)].day > 1 and (self.viewer, number) not in self.asked.opened
            )
            assert fresh is (number in unread), f"{number} is {'un' if fresh else ''}read for person {self.viewer}"

    def unread(self) -> None:
        """The counter."""
        answer: Any = self.get("/unread/")
        assert answer.context["shared"] == len(self._feed()[0]), f"unread of person {self.viewer}"

    def feed_of(self) -> None:
        """What one colleague shares; nothing of oneself and of strangers."""
        colleague = self.random.randrange(len(self.world.people))
        expected = {n for n in self._shared if self.world.owner(n) == colleague}
        unread, read = self._feed(colleague=colleague)
        one_of_each(self.asked, self.viewer, unread + read, expected, f"feed of {colleague}")

    def feed_with(self) -> None:
        """Shared mail with one customer, without what the viewer has a copy of that is with the same customer.

        What they received and a colleague sent is the correspondence of different people in each copy.
        """
        customer = self.random.choice(list(self.built.customers))
        related = {n for n in self.seen if self.oracle.is_related(n, customer)}
        mine = {self.world.content(n) for n in related if self.world.owner(n) == self.viewer}
        expected = {n for n in related & self._shared if self.world.content(n) not in mine}
        unread, read = self._feed(customer=customer)
        one_of_each(self.asked, self.viewer, unread + read, expected, f"feed with {customer}")

    def _feed(self, colleague: int | None = None, customer: int | None = None) -> tuple[list[int], list[int]]:
        query: dict[str, Any] = {}
        if colleague is not None:
            query["colleague"] = self.built.pool.users[colleague].pk
        if customer is not None:
            query["customer"] = self.built.customers[customer].pk
        unread: list[int] = []
        read: list[int] = []
        answer: Any = self.get("/shared/", **query)
        while True:
            unread += [self.numbers[message.pk] for message, _ in answer.context["unread"]]
            read += [self.numbers[message.pk] for message, _ in answer.context["read"]]
            assert set(self.links(answer)) <= {*unread, *read}
            cursor = answer.context["cursor"]
            if not cursor:
                return unread, read
            answer = self.get("/shared/", htmx=True, cursor=cursor, **query)

    def audit(self) -> None:
        """The audit log and its export, and who shares what: no subject that the administrator may not see."""
        exported: Any = self.client.post("/administration/audit/export/")
        assert exported.status_code == 200
        text = b"".join(exported.streaming_content).decode()
        assert not _TRACE.findall(text) + _SECRET.findall(text), "the exported audit log names mail"
        self.get("/administration/audit/")
        self.get("/administration/sharing/")

    def detail(self, way: str, number: int) -> None:
        """One way to one message: there for those who may see it, 404 for everybody else."""
        pk, attachment = self.built.messages[number].pk, self.built.attachments.get(number)
        if "attachment" in way and attachment is None:
            return
        page, api = f"/mail/messages/{pk}/", f"{API}/messages/{pk}/"
        url = {
            "page": page,
            "text": f"{page}?text",
            "frame": f"{page}html/",
            "raw": f"{page}raw/",
            "source": f"{page}original/",
            "attachment": f"{page}attachments/{attachment.part if attachment else 0}/",
            "API": api,
            "API raw": f"{api}raw/",
            "API attachment": f"{api}attachments/{attachment.pk if attachment else 0}/",
            "API visibility": f"{api}visibility/",
        }[way]
        answer: Any = self.get(url, status=200 if number in self.seen else 404)
        if number not in self.seen:
            return
        if self.world.owner(number) != self.viewer and way != "API visibility":
            self.asked.opened.add((self.viewer, number))
        self._content(way, number, answer)

    def _content(self, way: str, number: int, answer: Any) -> None:
        """What a way shows of a message that may be seen."""
        world, viewer, content = self.world, self.viewer, self.world.content(number)
        is_owner = world.owner(number) == viewer
        if way in {"page", "text"}:
            others = {n for n in self.seen if world.root(n) == world.root(number) and not world.mails[n].trash}
            others = {n for n in others if world.content(n) != content}
            listed = [n for n in self.links(answer) if n != number or way == "page"]
            one_of_each(self.asked, viewer, listed, others, f"conversation of {number}")
        elif way in {"raw", "API raw"}:
            assert answer.content == bytes_of(world, number, hidden=is_owner), f"{way} of {number}"
        elif way in {"attachment", "API attachment"}:
            assert answer.content.strip() == attached(content)
        elif way == "API":
            self._row(answer.json())
            own = self.built.attachments.get(number)
            assert [each["id"] for each in answer.json()["attachments"]] == ([own.pk] if own else [])
        elif way == "API visibility":
            told = answer.json()
            assert (told["visible"], told["rule"]) == (True, self.oracle.line(viewer, number))
            named = {each["id"] for each in told["viewers"]} if told["viewers"] is not None else None
            users = self.built.pool.users
            assert named == ({users[p].pk for p in self.oracle.viewers(number)} if is_owner else None)


def openings(built: Built, numbers: Iterable[int]) -> set[tuple[int, int]]:
    """Who has opened which message, as the audit log has it (R26)."""
    people = {user.pk: number for number, user in enumerate(built.pool.users)}
    opened = Message.objects.filter(audit_entries__action="message_opened").values_list("audit_entries__actor", "pk")
    by_pk = built.numbers
    return {(people[actor], by_pk[pk]) for actor, pk in opened if by_pk[pk] in numbers}
