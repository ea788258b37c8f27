"""R31: the search page: own and shared mail that one may see, and nothing else, not even as a count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.urls import reverse

from accounts.models import Mailbox, User
from mail.arranging import add_label
from mail.deeds import delete_message, label_message, mark_message, move_message
from mail.models import Folder, Label, Message, SearchBuild
from sharing import searching
from sharing.policies import keep_private
from tests import factories
from tests.portal.browsers import browser, page, queries_of

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def ann() -> Mailbox:
    """Ann's Public mailbox, in an organisation whose contact is Bea."""
    box = factories.mailbox(owner=factories.user(name="Ann", mail_account=True), mode="public")
    factories.customer(organization=box.owner.organization, addresses=["bea@acme.example"], last_name="Bell")
    return box


@pytest.fixture
def zoe(ann: Mailbox) -> Mailbox:
    """A colleague's Private mailbox."""
    owner = factories.user(organization=ann.owner.organization, name="Zoe", mail_account=True)
    return factories.mailbox(owner=owner, mode="private")


def write(mailbox: Mailbox, subject: str, *, hours: int = 0, **fields: Any) -> Message:
    """A message that arrived so many hours after others."""
    return factories.message(mailbox=mailbox, subject=subject, date=START + timedelta(hours=hours), **fields)


def asked(user: User, q: str, **query: str) -> HttpResponse:
    """The page of results."""
    answer = browser(user).get(reverse("search"), {"q": q, **query})
    assert answer.status_code == 200
    return answer


def found(user: User, q: str, **query: str) -> list[str]:
    """The subjects of what is found, page by page."""
    subjects: list[str] = []
    while True:
        context: Any = asked(user, q, **query).context
        subjects += [result.message.subject for result in context.get("results", [])]
        following = context["page"].cursor if "page" in context else ""
        if not following:
            return subjects
        query["cursor"] = following


def test_own_and_shared_mail_is_found_the_newest_first(ann: Mailbox, zoe: Mailbox) -> None:
    write(ann, "Pipes of steel", hours=1)
    write(zoe, "Steel of mine", hours=2)
    write(zoe, "Other")
    assert found(zoe.owner, "steel") == ["Steel of mine", "Pipes of steel"]
    assert found(zoe.owner, "steel", **{"in": "mine"}) == ["Steel of mine"]
    assert found(zoe.owner, "steel", **{"in": "shared"}) == ["Pipes of steel"]
    shown = page(zoe.owner, "search", q="steel ")
    assert "2 messages" in shown
    assert ">Ann</span>" in shown


def test_what_may_not_be_seen_is_not_found_and_not_counted(ann: Mailbox, zoe: Mailbox) -> None:
    """Private mailboxes, mail without a customer, kept private, in Trash, of another organisation."""
    write(zoe, "Private steel")
    write(ann, "Steel of nobody", sender="dan@else.example")
    kept = write(ann, "Kept steel")
    keep_private(ann.owner, kept, True)
    gone = write(ann, "Discarded steel")
    delete_message(gone)
    rival = factories.mailbox(
        owner=factories.user(organization=factories.organization(domain="rival.example")), mode="public"
    )
    write(rival, "Foreign steel")
    assert found(ann.owner, "steel") == ["Kept steel", "Steel of nobody"]
    onlooker = factories.user(organization=ann.owner.organization)
    shown = page(onlooker, "search", q="steel")
    assert "Nothing found" in shown
    for trace in ("Private", "of nobody", "Kept", "Discarded", "Foreign"):
        assert trace not in shown


def test_who_has_no_mailbox_and_is_shown_none_finds_nothing() -> None:
    """R31: nothing is wrong with that search."""
    new = factories.user()
    for scope in searching.Scope:
        assert found(new, "offer", scope=scope) == []


def test_a_mode_acts_on_the_next_search(ann: Mailbox, zoe: Mailbox) -> None:
    write(ann, "Pipes of steel")
    assert found(zoe.owner, "steel") == ["Pipes of steel"]
    factories.share(ann, "private")
    assert found(zoe.owner, "steel") == []


