"""The twenty examples of the sharing contract, each asked of the queryset, the rule, the pages and the API."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Mailbox
from customers.changes import change_customer
from mail.models import Message
from mail.parsing import MAX_PARTICIPANTS
from sharing.models import SharedRecord
from sharing.policies import check_excluded_domains
from tests import factories
from tests.api.clients import program
from tests.portal.browsers import browser
from tests.sharing.conftest import World, sees

BEA = "Bea <bea@acme.example>"
CARL = "Carl <carl@lawyers.example>"
DAN = "Dan <dan@nobody.example>"


def received(mailbox: Mailbox, sender: str, cc: tuple[str, ...] = ()) -> Message:
    """A message from `sender` in `mailbox`."""
    return factories.message(mailbox=mailbox, sender=sender, cc=cc, to=[mailbox.owner.email])


def sent(mailbox: Mailbox, to: str, cc: tuple[str, ...] = (), bcc: tuple[str, ...] = ()) -> Message:
    """A message that the owner of `mailbox` wrote."""
    return factories.message(mailbox=mailbox, sender=mailbox.owner.email, to=[to], cc=cc, bcc=bcc)


def test_1_mail_from_a_customer_to_a_public_mailbox_is_seen(world: World) -> None:
    """R21."""
    assert sees(world.adam, received(world.john, BEA))


def test_2_mail_from_an_excluded_domain_is_not_seen(world: World) -> None:
    """R21."""
    assert not sees(world.adam, received(world.john, CARL))


def test_3_an_excluded_participant_in_cc_hides_the_message(world: World) -> None:
    """R21, line 7."""
    assert not sees(world.adam, received(world.john, BEA, cc=(CARL,)))


def test_4_a_colleague_in_cc_hides_nothing(world: World) -> None:
    """R21."""
    assert sees(world.adam, received(world.john, BEA, cc=("cleo@our.example",)))


def test_5_mail_from_a_colleague_who_was_entered_as_a_contact_is_not_seen(world: World) -> None:
    """The source page's John, Adam and CEO; line 6."""
    factories.customer(organization=world.organization, addresses=["cleo@our.example"])
    assert not sees(world.adam, received(world.john, "cleo@our.example"))


def test_6_mail_to_a_customer_from_a_public_mailbox_is_seen(world: World) -> None:
    """R21."""
    assert sees(world.adam, sent(world.john, BEA))


def test_7_a_subdomain_of_an_excluded_domain_hides_the_message(world: World) -> None:
    """Line 7."""
    assert not sees(world.adam, sent(world.john, BEA, cc=("x@eu.lawyers.example",)))


def test_8_mail_from_a_ticked_customer_to_a_custom_mailbox_is_seen(world: World) -> None:
    """R22."""
    assert sees(world.adam, received(world.ana, BEA))


def test_9_a_customer_merely_copied_on_received_mail_shares_nothing(world: World) -> None:
    """Line 6."""
    assert not sees(world.adam, received(world.ana, DAN, cc=(BEA,)))


def test_10_mail_to_a_ticked_customer_is_seen(world: World) -> None:
    """R22."""
    assert sees(world.adam, sent(world.ana, BEA))


def test_10_mail_to_two_customers_is_listed_at_both_where_one_of_them_is_ticked(world: World) -> None:
    """R22, R30: the tick shares the message, and a list of a record shows all of its mail that one may see."""
    message = factories.message(
        mailbox=world.ana, sender=world.ana.owner.email, to=["bea@acme.example", "carl@lawyers.example"]
    )
    adam = browser(world.adam)
    for customer in (world.bea, world.carl):
        assert f"/mail/messages/{message.pk}/" in adam.get(f"/contacts/{customer.pk}/").content.decode()
        related = adam.get(f"/api/v1/contacts/{customer.pk}/emails/").json()["results"]
        assert [row["id"] for row in related] == [message.pk]


def test_11_a_customer_in_bcc_shares_nothing(world: World) -> None:
    """Line 6."""
    assert not sees(world.adam, sent(world.ana, DAN, bcc=(BEA,)))


def test_12_mail_in_a_private_mailbox_is_not_seen(world: World) -> None:
    """R23."""
    assert not sees(world.adam, received(world.cleo, BEA))


