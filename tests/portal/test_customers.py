"""Leads and contacts on screen: lists, records, the *Emails* related list and its *Share Email* box."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.urls import reverse

from accounts.models import User
from customers.changes import change_customer
from customers.models import Customer, RecordChange
from mail import conversations
from mail.deeds import delete_message
from sharing.models import AuditEntry, SharedRecord
from sharing.policies import is_ticked, tick
from sharing.visibility import visible_to
from tests import factories
from tests.portal.browsers import browser, page, queries_of

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def ann() -> User:
    """A member with a Public mailbox."""
    user = factories.user(name="Ann", email="ann@our.example")
    factories.mailbox(owner=user, mode="public", email_address="ann@our.example", name="Ann's POP3")
    return user


@pytest.fixture
def ben(ann: User) -> User:
    """Ann's colleague, without a mailbox."""
    return factories.user(organization=ann.organization, name="Ben", email="ben@our.example")


@pytest.fixture
def bea(ann: User) -> Customer:
    """A contact of theirs."""
    return factories.customer(
        organization=ann.organization, first_name="Bea", last_name="Stone", addresses=["bea@acme.example"]
    )


def entered(**changes: object) -> dict[str, object]:
    """A filled-in form."""
    return {"first_name": "Bea", "last_name": "Stone", "addresses": "bea@acme.example"} | changes


# --- lists ----------------------------------------------------------------------------------------------------------


def test_leads_and_contacts_are_listed_apart(ann: User, bea: Customer) -> None:
    """R27."""
    factories.customer(organization=ann.organization, last_name="Leadbetter", kind="lead")
    assert "Bea Stone" in page(ann, "customer-list", "contacts")
    assert "Leadbetter" not in page(ann, "customer-list", "contacts")
    assert "Leadbetter" in page(ann, "customer-list", "leads")


def test_an_empty_list_says_what_to_do_next(ann: User) -> None:
    """R27."""
    assert reverse("customer-add", args=["leads"]) in page(ann, "customer-list", "leads").split("Nobody here yet")[1]


@pytest.mark.parametrize("search", ["stone", "BEA", "bea st", "Acme.Example", "bea@acme.example"])
def test_search_finds_names_and_addresses_by_every_word(ann: User, bea: Customer, search: str) -> None:
    """R27."""
    factories.customer(organization=ann.organization, last_name="Other", addresses=["o@other.example"])
    shown = page(ann, "customer-list", "contacts", search=search)
    assert "Bea Stone" in shown
    assert "Other" not in shown


@pytest.mark.parametrize("search", ["öztürk", "ÖZTÜRK ÇELIK", "çelik", "Öz"])
def test_search_knows_the_case_of_letters_beyond_ascii(ann: User, search: str) -> None:
    """R27: on every database."""
    factories.customer(organization=ann.organization, first_name="Çelik", last_name="Öztürk")
    assert "Çelik Öztürk" in page(ann, "customer-list", "contacts", search=search)


def test_search_that_finds_nothing_says_so(ann: User, bea: Customer) -> None:
    """R27."""
    assert "Nothing found" in page(ann, "customer-list", "contacts", search="bea nobody")
    assert "Bea Stone" in page(ann, "customer-list", "contacts", search="\0")


def test_the_list_is_narrowed_by_owner_unread_mail_and_ones_own_ticks(bea: Customer, ann: User, ben: User) -> None:
    """R27: unread is one's own mail; a tick is one's own too; what makes no sense narrows nothing."""
    cy = factories.mailbox(
        owner=factories.user(organization=ann.organization, name="Cy"), mode="custom", email_address="cy@our.example"
    )
    hers, _his = (
        factories.customer(organization=ann.organization, last_name=name, addresses=[f"{name}@x.example"], owner=owner)
        for name, owner in (("Hers", ann), ("His", ben))
    )
    tick(cy.owner, hers)
    factories.message(mailbox=cy, sender="his@x.example")
    factories.message(mailbox=ann.mailboxes.get(kind="pop3"), sender="hers@x.example")
    everybody = ("Bea Stone", "Hers", "His")
    for query, found in (
        ({"owner": "me"}, []),
        ({"owner": "nobody"}, ["Bea Stone"]),
        ({"owner": str(ann.pk)}, ["Hers"]),
        ({"only": "unread"}, ["His"]),
        ({"only": "shared"}, ["Hers"]),
        ({"only": "shared", "owner": str(ben.pk)}, []),
        ({"owner": "x", "only": "y", "order": "z"}, list(everybody)),
    ):
        shown = page(cy.owner, "customer-list", "contacts", **query)
        assert [name for name in everybody if f">{name}</a>" in shown] == found, query
        assert ("No record fits" in shown) == (not found)
    cy.owner.messages.update(is_read=True)
    assert "No record fits" in page(cy.owner, "customer-list", "contacts", only="unread")
    assert ">His</a>" in page(ann, "customer-list", "contacts", only="shared")  # who can't tick is not offered it