def test_a_hidden_recipient_is_found_by_nobody(ann: Mailbox, zoe: Mailbox) -> None:
    write(ann, "With a secret", bcc=["hush@secret.example"])
    for user in (ann.owner, zoe.owner):
        for q in ("hush", "secret.example", "to:hush", "cc:hush", "from:hush"):
            assert found(user, q) == []


def test_copies_are_listed_once(ann: Mailbox, zoe: Mailbox) -> None:
    """One's own before a colleague's, also where only the words of the text were asked for (R30)."""
    raw = factories.raw_message(subject="To both", to=[ann.email_address, zoe.email_address])
    factories.file_raw(ann, raw)
    mine = factories.file_raw(zoe, raw)
    context: Any = asked(zoe.owner, "both").context
    assert [result.message.pk for result in context["results"]] == [mine.pk]
    assert context["page"].count == 1


def test_folders_labels_stars_and_read_state_are_ones_own(ann: Mailbox, zoe: Mailbox) -> None:
    """No answer tells where a colleague keeps a message, or whether they read it."""
    message = write(ann, "Pipes of steel")
    account = ann.owner.mail_account
    archive = Folder.objects.create(account=account, name="Ärchive")
    label = Label.objects.create(account=account, name="To do")
    move_message(message, archive)
    label_message(message, [label])
    mark_message(message, is_read=False, is_starred=True)
    for q in ("in:archive", "folder:Ärchive", 'label:"to do"', "is:unread", "is:starred"):
        assert found(ann.owner, q) == ["Pipes of steel"], q
        assert found(ann.owner, f"-{q}") == [], q
        assert found(zoe.owner, q) == [], q
    assert found(zoe.owner, "is:read") == []
    assert "You have no label “to do”." in page(zoe.owner, "search", q='label:"to do"')


def test_a_name_of_signs_is_that_name_alone(ann: Mailbox) -> None:
    """What is no word in it is compared as it is written."""
    account = ann.owner.mail_account
    for sign in ("★", "♥"):
        label_message(write(ann, f"with {sign}"), [add_label(account, sign, "#c2413b")])
    assert found(ann.owner, "label:★") == ["with ★"]
    assert found(ann.owner, "-label:★") == ["with ♥"]


def test_anywhere_is_also_where_colleagues_keep_mail(ann: Mailbox, zoe: Mailbox) -> None:
    write(ann, "Pipes of steel")
    for q in ("in:anywhere", "IN:Anywhere", "folder:ANYWHERE steel"):
        assert found(zoe.owner, q) == ["Pipes of steel"], q


def test_trash_is_searched_when_asked_for(ann: Mailbox) -> None:
    message = write(ann, "Pipes of steel")
    delete_message(message)
    assert found(ann.owner, "steel") == []
    assert found(ann.owner, "steel in:trash") == found(ann.owner, "steel in:anywhere") == ["Pipes of steel"]


@pytest.mark.parametrize(
    ("q", "subjects"),
    [
        ("has:attachment", ["third"]),
        ("-has:attachment", ["second", "first"]),
        ("is:sent", ["second"]),
        ("is:received", ["third", "first"]),
        ("customer:bell", ["third", "second"]),
        ("customer:acme -is:sent", ["third"]),
        ("-customer:bell", ["first"]),
        ("after:2026-11-03", ["third", "second"]),
        ("before:2026-11-03", ["first"]),
        ("after:2026-11-03 before:2026-11-04", ["second"]),
        ("before:1800", []),
        ("after:9999", []),
        ("-before:0001", ["third", "second", "first"]),
        ("filename:angebot has:attachment", ["third"]),
        ("-nothing", ["third", "second", "first"]),
    ],
)
def test_operators(ann: Mailbox, q: str, subjects: list[str]) -> None:
    write(ann, "first", sender="dan@else.example", hours=-1)
    write(ann, "second", sender=ann.email_address, to=["bea@acme.example"], hours=24)
    write(ann, "third", attachments=[("Angebot.pdf", "application/pdf", b"..")], hours=48)
    assert found(ann.owner, q) == subjects


