"""R31: what people type into a search box is read, whatever it is."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mail.search_query import MAX_CHARS, MAX_TERMS, OPERATORS, Filter, Query, Term, parse, read_day

TODAY = date(2026, 11, 26)


def read(text: str) -> Query:
    query = parse(text, TODAY)
    assert not query.problems
    return query


def clauses(text: str) -> list[list[str]]:
    """The clauses of a search, each term as its words with the mark of a beginning."""
    return [
        [
            f"{term.field}:"[: -1 if not term.field else None] + " ".join(term.words) + "*" * term.is_beginning
            for term in clause
        ]
        for clause in read(text).words.clauses
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("price offer ", [["price"], ["offer"]], id="every word must occur"),
        pytest.param("price off", [["price"], ["off*"]], id="the last may go on while it is typed"),
        pytest.param("price of", [["price"], ["of"]], id="unless it is very short"),
        pytest.param("pri* offer ", [["pri*"], ["offer"]], id="others where an asterisk says so"),
        pytest.param('"steel pipes" ', [["steel pipes"]], id="a phrase"),
        pytest.param('"steel pipes"', [["steel pipes"]], id="does not go on once it is closed"),
        pytest.param('"steel pip', [["steel pip*"]], id="and does before"),
        pytest.param("“steel pipes” ", [["steel pipes"]], id="in typographic quotes"),
        pytest.param("„steel pipes“ ", [["steel pipes"]], id="in German ones"),
        pytest.param("bea@acme.example ", [["bea acme example"]], id="an address is a phrase"),
        pytest.param("steel OR iron pipes ", [["steel", "iron"], ["pipes"]], id="one or the other"),
        pytest.param("a OR b OR c ", [["a", "b", "c"]], id="or a third"),
        pytest.param("OR steel OR ", [["steel"]], id="OR beside nothing means nothing"),
        pytest.param("steel or iron ", [["steel"], ["or"], ["iron"]], id="or is a word"),
        pytest.param("from:bea subject:offer ", [["from:bea"], ["subject:offer"]], id="in a field"),
        pytest.param('FROM:"Bea Bell" ', [["from:bea bell"]], id="in any case, with a phrase"),
        pytest.param("from:bea OR to:bea ", [["from:bea", "to:bea"]], id="in one field or another"),
        pytest.param("cc:carl filename:offer.pdf ", [["cc:carl"], ["name:offer pdf"]], id="further fields"),
        pytest.param("http://x.example re:offer ", [["http x example"], ["re offer"]], id="no operator"),
        pytest.param("from: to:", [], id="an operator that is still being typed"),
        pytest.param("会議室", [["会議 議室"]], id="signs by twos"),
        pytest.param("会", [["会*"]], id="a single sign is the beginning of a pair"),
        pytest.param("!!! -- ( ) : * \0", [], id="nothing to look for"),
        pytest.param("'a' & !b | (c <-> d):* ", [["a"], ["b"], ["c"], ["d"]], id="tsquery is no language here"),
        pytest.param("NEAR(a b) {x}:y ^z ", [["near a"], ["b"], ["x y"], ["z"]], id="nor that of FTS5"),
    ],
)
def test_words(text: str, expected: list[list[str]]) -> None:
    assert clauses(text) == expected


def test_exclusions() -> None:
    query = read('offer -draft -"second hand" -from:carl ')
    assert query.words.excluded == (Term(("draft",)), Term(("second", "hand")), Term(("carl",), field="from"))
    assert clauses("semi-final ") == [["semi final"]], "a hyphen inside a word excludes nothing"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("has:attachment", Filter("attachment")),
        ("-has:attachment", Filter("attachment", is_not=True)),
        ("label:Urgent", Filter("label", "Urgent")),
        ('label:"To do"', Filter("label", "To do")),
        ("in:sent", Filter("folder", "sent")),
        ("folder:Archive", Filter("folder", "Archive")),
        ("customer:acme", Filter("customer", "acme")),
        ("is:unread", Filter("read", "no")),
        ("is:read", Filter("read", "yes")),
        ("-is:starred", Filter("starred", "yes", is_not=True)),
        ("IS:Sent", Filter("direction", "sent")),
        ("is:received", Filter("direction", "received")),
    ],
)
def test_filters(text: str, expected: Filter) -> None:
    assert read(text).filters == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-01", date(2026, 5, 1)),
        ("2026-5-1", date(2026, 5, 1)),
        ("2026-05", date(2026, 5, 1)),
        ("2026", date(2026, 1, 1)),
        ("today", TODAY),
        ("Yesterday", date(2026, 11, 25)),
        ("7d", date(2026, 11, 19)),
        ("2w", date(2026, 11, 12)),
        ("1y", date(2025, 11, 26)),
        ("2026-02-30", None),
        ("31.12.2026", None),
        ("05/06/2026", None),
        ("9999y", None),
        ("soon", None),
        ("٢٠٢٦", None),
    ],
)
def test_days(text: str, expected: date | None) -> None:
    assert read_day(text, TODAY) == expected


def test_dates_bound_a_search() -> None:
    """The day of `after:` counts, that of `before:` does not."""
    query = read("after:2026-05 before:2026-06-01 after:2026-05-10")
    assert (query.since, query.before) == (date(2026, 5, 10), date(2026, 6, 1))
    assert read("-before:2026").since == date(2026, 1, 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("offer before:31.12.2026", "before:2026-11-26"),
        ("after:soon", "after:soon"),
        ("after:2026-05 before:2026-04", "No day"),
        ("is:blue", "is:unread"),
        ("has:wings", "has:attachment"),
        ("word " * (MAX_TERMS + 1), f"at most {MAX_TERMS}"),
        ("word " * 10_000, f"at most {MAX_CHARS}"),
        ('"' + "a " * 200, "too much"),
        ("steel OR is:unread", "“is:unread” is neither"),
        ("label:hot OR steel", "“label:hot” is neither"),
        ("steel OR -iron", "“-iron” is neither"),
        ("after:2026 OR before:2025", "“after:2026” is neither"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, told: str) -> None:
    """In words, and nothing is searched for in its place."""
    problems = parse(text, TODAY).problems
    assert any(told in problem for problem in problems), problems


@given(
    st.one_of(
        st.text(),
        st.lists(
            st.sampled_from(
                [*sorted(f"{name}:" for name in OPERATORS), '"', "-", "OR", " ", "a", "2026", "\0", "会", ":", "*"]
            )
        ).map("".join),
    )
)
@example('"' * 999)
@example("-" * 999)
@example("a:" * 499)
def test_anything_is_read(text: str) -> None:
    query = parse(text, TODAY)
    assert query.is_empty or query.words or query.filters or query.since or query.before
    for clause in query.words.clauses:
        assert clause
        assert all(term.words and all(term.words) for term in clause)
