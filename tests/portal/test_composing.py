"""Writing mail in the portal: drafts, replies, files, sending and taking back (R24, R35–R37)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.urls import resolve, reverse

from accounts.mailboxes import change_mailbox, deactivate, remove_mailbox
from accounts.models import Mailbox, User
from mail.boxes import Box, page_of
from mail.models import Folder
from sender.composing import save_draft
from sender.models import DraftFile, Outgoing
from sender.sending import send
from sharing.audit import openings_of
from tests import factories
from tests.portal.browsers import browser, page, queries_of
from tests.sender.senders import deliver, sender_on, server, written
from tests.servers import SmtpSink

pytestmark = pytest.mark.django_db

Status = Outgoing.Status
PNG = b"\x89PNG\r\n\x1a\n"


def writer() -> User:
    """Somebody with a mailbox to send from."""
    return sender_on(25)


def posted(user: User, name: str, *args: object, **fields: Any) -> HttpResponse:
    """The answer to a form that `user` sends to the page `name`."""
    return browser(user).post(reverse(name, args=args), fields)


def current(draft: Outgoing) -> Outgoing:
    """The draft as it is now."""
    return Outgoing.objects.owned_by(draft.message.owner).get(pk=draft.pk)


def test_writing_begins_with_an_empty_draft_to_whom_the_record_names() -> None:
    """R35: *Write* on a record fills in its address."""
    user = writer()
    answer = posted(user, "compose", to="bea@acme.example")
    draft = Outgoing.objects.get()
    assert answer.headers["Location"] == reverse("draft", args=[draft.pk])
    assert "bea@acme.example" in page(user, "draft", draft.pk)


def test_without_a_crm_mail_account_the_next_step_is_to_set_it_up() -> None:
    """R4, R35: a clear reason and a next step instead of an editor."""
    answer = posted(factories.user(), "compose")
    assert answer.status_code == 409
    assert reverse("mail-account") in answer.content.decode()


def test_without_an_outgoing_server_the_next_step_is_to_enter_one() -> None:
    """R35: for the CRM Mail account, or with a POP3 account."""
    shown = posted(factories.user(mail_account=True), "compose").content.decode()
    assert "Add the POP3 account that you write from" in shown
    assert reverse("send-mail-as") in shown
    assert reverse("mailbox-add") in shown


def test_without_an_active_account_the_next_step_is_to_activate_one() -> None:
    """R5, R35: on the page that it leads to."""
    user = writer()
    mailbox = user.mailboxes.get(kind="pop3")
    deactivate(mailbox)
    shown = posted(user, "compose").content.decode()
    assert "None of your mailboxes is active" in shown
    assert reverse("send-mail-as") in shown
    assert reverse("mailbox-activate", args=[mailbox.pk]) in page(user, "send-mail-as")


def test_what_is_too_large_to_be_forwarded_leads_back_to_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """R35: before an editor is opened."""
    user = writer()
    message = factories.message(
        mailbox=user.mailboxes.get(kind="pop3"), attachments=[("film.mp4", "video/mp4", b"frames")]
    )
    monkeypatch.setattr("sender.files.MAX_FILES_BYTES", 5)
    answer = posted(user, "message-answer", message.pk, how="forward")
    assert answer.status_code == 409
    assert "can be at most" in answer.content.decode()
    assert reverse("message", args=[message.pk]) in answer.content.decode()
    assert not Outgoing.objects.exists()


@pytest.mark.parametrize(
    ("how", "to", "cc"),
    [
        ("reply", '"Bea" <bea@acme.example>', ""),
        ("reply_all", '"Bea" <bea@acme.example>', "paula@our.example, carl@acme.example"),
        ("forward", "", ""),
    ],
)
def test_a_colleagues_shared_message_can_be_answered(how: str, to: str, cc: str) -> None:
    """R24: from one's own mailbox; the page says whose message it is."""
    user = writer()
    rep = factories.user(organization=user.organization, name="Paula Public")
    factories.customer(organization=user.organization, addresses=["bea@acme.example"])
    mailbox = factories.mailbox(owner=rep, email_address="paula@our.example")
    message = factories.message(
        mailbox=mailbox, sender="Bea <bea@acme.example>", cc=["carl@acme.example"], subject="Offer"
    )
    posted(user, "message-answer", message.pk, how=how)
    draft = Outgoing.objects.get()
    assert (draft.message.owner, draft.to, draft.cc) == (user, to, cc)
    assert "a message that Paula Public shares" in page(user, "draft", draft.pk)


