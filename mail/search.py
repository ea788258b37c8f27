"""Full-text search on both databases: what is stored of a message's words, and how they are asked for (R31).

`mail.words` makes the words, in Python; PostgreSQL keeps them as a `tsvector` with a GIN index, SQLite as a table of FTS5
whose tokenizer does nothing but divide at spaces. Neither knows a language, so both find the same. No extension is needed.

Putting an entry into a GIN index takes as long as all else that is done with a message. So PostgreSQL's has those that
are `is_indexed`; the others, which have just been filed, are few and looked at one by one until workers have put them in.

A message is one sequence of words, field after field. Those of the subject, of From, To and Cc, and of the names of
attachments stand there a second time with the mark of their field in front: that is what `subject:` and the like look
for. Bcc is not in it: whoever may see a message need not be its owner.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from django.db import connection, models
from django.db.models import QuerySet

from mail.remembering import remembering_short
from mail.search_query import Term, Words
from mail.words import LONGEST_WORD, words

#: As much of a message's text is searched, and so many words of a header field; in all at most what PostgreSQL gives
#: different places in a `tsvector`, of one word as many as it keeps.
TEXT_CHARS, FIELD_WORDS, MESSAGE_WORDS, OF_ONE_WORD = 64 * 1024, 400, 16_000, 255
#: What a `tsvector` may have of bytes (1 MiB less one, in PostgreSQL's source `MAXSTRPOS`): those of each word, and with it
#: its length and place at most so many more.
MESSAGE_BYTES, _WORD_BYTES = (1 << 20) - 1, 5
#: So many words, however long, are no more than that.
_SURELY_KEPT = MESSAGE_BYTES // (4 * (LONGEST_WORD + 1) + _WORD_BYTES)
#: Marks are of the private use area, which is in no word.
MARKS = {"subject": "\ue000", "from": "\ue001", "to": "\ue002", "cc": "\ue003", "name": "\ue004"}
#: Stands between what must not look as if it followed each other, and for what is left out.
_GAP = "\ue00f"
_PLACES = [place.to_bytes(2, "big") for place in range(1, MESSAGE_WORDS + 1)]
#: What follows a word of a `tsvector`: its end, and how many places it has.
_COUNTS = [b"\0" + count.to_bytes(2, "big") for count in range(OF_ONE_WORD + 1)]
#: The table of FTS5, where the database is SQLite.
FTS_TABLE = "mail_search"


def sequence(fields: Mapping[str, Iterable[str]], text: str) -> list[str]:
    """The words of a message in order, each at its place; `fields` are texts by the names in `MARKS`."""
    found: list[str] = []
    for name, mark in MARKS.items():
        some: list[str] = []
        for value in fields.get(name, ()):
            some += _field_words(value)
            some.append(_GAP)
            if len(some) > FIELD_WORDS:
                break
        del some[FIELD_WORDS:]
        found += some
        found += [mark + word if word is not _GAP else _GAP for word in some]
    found += words(text[:TEXT_CHARS])
    del found[MESSAGE_WORDS:]
    return found if len(found) <= _SURELY_KEPT else _kept(found)


def _kept(found: list[str]) -> list[str]:
    """As many words as PostgreSQL surely keeps of one message: it takes no longer `tsvector`, and no message with one."""
    room = MESSAGE_BYTES
    for count, word in enumerate(found):
        room -= len(word.encode()) + _WORD_BYTES
        if room < 0:
            return found[:count]
    return found


@remembering_short(200, 4_096)
def _field_words(value: str) -> Sequence[str]:
    """The same few people write to each other, about the same."""
    return words(value)


def stored(sequence: Sequence[str]) -> str | bytes:
    """The words as the database takes them; of one word no more than `OF_ONE_WORD`, the first.

    PostgreSQL is given a `tsvector` in its binary form (`tsvectorrecv` in its source): how many words there are, and each
    with the places where it stands. As text it would cost five times as much there.
    """
    if connection.vendor != "postgresql":
        return " ".join(_thinned(sequence))
    places: defaultdict[str, list[bytes]] = defaultdict(list)
    for word, place in zip(sequence, _PLACES, strict=False):
        places[word].append(place)
    places.pop(_GAP, None)
    pieces = [len(places).to_bytes(4, "big")]
    for word, at in places.items():
        if len(at) > OF_ONE_WORD:
            del at[OF_ONE_WORD:]
        pieces.append(word.encode())
        pieces.append(_COUNTS[len(at)])
        pieces += at
    return b"".join(pieces)


def _thinned(sequence: Sequence[str]) -> Sequence[str]:
    left = {word: OF_ONE_WORD for word, count in Counter(sequence).items() if count > OF_ONE_WORD and word != _GAP}
    if not left:
        return sequence
    thinned = list(sequence)
    for place, word in enumerate(sequence):
        if word in left:
            left[word] -= 1
            if left[word] < 0:
                thinned[place] = _GAP
    return thinned


def is_indexed_at_once() -> bool:
    """Whether a new entry is in the index of words as soon as it is stored."""
    return connection.vendor != "postgresql"


class WordsField(models.Field):
    """The words of a message, in the form that `stored` gives them; asked with `__match=Words(…)`."""

    def db_type(self, connection: Any) -> str:
        """`tsvector`, or the text that FTS5 reads."""
        return "tsvector" if connection.vendor == "postgresql" else "text"


@WordsField.register_lookup
class Match(models.Lookup):
    """Whether a message has the words that are asked for."""

    lookup_name = "match"
    prepare_rhs = False
    rhs: Words

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """With the GIN index for what is in it, and one entry after the other for the few that wait."""
        column, params = self.process_lhs(compiler, connection)
        is_indexed = f'{compiler.quote_name_unless_alias(self.lhs.alias)}."is_indexed"'
        matches = f"{column} @@ %s::tsquery"
        asked = [*params, tsquery(self.rhs)]
        return f"({is_indexed} AND {matches} OR NOT {is_indexed} AND {matches})", [*asked, *asked]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # noqa: ARG002
        """With FTS5, which has no way to say that something is absent and nothing else."""
        asked = self.rhs if self.rhs.clauses else Words((self.rhs.excluded,))
        key = f'{compiler.quote_name_unless_alias(self.lhs.alias)}."message_id"'
        among = "IN" if self.rhs.clauses else "NOT IN"
        found = f"(SELECT rowid FROM {FTS_TABLE} WHERE {FTS_TABLE} MATCH %s)"  # noqa: S608
        return f"{key} {among} {found}", [fts(asked)]


@WordsField.register_lookup
class Holds(Match):
    """The same of entries that something else finds, such as a span of time: the index of words is not looked up.

    Of a word that half of all mail has, PostgreSQL would gather that half from the index to meet a few hundred of it.
    """

    lookup_name = "holds"

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """One entry after the other."""
        column, params = self.process_lhs(compiler, connection)
        return f"({column} @@ %s::tsquery) IS TRUE", [*params, tsquery(self.rhs)]


class Unindexed(models.Func):
    """A date that no index gives in order. So PostgreSQL looks words up first, and sorts what it found.

    It would rather walk along the dates until it has met enough messages with the words, and may have to read all mail.
    """

    template = "%(expressions)s"
    arity = 1

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        """The same date, as the result of a sum."""
        return self.as_sql(compiler, connection, template="(%(expressions)s + interval '0')")


def tsquery(asked: Words) -> str:
    """A search as PostgreSQL writes it (manual, *tsquery*)."""
    wanted = [f"({' | '.join(map(_followed, clause))})" for clause in asked.clauses]
    return " & ".join([*wanted, *(f"!({_followed(term)})" for term in asked.excluded)])


def _followed(term: Term) -> str:
    return " <-> ".join(f"'{word}'" for word in _marked(term)) + (":*" if term.is_beginning else "")


def fts(asked: Words) -> str:
    """A search with at least one clause as FTS5 writes it (sqlite.org/fts5.html, *Full-text Query Syntax*)."""
    wanted = " AND ".join(f"({' OR '.join(map(_quoted, clause))})" for clause in asked.clauses)
    unwanted = " OR ".join(map(_quoted, asked.excluded))
    return f"({wanted}) NOT ({unwanted})" if unwanted else wanted


def _quoted(term: Term) -> str:
    return f'"{" ".join(_marked(term))}"' + (" *" if term.is_beginning else "")


def _marked(term: Term) -> Iterable[str]:
    mark = MARKS.get(term.field, "")
    return (mark + word for word in term.words)


def estimates(*querysets: QuerySet[Any]) -> list[int] | None:
    """How many rows the planner of the database expects of each; None where it has no opinion. One query, which reads none.

    Of words that are common it knows well how many have them, and says so at once however many that are.
    """
    if connection.vendor != "postgresql":
        return None
    asked = [rows.values("pk").order_by().query for rows in querysets]
    # A question that Django knows to have no answer, such as one about no mailbox, is asked all the same: each has its place.
    compiled = [query.get_compiler(connection=connection, elide_empty=False).as_sql() for query in asked]
    # Each is a plan of its own then, whether it is to run in parallel, is known to be empty, or neither.
    statement = f"SELECT {', '.join(f'ARRAY({sql})' for sql, _ in compiled)}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"EXPLAIN (FORMAT JSON) {statement}", list(chain.from_iterable(params for _, params in compiled))
        )
        answer = cursor.fetchone()[0]
    plan = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
    return [each["Plan Rows"] for each in plan["Plans"]]
