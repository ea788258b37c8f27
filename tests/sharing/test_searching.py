"""R31: what a search finds depends neither on how far one look goes, nor on what else is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest

from mail.arranging import add_folder, add_label
from mail.deeds import label_message, mark_message, move_message
from mail.search_query import parse
from sharing import searching
from sharing.searching import Order, page_of, search_for, today
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


def test_together_operators_find_what_each_alone_finds() -> None:
    """Whatever stands beside whatever, in either order of results; with the minus all the rest."""
    theirs = factories.mailbox(mode="public")
    owner = factories.user(organization=theirs.owner.organization)
    own = factories.mailbox(owner=owner, mode="private")
    factories.customer(organization=owner.organization, addresses=["bea@acme.example"], last_name="Bell")
    archive, label = add_folder(owner.mail_account, "Archive"), add_label(owner.mail_account, "Hot", "#c2413b")
    for number in range(12):
        mailbox = own if number % 4 else theirs
        message = factories.message(
            mailbox=mailbox,
            subject=f"{'offer' if number % 2 else 'plan'} {number}",
            sender=mailbox.email_address
            if number % 5 == 0
            else ("bea@acme.example", "dan@else.example")[number in {3, 7}],
            to=["bea@acme.example"],
            text="steel pipes" if number % 3 else "iron",
            date=datetime(2026, 11, 2, tzinfo=UTC) + timedelta(hours=6 * number),
        )
        if mailbox == own:
            mark_message(message, is_read=number % 3 == 0)
            label_message(message, [label] * (number % 2))
            if number > 7:
                move_message(message, archive)

    def found(q: str, order: Order = Order.NEWEST) -> set[str]:
        page = page_of(Sight(owner), search_for(owner, parse(q, today(owner))), order=order)
        return {message.subject for message in page.messages}

    names = (
        "steel ",
        '"steel pipes" ',
        "subject:offer ",
        "customer:bell ",
        "is:sent ",
        "after:2026-11-04 ",
        "label:hot ",
    )
    alone = {q: found(q) for name in (*names, "in:archive ") for q in (name, f"-{name}")}
    everything = found("-nothing ")
    assert len(everything) == 12
    for name in names:
        assert alone[name] | alone[f"-{name}"] == everything, name
    alone["is:unread "] = found("is:unread ")
    assert all(alone.values())
    for number, (one, other) in enumerate(combinations(alone, 2)):
        order = list(Order)[number % 2]
        assert found(one + other, order) == alone[one] & alone[other], one + other
