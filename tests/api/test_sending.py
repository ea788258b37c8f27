"""Writing and sending by programs (R24, R35–R37; interface.md, `messages/`, *Drafts*)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.mailboxes import deactivate
from accounts.models import User
from mail.models import Message
from mail.parsing import parse
from sender.models import Outgoing
from tests import factories
from tests.api.clients import ROOT, program, results
from tests.sender.senders import deliver, sender_on, server
from tests.servers import SmtpSink

pytestmark = pytest.mark.django_db
MESSAGES = ROOT + "messages/"


@dataclass
class World:
    """Somebody who sends, with their program and their server."""

    user: User
    client: APIClient
    sink: SmtpSink

    def arrived(self, answer: Any) -> Any:
        """What the server got of a message that was sent just now."""
        assert answer.status_code == 202, answer.content
        deliver(Outgoing.objects.get(pk=answer.json()["id"]))
        return self.sink.accepted[-1]


@pytest.fixture
def world() -> Iterator[World]:
    """With a server that takes everything."""
    with server() as sink:
        user = sender_on(sink.port, mode="public")
        yield World(user, program(user), sink)


def test_a_message_is_queued_then_sent_and_its_status_tells(world: World) -> None:
    """R35, R36."""
    body = {
        "to": ["Bea <bea@acme.example>", {"name": "Doe, Carl", "address": "carl@x.example"}],
        "bcc": "hidden@y.example",
        "subject": "An offer",
        "text": "Hello",
    }
    answer = world.client.post(MESSAGES, body)
    shown = answer.json()
    assert (shown["status"], shown["direction"], shown["bcc"]) == (
        "queued",
        "sent",
        [{"name": "", "address": "hidden@y.example"}],
    )
    arrived = world.arrived(answer)
    assert arrived.recipients == ["bea@acme.example", "carl@x.example", "hidden@y.example"]
    assert [p.name for p in parse(arrived.raw).participants if p.role == "to"] == ["Bea", "Doe, Carl"]
    shown = world.client.get(f"{MESSAGES}{shown['id']}/").json()
    assert (shown["status"], shown["text"].strip()) == ("sent", "Hello")
    assert {each["state"] for each in shown["delivery"]["recipients"]} == {"accepted"}
    [listed] = results(world.client, "messages/", direction="sent")
    assert (listed["status"], "text" in listed) == ("sent", False)
    assert results(world.client, "messages/", direction="received") == []


def test_files_come_as_a_form(world: World) -> None:
    """interface.md: multipart/form-data, field `attachments`, repeated."""
    body = {
        "to": ["bea@acme.example", "carl@x.example"],
        "subject": "Two files",
        "html": "<p>Hello</p>",
        "attachments": [
            SimpleUploadedFile("a.txt", b"A", "text/plain"),
            SimpleUploadedFile("b.pdf", b"%PDF", "application/pdf"),
        ],
    }
    arrived = world.arrived(world.client.post(MESSAGES, body, format="multipart"))
    read = parse(arrived.raw)
    assert [(part.name, part.size) for part in read.attachments] == [("a.txt", 1), ("b.pdf", 4)]
    assert arrived.recipients == ["bea@acme.example", "carl@x.example"]
    assert read.text.strip() == "Hello"


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"to": "bob"}, "to", "“bob” is not an e-mail address."),
        ({"text": "x"}, "to", "Enter at least one recipient."),
        ({"to": 7}, "to", "Give addresses as a text"),
        ({"to": [{"address": "a@b.example", "role": "x"}]}, "to", "Give addresses as a text"),
        ({"to": "a@b.example", "subject": "x" * 2_000}, "subject", "no more than"),
        ({"to": "a@b.example", "in_reply_to": "999999"}, "in_reply_to", "There is no such message."),
        ({"to": "a@b.example", "in_reply_to": "9" * 900}, "in_reply_to", "There is no such message."),
        ({"to": "a@b.example", "mailbox": 999_999}, "mailbox", "Invalid pk"),
        ({"to": "a@b.example", "attachments": ["x"]}, "attachments", "not a file"),
        ({"to": "a@b.example", "html": "<div>" * 2_000}, "html", "too much"),
    ],
)
def test_an_error_names_the_field_and_nothing_is_kept(
    world: World, body: dict[str, Any], field: str, says: str
) -> None:
    """interface.md, *Errors*."""
    answer = world.client.post(MESSAGES, body)
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert says in answer.json()[field][0]
    assert not Message.objects.exists()


def test_nobody_sends_from_a_mailbox_that_is_not_theirs(world: World) -> None:
    """attacks.md."""
    others = factories.mailbox(owner=factories.user(organization=world.user.organization))
    for mailbox in (others, world.user.mail_account.mailbox):
        answer = world.client.post(MESSAGES, {"to": "a@b.example", "mailbox": mailbox.pk})
        assert (answer.status_code, list(answer.json())) == (400, ["mailbox"])
    second = factories.mailbox(owner=world.user)
    assert (
        world.client.post(MESSAGES, {"to": "a@b.example", "mailbox": second.pk}).json()["from"]["address"]
        == second.email_address
    )


def test_without_account_or_active_mailbox_it_is_409_with_what_to_do(world: World) -> None:
    """R4, R5."""
    answer = program(factories.user()).post(MESSAGES, {"to": "a@b.example"})
    assert (answer.status_code, answer.json()["detail"][:29]) == (409, "Set up your CRM Mail account ")
    deactivate(world.user.mailboxes.get(kind="pop3"))
    answer = world.client.post(MESSAGES, {"to": "a@b.example"})
    assert (answer.status_code, "None of your mailboxes is active" in answer.json()["detail"]) == (409, True)


def test_a_draft_is_kept_changed_and_sent(world: World) -> None:
    """interface.md, *Drafts*."""
    answer = world.client.post(MESSAGES, {"draft": True, "to": "bea@acme.example, bo", "text": "Hel"})
    draft = answer.json()
    url = f"{MESSAGES}{draft['id']}/"
    assert (answer.status_code, draft["status"], draft["text"], draft["delivery"]["revision"]) == (
        201,
        "draft",
        "Hel",
        0,
    )
    changed = world.client.patch(
        url, {"to": ["bea@acme.example"], "subject": "Hi", "text": "Hello", "revision": 0}
    ).json()
    assert (changed["subject"], changed["text"], changed["delivery"]["revision"]) == ("Hi", "Hello", 1)
    assert world.client.patch(url, {"text": "late", "revision": 0}).status_code == 409
    file = SimpleUploadedFile("a.txt", b"A", "text/plain")
    [attached] = world.client.patch(url, {"attachments": [file]}, format="multipart").json()["attachments"]
    path = f"{url}attachments/{attached['id']}/"
    assert world.client.get(path).content == b"A"
    assert world.client.get(f"{url}raw/").status_code == 409
    assert world.client.delete(f"{url}files/{attached['id']}/").status_code == 204
    assert world.client.get(path).status_code == 404
    arrived = world.arrived(world.client.post(f"{url}send/"))
    assert parse(arrived.raw).subject == "Hi"
    assert world.client.patch(url, {"text": "too late"}).status_code == 409
    assert world.client.post(f"{url}send/").status_code == 409
    assert world.client.patch(url, {"is_starred": True}).json()["is_starred"] is True


def test_a_draft_is_deleted_like_any_message(world: World) -> None:
    """interface.md: to Trash, then for good."""
    url = f"{MESSAGES}{world.client.post(MESSAGES, {'draft': True, 'text': 'x'}).json()['id']}/"
    assert [world.client.delete(url).status_code for _ in range(3)] == [204, 204, 404]


def test_a_colleagues_message_is_answered_and_shown_to_neither_more_than_before(world: World) -> None:
    """R24."""
    factories.customer(organization=world.user.organization, addresses=["bea@acme.example"])
    owner = factories.mailbox(owner=factories.user(organization=world.user.organization), mode="public")
    message = factories.message(
        mailbox=owner, message_id="1@x", bcc=["hidden@y.example"], cc=["carl@x.example"], subject="An offer"
    )
    answer = world.client.post(f"{MESSAGES}{message.pk}/reply/", {"text": "Yes.", "reply_all": True})
    arrived = world.arrived(answer)
    read = parse(arrived.raw)
    assert (read.in_reply_to, read.subject, read.text.strip()) == ("1@x", "Re: An offer", "Yes.")
    assert arrived.recipients == ["bea@acme.example", owner.email_address, "carl@x.example"]
    assert b"hidden" not in arrived.raw
    as_owner = program(owner.owner).get(f"{MESSAGES}{answer.json()['id']}/").json()
    assert (as_owner["status"], as_owner["delivery"], as_owner["bcc"]) == (None, None, None)
    factories.share(owner, "private")
    assert world.client.post(f"{MESSAGES}{message.pk}/reply/", {"text": "Yes."}).status_code == 404


@pytest.mark.parametrize("name", ["id", "message_id"])
def test_a_new_message_may_answer_one_that_is_visible(world: World, name: str) -> None:
    """interface.md: `in_reply_to`."""
    message = factories.message(mailbox=world.user.mailboxes.get(kind="pop3"), message_id="1@x")
    hidden = factories.message(
        mailbox=factories.mailbox(owner=factories.user(organization=world.user.organization)), message_id="2@x"
    )
    named = {"id": (str(message.pk), str(hidden.pk)), "message_id": ("<1@x>", "<2@x>")}[name]
    answer = world.client.post(MESSAGES, {"to": "dan@y.example", "text": "Yes.", "in_reply_to": named[0]})
    assert answer.json()["thread"] == message.thread_id
    assert world.arrived(answer).recipients == ["dan@y.example"]
    assert world.client.post(MESSAGES, {"text": "Yes.", "in_reply_to": named[1]}).status_code == 400


def test_what_others_wrote_is_404_for_every_deed(world: World) -> None:
    """R1: administrators included."""
    sent = world.client.post(MESSAGES, {"to": "bea@acme.example"}).json()["id"]
    stranger = program(factories.user(organization=world.user.organization, role="admin", mail_account=True))
    for deed, body in (
        ("send", None),
        ("take-back", None),
        ("try-again", None),
        ("settle", {"arrived": True}),
        ("reply", {"text": "x"}),
    ):
        assert stranger.post(f"{MESSAGES}{sent}/{deed}/", body).status_code == 404, deed


def test_a_message_is_taken_back_tried_again_and_settled(world: World) -> None:
    """R35, R36."""
    world.sink.replies["bea@acme.example"] = "550 5.1.1 no such user"
    url = f"{MESSAGES}{world.client.post(MESSAGES, {'to': 'bea@acme.example', 'text': 'x'}).json()['id']}/"
    assert world.client.post(f"{url}take-back/").json()["status"] == "draft"
    outgoing = Outgoing.objects.get(pk=world.client.post(f"{url}send/").json()["id"])
    deliver(outgoing)
    shown = world.client.get(url).json()
    assert shown["status"] == "failed"
    assert shown["delivery"]["recipients"] == [
        {"address": "bea@acme.example", "state": "refused", "words": "5.1.1 no such user"}
    ]
    assert world.client.post(f"{url}settle/", {"arrived": True}).status_code == 409
    world.sink.replies.clear()
    world.arrived(world.client.post(f"{url}try-again/"))
    assert world.client.post(f"{url}take-back/").status_code == 409


def test_beyond_the_limit_it_is_429_with_when_it_resets(world: World) -> None:
    """R37."""
    with override_settings(SENDS_PER_USER_PER_DAY=2):
        assert world.client.post(MESSAGES, {"to": "a@x.example"}).status_code == 202
        answer = world.client.post(MESSAGES, {"to": "b@x.example, c@x.example"})
        assert answer.status_code == 429
        assert "2 recipients a day" in answer.json()["detail"]
        shown = world.client.get(ROOT + "sending-limit/").json()
    assert (shown["limit"], shown["used"], shown["remaining"]) == (2, 1, 1)
    assert Message.objects.count() == 1


def test_a_form_may_hold_more_than_json_but_not_everything(world: World) -> None:
    """Bodies are bounded before they are read."""
    large = {"to": "a@x.example", "attachments": [SimpleUploadedFile("a", b"x" * (6 << 20))]}
    assert world.client.post(MESSAGES, large, format="multipart").status_code == 202
    assert world.client.post(MESSAGES, {"to": "a@x.example", "text": "x" * (6 << 20)}).status_code == 413
    huge = {"to": "a@x.example", "attachments": [SimpleUploadedFile("a", b"x" * (26 << 20))]}
    answer = world.client.post(MESSAGES, huge, format="multipart")
    assert (answer.status_code, list(answer.json())) == (400, ["attachments"])


def test_a_list_of_written_messages_takes_a_number_of_queries_that_does_not_grow(world: World) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            results(world.client, "messages/")
        return len(captured)

    factories.message(mailbox=world.user.mailboxes.get(kind="pop3"))
    world.client.post(MESSAGES, {"to": "a@x.example"})
    few = queries()
    for _ in range(3):
        world.client.post(MESSAGES, {"to": "a@x.example"})
        factories.message(mailbox=world.user.mailboxes.get(kind="pop3"))
    assert queries() == few