def test_the_list_is_sorted_as_asked(ann: User) -> None:
    """R27."""
    for name, company in (("Adams", "Zoo"), ("Brown", ""), ("Clark", "Acme")):
        factories.customer(organization=ann.organization, last_name=name, company=company)

    def names(order: str) -> list[str]:
        return re.findall(r'href="/contacts/\d+/">(\w+)</a>', page(ann, "customer-list", "contacts", order=order))

    assert names("") == names("name") == ["Adams", "Brown", "Clark"]
    assert names("company") == ["Clark", "Adams", "Brown"]
    assert names("newest") == ["Clark", "Brown", "Adams"]


def test_search_and_lists_stay_within_the_organization(ann: User, bea: Customer) -> None:
    """R1."""
    stranger = factories.user(organization=factories.organization(domain="theirs.example"))
    assert "Bea Stone" not in page(stranger, "customer-list", "contacts")
    assert "Bea Stone" not in page(stranger, "customer-list", "contacts", search="bea@acme.example")


def test_a_long_list_has_pages_and_takes_as_many_queries_as_a_short_one(ann: User) -> None:
    """R27; no query a row."""
    factories.customer(organization=ann.organization, addresses=["a@x.example"], owner=ann)
    short = queries_of(ann, "customer-list", "contacts")
    for number in range(60):
        factories.customer(organization=ann.organization, addresses=[f"c{number}@x.example"], owner=ann)
    assert queries_of(ann, "customer-list", "contacts") == short <= 10
    assert "51–61 of 61" in page(ann, "customer-list", "contacts", page="2")


def test_a_name_that_is_markup_is_shown_as_text(ann: User) -> None:
    """Records come from strangers too."""
    customer = factories.customer(organization=ann.organization, last_name="<script>alert(1)</script>", notes="<b>x")
    for shown in (page(ann, "customer-list", "contacts"), page(ann, "customer", "contacts", customer.pk)):
        assert "<script>alert(1)" not in shown
        assert "&lt;script&gt;" in shown


# --- creating, editing, deleting ------------------------------------------------------------------------------------


def test_a_lead_is_created_with_several_addresses_the_primary_first(ann: User) -> None:
    """R27."""
    browser(ann).post(
        reverse("customer-add", args=["leads"]), entered(addresses="Bea@ACME.example\nb@home.example, bea@acme.example")
    )
    lead = Customer.objects.get()
    assert (lead.kind, lead.organization) == ("lead", ann.organization)
    assert list(lead.addresses.values_list("address", "is_primary")) == [
        ("bea@acme.example", True),
        ("b@home.example", False),
    ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"last_name": ""}, "last_name"),
        ({"addresses": "bea@acme.example nonsense"}, "addresses"),
        ({"addresses": " ".join(f"a{number}@x.example" for number in range(21))}, "addresses"),
        ({"owner": "999999"}, "owner"),
    ],
)
def test_mistakes_are_shown_beside_their_field(ann: User, changes: dict[str, str], field: str) -> None:
    """R27."""
    answer = browser(ann).post(reverse("customer-add", args=["contacts"]), entered(**changes))
    assert list(answer.context["form"].errors) == [field]
    assert not Customer.objects.exists()