def test_a_message_that_may_not_be_seen_can_not_be_answered() -> None:
    """R23: it does not exist for colleagues."""
    user = writer()
    rep = factories.user(organization=user.organization)
    factories.customer(organization=user.organization, addresses=["bea@acme.example"])
    message = factories.message(mailbox=factories.mailbox(owner=rep, mode="private"), sender="bea@acme.example")
    assert posted(user, "message-answer", message.pk, how="reply").status_code == 404
    assert not Outgoing.objects.exists()


def test_a_draft_saves_itself_and_says_so() -> None:
    """R35."""
    draft = written(writer())
    answer = posted(
        draft.message.owner, "draft-save", draft.pk, revision=0, to="bea@acme.example", subject="New", text="Dear Bea"
    )
    assert (answer.status_code, answer.json()["revision"]) == (200, 1)
    assert answer.json()["saved"].startswith("Saved")
    draft = current(draft)
    assert (draft.message.subject, draft.text) == ("New", "Dear Bea")


def test_what_has_no_field_stays_as_it_was_saved() -> None:
    """R35: until the editor is there, the page sends neither text nor HTML."""
    draft = written(writer(), html="<b>Hello</b>")
    assert posted(draft.message.owner, "draft-save", draft.pk, revision=0, subject="New").status_code == 200
    draft = current(draft)
    assert (draft.html, draft.text, draft.message.subject) == ("<b>Hello</b>", "Hello", "New")


def test_another_window_never_overwrites_what_was_saved_meanwhile() -> None:
    """R35: the later one is told, and nothing is lost."""
    draft = written(writer())
    user = draft.message.owner
    assert posted(user, "draft-save", draft.pk, revision=0, subject="First").status_code == 200
    answer = posted(user, "draft-save", draft.pk, revision=0, subject="Second")
    assert answer.status_code == 409
    assert "another window" in answer.json()["detail"]
    assert current(draft).message.subject == "First"
    whole = posted(user, "draft", draft.pk, revision=0, subject="Second", do="send").content.decode()
    assert "another window" in whole
    assert 'value="Second"' in whole


def test_html_is_cleaned_before_it_is_kept() -> None:
    """R32, R35: the editor's page is one's own, and still nothing hostile stays."""
    draft = written(writer(), html="<p>Hello</p>")
    html = '<p>Hi <b onclick="x()">Bea</b><script>x()</script></p>'
    posted(draft.message.owner, "draft-save", draft.pk, revision=0, html=html)
    assert current(draft).html == "<p>Hi <b>Bea</b></p>"


def test_the_editor_runs_nothing_but_its_own_scripts() -> None:
    """R32: what is quoted is somebody else's."""
    draft = written(writer(), html="<p>Hello</p>")
    answer = browser(draft.message.owner).get(reverse("draft-body", args=[draft.pk]))
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'nonce-" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert answer.content.decode().count("<script") == 3


def test_files_are_attached_and_taken_out() -> None:
    """R35: the answer is the list as it is then."""
    draft = written(writer())
    user = draft.message.owner
    listed = posted(user, "draft-files", draft.pk, attachments=SimpleUploadedFile("offer.pdf", b"%PDF-1.7"))
    assert "offer.pdf" in listed.content.decode()
    file = draft.files.get()
    assert "offer.pdf" not in posted(user, "draft-files", draft.pk, detach=file.pk).content.decode()
    assert not DraftFile.objects.exists()


