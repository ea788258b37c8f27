"""R31: both databases find the same: whichever one the tests run on is held against one oracle in plain Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.among import among
from accounts.models import Mailbox
from mail import indexing, rows
from mail.deeds import delete_message
from mail.indexing import index_further, index_stored, index_waiting, start_indexing
from mail.models import Message, SearchBuild, SearchEntry
from mail.search import (
    FIELD_WORDS,
    MARKS,
    MESSAGE_WORDS,
    OF_ONE_WORD,
    estimates,
    is_indexed_at_once,
    sequence,
    stored,
)
from mail.search_query import Term, Words, parse
from mail.tasks import index_stored_mail
from mail.words import words
from tests import factories
from tests.mail.lexemes import lexemes
from tests.mail.test_search_query import TODAY

pytestmark = pytest.mark.django_db

#: Texts in which much is nearly the same.
SIGNS = st.sampled_from(
    [
        "a",
        "ab",
        "abc",
        "abcd",
        "Ä",
        "ß",
        "ı",
        "会",
        "議",
        "会議",
        "ก",
        "ي",
        "é",
        " ",
        " ",
        ".",
        "-",
        "'",
        "\\",
        ":*",
        '"',
        "\0",
    ]
)
TEXTS = st.lists(SIGNS, max_size=8).map("".join)
FIELDS = [*MARKS, "text"]
DOCUMENTS = st.fixed_dictionaries(
    {name: st.lists(TEXTS, max_size=2) for name in MARKS} | {"text": TEXTS.map(lambda text: [text])}
)
TERMS = st.builds(
    Term,
    words=TEXTS.map(words).filter(bool).map(tuple),
    is_beginning=st.booleans(),
    field=st.sampled_from(["", *MARKS]),
)
ASKED = st.builds(
    Words,
    clauses=st.lists(st.lists(TERMS, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple),
    excluded=st.lists(TERMS, max_size=2).map(tuple),
).filter(bool)
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
Document = Mapping[str, Sequence[str]]


def holds(document: Document, asked: Words) -> bool:
    """The oracle: whether a message with these texts in its fields is what is asked for."""
    return all(any(has(document, term) for term in clause) for clause in asked.clauses) and not any(
        has(document, term) for term in asked.excluded
    )


def has(document: Document, term: Term) -> bool:
    """Whether the words of the term follow each other somewhere in its field, in any if it names none."""
    fields = [term.field] if term.field else FIELDS
    return any(_occurs(words(text), term) for field in fields for text in document[field])


def _occurs(found: list[str], term: Term) -> bool:
    size = len(term.words)
    for at in range(len(found) - size + 1):
        *before, last = found[at : at + size]
        if tuple(before) == term.words[:-1] and (
            last.startswith(term.words[-1]) if term.is_beginning else last == term.words[-1]
        ):
            return True
    return False


@pytest.fixture
def mailbox() -> Mailbox:
    return factories.mailbox()


def store(message: Message, document: Document) -> None:
    """Give a message an entry with these texts; every other one is not in the index of words yet."""
    SearchEntry.objects.filter(message=message).delete()
    held = stored(sequence({name: document[name] for name in MARKS}, document["text"][0]))
    rows.insert(
        SearchEntry,
        ("message", "mailbox", "date", "words", "is_indexed"),
        [(message.pk, message.mailbox_id, message.date, held, message.pk % 2 == 0)],
    )


def ids(asked: Words | str) -> set[int]:
    """The messages that the database finds."""
    words = parse(asked, TODAY).words if isinstance(asked, str) else asked
    found = set(Message.objects.filter(search__words__match=words).values_list("pk", flat=True))
    assert found == set(Message.objects.filter(search__words__holds=words).values_list("pk", flat=True))
    return found


class TestSameness:
    """What a database finds is what the oracle says."""

    @pytest.fixture
    def messages(self, mailbox: Mailbox) -> list[Message]:
        return [factories.message(mailbox=mailbox) for _ in range(4)]

    @settings(max_examples=50, suppress_health_check=SLOW)
    @given(documents=st.lists(DOCUMENTS, min_size=4, max_size=4), searches=st.lists(ASKED, min_size=1, max_size=6))
    def test_of_any_search(self, messages: list[Message], documents: list[Document], searches: list[Words]) -> None:
        for message, document in zip(messages, documents, strict=True):
            store(message, document)
        for asked in searches:
            expected = {m.pk for m, document in zip(messages, documents, strict=True) if holds(document, asked)}
            assert ids(asked) == expected, asked

    @settings(max_examples=50, suppress_health_check=SLOW)
    @given(documents=st.lists(DOCUMENTS, min_size=4, max_size=4), typed=TEXTS)
    @example(documents=[{name: [""] for name in FIELDS}] * 4, typed="' & ! | ( ) <-> :* \\ \0 ''")
    @example(documents=[{name: [""] for name in FIELDS}] * 4, typed='" AND NOT NEAR(a, b) {words}: ^ + *')
    def test_of_whatever_is_typed(self, messages: list[Message], documents: list[Document], typed: str) -> None:
        """Signs that mean something to a database mean nothing in a search."""
        for message, document in zip(messages, documents, strict=True):
            store(message, document)
        asked = parse(typed, TODAY).words
        if asked:
            expected = {m.pk for m, document in zip(messages, documents, strict=True) if holds(document, asked)}
            assert ids(asked) == expected, asked


class TestFields:
    """What of a message is looked in."""

    @pytest.fixture
    def message(self, mailbox: Mailbox) -> Message:
        factories.message(
            mailbox=mailbox, sender="other@else.example", to=["x@y.example"], subject="Different", text=""
        )
        return factories.message(
            mailbox=mailbox,
            sender='"Bea Bell" <bea@acme.example>',
            to=['"Rep One" <rep@our.example>'],
            cc=['"Carl Copy" <carl@copied.example>'],
            bcc=['"Hidden Hand" <hidden@secret.example>'],
            subject="An offer of Größe",
            text="Dear Rep, the steel pipes come on Monday.",
            attachments=[("Angebot für Rep.pdf", "application/pdf", b"...")],
        )

    @pytest.mark.parametrize(
        "typed",
        [
            "steel", "STEEL PIPES", "pipes steel", '"steel pipes"', "stee", "mon*", "grosse", "größe ", "bea", "bea@acme.example",
            "acme.example ", '"bea bell"', "rep@our.example ", "carl@copied.example ", "angebot", "für.pdf OR pdf ",
            "from:bea", 'from:"Bea Bell"', "from:acme.example", "to:rep", "cc:carl", "subject:offer", "subject:GROSSE",
            "filename:pdf", "filename:Angebot", "offer -invoice", "nothing OR offer ", "from:carl OR cc:carl ",
        ],
    )  # fmt: skip
    def test_found(self, message: Message, typed: str) -> None:
        assert ids(typed) == {message.pk}

    @pytest.mark.parametrize(
        "typed",
        [
            "hidden", "hidden@secret.example ", "secret", '"hand"', "to:hidden", "cc:hidden", "from:carl", "to:carl", "cc:rep",
            "subject:steel", "subject:bea", "filename:steel", "from:steel", "teel", "stee ", '"pipes steel"', "offer -steel",
            '"size dear"', '"example rep"', "ste pipe ", "in:bea steel -from:bea",
        ],
    )  # fmt: skip
    def test_not_found(self, message: Message, typed: str) -> None:
        """Not who is in Bcc, not what stands in another field, and nothing across the border of two."""
        assert message.pk not in ids(typed)

    def test_entries_go_with_their_messages(self, message: Message) -> None:
        delete_message(message)
        delete_message(message)
        assert ids("steel") == set()
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO mail_search(mail_search, rank) VALUES ('integrity-check', 1)")


class TestBounds:
    """However much a message holds, its entry is one that both databases keep alike."""

    def test_only_so_much_of_a_message_is_searched(self, mailbox: Mailbox) -> None:
        texts = [f"first {'x ' * 40_000} late", f"{'word ' * 5000} seldom {'word ' * 5000} phrase"]
        long, repeating = (factories.message(mailbox=mailbox, text=text) for text in texts)
        assert ids("first") == {long.pk}
        assert ids("late") == set()
        assert ids("seldom") == ids('"word seldom"') ^ {repeating.pk} == {repeating.pk}
        assert ids("word phrase") == {repeating.pk}

    @pytest.mark.parametrize(
        "text", ["a b " * 40_000, "会議" * 30_000, " ".join(map(str, range(20_000))), "x" * 100_000]
    )
    def test_entries_are_bounded(self, text: str) -> None:
        many = {"to": [f"Person {number} <p{number}@many.example>" for number in range(2000)]}
        held = sequence(many, text)
        assert len(held) <= MESSAGE_WORDS
        assert sum(word.startswith(MARKS["to"]) for word in held) <= FIELD_WORDS
        kept = lexemes(stored(held))
        for word in ("a", "b", "会議", "many"):
            assert len(kept.get(word, ())) == min(held.count(word), OF_ONE_WORD)

    def test_the_longest_words_there_can_be_are_kept_as_far_as_they_fit(self, mailbox: Mailbox) -> None:
        """PostgreSQL takes no `tsvector` of a megabyte: mail made for that must not keep a mailbox from being fetched."""
        wide = [chr(0x12000 + n // 900) + chr(0x12000 + n % 900) + "\U00012000" * 62 for n in range(4_000)]
        names = {name: " ".join(wide[600 * at : 600 * (at + 1)]) for at, name in enumerate(MARKS)}
        message = factories.message(mailbox=mailbox)
        store(message, {name: [value] for name, value in names.items()} | {"text": [" ".join(wide[3000:])]})
        assert ids(f"subject:{wide[0]}") == {message.pk}
        assert ids(wide[3999]) == set()

    def test_long_searches_are_answered(self, mailbox: Mailbox) -> None:
        factories.message(mailbox=mailbox, text="x" * 3000)
        for typed in (
            "x" * 900,
            " ".join("abcdefghij"[n % 10] * 9 for n in range(32)),
            "OR ".join(["会"] * 30),
            '"' + "a " * 60,
        ):
            assert len(ids(typed)) in {0, 1}


class TestIndexing:
    """Entries are the same whenever they are made."""

    def entries(self) -> dict[int, tuple[Any, ...]]:
        return {row[0]: row for row in SearchEntry.objects.values_list("pk", "mailbox", "date", "words")}

    def test_an_entry_made_later_is_the_one_made_on_arrival(self, mailbox: Mailbox) -> None:
        for text in ("Größe 会議 " * 50, "", "a\0b \ud800 c"):
            factories.message(
                mailbox=mailbox,
                cc=[f"Person {number} <p{number}@copied.example>" for number in range(200)],
                text=text.replace("\ud800", "?"),
                attachments=[("x" * 300 + ".pdf", "application/pdf", b"...")],
                headers={"Reply-To": "not@searched.example"},
            )
        before = self.entries()
        index_stored(list(before))
        assert self.entries() == before

    def test_stored_mail_is_indexed_in_batches(self, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """After an upgrade: the newest first, from where it was stopped."""
        made = [factories.message(mailbox=mailbox, text=f"number{n}") for n in range(5)]
        before = self.entries()
        SearchEntry.objects.all().delete()
        assert ids("number4") == set()
        monkeypatch.setattr(indexing, "BATCH", 2)
        start_indexing()
        assert index_further() is not None
        assert set(self.entries()) == {message.pk for message in made[3:]}
        new = factories.message(mailbox=mailbox, text="arrives meanwhile")
        gone = made[2].pk
        made[2].delete()
        while index_further():
            pass
        assert not SearchBuild.objects.exists()
        assert self.entries().keys() == (before.keys() - {gone}) | {new.pk}
        assert ids("number0") == {made[0].pk}

    def test_there_may_be_no_mail(self) -> None:
        start_indexing()
        assert index_further() is None
        assert index_waiting() == 0

    def test_new_mail_is_found_before_it_is_in_the_index_of_words_and_after(
        self, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing, "WAITING_BATCH", 2)
        made = {factories.message(mailbox=mailbox, text=f"offer {n}").pk for n in range(3)}
        waiting = SearchEntry.objects.filter(is_indexed=False)
        assert waiting.count() == (0 if is_indexed_at_once() else 3)
        while True:
            assert ids("offer") == made
            if not index_waiting():
                break
        assert not waiting.exists()

    def test_the_worker_does_both(self, mailbox: Mailbox) -> None:
        """What waits from before an upgrade, and what has come since."""
        made = factories.message(mailbox=mailbox, text="offer")
        start_indexing()
        index_stored_mail()
        assert not SearchBuild.objects.exists()
        assert SearchEntry.objects.get().is_indexed
        assert ids("offer") == {made.pk}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="EXPLAIN is read as PostgreSQL writes it")
def test_a_search_walks_the_index_of_words_and_what_is_not_in_it_yet(mailbox: Mailbox) -> None:
    """R31: nobody reads every entry."""
    factories.message(mailbox=mailbox)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    words = parse("offer", TODAY).words
    plan = SearchEntry.objects.filter(words__match=words).explain()
    assert "search_words" in plan
    assert "search_waiting" in plan
    assert "search_words" not in SearchEntry.objects.filter(words__holds=words).explain()


def test_the_planner_is_asked_without_reading(mailbox: Mailbox) -> None:
    """Estimates are numbers where there are any; the queries' parameters are of every kind that searches have."""
    factories.message(mailbox=mailbox)
    found = Message.objects.filter(
        search__words__match=parse("offer -x from:bea", TODAY).words, search__mailbox__in=[mailbox.pk]
    )
    told = estimates(found, Message.objects.all())
    assert told is None if connection.vendor == "sqlite" else told is not None and len(told) == 2


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no opinion")
def test_the_planner_answers_for_each_question_even_if_it_would_ask_in_parallel() -> None:
    """R31: with very much mail PostgreSQL plans for several workers."""
    with connection.cursor() as cursor:
        for name in ("min_parallel_table_scan_size", "parallel_setup_cost", "parallel_tuple_cost"):
            cursor.execute(f"SET LOCAL {name} = 0")
        everything = Message.objects.all()
        told = estimates(everything, everything.filter(pk__lt=0), everything.filter(pk__gt=0))
    assert told is not None
    assert len(told) == 3


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no opinion")
def test_the_planner_expects_nothing_where_nothing_is_asked_about(mailbox: Mailbox) -> None:
    """R31: who has no mailbox searches in none."""
    factories.message(mailbox=mailbox)
    nothing = SearchEntry.objects.filter(among("mailbox", ()))
    told = estimates(nothing, SearchEntry.objects.all(), Message.objects.none())
    assert told is not None
    assert (told[0], len(told), told[2]) == (0, 3, 0)