def test_days_are_those_of_the_viewers_time_zone(ann: Mailbox) -> None:
    organization = ann.owner.organization
    organization.time_zone = "Asia/Tokyo"
    organization.save()
    write(ann, "Late in London, early in Tokyo", hours=7)
    assert found(ann.owner, "after:2026-11-03") == ["Late in London, early in Tokyo"]
    assert found(ann.owner, "before:2026-11-03") == []


@pytest.mark.parametrize(
    ("q", "told"),
    [
        ("steel before:31.12.2026", "before:31.12.2026"),
        ("steel is:blue", "is:unread"),
        ("steel customer:nobody", "No lead or contact fits"),
        ("steel in:nowhere", "You have no folder"),
        ("word " * 40, "Use at most"),
        ("w" * 2000, "Use at most"),
    ],
)
def test_what_cannot_be_searched_for_is_said(ann: Mailbox, q: str, told: str) -> None:
    """Beside the box, and nothing is found as if it had been left out."""
    write(ann, "Pipes of steel")
    shown = page(ann.owner, "search", q=q)
    assert told in shown
    assert "Pipes of" not in shown


@pytest.mark.parametrize(
    "q",
    [
        "",
        " ",
        "' OR 1=1 --",
        '"',
        "-",
        ":*",
        "a & b | !c <-> (d)",
        "NEAR(a b)",
        "\0",
        "OR OR",
        "%",
        "words:x",
        "'; DROP TABLE",
    ],
)
def test_any_search_is_answered(ann: Mailbox, q: str) -> None:
    write(ann, "Pipes of steel")
    assert found(ann.owner, q) == []


def test_hits_are_marked_and_everything_is_escaped(ann: Mailbox) -> None:
    """In sender, subject, text and the names of attachments, as they are written."""
    write(
        ann,
        "Größe <b>fett</b> & mehr",
        sender='"Größmann <i>" <bea@acme.example>',
        text="x " * 300 + "\n<script>alert('grösse')</script> und 会議室 dazu",
        attachments=[("größe <1>.pdf", "application/pdf", b"..")],
    )
    shown = page(ann.owner, "search", q="grosse")
    assert "<mark>Größe</mark> &lt;b&gt;fett&lt;/b&gt; &amp; mehr" in shown
    assert "&lt;script&gt;alert(&#x27;<mark>grösse</mark>&#x27;)" in shown
    assert "<mark>größe</mark> &lt;1&gt;.pdf" in shown
    assert "<mark>会議室</mark>" in page(ann.owner, "search", q="会議室")
    assert "<mark>Größmann</mark> &lt;i&gt;" in page(ann.owner, "search", q="from:grossm")
    assert "<mark>" not in page(ann.owner, "search", q="has:attachment")


def test_the_customer_of_a_record_can_be_searched_alone(ann: Mailbox, zoe: Mailbox) -> None:
    customer = ann.owner.organization.customers.get()
    write(ann, "Steel for Bea")
    write(ann, "Steel for Dan", sender="dan@else.example")
    assert found(ann.owner, "steel", customer=str(customer.pk)) == ["Steel for Bea"]
    foreign = factories.customer(organization=factories.organization(domain="rival.example"))
    for pk in (str(foreign.pk), "0", "x"):
        page(ann.owner, "search", status=404, q="steel", customer=pk)


