"""R31: how well a message fits a search."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.ranking import score, together
from mail.search_query import Term, Words, parse
from tests.mail.test_search_query import TODAY

DAY = timedelta(days=1)


def words(typed: str) -> Words:
    return parse(typed, TODAY).words


def test_the_subject_counts_most_then_people_then_names_of_files_then_the_text() -> None:
    asked = words("steel ")
    places = ["subject", "from", "name", "text"]
    scores = [score(asked, {place: ["New Stéel"]} if place != "text" else {}, DAY) for place in places]
    assert all(better > worse for better, worse in pairwise(scores))
    assert (
        score(asked, {"from": ["Steel"]}, DAY)
        == score(asked, {"to": ["Steel"]}, DAY)
        == score(asked, {"cc": ["Steel"]}, DAY)
    )


@pytest.mark.parametrize(
    ("typed", "better", "worse"),
    [
        pytest.param("steel pipes", ["Steel and pipes"], ["Steel"], id="all words in the subject before one of them"),
        pytest.param(
            '"steel pipes"', ["Steel pipes"], ["Pipes, steel"], id="a phrase only where its words follow each other"
        ),
        pytest.param("stee", ["Steel"], ["Iron"], id="the beginning of a word"),
        pytest.param("stee ", ["A stee"], ["Steel"], id="a whole word"),
        pytest.param("iron OR steel ", ["Steel"], ["Pipes"], id="either of two"),
        pytest.param("会議", ["明日の会議室"], ["会と議"], id="signs without spaces"),
    ],
)
def test_fields_are_compared_as_search_does(typed: str, better: list[str], worse: list[str]) -> None:
    assert score(words(typed), {"subject": better}, DAY) > score(words(typed), {"subject": worse}, DAY)


def test_what_was_asked_of_one_field_counts_there_alone() -> None:
    """`from:steel` is not a better match because of the subject."""
    assert score(words("from:steel "), {"from": ["Steel"], "subject": ["Steel"]}, DAY) == score(
        words("from:steel "), {"from": ["Steel"]}, DAY
    )


def test_words_that_follow_each_other_count_more() -> None:
    asked = words("steel pipes ")
    assert score(asked, {}, DAY, is_together=True) > score(asked, {}, DAY)
    assert score(asked, {"subject": ["Steel"]}, DAY) < score(asked, {"subject": ["Steel pipes"]}, DAY, is_together=True)


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_age_is_gentle(days: int, more: int) -> None:
    """What is newer is never behind what is like it; age alone never takes more than half."""
    fields = {"subject": ["Steel"]}
    newest, newer, older = (score(words("steel "), fields, DAY * age) for age in (0, days, days + more))
    assert newest >= newer >= older >= newest / 2


def test_without_words_only_age_counts() -> None:
    assert score(words("has:attachment"), {}, DAY) > score(words("has:attachment"), {"subject": ["Steel"]}, 2 * DAY)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("steel pipes", Term(("steel", "pipes"), is_beginning=True)),
        ('offer "steel pipes" ', Term(("offer", "steel", "pipes"))),
        ("steel -iron pipes ", Term(("steel", "pipes"))),
        ("steel", None),
        ('"steel pipes"', None),
        ("stee* pipes ", None),
        ("steel OR iron pipes ", None),
        ("from:steel pipes ", None),
        ("has:attachment", None),
    ],
)
def test_words_that_can_stand_together(typed: str, expected: Term | None) -> None:
    assert together(words(typed)) == expected