def test_the_owner_must_be_a_colleague(ann: User) -> None:
    """R1: another organisation's ids in a form."""
    stranger = factories.user(organization=factories.organization(domain="theirs.example"), name="Stranger")
    answer = browser(ann).post(reverse("customer-add", args=["contacts"]), entered(owner=stranger.pk))
    assert list(answer.context["form"].errors) == ["owner"]
    assert "Stranger" not in answer.content.decode()


def test_organization_and_kind_cannot_be_smuggled_into_the_form(ann: User) -> None:
    """Mass assignment."""
    other = factories.organization(domain="theirs.example")
    browser(ann).post(reverse("customer-add", args=["contacts"]), entered(organization=other.pk, kind="lead"))
    assert (Customer.objects.get().organization, Customer.objects.get().kind) == (ann.organization, "contact")


@pytest.mark.parametrize(
    ("keep", "addresses"), [("on", ["new@acme.example", "bea@acme.example"]), ("", ["new@acme.example"])]
)
def test_a_changed_address_keeps_earlier_mail_or_lets_it_go_as_asked(
    ann: User, ben: User, bea: Customer, keep: str, addresses: list[str]
) -> None:
    """R29; sharing.md, example 17."""
    factories.message(mailbox=ann.mailboxes.get(kind="pop3"), sender="bea@acme.example", subject="Earlier")
    assert "Earlier" in page(ben, "customer", "contacts", bea.pk)
    fields = entered(addresses="new@acme.example") | ({"keep_earlier_mail": keep} if keep else {})
    browser(ann).post(reverse("customer-edit", args=["contacts", bea.pk]), fields)
    assert list(bea.addresses.values_list("address", flat=True)) == addresses
    assert ("Earlier" in page(ben, "customer", "contacts", bea.pk)) == bool(keep)


def test_who_takes_an_address_away_is_told_that_it_stays_for_its_mail(ann: User, bea: Customer) -> None:
    """R29: keeping is the default, so an address that is still there is no mistake."""
    edit = reverse("customer-edit", args=["contacts", bea.pk])
    kept = browser(ann).post(edit, entered(addresses="new@acme.example", keep_earlier_mail="on"), follow=True)
    assert "bea@acme.example is kept as a secondary address, with its mail." in kept.content.decode()
    same = browser(ann).post(edit, entered(addresses="new@acme.example bea@acme.example"), follow=True)
    assert "is kept as" not in same.content.decode()


def test_keeping_earlier_mail_is_the_default(ann: User, bea: Customer) -> None:
    """R29."""
    shown = page(ann, "customer-edit", "contacts", bea.pk)
    assert "checked" in shown.split('name="keep_earlier_mail"')[1].split(">")[0]
    assert 'name="keep_earlier_mail"' not in page(ann, "customer-add", "contacts")


def test_a_new_address_picks_up_mail_that_is_stored_already(ann: User, bea: Customer) -> None:
    """R29."""
    factories.message(mailbox=ann.mailboxes.get(kind="pop3"), sender="second@acme.example", subject="Was here before")
    assert "Was here before" not in page(ann, "customer", "contacts", bea.pk)
    browser(ann).post(
        reverse("customer-edit", args=["contacts", bea.pk]),
        entered(addresses="bea@acme.example\nsecond@acme.example", keep_earlier_mail="on"),
    )
    assert "Was here before" in page(ann, "customer", "contacts", bea.pk)


# --- whole records --------------------------------------------------------------------------------------------------


