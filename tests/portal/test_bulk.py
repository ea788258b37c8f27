"""What one does to one's own mail from a list, and undoing it, with and without a script (R10, R31)."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Mailbox, User
from mail import deeds
from mail.arranging import add_folder, add_label
from mail.deeds import delete_message, move_message
from mail.models import Deed, Folder, Message
from mail.tasks import carry_out_deeds
from tests import factories
from tests.portal.browsers import browser, page

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def ann() -> Mailbox:
    """Ann's mailbox."""
    return factories.mailbox(owner=factories.user(name="Ann"), email_address="ann@our.example")


@pytest.fixture
def client(ann: Mailbox) -> Client:
    """Ann's browser."""
    return browser(ann.owner)


def folder(mailbox: Mailbox, kind: str) -> Folder:
    """One of the standard folders of the mailbox's owner."""
    return Folder.objects.get(account__user=mailbox.owner, kind=kind)


def post(client: Client, address: str, *, htmx: bool = False, **given: object) -> str:
    """What a form shows after it was sent."""
    answer = client.post(address, given, follow=True, headers=HTMX if htmx else None)
    assert answer.status_code == 200
    return answer.content.decode()


def undo_address(shown: str) -> str:
    """Where the notice's Undo goes."""
    found = re.search(r'action="([^"]*/undo/[^"]*)"', shown)
    assert found is not None, shown
    return unescape(found[1])


def test_without_a_script_what_is_ticked_is_deleted_and_undone(ann: Mailbox, client: Client) -> None:
    """R31: forms and links alone do it; the notice leads back."""
    one, other, kept = (factories.message(mailbox=ann, subject=f"Number {number}") for number in range(3))
    shown = post(client, reverse("mail"), thread=[one.thread_id, other.thread_id], deed="trash")
    assert "2 messages moved to Trash." in shown
    assert re.findall(r"Select “(Number \d)”", shown) == [kept.subject]
    shown = post(client, undo_address(shown))
    assert "Undone." in shown
    assert len(re.findall(r"Select “Number \d”", shown)) == 3


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"deed": "read"}, "is_read", True),
        ({"deed": "star"}, "is_starred", True),
        ({"deed": "unread"}, "is_read", False),
    ],
)
def test_marks_are_set_from_the_list(
    ann: Mailbox, client: Client, given: dict[str, str], field: str, value: bool
) -> None:
    """R31."""
    message = factories.message(mailbox=ann)
    Message.objects.update(**{field: not value})
    post(client, reverse("mail"), thread=message.thread_id, **given)
    assert getattr(Message.objects.get(), field) is value


def test_the_star_of_a_row_is_about_that_row_whatever_is_ticked(ann: Mailbox, client: Client) -> None:
    """R31."""
    one, other = factories.message(mailbox=ann), factories.message(mailbox=ann)
    post(client, reverse("mail"), thread=other.thread_id, everything=other.pk, star=one.thread_id)
    assert list(Message.objects.filter(is_starred=True)) == [one]
    post(client, reverse("mail"), thread=other.thread_id, unstar=one.thread_id)
    assert not Message.objects.filter(is_starred=True).exists()


def test_mail_is_moved_and_labelled(ann: Mailbox, client: Client) -> None:
    """R31."""
    offers = add_folder(ann.owner.mail_account, "Offers")
    label = add_label(ann.owner.mail_account, "Hot", "#c2413b")
    message = factories.message(mailbox=ann)
    assert "1 message labelled Hot." in post(client, reverse("mail"), thread=message.thread_id, label=label.pk)
    assert "1 message moved to Offers." in post(client, reverse("mail"), thread=message.thread_id, move=offers.pk)
    assert list(offers.messages.all()) == list(label.messages.all()) == [message]  # type: ignore[attr-defined]
    address = reverse("mail-folder", args=[offers.pk])
    assert "1 message no longer labelled Hot." in post(client, address, thread=message.thread_id, unlabel=label.pk)
    assert not label.messages.exists()


def test_to_htmx_a_deed_answers_with_what_changed(ann: Mailbox, client: Client) -> None:
    """R31: rows that went, rows as they are now, counts, and the notice; not the page."""
    gone, stays = factories.message(mailbox=ann), factories.message(mailbox=ann)
    shown = post(client, reverse("mail"), htmx=True, thread=gone.thread_id, deed="trash")
    assert f'<li id="conversation-{gone.thread_id}" hx-swap-oob="delete">' in shown
    assert "<main" not in shown
    assert "<title>(1) Inbox" in shown
    assert "1 message moved to Trash." in shown
    undone = post(client, undo_address(shown), htmx=True)
    assert f'hx-get="{reverse("mail-folder", args=[folder(ann, "inbox").pk])}"' in undone
    shown = post(client, reverse("mail"), htmx=True, thread=stays.thread_id, deed="read")
    assert re.search(rf'<li class="conversation" id="conversation-{stays.thread_id}"[^>]*hx-swap-oob="true"', shown)