def test_13_only_the_shared_copy_shows_and_nothing_tells_of_the_other(world: World) -> None:
    """R23, R30: not as a count, nor as another mailbox that has it."""
    raw = factories.raw_message(sender=BEA, to=["cleo@our.example", "john@our.example"], message_id="both@acme.example")
    hidden, shared = factories.file_raw(world.cleo, raw), factories.file_raw(world.john, raw)
    assert sees(world.adam, shared)
    assert not sees(world.adam, hidden)
    adam = browser(world.adam)
    related = adam.get(f"/api/v1/contacts/{world.bea.pk}/emails/").json()["results"]
    assert [row["id"] for row in related] == [shared.pk]
    page = adam.get(f"/contacts/{world.bea.pk}/").content.decode()
    assert f"/mail/messages/{shared.pk}/" in page
    assert f"/mail/messages/{hidden.pk}/" not in page
    assert "Cleo" not in page.partition('id="emails"')[2]


def test_14_ticks_are_kept_while_the_mode_is_another_one(world: World) -> None:
    """R20."""
    message = received(world.ana, BEA)
    factories.share(world.ana, "public")
    factories.share(world.ana, "custom")
    assert SharedRecord.objects.filter(owner=world.ana.owner, customer=world.bea).exists()
    assert sees(world.adam, message)


def test_15_turning_private_acts_on_the_next_request(world: World) -> None:
    """R20, R23: a link that was kept answers 404."""
    message = received(world.john, BEA)
    adam = browser(world.adam)
    kept = f"/mail/messages/{message.pk}/"
    assert adam.get(kept).status_code == 200
    factories.share(world.john, "private")
    assert adam.get(kept).status_code == 404
    assert not sees(world.adam, message)


def test_15_every_kept_link_ends_at_the_next_request_of_a_session_and_of_a_program(world: World) -> None:
    """R20, R23: page, frame, original, attachment, API; the colleague stays signed in throughout."""
    message = factories.message(
        mailbox=world.john, sender=BEA, html="<p>Hello</p>", attachments=[("offer.txt", "text/plain", b"1000")]
    )
    attachment = message.attachments.get()
    links = [
        f"/mail/messages/{message.pk}/{rest}"
        for rest in ("", "html/", "raw/", "original/", f"attachments/{attachment.part}/")
    ]
    links += [
        f"/api/v1/messages/{message.pk}/{rest}" for rest in ("", "raw/", "visibility/", f"attachments/{attachment.pk}/")
    ]
    by_session, by_token = browser(world.adam), program(world.adam)
    kept = [(by_session, link) for link in links] + [(by_token, link) for link in links if "/api/" in link]
    assert {client.get(link).status_code for client, link in kept} == {200}
    factories.share(world.john, "private")
    assert {client.get(link).status_code for client, link in kept} == {404}
    factories.share(world.john, "public")
    assert {client.get(link).status_code for client, link in kept} == {200}


def test_16_deleting_the_record_ends_what_it_shared(world: World) -> None:
    """Line 6."""
    messages = [
        received(world.john, BEA),
        sent(world.john, BEA),
        received(world.ana, BEA),
        sent(world.ana, BEA),
    ]
    assert all(sees(world.adam, message) for message in messages)
    world.bea.delete()
    assert not any(sees(world.adam, message) for message in messages)


@pytest.mark.parametrize("keep", [True, False])
def test_17_a_changed_address_keeps_earlier_mail_only_when_asked_to(world: World, keep: bool) -> None:
    """R29."""
    message = received(world.john, BEA)
    change_customer(world.bea, addresses=["bea@new.example"], keep_earlier_mail=keep)
    assert sees(world.adam, message) is keep


def test_18_a_display_name_that_is_an_address_decides_nothing(world: World) -> None:
    """Line 7: the address is Carl's domain."""
    assert not sees(world.adam, received(world.john, '"bea@acme.example" <evil@lawyers.example>'))


def test_19_an_excluded_domain_covers_its_other_spelling(world: World) -> None:
    """Domains are compared in their ASCII form."""
    factories.share(world.john, "public", ["xn--bcher-kva.example"])
    factories.customer(organization=world.organization, addresses=["a@bücher.example"])
    raw = b"From: a@b\xc3\xbccher.example\r\nTo: john@our.example\r\nSubject: B\r\n\r\nHello\r\n"
    message = factories.file_raw(world.john, raw)
    assert message.from_address == "a@xn--bcher-kva.example"
    assert not sees(world.adam, message)
    factories.share(world.john, "public", [])
    assert sees(world.adam, message)