def press(user: User, view: str, customer: Customer, **fields: object) -> str:
    """Press a button of a record; the page that follows."""
    answer = browser(user).post(reverse(view, args=[f"{customer.kind}s", customer.pk]), fields, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def undo(user: User) -> str:
    """Undo what was done last; the page that follows."""
    shown = page(user, "record-changes")
    (action, *_) = re.findall(r"/records/changes/\d+/undo/", shown)
    return browser(user).post(action, follow=True).content.decode()


def test_deleting_unshares_the_mail_at_once_and_undo_brings_all_back(ann: User, ben: User, bea: Customer) -> None:
    """R27; sharing.md, example 16."""
    message = factories.message(mailbox=ann.mailboxes.get(kind="pop3"), sender="bea@acme.example")
    shown = press(ann, "customer-delete", bea)
    assert "Bea Stone was deleted" in shown
    assert "/undo/" in shown
    assert not Customer.objects.exists()
    assert not visible_to(ben).filter(pk=message.pk).exists()
    assert "Bea Stone" not in page(ben, "customer-list", "contacts", search="bea")
    page(ben, "customer", "contacts", bea.pk, status=404)
    assert "bea@acme.example" in undo(ben)
    assert visible_to(ben).filter(pk=message.pk).exists()


def test_a_lead_becomes_a_contact_and_its_old_link_finds_it(ann: User) -> None:
    """R27."""
    lead = factories.customer(
        organization=ann.organization, kind="lead", last_name="Stone", addresses=["bea@acme.example"]
    )
    factories.message(mailbox=ann.mailboxes.get(kind="pop3"), sender="bea@acme.example", subject="An offer")
    assert "An offer" in browser(ann).post(reverse("lead-convert", args=[lead.pk]), follow=True).content.decode()
    answer = browser(ann).get(reverse("customer", args=["leads", lead.pk]))
    assert answer.headers["Location"] == reverse("customer", args=["contacts", lead.pk])
    undo(ann)
    assert "An offer" in page(ann, "customer", "leads", lead.pk)


def test_a_duplicate_is_pointed_out_compared_and_merged(ann: User, bea: Customer) -> None:
    """R27: what one lacks is filled in, what both have is chosen, old links find the record that remains."""
    other = factories.customer(
        organization=ann.organization,
        first_name="Beatrix",
        last_name="Stone",
        phone="555",
        addresses=["b@home.example", "bea@acme.example"],
    )
    factories.message(mailbox=ann.mailboxes.get(kind="pop3"), sender="b@home.example", subject="From home")
    merging = reverse("customer-merge", args=["contacts", bea.pk])
    assert f"{merging}?other={other.pk}" in page(ann, "customer", "contacts", bea.pk)
    compared = page(ann, "customer-merge", "contacts", bea.pk, other=other.pk)
    assert "Beatrix Stone" in compared
    assert "555" in compared
    shown = press(ann, "customer-merge", bea, other=other.pk, name="other")
    assert "Beatrix Stone" in shown
    assert "555" in shown
    assert "From home" in shown
    assert browser(ann).get(other.get_absolute_url()).headers["Location"] == bea.get_absolute_url()
    undo(ann)
    bea.refresh_from_db()
    assert (bea.name, bea.phone, bea.primary_address) == ("Bea Stone", "", "bea@acme.example")
    assert "From home" in page(ann, "customer", "contacts", other.pk)
    assert "From home" not in page(ann, "customer", "contacts", bea.pk)


def test_the_same_name_is_suggested_for_merging_and_another_company_is_not(ann: User, bea: Customer) -> None:
    """R27."""
    Customer.objects.filter(pk=bea.pk).update(company="Acme")
    same = factories.customer(organization=ann.organization, first_name="BEA", last_name="stone", kind="lead")
    namesake = factories.customer(
        organization=ann.organization, first_name="Bea", last_name="Stone", company="Rocks Ltd"
    )
    suggested = page(ann, "customer-merge", "contacts", bea.pk)
    assert f"?other={same.pk}" in suggested
    assert f"?other={namesake.pk}" not in suggested
    assert f"?other={namesake.pk}" in page(ann, "customer-merge", "contacts", bea.pk, search="rocks")


def test_the_same_name_at_the_same_company_is_pointed_out(ann: User, bea: Customer) -> None:
    """R27: among leads and contacts, and with no word of those whose company is another or not known."""
    Customer.objects.filter(pk=bea.pk).update(company="Acme")
    same = factories.customer(
        organization=ann.organization, first_name="BEA", last_name="stone", company="ACME", kind="lead"
    )
    for company in ("", "Rocks Ltd"):
        factories.customer(organization=ann.organization, first_name="Bea", last_name="Stone", company=company)
    factories.customer(organization=factories.organization(), first_name="Bea", last_name="Stone", company="Acme")
    shown = page(ann, "customer", "contacts", bea.pk)
    assert re.findall(r"\?other=(\d+)", shown) == [str(same.pk)]
    assert "has the same name and company" in shown


def test_a_deed_is_undone_once_and_by_colleagues_only(ann: User, bea: Customer) -> None:
    """R1, R27."""
    press(ann, "customer-delete", bea)
    stranger = factories.user(organization=factories.organization(domain="theirs.example"), role=User.Role.ADMIN)
    address = reverse("record-change-undo", args=[RecordChange.objects.get().pk])
    assert "Bea" not in page(stranger, "record-changes")
    assert browser(stranger).post(address).status_code == 404
    undo(ann)
    assert "can't be undone any more" in unescape(browser(ann).post(address, follow=True).content.decode())


# --- the related list -----------------------------------------------------------------------------------------------


def test_a_record_lists_its_mail_with_whose_mailbox_it_is_in(ann: User, ben: User, bea: Customer) -> None:
    """R30."""
    mailbox = ann.mailboxes.get(kind="pop3")
    factories.message(mailbox=mailbox, sender="bea@acme.example", subject="A question")
    factories.message(
        mailbox=mailbox,
        sender="ann@our.example",
        to=["bea@acme.example"],
        subject="An answer",
        attachments=[("a.pdf", "application/pdf", b"%PDF")],
    )
    emails = page(ben, "customer", "contacts", bea.pk).split('id="emails"')[1].split("</section>")[0]
    assert "A question" in emails
    assert "An answer" in emails
    assert emails.count(">Ann</span>") == 2
    assert emails.count("Sent by") == 1
    assert emails.count("has attachments") == 1
    assert "My mailbox" in page(ann, "customer", "contacts", bea.pk)


def test_a_message_that_two_colleagues_received_is_listed_once_and_ones_own_copy_is_preferred(
    ann: User, bea: Customer
) -> None:
    """R30; sharing.md, example 13."""
    carl = factories.user(organization=ann.organization, name="Carl")
    cleo = factories.user(organization=ann.organization, name="Cleo")
    mail = {"sender": "bea@acme.example", "to": ["ann@our.example", "carl@our.example"], "message_id": "same@acme"}
    for owner, mode in ((ann, None), (carl, "public"), (cleo, "private")):
        box = ann.mailboxes.get(kind="pop3") if mode is None else factories.mailbox(owner=owner, mode=mode)
        factories.message(mailbox=box, subject="To both", **mail)
    rows = {viewer: page(viewer, "customer", "contacts", bea.pk) for viewer in (ann, carl, cleo)}
    assert all(shown.count("To both") == 1 for shown in rows.values())
    assert all("My mailbox" in shown for shown in rows.values())
    outsider = page(factories.user(organization=ann.organization), "customer", "contacts", bea.pk)
    assert outsider.count("To both") == 1
    assert 'badge--muted">Cleo' not in outsider


def test_what_a_viewer_may_not_see_leaves_no_trace_on_the_record(ann: User, ben: User, bea: Customer) -> None:
    """R23: the page of a record with hidden mail is that of a record without mail."""
    cleo = factories.mailbox(owner=factories.user(organization=ann.organization, name="Cleo"), mode="private")
    before = page(ben, "customer", "contacts", bea.pk)
    factories.message(mailbox=cleo, sender="bea@acme.example", subject="Confidential")
    after = page(ben, "customer", "contacts", bea.pk)
    assert "No mail to see" in after
    assert without_tokens(before) == without_tokens(after)


def without_tokens(shown: str) -> list[str]:
    """A page without what differs from request to request."""
    return [line for line in shown.splitlines() if "csrf" not in line.lower() and "nonce" not in line]


def test_more_conversations_come_by_a_cursor_with_and_without_javascript(
    ann: User, bea: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R30."""
    monkeypatch.setattr(conversations, "PAGE", 2)
    for number in range(3):
        factories.message(
            mailbox=ann.mailboxes.get(kind="pop3"),
            sender="bea@acme.example",
            subject=f"Number {number}",
            date=START + timedelta(minutes=number),
        )
    client = browser(ann)
    first = client.get(reverse("customer", args=["contacts", bea.pk]))
    assert "Number 0" not in first.content.decode()
    more = reverse("customer-emails", args=["contacts", bea.pk], query={"cursor": first.context["page"].cursor})
    fragment = client.get(more, headers={"HX-Request": "true"}).content.decode()
    assert "Number 0" in fragment
    assert "<html" not in fragment
    whole = client.get(more).content.decode()
    assert "Number 0" in whole
    assert "<html" in whole


def test_the_record_takes_as_many_queries_for_thirty_messages_as_for_one(ann: User, ben: User, bea: Customer) -> None:
    """No query a row."""
    mailbox = ann.mailboxes.get(kind="pop3")
    factories.message(mailbox=mailbox, sender="bea@acme.example")
    one = queries_of(ben, "customer", "contacts", bea.pk)
    for number in range(29):
        factories.message(mailbox=mailbox, sender="bea@acme.example", date=START + timedelta(minutes=number))
    assert queries_of(ben, "customer", "contacts", bea.pk) == one


def test_a_colleagues_address_on_a_record_is_pointed_out(ann: User) -> None:
    """sharing.md: an internal address never makes a correspondent."""
    record = factories.customer(organization=ann.organization, addresses=["ceo@our.example"])
    shown = unescape(page(ann, "customer", "contacts", record.pk))
    assert "ceo@our.example is a colleague's address" in shown
    assert "All addresses of this record are colleagues’" in shown, "instead of promising mail"
    change_customer(record, addresses=["ceo@our.example", "ceo@acme.example"])
    shown = unescape(page(ann, "customer", "contacts", record.pk))
    assert "ceo@our.example is a colleague's address" in shown
    assert "All addresses of this record are colleagues’" not in shown


# --- Share Email ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "offered"), [("public", False), ("custom", True), ("private", False)])
def test_share_email_is_offered_in_custom_only(bea: Customer, mode: str, offered: bool) -> None:
    """R21, R22."""
    owner = factories.user(organization=bea.organization)
    factories.mailbox(owner=owner, mode=mode)
    assert ('name="share"' in page(owner, "customer", "contacts", bea.pk)) == offered


def test_ticking_shares_ones_own_mail_at_the_next_request_and_unticking_ends_it(bea: Customer, ben: User) -> None:
    """R22."""
    carl = factories.mailbox(owner=factories.user(organization=bea.organization), mode="custom")
    factories.message(mailbox=carl, sender="bea@acme.example", subject="Only if ticked")
    share = reverse("customer-share", args=["contacts", bea.pk])
    assert "Only if ticked" not in page(ben, "customer", "contacts", bea.pk)
    browser(carl.owner).post(share, {"share": "on"})
    assert is_ticked(carl.owner, bea)
    assert "checked" in page(carl.owner, "customer", "contacts", bea.pk).split('name="share"')[1].split(">")[0]
    assert "Only if ticked" in page(ben, "customer", "contacts", bea.pk)
    browser(carl.owner).post(share)
    assert "Only if ticked" not in page(ben, "customer", "contacts", bea.pk)


def test_the_box_says_how_many_messages_it_shows(bea: Customer) -> None:
    """R22: what is kept private, in Trash or with others is not counted."""
    carl = factories.mailbox(owner=factories.user(organization=bea.organization, mail_account=True), mode="custom")
    for number in range(3):
        factories.message(mailbox=carl, sender="bea@acme.example", subject=str(number))
    factories.message(mailbox=carl, sender="dan@nobody.example")
    kept = carl.messages.get(subject="0")
    kept.is_private = True
    kept.save()
    assert "It would show 2 of your messages" in page(carl.owner, "customer", "contacts", bea.pk)
    share = reverse("customer-share", args=["contacts", bea.pk])
    assert "2 messages so far" in browser(carl.owner).post(share, {"share": "on"}, follow=True).content.decode()
    assert "2 of your messages are shared through this" in page(carl.owner, "customer", "contacts", bea.pk)


def test_many_records_are_shared_and_unshared_at_once(bea: Customer) -> None:
    """R22, R26: previewed first; what was ticked before is not counted twice."""
    carl = factories.mailbox(owner=factories.user(organization=bea.organization), mode="custom")
    zoe = factories.customer(organization=bea.organization, addresses=["zoe@acme.example"])
    for name in ("bea", "zoe"):
        factories.message(mailbox=carl, sender=f"{name}@acme.example")
    tick(carl.owner, zoe)
    client, url = browser(carl.owner), reverse("customers-share", args=["contacts"])
    given = {"customer": [bea.pk, zoe.pk], "share": "on"}
    assert client.post(url, given).context["preview"].becomes_visible == 1
    assert not is_ticked(carl.owner, bea)
    client.post(url, given | {"confirmed": "1"})
    assert is_ticked(carl.owner, bea)
    assert AuditEntry.objects.filter(action=AuditEntry.Action.RECORD_SHARED).count() == 2
    hiding = client.post(url, given | {"share": "off"}).context["preview"]
    assert (hiding.becomes_hidden, hiding.customers) == (2, 2)
    client.post(url, given | {"share": "off", "confirmed": "1"})
    assert not SharedRecord.objects.exists()


@pytest.mark.parametrize("chosen", [[], ["x", "0", "99999999999999999999"], ["stranger"]])
def test_no_records_are_chosen_from_nowhere(bea: Customer, chosen: list[str]) -> None:
    """R1."""
    carl = factories.mailbox(owner=factories.user(organization=bea.organization), mode="custom")
    stranger = factories.customer(organization=factories.organization(domain="rival.example"))
    ids = [str(stranger.pk) if each == "stranger" else each for each in chosen]
    answer = browser(carl.owner).post(
        reverse("customers-share", args=["contacts"]), {"customer": ids, "share": "on", "confirmed": "1"}, follow=True
    )
    assert "Tick the contacts first" in answer.content.decode()
    assert not SharedRecord.objects.exists()


def test_nobody_can_tick_without_a_custom_mailbox_or_for_somebody_else(ann: User, ben: User, bea: Customer) -> None:
    """R21, R22: the tick is always that of whoever is signed in."""
    carl = factories.mailbox(owner=factories.user(organization=bea.organization), mode="custom")
    share = reverse("customer-share", args=["contacts", bea.pk])
    for user in (ann, ben):
        answer = browser(user).post(share, {"share": "on", "owner": carl.owner_id, "user": carl.owner_id}, follow=True)
        assert "none of your mailboxes" in answer.content.decode()
    assert not SharedRecord.objects.exists()


# --- others ---------------------------------------------------------------------------------------------------------

PAGES = [
    ("get", "customer"),
    ("get", "customer-edit"),
    ("post", "customer-edit"),
    ("post", "customer-delete"),
    ("get", "customer-merge"),
    ("post", "customer-merge"),
    ("post", "customer-share"),
    ("get", "customer-emails"),
]


@pytest.mark.parametrize(("method", "name"), PAGES)
def test_another_organizations_record_does_not_exist(bea: Customer, method: str, name: str) -> None:
    """R1."""
    stranger = factories.mailbox(
        owner=factories.user(organization=factories.organization(domain="theirs.example"), role=User.Role.ADMIN),
        mode="custom",
    )
    answer = getattr(browser(stranger.owner), method)(
        reverse(name, args=["contacts", bea.pk]), entered(last_name="Taken", share="on")
    )
    assert answer.status_code == 404
    bea.refresh_from_db()
    assert bea.last_name == "Stone"
    assert not SharedRecord.objects.exists()


@pytest.mark.parametrize(("method", "name"), PAGES)
def test_a_contact_is_not_found_among_the_leads(ann: User, bea: Customer, method: str, name: str) -> None:
    """Its one address is that of its kind, to which its page leads."""
    status = 302 if (method, name) == ("get", "customer") else 404
    assert getattr(browser(ann), method)(reverse(name, args=["leads", bea.pk])).status_code == status


@pytest.mark.parametrize("name", ["customer", "customer-edit", "customer-emails"])
def test_a_number_that_no_record_has_is_not_found(ann: User, name: str) -> None:
    """However large it is."""
    for pk in (0, 10**9, 10**30):
        page(ann, name, "contacts", pk, status=404)


def test_what_the_owner_threw_away_is_not_on_the_record(db: None) -> None:
    """R30: the related list is no way back into Trash."""
    mailbox = factories.mailbox(mode="public")
    customer = factories.customer(organization=mailbox.owner.organization, addresses=["bea@acme.example"])
    message = factories.message(mailbox=mailbox, sender="bea@acme.example", subject="Thrown away")
    assert "Thrown away" in page(mailbox.owner, "customer", "contacts", customer.pk)
    delete_message(message)
    assert "Thrown away" not in page(mailbox.owner, "customer", "contacts", customer.pk)


# --- narrowing the mail of a record, columns ------------------------------------------------------------------------


def test_the_mail_of_a_record_is_narrowed_by_person_and_direction(ann: User, ben: User, bea: Customer) -> None:
    """R30: the viewer's own copy where they have one, the chosen colleague's where that is asked for."""
    box, other = ann.mailboxes.get(name="Ann's POP3"), factories.mailbox(owner=ben, mode="public")
    factories.message(mailbox=box, sender="bea@acme.example", subject="Ann got")
    factories.message(mailbox=box, sender="ann@our.example", to=["bea@acme.example"], subject="Ann wrote")
    factories.message(mailbox=other, sender="bea@acme.example", subject="Ben got")

    def listed(**query: str) -> list[str]:
        return re.findall(r"mail-row__subject\">([^<]*)<", page(ann, "customer", "contacts", bea.pk, **query))

    assert sorted(listed()) == ["Ann got", "Ann wrote", "Ben got"]
    assert sorted(listed(person=str(ann.pk))) == ["Ann got", "Ann wrote"]
    assert listed(person=str(ben.pk)) == ["Ben got"]
    assert sorted(listed(direction="received")) == ["Ann got", "Ben got"]
    assert listed(direction="sent", person=str(ann.pk)) == ["Ann wrote"]
    assert listed(direction="sent", person=str(ben.pk)) == []
    assert "No such mail" in page(ann, "customer", "contacts", bea.pk, direction="sent", person=str(ben.pk))
    assert len(listed(person="4711", direction="sideways")) == 3, "what makes no sense narrows nothing"


def test_narrowing_to_a_colleague_shows_nothing_that_is_not_shared(ann: User, ben: User, bea: Customer) -> None:
    """R20."""
    other = factories.mailbox(owner=ben, mode="private")
    factories.message(mailbox=other, sender="bea@acme.example", subject="Ben's own")
    assert "Ben&#x27;s own" not in page(ann, "customer", "contacts", bea.pk, person=str(ben.pk))
    assert "Ben&#x27;s own" in page(ben, "customer", "contacts", bea.pk, person=str(ben.pk))


def test_further_conversations_are_narrowed_too(ann: User, bea: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    """R30."""
    monkeypatch.setattr(conversations, "PAGE", 1)
    box = ann.mailboxes.get(name="Ann's POP3")
    for number in range(2):
        factories.message(mailbox=box, sender="bea@acme.example", subject=f"Got {number}")
        factories.message(mailbox=box, sender="ann@our.example", to=["bea@acme.example"], subject=f"Wrote {number}")
    first = page(ann, "customer", "contacts", bea.pk, direction="sent")
    (further,) = re.findall(r'hx-get="([^"]*)"', first.partition("mail-row--more")[2])
    rest = browser(ann).get(unescape(further), headers={"HX-Request": "true"}).content.decode()
    assert sorted(re.findall(r"(?:Wrote|Got) \d", first + rest)) == ["Wrote 0", "Wrote 1"]
    assert "mail-row--more" not in rest


def test_columns_stay_chosen(ann: User, ben: User, bea: Customer) -> None:
    """R27: on every list of theirs, and on nobody else's."""

    def headings(user: User, kind: str = "contacts") -> list[str]:
        return re.findall(r"<th>([^<]*)</th>", page(user, "customer-list", kind))

    usual = ["Name", "Company", "E-mail", "Phone", "Owner"]
    assert headings(ann) == usual
    browser(ann).post(reverse("customer-columns", args=["contacts"]), {"column": ["added", "email", "password"]})
    factories.customer(organization=ann.organization, kind="lead")
    assert headings(ann) == headings(ann, "leads") == ["Name", "E-mail", "Added"]
    assert headings(ben) == usual
    browser(ann).post(reverse("customer-columns", args=["contacts"]))
    assert headings(ann) == ["Name"]