def test_everything_is_counted_before_it_is_chosen_and_workers_do_it(
    ann: Mailbox, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R31: an honest number, progress, and undo."""
    monkeypatch.setattr(deeds, "AT_ONCE", 2)
    messages = [factories.message(mailbox=ann) for _ in range(5)]
    offer = client.get(reverse("mail"), {"all": "on"}, headers=HTMX | {"HX-Target": "everything"}).content.decode()
    assert "Select all 5 messages in Inbox" in offer
    assert client.get(reverse("mail"), headers=HTMX | {"HX-Target": "everything"}).content.decode().strip() == ""
    late = factories.message(mailbox=ann)
    shown = post(client, reverse("mail"), htmx=True, everything=messages[-1].pk, deed="trash")
    assert 'id="mail-reload"' in shown
    assert "5 messages are being moved to Trash…" in client.get(reverse("mail")).content.decode()
    assert 'max="5" value="1"' in page(ann.owner, "mail-deeds")
    carry_out_deeds()
    assert list(folder(ann, "inbox").messages.all()) == [late]  # type: ignore[attr-defined]
    assert "Done." in page(ann.owner, "mail-deeds", again="")
    post(client, reverse("mail-undo", args=[Deed.objects.get().pk]))
    carry_out_deeds()
    assert folder(ann, "inbox").messages.count() == 6  # type: ignore[attr-defined]


@pytest.mark.parametrize("htmx", [False, True])
def test_deleting_for_good_asks_and_says_what_it_means_on_the_server(ann: Mailbox, client: Client, htmx: bool) -> None:
    """R10, R31."""
    ann.delete_policy = "when_deleted"
    ann.save()
    message = factories.message(mailbox=ann)
    delete_message(message)
    trash = reverse("mail-folder", args=[folder(ann, "trash").pk])
    shown = post(client, trash, htmx=htmx, thread=message.thread_id, deed="delete")
    assert "Delete 1 message for good?" in shown
    assert "The mail server’s copy is deleted too" in shown
    assert ("<main" in shown) is not htmx
    assert Message.objects.exists()
    given = dict(re.findall(r'<input type="hidden" name="(thread|upto|deed|confirmed)" value="([^"]+)"', shown))
    assert "1 message deleted for good." in post(client, trash, htmx=htmx, **given)
    assert not Message.objects.exists()


def test_trash_is_emptied_after_a_question_and_mail_restored_from_it(ann: Mailbox, client: Client) -> None:
    """R31: what came to Trash after the question was asked stays."""
    restored, gone, late = (factories.message(mailbox=ann) for _ in range(3))
    for message in (restored, gone):
        delete_message(message)
    trash = reverse("mail-folder", args=[folder(ann, "trash").pk])
    assert "1 message restored." in post(client, trash, thread=restored.thread_id, deed="restore")
    shown = post(client, trash, upto=gone.pk, deed="empty")
    assert "Delete 1 message for good?" in shown
    delete_message(late)
    post(client, trash, upto=gone.pk, everything=gone.pk, deed="delete", confirmed="yes")
    assert set(Message.objects.all()) == {restored, late}


def test_nothing_ticked_says_so_and_too_much_is_refused(ann: Mailbox, client: Client) -> None:
    """R31."""
    assert "Tick the conversations first." in post(client, reverse("mail"), deed="trash")
    assert "At most" in post(client, reverse("mail"), deed="read", thread=[str(number) for number in range(1, 930)])
    assert client.post(reverse("mail"), {"deed": "dance", "thread": "1"}).status_code == 404
    drafts = folder(ann, "drafts")
    message = factories.message(mailbox=ann)
    assert "Drafts holds only" in post(client, reverse("mail"), thread=message.thread_id, move=drafts.pk)


def test_undo_is_ones_own_and_leads_nowhere_else(ann: Mailbox, client: Client) -> None:
    """R1: nor to another site."""
    message = factories.message(mailbox=ann)
    move_message(message, folder(ann, "trash"))
    post(client, reverse("mail-folder", args=[folder(ann, "trash").pk]), thread=message.thread_id, deed="read")
    address = reverse("mail-undo", args=[Deed.objects.get().pk])
    other = browser(factories.user(organization=ann.owner.organization, mail_account=True))
    assert other.post(address).status_code == 404
    assert client.get(address).status_code == 405
    assert client.post(f"{address}?next=https://evil.example/").headers["Location"] == reverse("mail")
    assert client.post(f"{address}?next=//evil.example/").headers["Location"] == reverse("mail")
    Deed.objects.all().delete()
    assert client.post(address).status_code == 404


def test_undoing_says_what_was_changed_since(ann: Mailbox, client: Client) -> None:
    """R31."""
    one, other = factories.message(mailbox=ann), factories.message(mailbox=ann)
    shown = post(client, reverse("mail"), thread=[one.thread_id, other.thread_id], deed="trash")
    move_message(other, add_folder(ann.owner.mail_account, "Kept"))
    assert "Undone, but for 1 message that was changed since." in post(client, undo_address(shown))
    Deed.objects.update(at="2026-01-01T00:00:00Z")
    assert "be undone any more" in post(client, undo_address(shown))


# --- folders and labels ---------------------------------------------------------------------------------------------


def test_folders_are_added_renamed_and_removed_with_a_place_for_their_mail(ann: Mailbox, client: Client) -> None:
    """R4, R31."""
    address = reverse("mail-arrange")
    assert "Offers" in post(client, address, **{"what": "folder", "folder-name": "Offers"})
    assert "only one “offers”" in post(client, address, **{"what": "folder", "folder-name": "offers"})
    offers = Folder.objects.get(name="Offers")
    assert "called Old now" in post(client, reverse("mail-folder-edit", args=[offers.pk]), name="Old")
    assert "only one" in post(client, reverse("mail-folder-edit", args=[offers.pk]), name="inbox")
    message = factories.message(mailbox=ann)
    move_message(message, offers)
    removal = reverse("mail-folder-remove", args=[offers.pk])
    assert "1 message is in it" in client.get(removal).content.decode()
    assert "its mail is in Inbox" in post(client, removal, into=folder(ann, "inbox").pk)
    assert list(folder(ann, "inbox").messages.all()) == [message]  # type: ignore[attr-defined]
    assert not Folder.objects.filter(pk=offers.pk).exists()


def test_labels_are_added_coloured_and_taken_off(ann: Mailbox, client: Client) -> None:
    """R31: a colour that a program chose is kept."""
    address = reverse("mail-arrange")
    post(client, address, **{"what": "label", "label-name": "Hot", "label-colour": "#c2413b"})
    assert "Select a valid choice" in post(
        client, address, **{"what": "label", "label-name": "X", "label-colour": "#123456"}
    )
    label = ann.owner.mail_account.labels.get()
    post(client, reverse("mail-label-edit", args=[label.pk]), name="Warm", colour="#b45f1f")
    label.refresh_from_db()
    assert (label.name, label.colour) == ("Warm", "#b45f1f")
    label.colour = "#123456"
    label.save()
    post(client, reverse("mail-label-edit", args=[label.pk]), name="Cool", colour="#123456")
    label.refresh_from_db()
    assert (label.name, label.colour) == ("Cool", "#123456")
    message = factories.message(mailbox=ann)
    deeds.label_message(message, [label])
    assert "removed" in post(client, reverse("mail-label-remove", args=[label.pk]))
    assert Message.objects.get() == message


def test_standard_folders_and_those_of_others_are_not_arranged(ann: Mailbox, client: Client) -> None:
    """R1, R4."""
    ben: User = factories.user(organization=ann.owner.organization, mail_account=True)
    theirs = add_folder(ben.mail_account, "Mine")
    for pk in (folder(ann, "inbox").pk, theirs.pk):
        for name in ("mail-folder-edit", "mail-folder-remove"):
            assert client.post(reverse(name, args=[pk]), {"name": "X"}).status_code == 404


def test_without_a_crm_mail_account_there_is_nothing_to_arrange() -> None:
    """R4."""
    page(factories.user(), "mail-arrange", status=404)


# --- one message on its own page ------------------------------------------------------------------------------------


def test_a_message_is_deleted_restored_and_starred_on_its_page(ann: Mailbox, client: Client) -> None:
    """R31: that message alone, not its conversation."""
    message = factories.message(mailbox=ann, message_id="a@x")
    answer = factories.message(mailbox=ann, references=["a@x"])
    shown = page(ann.owner, "message", message.pk)
    assert f'name="message" value="{message.pk}"' in shown
    place = reverse("mail-folder", args=[folder(ann, "inbox").pk])
    post(client, place, message=message.pk, deed="star")
    assert list(Message.objects.filter(is_starred=True)) == [message]
    post(client, place, message=message.pk, deed="trash")
    assert list(folder(ann, "trash").messages.all()) == [message]  # type: ignore[attr-defined]
    assert ">Restore" in page(ann.owner, "message", message.pk)
    post(client, reverse("mail-folder", args=[folder(ann, "trash").pk]), message=message.pk, deed="restore")
    assert set(folder(ann, "inbox").messages.all()) == {message, answer}  # type: ignore[attr-defined]


def test_colleagues_get_no_such_buttons(ann: Mailbox) -> None:
    """sharing.md: marks and folders are the owner's."""
    factories.customer(organization=ann.owner.organization, addresses=["bea@acme.example"])
    message = factories.message(mailbox=ann, sender="bea@acme.example")
    ben = factories.user(organization=ann.owner.organization, mail_account=True)
    shown = page(ben, "message", message.pk)
    assert 'name="deed"' not in shown
    place = reverse("mail-folder", args=[folder(ann, "inbox").pk])
    assert browser(ben).post(place, {"message": message.pk, "deed": "star"}).status_code == 404
