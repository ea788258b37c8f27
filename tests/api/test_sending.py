"""Writing and sending by programs (R24, R35–R37; interface.md, `messages/`, *Drafts*)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.mailboxes import deactivate
from accounts.models import Mailbox, User
from mail.models import Message
from mail.parsing import parse, read_html
from sender import once
from sender.models import DaySends, Outgoing
from sharing.audit import openings_of
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

    @property
    def mailbox(self) -> Mailbox:
        """What the user sends from."""
        return self.user.mailboxes.get(is_active=True)

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


def key(name: str = "8e03978e-40d5") -> dict[str, dict[str, str]]:
    """The header that names a wish."""
    return {"headers": {"Idempotency-Key": f'"{name}"'}}


def test_the_same_key_with_the_same_body_sends_once(world: World) -> None:
    """draft-ietf-httpapi-idempotency-key-header: whose answer was lost asks again; files count, boundaries do not."""

    def body() -> dict[str, Any]:
        return {"to": "bea@acme.example", "attachments": [SimpleUploadedFile("a.txt", b"A", "text/plain")]}

    first = world.client.post(MESSAGES, body(), format="multipart", **key())
    world.arrived(first)
    again = world.client.post(MESSAGES, body(), format="multipart", **key())
    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "sent")
    bare = world.client.post(MESSAGES, body(), format="multipart", headers={"Idempotency-Key": "8e03978e-40d5"})
    assert bare.json()["id"] == first.json()["id"]
    assert (Message.objects.count(), DaySends.objects.get().recipients, len(world.sink.accepted)) == (1, 1, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"to": "bea@acme.example", "text": "Other"},
        {"to": "bea@acme.example", "text": "Hello", "draft": True},
        {"to": "bea@acme.example", "text": "Hello", "attachments": [SimpleUploadedFile("a.txt", b"A")]},
    ],
)
def test_the_same_key_with_another_body_is_refused(world: World, other: dict[str, Any]) -> None:
    """422: it is a mistake of the program, and nobody knows which of the two it means."""
    body = {"to": "bea@acme.example", "text": "Hello"}
    world.client.post(MESSAGES, body, format="multipart", **key())
    answer = world.client.post(MESSAGES, other, format="multipart", **key())
    assert (answer.status_code, list(answer.json())) == (422, ["detail"])
    assert Message.objects.count() == 1


def test_a_key_is_one_users_own_for_one_address_and_a_day(world: World) -> None:
    body = {"draft": True, "to": "bea@acme.example"}
    made = world.client.post(MESSAGES, body, **key()).json()["id"]
    reply = world.client.post(
        f"{MESSAGES}{factories.message(mailbox=world.mailbox).pk}/reply/", {"draft": True}, **key()
    )
    assert reply.status_code == 422
    other = sender_on(1, organization=world.user.organization)
    assert program(other).post(MESSAGES, body, **key()).json()["id"] != made
    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=59)):
        once.forget_keys()
        assert world.client.post(MESSAGES, body, **key()).json()["id"] == made
    with time_machine.travel(timezone.now() + timedelta(hours=24, minutes=1)):
        assert world.client.post(MESSAGES, body, **key()).json()["id"] != made
        assert once.forget_keys() == 1


@pytest.mark.parametrize("deed", ["reply", "forward"])
def test_a_key_is_answered_after_what_was_answered_is_shared_no_more(world: World, deed: str) -> None:
    """R24: what was sent is one's own; a new wish about the other's message is 404."""
    factories.customer(organization=world.user.organization, addresses=["bea@acme.example"])
    owner = factories.mailbox(owner=factories.user(organization=world.user.organization), mode="public")
    url = f"{MESSAGES}{factories.message(mailbox=owner).pk}/{deed}/"
    first = world.client.post(url, {"to": "dan@y.example"}, **key())
    factories.share(owner, "private")
    again = world.client.post(url, {"to": "dan@y.example"}, **key())
    assert (first.status_code, again.status_code, again.json()["id"]) == (202, 202, first.json()["id"])
    assert world.client.post(url, {"to": "dan@y.example"}, **key("another")).status_code == 404
    assert Outgoing.objects.count() == 1


def test_what_fails_uses_up_no_key_and_what_is_deleted_is_not_sent_again(world: World) -> None:
    body = {"to": "bea@acme.example"}
    with override_settings(SENDS_PER_USER_PER_DAY=0):
        assert world.client.post(MESSAGES, body, **key()).status_code == 429
    url = f"{MESSAGES}{world.client.post(MESSAGES, body, **key()).json()['id']}/"
    for _ in range(2):
        world.client.delete(url)
    assert world.client.post(MESSAGES, body, **key()).status_code == 409
    assert not Message.objects.exists()


@pytest.mark.parametrize("name", ["", "x" * 256, "schl\u00fcssel"])
def test_a_key_that_is_none_is_refused_by_name(world: World, name: str) -> None:
    answer = world.client.post(MESSAGES, {"to": "bea@acme.example"}, **key(name))
    assert (answer.status_code, list(answer.json())) == (400, ["Idempotency-Key"])


@pytest.mark.django_db(transaction=True)
def test_of_requests_that_come_together_with_one_key_one_sends() -> None:
    """Race-free: the others wait for it and are answered with the same message."""
    user = sender_on(1)
    client = program(user)
    together = threading.Barrier(8)

    def ask(_: int) -> int:
        together.wait(30)
        try:
            return int(client.post(MESSAGES, {"to": "bea@acme.example"}, **key()).json()["id"])
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(8)))
    assert answers == set(Message.objects.values_list("pk", flat=True))
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("given", "text", "html"),
    [
        ({}, "---------- Forwarded", "<div>---------- Forwarded"),
        (
            {"text": "See <below>:\n1"},
            "See <below>:\n1\n\n---------- Forw",
            "<div>See &lt;below&gt;:<br>1</div><div><br>",
        ),
        ({"html": "<p>See <b>below</b>:</p>"}, "See below:\n\n---------- Forw", "<p>See <b>below</b>:</p><div><br>"),
    ],
)
def test_a_message_is_forwarded_with_its_attachments_below_what_is_given(
    world: World, given: dict[str, str], text: str, html: str
) -> None:
    """R24, R35."""
    message = factories.message(
        mailbox=world.mailbox,
        subject="An offer",
        text="Forty pieces",
        html="<p>Forty <i>pieces</i></p>",
        bcc=["hidden@y.example"],
        attachments=[("offer.pdf", "application/pdf", b"%PDF")],
    )
    own = SimpleUploadedFile("own.txt", b"A", "text/plain")
    body = {"to": "dan@y.example", "attachments": [own], **given}
    arrived = world.arrived(world.client.post(f"{MESSAGES}{message.pk}/forward/", body, format="multipart"))
    read = parse(arrived.raw)
    assert (arrived.recipients, read.subject, read.in_reply_to) == (["dan@y.example"], "Fwd: An offer", "")
    assert [part.name for part in read.attachments] == ["offer.pdf", "own.txt"]
    assert read.text.startswith(text)
    assert "Forty pieces" in read.text
    assert read_html(arrived.raw).startswith(html)
    assert "<i>pieces</i>" in read_html(arrived.raw)
    assert b"hidden" not in arrived.raw


@pytest.mark.parametrize("deed", ["reply", "forward"])
def test_who_answers_or_forwards_a_colleagues_message_has_opened_it(world: World, deed: str) -> None:
    """R24, R26: what is not shared is 404."""
    factories.customer(organization=world.user.organization, addresses=["bea@acme.example"])
    owner = factories.mailbox(owner=factories.user(organization=world.user.organization), mode="public")
    message = factories.message(mailbox=owner)
    url = f"{MESSAGES}{message.pk}/{deed}/"
    made = world.client.post(url, {"to": "dan@y.example", "draft": True}).json()
    assert (made["owner"], made["from"]["address"]) == (world.user.pk, world.mailbox.email_address)
    assert [each.actor for each in openings_of(message)] == [world.user]
    factories.share(owner, "private")
    assert world.client.post(url, {"to": "dan@y.example"}).status_code == 404


@pytest.mark.parametrize("deed", ["reply", "forward"])
def test_what_was_not_sent_yet_is_neither_answered_nor_forwarded(world: World, deed: str) -> None:
    """R35: as in the portal; the files of a draft would be lost, and nobody has what is answered."""
    file = SimpleUploadedFile("offer.pdf", b"%PDF", "application/pdf")
    draft = world.client.post(MESSAGES, {"draft": True, "attachments": [file]}, format="multipart").json()["id"]
    assert world.client.post(f"{MESSAGES}{draft}/{deed}/", {"draft": True}).status_code == 409
    assert world.client.post(MESSAGES, {"draft": True, "in_reply_to": str(draft)}).status_code == 409
    assert Message.objects.count() == 1


def test_the_mailbox_of_a_draft_can_be_changed(world: World) -> None:
    """R35, *Send Mail As*."""
    second = factories.mailbox(owner=world.user, email_address="second@our.example")
    others = factories.mailbox(owner=factories.user(organization=world.user.organization))
    url = f"{MESSAGES}{world.client.post(MESSAGES, {'draft': True, 'text': 'Hi'}).json()['id']}/"
    changed = world.client.patch(url, {"mailbox": second.pk}).json()
    assert (changed["mailbox"], changed["from"]["address"], changed["text"]) == (second.pk, "second@our.example", "Hi")
    for refused in (others, world.user.mail_account.mailbox):
        answer = world.client.patch(url, {"mailbox": refused.pk})
        assert (answer.status_code, list(answer.json())) == (400, ["mailbox"])
    received = factories.message(mailbox=world.mailbox)
    answer = world.client.patch(f"{MESSAGES}{received.pk}/", {"mailbox": second.pk})
    assert (answer.status_code, list(answer.json())) == (400, ["mailbox"])
