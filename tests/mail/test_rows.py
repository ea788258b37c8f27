"""Many rows at once: what is given is what is there afterwards, whatever is in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetcher.models import SeenUid
from mail import rows
from mail.models import Attachment, MessageText, RawChunk
from mail.search import MESSAGE_WORDS, OF_ONE_WORD, stored
from mail.words import words
from tests import factories
from tests.mail.lexemes import lexemes

pytestmark = pytest.mark.django_db
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
MOMENTS = st.integers(0, 2**32 * 10**6).map(
    lambda microseconds: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
)


@settings(max_examples=50, suppress_health_check=SLOW)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), data=st.binary(max_size=50), size=st.integers(0, 2**63 - 1))
def test_text_numbers_and_bytes_come_back(texts: list[str], data: bytes, size: int) -> None:
    r"""Tabs, line ends, `\N`, `\.` and signs of any width among them."""
    message = factories.message(mailbox=factories.mailbox())
    for model in (RawChunk, Attachment):
        model.objects.all().delete()
    rows.insert(RawChunk, ("message", "number", "data"), [(message.pk, 0, data)])
    fields = ("message", "part", "name", "content_type", "content_id", "size", "is_inline")
    written = [(message.pk, part, text, "", "", size, bool(part % 2)) for part, text in enumerate(texts)]
    rows.insert(Attachment, fields, written)
    assert bytes(RawChunk.objects.get().data) == data
    assert list(Attachment.objects.order_by("part").values_list(*fields)) == written


@settings(max_examples=50, suppress_health_check=SLOW)
@given(moment=MOMENTS, hours=st.integers(-23, 23))
def test_moments_come_back(moment: datetime, hours: int) -> None:
    """To the microsecond, before 2000 and after, in whatever time zone they were given; None too."""
    SeenUid.objects.all().delete()
    mailbox = factories.mailbox()
    fields = ("mailbox", "uid", "outcome", "digest", "message", "seen_at", "deleted_at", "has_expired")
    seen_at = moment.astimezone(timezone(timedelta(hours=hours)))
    rows.insert(SeenUid, fields, [(mailbox.pk, "1", "stored", "", None, seen_at, None, False)])
    seen = SeenUid.objects.get()
    assert (seen.seen_at, seen.deleted_at, seen.message_id) == (moment, None, None)


def test_what_does_not_fit_one_portion_is_whole() -> None:
    """More than one portion of a COPY."""
    mailbox = factories.mailbox()
    messages = [factories.message(mailbox=mailbox) for _ in range(3)]
    MessageText.objects.all().delete()
    rows.insert(MessageText, ("message", "text"), [(message.pk, "x" * 700_000) for message in messages])
    assert [len(each.text) for each in MessageText.objects.all()] == [700_000] * 3


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite is given the words as text")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "one two one",
        "Zürich ärger zürich a b",
        "会議室",
        "x " * OF_ONE_WORD,
        " ".join(map(str, range(20_000))),
    ],
    ids=["none", "twice", "accents", "unspaced", "often", "many"],
)
def test_words_are_what_postgresql_makes_of_their_text(text: str) -> None:
    """R31: each word with its places, as `tsvector` has them."""
    found = words(text)[:MESSAGE_WORDS]
    written = " ".join(f"{word}:{place}" for place, word in enumerate(found, 1))
    with connection.cursor() as cursor:
        cursor.execute("SELECT tsvectorsend(%s::tsvector)", [written])
        expected = cursor.fetchone()[0]
        assert lexemes(stored(found)) == lexemes(bytes(expected))
