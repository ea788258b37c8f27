"""Drafts, replies and forwards (R24, R35)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.mailboxes import NotPossible, activate, deactivate, remove_mailbox
from accounts.models import Mailbox, User
from mail.arranging import change_signature
from mail.models import Folder, Message, Thread
from sender import composing, files
from sender.composing import DraftChanged, forward, reply_to, save_as_new, save_draft, start_draft
from sender.models import DraftFile, Outgoing
from sender.plain_text import plain_text
from sharing.policies import keep_private
from sharing.visibility import visible_to
from tests import factories

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def rep() -> User:
    """Somebody with a mailbox to send from."""
    rep = factories.user(email="rep@our.example", name="Rep")
    factories.mailbox(owner=rep, email_address="rep@our.example", mode="public")
    return rep


def participants(message: Message) -> list[tuple[str, str]]:
    """Header and address of everybody in a message."""
    return [(person.role, person.address) for person in message.participants.all()]


def test_a_draft_is_a_message_in_drafts_from_the_active_mailbox(rep: User) -> None:
    """R35, R5."""
    draft = start_draft(rep, to="Bea <bea@acme.example>", subject="An offer", text="Hello")
    message = draft.message
    assert (message.is_draft, message.folder.kind, message.mailbox.is_active) == (True, Folder.Kind.DRAFTS, True)
    assert (message.subject, message.body.text, message.snippet) == ("An offer", "Hello", "Hello")
    assert participants(message) == [("from", "rep@our.example"), ("to", "bea@acme.example")]


def test_a_draft_is_shared_with_nobody_whatever_the_mode(rep: User) -> None:
    """Line 4 of the rule."""
    factories.customer(organization=rep.organization, addresses=["bea@acme.example"])
    colleague = factories.user(organization=rep.organization)
    draft = start_draft(rep, to="bea@acme.example", text="Hello")
    factories.customer(organization=rep.organization, addresses=["bea@acme.example", "b@acme.example"])
    assert not visible_to(colleague).exists()
    assert visible_to(rep).get() == draft.message


def test_without_a_crm_mail_account_or_an_active_mailbox_it_says_what_to_do() -> None:
    """R4, R5."""
    with pytest.raises(NotPossible, match="Set up your CRM Mail account first"):
        start_draft(factories.user())
    mailbox = factories.mailbox()
    deactivate(mailbox)
    with pytest.raises(NotPossible, match="None of your mailboxes is active"):
        start_draft(mailbox.owner)
    activate(mailbox.owner.mail_account.mailbox)
    with pytest.raises(NotPossible, match="has no outgoing server"):
        start_draft(mailbox.owner)


def test_mail_goes_out_only_from_ones_own_mailboxes(rep: User) -> None:
    """R35: attacks.md, sending from an address that isn't one's own."""
    draft = start_draft(rep)
    others = factories.mailbox(owner=factories.user(organization=rep.organization))
    removed = factories.mailbox(owner=rep)
    remove_mailbox(removed, deletes_mail=False)
    for mailbox in (others, removed, rep.mail_account.mailbox):
        assert mailbox not in composing.identities(rep)
        with pytest.raises(ValidationError) as refused:
            save_draft(draft, 0, mailbox=mailbox)
        assert "mailbox" in refused.value.message_dict
        with pytest.raises(ValidationError):
            start_draft(rep, mailbox=mailbox)
    second = factories.mailbox(owner=rep)
    saved = save_draft(draft, 0, mailbox=second)
    assert participants(saved.message) == [("from", second.email_address)]
    assert saved.message.mailbox == second


def test_what_was_typed_comes_back_even_if_it_is_no_address_yet(rep: User) -> None:
    """R35: drafts are restored."""
    draft = start_draft(rep)
    saved = save_draft(draft, 0, to="bea@acme.example, bo", bcc="dan@x.example", subject="a\r\nBcc: evil@x.example")
    again = Outgoing.objects.owned_by(rep).get(pk=saved.pk)
    assert (again.to, again.bcc, again.revision) == ("bea@acme.example, bo", "dan@x.example", 1)
    assert again.message.subject == "a  Bcc: evil@x.example"
    assert ("bcc", "dan@x.example") in participants(again.message)


def test_an_older_save_never_overwrites_a_newer_one(rep: User) -> None:
    """R35: two windows, or a save that was overtaken."""
    draft = start_draft(rep, text="first")
    save_draft(draft, 0, text="second")
    with pytest.raises(DraftChanged, match="changed in another window") as refused:
        save_draft(draft, 0, text="late")
    assert refused.value.draft.text == "second"
    assert Outgoing.objects.get().text == "second"


def test_the_same_save_again_is_one_save(rep: User) -> None:
    """R35: the answer to the first was lost on the way."""
    draft = start_draft(rep)
    for _ in range(2):
        saved = save_draft(draft, 0, to="bea@acme.example", subject="Hello", html="<p>Hi</p><script>x</script>")
        assert saved.revision == 1


def test_html_is_sanitised_and_text_made_from_it_and_text_alone_is_plain(rep: User) -> None:
    """R32, R35."""
    draft = start_draft(rep)
    saved = save_draft(
        draft, 0, html='<p onclick="x()">Hi <b>Bea</b></p><script>x()</script><img src="javascript:x()">'
    )
    assert saved.html == "<p>Hi <b>Bea</b></p><img>"
    assert saved.text == "Hi Bea"
    saved = save_draft(draft, 1, text="plain")
    assert (saved.text, saved.html) == ("plain", "")


@pytest.mark.parametrize("field", ["to", "subject", "text", "html"])
def test_too_much_is_refused_by_field_and_changes_nothing(rep: User, field: str) -> None:
    draft = start_draft(rep, text="kept")
    with pytest.raises(ValidationError) as refused:
        save_draft(draft, 0, **{field: "x" * 3_000_000})
    assert set(refused.value.message_dict) == {field}
    with pytest.raises(ValidationError):
        save_draft(draft, 0, html="<div>" * 1000)
    assert (Outgoing.objects.get().text, Outgoing.objects.get().revision) == ("kept", 0)


def test_files_are_kept_beside_the_draft_and_bounded(rep: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """R35: uploaded once; saving the draft leaves them alone."""
    draft = start_draft(rep)
    data = bytes(range(256)) * 9_000
    file = files.attach(draft, "C:\\offers\\off\ner.pdf", data, "application/pdf")
    image = files.attach(draft, "logo.png", PNG, "image/png", is_inline=True)
    saved = save_draft(draft, 0, html=f'<img src="cid:{image.content_id}"><img src="cid:other@x">')
    assert saved.message.has_attachments
    assert saved.html == f'<img src="cid:{image.content_id}"><img>'
    assert files.used_images(saved) == {image.content_id}
    assert (file.name, files.read_file(file)) == ("off er.pdf", data)
    files.detach(file)
    assert not Message.objects.get(pk=draft.pk).has_attachments
    with pytest.raises(ValidationError):
        files.attach(draft, "page.html", b"<script>", "text/html", is_inline=True)
    monkeypatch.setattr(files, "MAX_FILES_BYTES", 100)
    with pytest.raises(ValidationError) as refused:
        files.attach(draft, "big", b"x" * 100)
    assert "at most 100" in refused.value.message_dict["attachments"][0]
    monkeypatch.setattr(files, "MAX_FILES", 1)
    with pytest.raises(ValidationError):
        files.attach(draft, "second", b"")
    assert DraftFile.objects.count() == 1


def test_a_discarded_draft_goes_to_trash_and_comes_back_an_untouched_one_goes_for_good(rep: User) -> None:
    """R35: undo before confirm."""
    draft = start_draft(rep, text="dear to me")
    assert not composing.discard(draft)
    assert Message.objects.get().folder.kind == Folder.Kind.TRASH
    composing.restore(draft)
    assert Message.objects.get().folder.kind == Folder.Kind.DRAFTS
    assert composing.discard(start_draft(rep))
    assert Message.objects.count() == Thread.objects.count() == 1


def test_untouched_drafts_are_thrown_away_after_a_day(rep: User) -> None:
    untouched, written, with_file = start_draft(rep), start_draft(rep), start_draft(rep)
    save_draft(written, 0, text="dear to me")
    files.attach(with_file, "a", b"a")
    Message.objects.update(filed_at=timezone.now() - timedelta(days=2))
    young = start_draft(rep)
    assert composing.throw_away_untouched() == 1
    assert set(Outgoing.objects.all()) == {written, with_file, young}
    assert untouched not in Outgoing.objects.all()


def received(mailbox: Mailbox, **fields: Any) -> Message:
    """A message from Bea."""
    return factories.message(
        mailbox=mailbox, **{"sender": "Bea <bea@acme.example>", "to": ["rep@our.example"]} | fields
    )


def test_a_reply_goes_to_who_wrote_and_carries_the_conversation_and_a_quote(rep: User) -> None:
    """R35; RFC 5322 section 3.6.4."""
    change_signature(rep.mail_account, "Rep & Co")
    mailbox = rep.mailboxes.get(kind="pop3")
    message = received(mailbox, message_id="2@x", references=["1@x"], subject="An offer", text="Dear Rep,\n> you wrote")
    draft = reply_to(rep, message)
    assert (draft.to, draft.cc) == ('"Bea" <bea@acme.example>', "")
    assert draft.message.subject == "Re: An offer"
    assert (draft.references, draft.in_reply_to) == (["1@x", "2@x"], "2@x")
    assert draft.message.thread == message.thread
    assert draft.text == ("\n\n-- \nRep & Co\n\nOn 2 November 2026, 09:30, Bea wrote:\n> Dear Rep,\n>> you wrote\n")
    assert plain_text(draft.html) == draft.text.rstrip()
    assert "Rep &amp; Co" in draft.html
    assert "<blockquote>Dear Rep,<br>&gt; you wrote</blockquote>" in draft.html
    assert (draft.how, draft.answers) == ("reply", message)


def test_a_reply_honours_reply_to_and_reply_all_names_everybody_but_oneself(rep: User) -> None:
    """R35."""
    mailbox = rep.mailboxes.get(kind="pop3")
    message = received(
        mailbox,
        to=["rep@our.example", "carl@x.example"],
        cc=["Dan <dan@y.example>", "bea@acme.example"],
        bcc=["hidden@z.example"],
        headers={"Reply-To": "sales@acme.example"},
    )
    assert reply_to(rep, message).to == "sales@acme.example"
    draft = reply_to(rep, message, to_all=True)
    assert (draft.to, draft.cc) == ("sales@acme.example", 'carl@x.example, "Dan" <dan@y.example>, bea@acme.example')
    assert "hidden" not in draft.text + draft.html + draft.cc


def test_a_reply_to_what_was_sent_goes_to_its_recipients(rep: User) -> None:
    """R35."""
    message = received(rep.mailboxes.get(kind="pop3"), sender="rep@our.example", to=["bea@acme.example"])
    assert reply_to(rep, message).to == "bea@acme.example"


def test_html_is_quoted_sanitised_with_its_images_but_none_from_the_web(rep: User) -> None:
    """R32, R35: a tracking image is not sent on."""
    raw = (
        b"From: bea@acme.example\r\nTo: rep@our.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/related; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/html\r\n\r\n"
        b'<p>Hi</p><script>x()</script><img src="cid:1@x"><img src="https://track.example/1.gif">\r\n'
        b"--b\r\nContent-Type: image/png\r\nContent-ID: <1@x>\r\nContent-Disposition: inline; filename=logo.png\r\n\r\n"
        b"PNG\r\n--b--\r\n"
    )
    message = factories.file_raw(rep.mailboxes.get(kind="pop3"), raw)
    draft = reply_to(rep, message)
    [image] = draft.files.all()
    assert (image.is_inline, files.read_file(image)) == (True, b"PNG")
    assert f'<p>Hi</p><img src="cid:{image.content_id}"><img>' in draft.html
    assert "track" not in draft.html
    assert forward(rep, message).files.count() == 1


def test_a_forward_takes_header_text_and_attachments_along_but_no_bcc(rep: User) -> None:
    """R35."""
    message = received(
        rep.mailboxes.get(kind="pop3"),
        cc=["carl@x.example"],
        bcc=["hidden@z.example"],
        subject="An offer",
        attachments=[("offer.pdf", "application/pdf", b"%PDF")],
    )
    draft = forward(rep, message)
    assert (draft.to, draft.message.subject, draft.in_reply_to) == ("", "Fwd: An offer", "")
    for line in ("From: Bea <bea@acme.example>", "Subject: An offer", "Cc: carl@x.example", "Please find our offer"):
        assert line in draft.text
    assert "hidden" not in draft.text + draft.html
    [file] = draft.files.all()
    assert (file.name, file.is_inline, files.read_file(file)) == ("offer.pdf", False, b"%PDF")
    assert draft.message.thread == message.thread


def test_a_colleagues_shared_message_is_answered_from_ones_own_mailbox_and_thread(rep: User) -> None:
    """R24: of the conversation only what the shared message itself says; never its Bcc."""
    factories.customer(organization=rep.organization, addresses=["bea@acme.example"])
    message = received(rep.mailboxes.get(kind="pop3"), message_id="2@x", references=["1@x"], bcc=["hidden@z.example"])
    colleague = factories.mailbox(owner=factories.user(organization=rep.organization)).owner
    draft = reply_to(colleague, visible_to(colleague).get(pk=message.pk))
    assert draft.message.owner == colleague
    assert draft.message.mailbox == colleague.mailboxes.get(kind="pop3")
    assert draft.to == '"Bea" <bea@acme.example>'
    assert draft.references == ["1@x", "2@x"]
    assert draft.message.thread.owner == colleague
    assert draft.message.thread.root == message.thread.root
    assert "hidden" not in draft.text + draft.html + draft.cc + draft.bcc


def test_ids_that_could_not_stand_in_a_header_are_left_out(rep: User) -> None:
    """A stranger's Message-ID is anything at all."""
    ids = f"<{'x' * 600}> <ok@x> <b\u00e4d@x> <be\x07ll@x>".encode()
    raw = b"From: bea@acme.example\r\nReferences: " + ids + b"\r\nMessage-ID: <2@x>\r\n\r\nHi\r\n"
    draft = reply_to(rep, factories.file_raw(rep.mailboxes.get(kind="pop3"), raw))
    assert draft.references == ["ok@x", "2@x"]


@pytest.mark.parametrize("kept", ["message", "conversation"])
def test_what_another_window_overtook_is_as_private_as_the_draft(rep: User, kept: str) -> None:
    """R26: the private reading wins."""
    draft = start_draft(rep, to="bea@acme.example", subject="An offer", text="Hello")
    keep_private(rep, draft.message if kept == "message" else draft.message.thread, True)
    made = save_as_new(draft, to="bea@acme.example", subject="An offer", text="Better")
    assert made.pk != draft.pk
    assert Message.objects.get(pk=made.pk).is_kept_private
