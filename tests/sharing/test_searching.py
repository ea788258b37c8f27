"""R31: how far one look of a search goes depends on what the database expects; what all of them find does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mail.search_query import parse
from sharing import searching
from sharing.searching import page_of, search_for, today
from sharing.visibility import Sight
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param(None, id="no opinion"),
        pytest.param([4, 4, 12], id="right"),
        pytest.param([12, 12, 12], id="too many"),
        pytest.param([0, 2, 12], id="too few"),
        pytest.param([1, 1_000_000, 12], id="in half of all mail, with little else"),
    ],
)
@pytest.mark.parametrize("entry", [0, 10], ids=["words are judged", "words are looked up"])
@pytest.mark.parametrize("judged", [1, 3, 200])
def test_looks_however_short_find_everything_together(
    expected: list[int] | None, entry: int, judged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each result once, the newest first, and none that lacks the word."""
    mailbox = factories.mailbox()
    start = datetime(2026, 11, 2, tzinfo=UTC)
    for number in range(12):
        text = "pipes" if number % 3 == 0 else "nothing"
        # Two of a kind have the same date.
        date = start + timedelta(hours=number // 6)
        factories.message(mailbox=mailbox, subject=f"{number}", text=text, date=date)
    for name, value in {"TAKEN": 2, "MOST": 1, "JUDGED": judged, "ENTRY": entry, "PAGE": 2}.items():
        monkeypatch.setattr(searching, name, value)
    monkeypatch.setattr(searching, "estimates", lambda *_: expected)
    sight = Sight(mailbox.owner)
    search = search_for(mailbox.owner, parse("pipes", today(mailbox.owner)))
    found: list[str] = []
    cursor = ""
    for _ in range(30):
        page = page_of(sight, search, cursor=cursor)
        found += [message.subject for message in page.messages]
        cursor = page.cursor
        if not cursor:
            break
    assert found == ["9", "6", "3", "0"]
    assert page.is_all