def test_what_is_too_large_is_refused_in_words(settings: Any) -> None:
    """R35: before it is sent."""
    draft = written(writer())
    answer = posted(
        draft.message.owner, "draft-files", draft.pk, attachments=SimpleUploadedFile("film.mp4", bytes(26 << 20))
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert "at most 25.0" in answer.content.decode()


def test_an_image_of_the_text_is_shown_while_one_writes_and_sent_with_it() -> None:
    """R35: by its own address in the editor, by its Content-ID in the message."""
    draft = written(writer(), html="<p>Look</p>")
    user = draft.message.owner
    url = posted(
        user, "draft-files", draft.pk, attachments=SimpleUploadedFile("a.png", PNG, "image/png"), inline="1"
    ).json()["url"]
    assert browser(user).get(url).content == PNG
    posted(user, "draft-save", draft.pk, revision=0, html=f'<p>Look <img src="{url}"></p>')
    assert f'src="cid:{draft.files.get().content_id}"' in current(draft).html
    assert url in browser(user).get(reverse("draft-body", args=[draft.pk])).content.decode()


def test_an_image_that_does_not_come_is_no_error() -> None:
    draft = written(writer())
    assert posted(draft.message.owner, "draft-files", draft.pk, inline="1").status_code == 200


def test_sending_can_be_undone_and_then_is_a_draft_again() -> None:
    """R35: undo before confirm."""
    draft = written(writer())
    user = draft.message.owner
    answer = browser(user).post(
        reverse("draft", args=[draft.pk]),
        {"revision": 0, "to": "bea@acme.example", "subject": "Hi", "text": "Hello", "do": "send"},
        follow=True,
    )
    assert reverse("draft-take-back", args=[draft.pk]) in answer.content.decode()
    assert current(draft).status == Status.QUEUED
    answer = posted(user, "draft-take-back", draft.pk)
    assert answer.headers["Location"] == reverse("draft", args=[draft.pk])
    assert current(draft).status == Status.DRAFT


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost() -> None:
    """R35."""
    draft = written(writer())
    shown = posted(draft.message.owner, "draft", draft.pk, revision=0, to="bea", text="Dear Bea", do="send")
    assert "is not an e-mail address" in shown.content.decode()
    assert "Dear Bea" in shown.content.decode()
    assert current(draft).status == Status.DRAFT


def test_who_mends_what_was_wrong_goes_on_saving() -> None:
    """R35: what a refused *Send* has saved is what the page shows, not another window's."""
    draft = written(writer())
    user = draft.message.owner
    shown = posted(user, "draft", draft.pk, revision=0, to="bea", subject="Hi", do="send").content.decode()
    assert 'name="subject" value="Hi"' in shown
    assert re.search(r'<textarea name="to"[^>]*>\s*bea</textarea>', shown)
    [revision] = re.findall(r'name="revision" value="(\d+)"', shown)
    answer = posted(user, "draft-save", draft.pk, revision=revision, to="bea@acme.example")
    assert (answer.status_code, current(draft).to) == (200, "bea@acme.example")


def test_beyond_the_limit_the_page_names_it_and_when_it_resets(settings: Any) -> None:
    """R37."""
    settings.SENDS_PER_USER_PER_DAY = 0
    draft = written(writer())
    shown = posted(draft.message.owner, "draft", draft.pk, revision=0, to="bea@acme.example", text="x", do="send")
    assert "The limit resets on" in shown.content.decode()
    assert current(draft).status == Status.DRAFT


def test_what_is_left_of_the_limit_is_shown_while_one_writes(settings: Any) -> None:
    """R37."""
    settings.SENDS_PER_USER_PER_DAY = 7
    draft = written(writer())
    assert "7 of 7 recipients left" in page(draft.message.owner, "draft", draft.pk)


def test_discarding_can_be_undone() -> None:
    """R35."""
    draft = written(writer())
    user = draft.message.owner
    answer = browser(user).post(reverse("draft", args=[draft.pk]), {"do": "discard"}, follow=True)
    assert reverse("draft-restore", args=[draft.pk]) in answer.content.decode()
    assert current(draft).message.folder.kind == Folder.Kind.TRASH
    posted(user, "draft-restore", draft.pk)
    assert current(draft).message.folder.kind == Folder.Kind.DRAFTS


def test_formatting_is_given_up_and_taken_up_again_with_the_words_kept() -> None:
    """R35: plain text and HTML; the choice is remembered for the next message."""
    draft = written(writer(), html="<div>Dear <b>Bea</b>,</div><div>yes.</div>")
    client = browser(draft.message.owner)
    at = reverse("draft", args=[draft.pk])
    client.post(at, {"revision": 0, "html": draft.html, "do": "plain"})
    draft = current(draft)
    assert (draft.html, draft.text) == ("", "Dear Bea,\nyes.")
    assert "data-editor" not in client.get(at).content.decode()
    client.post(at, {"revision": draft.revision, "text": draft.text, "do": "rich"})
    assert "Dear Bea" in current(draft).html
    assert "data-editor" in client.get(at).content.decode()


def test_a_draft_opens_in_its_editor_wherever_it_is_listed() -> None:
    """R31, R35: also in the reading pane."""
    draft = written(writer())
    client = browser(draft.message.owner)
    at = reverse("message", args=[draft.pk])
    assert client.get(at).headers["Location"] == reverse("draft", args=[draft.pk])
    in_pane = client.get(at, headers={"HX-Request": "true", "HX-Target": "reading-pane"})
    assert in_pane.headers["HX-Redirect"] == reverse("draft", args=[draft.pk])


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.QUEUED, "Waiting to be sent"),
        (Status.FAILED, "This message was not sent"),
        (Status.UNKNOWN, "may have been sent"),
    ],
)
def test_how_delivery_is_doing_stands_on_the_message(status: str, words: str) -> None:
    """R36: with the server's words and what can be done."""
    outgoing = send(written(writer()))
    said = "550 No such <user> here" if status == Status.FAILED else ""
    Outgoing.objects.filter(pk=outgoing.pk).update(status=status, words=said)
    shown = page(outgoing.message.owner, "message", outgoing.pk)
    assert words in shown
    if status == Status.FAILED:
        assert "550 No such &lt;user&gt; here" in shown


