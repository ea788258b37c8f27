"""Cursors of lists (R23): they lead back to where a page ended and tell nobody what stood there."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mail.cursors import Place

PLACES = st.builds(
    Place,
    st.datetimes(timezones=st.just(UTC)),
    st.integers(min_value=1, max_value=2**63 - 1),
)


@given(PLACES)
def test_a_place_is_read_back_from_its_text(place: Place) -> None:
    """Absurd dates, too."""
    assert Place.read(str(place)) == place


@given(st.text())
def test_anything_else_is_the_beginning_of_the_list(text: str) -> None:
    """Nobody can make one up."""
    assert Place.read(text) is None


def test_the_text_tells_neither_date_nor_id() -> None:
    """A page may end with a message that its reader may not see."""
    place = Place(datetime(2026, 11, 2, 9, 30, tzinfo=UTC), 4711)
    other = Place(datetime(2026, 11, 2, 9, 30, tzinfo=UTC), 4712)
    assert "2026" not in str(place)
    assert "4711" not in str(place)
    assert str(place)[:8] != str(other)[:8]
    assert str(place) == str(Place(place.date, place.pk))


def test_a_text_that_was_tampered_with_is_refused() -> None:
    """Else one could ask for places one after the other."""
    text = str(Place(datetime(2026, 11, 2, 9, 30, tzinfo=UTC), 4711))
    assert all(Place.read(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]) is None for at in range(40))