@pytest.mark.parametrize(
    "text",
    [
        "example",
        "com",
        "co.uk",
        "bea@acme.example",
        "acme..example",
        "http://acme.example/",
        "a b.example",
    ],
)
def test_20_what_is_no_domain_of_anybody_is_refused(text: str) -> None:
    """R21."""
    with pytest.raises(ValidationError):
        check_excluded_domains([text])


def test_20_an_excluded_domain_is_stored_normalised() -> None:
    """R21."""
    assert check_excluded_domains(["@Acme.Example.", "acme.example", " "]) == ["acme.example"]


def test_the_first_of_several_senders_decides(world: World) -> None:
    """sharing.md, *From with several addresses*."""
    made = EmailMessage()
    made["To"] = "john@our.example"
    made.set_content("Hello")
    body = made.as_bytes()
    first = factories.file_raw(world.john, b"From: dan@nobody.example, bea@acme.example\n" + body)
    second = factories.file_raw(world.john, b"From: bea@acme.example, dan@nobody.example\n" + body)
    third = factories.file_raw(world.john, b"From: bea@acme.example, x@lawyers.example\n" + body)
    assert [sees(world.adam, message) for message in (first, second, third)] == [False, True, False]


def test_deactivating_the_owner_changes_nothing_and_a_deactivated_viewer_sees_nothing(
    world: World,
) -> None:
    """R2, line 1."""
    message = received(world.john, BEA)
    world.john.owner.is_active = False
    world.john.owner.save()
    assert sees(world.adam, message)
    from sharing.visibility import explain, visible_to

    world.adam.is_active = False
    world.adam.save()
    assert not visible_to(world.adam).exists()
    assert not explain(world.adam, message).visible


def test_an_administrator_is_an_ordinary_viewer(world: World) -> None:
    """R25: never a way to read a private message."""
    admin = factories.user(organization=world.organization, role="admin")
    assert not sees(admin, received(world.cleo, BEA))
    assert sees(admin, received(world.john, BEA))


def test_another_organisation_sees_nothing(world: World) -> None:
    """R1, line 1, even where it has the same customer."""
    stranger = factories.user(organization=factories.organization(domain="rival.example"))
    factories.customer(organization=stranger.organization, addresses=["bea@acme.example"])
    assert not sees(stranger, received(world.john, BEA))


def test_trash_and_what_is_kept_private_are_not_seen(world: World) -> None:
    """Lines 3 and 4."""
    trashed, private, whole = (received(world.john, BEA) for _ in range(3))
    trashed.folder = world.john.owner.mail_account.folders.get(kind="trash")
    trashed.save()
    private.is_private = True
    private.save()
    whole.thread.is_private = True
    whole.thread.save()
    assert not any(sees(world.adam, message) for message in (trashed, private, whole))


def test_a_message_that_names_more_people_than_are_read_counts_as_excluded(world: World) -> None:
    """Line 7: one of those left out may be at an excluded domain; without excluded domains nothing changes."""
    crowd = tuple(f"p{number}@crowd.example" for number in range(MAX_PARTICIPANTS + 1))
    message = received(world.john, BEA, cc=crowd)
    assert not message.has_all_participants
    assert not sees(world.adam, message)
    factories.share(world.john, "public", [])
    assert sees(world.adam, message)


@pytest.mark.parametrize(
    "unreadable", ['"be a"@lawyers.example', "carl@lawyers.example dan@nobody.example", "<carl@lawyers.example dan>"]
)
def test_a_participant_who_can_not_be_read_may_be_an_excluded_one(world: World, unreadable: str) -> None:
    """Line 7: the private reading; without excluded domains nothing changes."""
    raw = f"From: {BEA}\r\nTo: john@our.example\r\nCc: {unreadable}\r\nSubject: S\r\n\r\nHello\r\n"
    message = factories.file_raw(world.john, raw.encode())
    assert not sees(world.adam, message)
    factories.share(world.john, "public", [])
    assert sees(world.adam, message)