def test_whom_the_server_refused_stands_on_the_message_with_its_words() -> None:
    """R36: by recipient, to be tried again for them alone."""
    with server(replies={"gone@acme.example": "550 no such <user>"}) as sink:
        user = sender_on(sink.port)
        outgoing = deliver(send(written(user, to="bea@acme.example, gone@acme.example")))
    shown = page(user, "message", outgoing.pk)
    assert "Not everybody got this message" in shown
    assert "no such &lt;user&gt;" in shown.partition("gone@acme.example: ")[2]
    assert reverse("draft-try-again", args=[outgoing.pk]) in shown


def test_what_keeps_a_message_from_everybody_is_said_once() -> None:
    """R36: a server that can't be signed in to refuses no recipient in particular."""
    user = sender_on(1)
    with SmtpSink(users={"user": "other"}) as sink:
        user.mailboxes.update(outgoing_port=sink.port)
        outgoing = deliver(send(written(user)))
    assert page(user, "message", outgoing.pk).count("rejected the user name or the password") == 1


def test_nobody_else_sees_how_it_is_doing() -> None:
    """R36: what servers said of recipients is the sender's."""
    user = writer()
    factories.customer(organization=user.organization, addresses=["bea@acme.example"])
    colleague = factories.user(organization=user.organization)
    with server() as sink:
        sender = sender_on(sink.port, organization=user.organization)
        outgoing = send(written(sender, bcc="hidden@y.example"))
        outgoing = deliver(outgoing)
    shown = page(colleague, "message", outgoing.pk)
    assert "hidden@y.example" not in shown
    assert "draft" not in shown.partition("<main")[2]
    assert "hidden@y.example" not in page(colleague, "message-full", outgoing.pk)


def test_who_answers_or_forwards_a_colleagues_message_has_opened_it() -> None:
    """R26: what a draft quotes is read there."""
    owner = writer()
    factories.customer(organization=owner.organization, addresses=["bea@acme.example"])
    message = factories.message(mailbox=owner.mailboxes.get(kind="pop3"), sender="bea@acme.example", text="Our offer")
    colleague = sender_on(25, organization=owner.organization)
    for how in ("forward", "reply"):
        assert "Our offer" in current(Outgoing.objects.get(pk=_begun(colleague, message.pk, how))).text
    assert [entry.actor for entry in openings_of(message)] == [colleague]


def _begun(user: User, message: int, how: str) -> int:
    answer = posted(user, "message-answer", message, how=how)
    return int(resolve(answer.headers["Location"]).kwargs["pk"])


def test_who_got_a_blind_copy_is_shown_to_the_sender() -> None:
    """R35: what went out does not say it."""
    outgoing = send(written(writer(), bcc="hidden@y.example"))
    for name in ("message", "message-full"):
        assert "hidden@y.example" in page(outgoing.message.owner, name, outgoing.pk)


def test_the_page_of_a_draft_costs_a_dozen_queries_at_most() -> None:
    """The house's budget."""
    draft = written(writer())
    assert queries_of(draft.message.owner, "draft", draft.pk) <= 12


def test_people_are_completed() -> None:
    """R35: customers and colleagues, as one types."""
    user = writer()
    factories.customer(organization=user.organization, last_name="Stone", addresses=["bea@acme.example"])
    shown = page(user, "people", q="sto")
    assert 'data-value="&quot;Stone&quot; &lt;bea@acme.example&gt;"' in shown