class TestPaging:
    """Pages are bounded and go on where they ended, however candidates and results are distributed."""

    def test_further_pages(self, ann: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(searching, "PAGE", 2)
        for number in range(5):
            write(ann, f"steel {number}", hours=number)
        assert found(ann.owner, "steel") == [f"steel {number}" for number in (4, 3, 2, 1, 0)]
        context: Any = asked(ann.owner, "steel").context
        assert (context["page"].count, context["page"].is_all) == (5, True)

    def test_what_is_hidden_leaves_pages_short_and_loses_nothing(
        self, ann: Mailbox, zoe: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A bounded number is judged at a time; where it holds nothing the next page goes on behind it."""
        monkeypatch.setattr(searching, "PAGE", 2)
        monkeypatch.setattr(searching, "JUDGED", 3)
        for number in range(12):
            message = write(ann, f"steel {number}", hours=number // 2)
            if number not in {0, 7}:
                keep_private(ann.owner, message, True)
        assert found(zoe.owner, "steel") == ["steel 7", "steel 0"]
        context: Any = asked(zoe.owner, "steel").context
        assert (context["results"], context["page"].count, context["page"].is_all) == ([], 0, False)
        assert "Search older mail" in page(zoe.owner, "search", q="steel")

    def test_windows_change_nothing(self, ann: Mailbox, zoe: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many the database expects, the same is found: messages of one moment stand on the edges."""
        monkeypatch.setattr(searching, "PAGE", 3)
        monkeypatch.setattr(searching, "TAKEN", 2)
        monkeypatch.setattr(searching, "MOST", 3)
        for number in range(12):
            message = write(ann, f"{'steel' if number % 3 else 'iron'} {number}", hours=number // 4)
            if number % 4 == 1:
                keep_private(ann.owner, message, True)
        expected = found(zoe.owner, "steel")
        assert sorted(expected) == sorted(f"steel {n}" for n in range(12) if n % 3 and n % 4 != 1)
        for estimate in ([5, 5, 12], [100, 100, 100], [6, 9, 1000], [0, 12, 12], [5, 5, 5]):
            monkeypatch.setattr(searching, "estimates", lambda *_, told=estimate: told)
            assert found(zoe.owner, "steel") == expected, estimate

    def test_counts_stop(self, ann: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("portal.searching.COUNTED", 3)
        for number in range(5):
            write(ann, f"steel {number}")
        assert "More than 3 messages" in page(ann.owner, "search", q="steel")

    def test_a_cursor_that_cannot_be_read_is_none(self, ann: Mailbox) -> None:
        write(ann, "steel")
        for cursor in ("x", "2026|", "|1", "9" * 400):
            assert "steel" in page(ann.owner, "search", q="steel", cursor=cursor)

    def test_fragments(self, ann: Mailbox) -> None:
        """While somebody types the results are put in, further pages as rows; going back shows the whole page."""
        write(ann, "Pipes of steel")
        client = browser(ann.owner)
        url = reverse("search", query={"q": "steel"})
        results = client.get(url, headers={"HX-Request": "true"})
        rows = client.get(f"{url}&cursor=x", headers={"HX-Request": "true"})
        whole = client.get(url, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
        assert [b"<html" in answer.content for answer in (results, rows, whole)] == [False, False, True]
        assert b"search-filters" in results.content
        assert b"search-filters" not in rows.content
        assert "HX-Request" in results["Vary"]


class TestBestMatch:
    """What fits best comes first, among what one look takes, the same on every database."""

    def test_where_the_words_are_decides(self, ann: Mailbox, zoe: Mailbox) -> None:
        write(ann, "Steel pipes at last", hours=0)
        write(ann, "Pipes and steel", hours=1)
        write(ann, "One", hours=2, sender='"Steel Pipes Ltd" <bea@acme.example>')
        write(ann, "Two", hours=3, attachments=[("steel-pipes.pdf", "application/pdf", b"..")])
        write(ann, "Three", hours=4, text="About steel pipes.")
        write(ann, "Four", hours=5, text="Steel or, as others say, pipes.")
        expected = ["Steel pipes at last", "One", "Pipes and steel", "Two", "Three", "Four"]
        for user in (ann.owner, zoe.owner):
            assert found(user, "steel pipes", order="best") == expected
        assert found(ann.owner, "steel pipes") == [
            "Four",
            "Three",
            "Two",
            "One",
            "Pipes and steel",
            "Steel pipes at last",
        ]

    def test_what_fits_alike_comes_the_newest_first(self, ann: Mailbox) -> None:
        for number in range(4):
            write(ann, f"Steel {number}", hours=number // 2)
        assert found(ann.owner, "steel", order="best") == found(ann.owner, "steel")
        assert found(ann.owner, "is:received", order="best") == found(ann.owner, "is:received")

    def test_hidden_mail_has_no_part_in_it(self, ann: Mailbox, zoe: Mailbox) -> None:
        """Nor has who got a blind copy."""
        keep_private(ann.owner, write(ann, "Steel pipes"), True)
        write(ann, "One", text="steel", bcc=["steel@secret.example"])
        write(ann, "Two", text="steel", hours=1)
        assert found(zoe.owner, "steel", order="best") == ["Two", "One"]

    def test_pages_are_of_one_look_and_older_mail_is_compared_on_its_own(
        self, ann: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(searching, "PAGE", 2)
        monkeypatch.setattr(searching, "JUDGED", 5)
        subjects = ["Steel 0", "1", "2", "Steel 3", "4", "Steel 5", "6"]
        for number, subject in enumerate(subjects):
            write(ann, subject, text="steel", hours=number)
        shown = page(ann.owner, "search", q="steel", order="best")
        assert "the best match among these newest ones first" in shown
        context: Any = asked(ann.owner, "steel", order="best").context
        write(ann, "Steel arrives meanwhile", hours=99)
        assert "3 messages so far" in page(ann.owner, "search", q="steel", order="best", cursor=context["page"].cursor)
        assert found(ann.owner, "steel", order="best", cursor=context["page"].cursor) == ["6", "4", "2", "Steel 0", "1"]
        assert sorted(found(ann.owner, "steel", order="best")) == sorted([*subjects, "Steel arrives meanwhile"])

    def test_hidden_mail_between_pages_loses_nothing(
        self, ann: Mailbox, zoe: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Further pages are of the same look, which began with mail that the reader may not see."""
        monkeypatch.setattr(searching, "PAGE", 1)
        monkeypatch.setattr(searching, "JUDGED", 4)
        for number, subject in enumerate(["Steel 0", "Steel 1", "2", "3", "hidden", "hidden"]):
            message = write(ann, subject, text="steel", hours=number)
            if subject == "hidden":
                keep_private(ann.owner, message, True)
        assert found(zoe.owner, "steel", order="best") == ["3", "2", "Steel 1", "Steel 0"]

    def test_it_takes_no_more_queries(self, ann: Mailbox, zoe: Mailbox) -> None:
        """Names of attachments, which are read to compare, are not read again to be shown."""
        for number in range(30):
            write(ann, f"steel {number}", attachments=[("steel.pdf", "application/pdf", b"..")])
        newest, best = (queries_of(zoe.owner, "search", q="steel ", order=order) for order in ("newest", "best"))
        assert best == newest
        assert page(ann.owner, "search", q="steel", order="best").count("<mark>steel</mark>.pdf") == searching.PAGE


def test_chips_put_filters_in_and_out(ann: Mailbox) -> None:
    context: Any = asked(ann.owner, "steel is:unread ").context
    chips = {chip.label: (chip.q, chip.is_on) for chip in context["chips"]}
    assert chips["Unread"] == ("steel ", True)
    assert chips["Has attachment"] == ("steel is:unread has:attachment ", False)


def test_an_empty_search_shows_what_one_can_ask_for(ann: Mailbox) -> None:
    assert "What you can ask for" in page(ann.owner, "search")


def test_mail_that_is_not_indexed_yet_is_spoken_of(ann: Mailbox) -> None:
    SearchBuild.objects.create(before=10)
    assert "Older mail is still being prepared" in page(ann.owner, "search", q="steel")