def test_what_was_written_in_an_outdated_window_can_be_kept_as_a_new_draft() -> None:
    """R35: with its files and what it answers; the other one stays as it is."""
    user = writer()
    message = factories.message(mailbox=user.mailboxes.get(kind="pop3"), sender="bea@acme.example", subject="Offer")
    posted(user, "message-answer", message.pk, how="reply")
    draft = Outgoing.objects.get()
    posted(user, "draft-files", draft.pk, attachments=SimpleUploadedFile("offer.pdf", b"%PDF-1.7"))
    posted(user, "draft-save", draft.pk, revision=0, text="First")
    answer = posted(user, "draft", draft.pk, revision=0, to="bea@acme.example", text="Second", do="keep")
    other = Outgoing.objects.exclude(pk=draft.pk).get()
    assert answer.headers["Location"] == reverse("draft", args=[other.pk])
    assert (other.text, other.answers, other.in_reply_to) == ("Second", message, message.message_id)
    assert other.files.get().name == "offer.pdf"
    assert current(draft).text == "First"


def test_what_was_sent_from_another_window_is_no_draft_that_saves() -> None:
    """R35, R36: and what is written in this one is not lost."""
    draft = written(writer())
    user = draft.message.owner
    send(draft)
    assert posted(user, "draft-save", draft.pk, revision=0, text="More").status_code == 409
    posted(user, "draft", draft.pk, revision=0, to="bea@acme.example", text="More", do="keep")
    assert Outgoing.objects.get(status=Status.DRAFT).text == "More"


def test_a_mailbox_that_is_gone_leaves_a_choice_of_what_to_send_from() -> None:
    """R35: a draft outlives its mailbox."""
    user = writer()
    draft = written(user)
    first = user.mailboxes.get(kind="pop3")
    second = factories.mailbox(owner=user)
    remove_mailbox(first, deletes_mail=False)
    assert second.email_address in page(user, "draft", draft.pk)
    posted(user, "draft", draft.pk, revision=0, to="bea@acme.example", text="Hi", mailbox=second.pk, do="send")
    assert current(draft).message.mailbox == second


def test_files_that_are_refused_are_named_beside_the_files() -> None:
    """R35: without the script too."""
    draft = written(writer())
    film = SimpleUploadedFile("film.mp4", bytes(26 << 20))
    shown = posted(draft.message.owner, "draft", draft.pk, revision=0, text="Hi", attachments=film, do="attach")
    before, _, after = shown.content.decode().partition("at most 25.0")
    assert 'id="compose-files"' in after
    assert 'id="compose-files"' not in before


def test_undo_is_offered_only_while_it_works() -> None:
    """R35: the script takes the notice away when the ten seconds are over."""
    draft = written(writer())
    answer = browser(draft.message.owner).post(
        reverse("draft", args=[draft.pk]),
        {"revision": 0, "to": "bea@acme.example", "subject": "Hi", "text": "Hello", "do": "send"},
        follow=True,
    )
    assert 'data-lasts="10"' in answer.content.decode()


def test_two_accounts_with_one_address_can_be_told_apart() -> None:
    """R4, R35: most people have one address, which serves both accounts."""
    user = writer()
    pop3, account = user.mailboxes.get(kind="pop3"), user.mail_account.mailbox
    fields = {"outgoing_host": "smtp.our.example", "outgoing_username": "rep", "outgoing_password": "secret"}
    change_mailbox(account, **fields)
    draft = written(user)
    assert pop3.name not in page(user, "draft", draft.pk).partition("<main")[2]
    Mailbox.objects.filter(pk=account.pk).update(email_address=pop3.email_address)
    shown = page(user, "draft", draft.pk)
    assert f"&lt;{pop3.email_address}&gt; · {pop3.name}" in shown
    assert f"&lt;{pop3.email_address}&gt; · {account.name}" in shown


def test_a_draft_is_listed_by_whom_it_is_to() -> None:
    """R31: blind copies count, for they are one's own; as long as it is to nobody, that is said."""
    user = writer()
    drafts = Folder.objects.get(account__user=user, kind="drafts")
    draft = written(user, to="", bcc="carl@x.example")
    assert page_of(Box(user, drafts)).rows[0].people == ["carl@x.example"]
    save_draft(draft, 0, bcc="")
    assert page_of(Box(user, drafts)).rows[0].people == ["nobody yet"]
