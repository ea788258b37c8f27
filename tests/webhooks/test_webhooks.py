"""Webhooks: what is told, to whom, signed, tried again, and never what may not be seen (R23, R28; a real receiver over TLS)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import ipaddress
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Mailbox, User
from customers.changes import change_customer, undo_change
from sharing import records
from sharing.models import AuditEntry
from tests import factories
from tests.certificates import Authority
from tests.portal.browsers import browser, page
from webhooks import delivering, tasks
from webhooks.delivering import check_url, deliver
from webhooks.models import BACK_OFF, Delivery, Webhook

pytestmark = pytest.mark.django_db
State = Delivery.State


class Receiver:
    """What another program gets, and what it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 204
        self.got: list[tuple[dict[str, str], dict[str, Any], bytes]] = []

    @property
    def told(self) -> list[tuple[str, Any]]:
        """Each event and the id that it is about."""
        return [(body["type"], body["data"].get("id")) for _, body, _ in self.got]


@pytest.fixture
def receiver(settings: Settings, tmp_path: Path) -> Iterator[Receiver]:
    """One on loopback, which an operator has allowed."""
    authority = Authority(tmp_path)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(body), body))
            self.send_response(found.status)
            self.send_header("Location", "https://elsewhere.example/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = authority.issue().server_context().wrap_socket(server.socket, server_side=True)
    found = Receiver(f"https://127.0.0.1:{server.server_address[1]}/hooks?for=us")
    settings.MAIL_CA_FILE = str(authority.file)
    settings.ALLOWED_WEBHOOK_NETWORKS = [ipaddress.ip_network("127.0.0.1/32")]
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def boss() -> User:
    """An administrator."""
    return factories.user(role="admin", email="boss@our.example")


@pytest.fixture
def webhook(boss: User, receiver: Receiver) -> Webhook:
    """Theirs, of which nothing is due yet."""
    made = factories.webhook(boss, receiver.url)
    made.deliveries.all().delete()
    return made


def public_box(boss: User) -> Mailbox:
    """A colleague's Public mailbox."""
    return factories.mailbox(owner=factories.user(organization=boss.organization), mode="public")


def arrives(mailbox: Mailbox, **fields: Any) -> Any:
    """A message of today."""
    return factories.message(mailbox=mailbox, **{"sender": "bea@acme.example", "date": timezone.now()} | fields)


def test_what_happens_to_customers_is_told_signed(webhook: Webhook, receiver: Receiver, boss: User) -> None:
    """Standard Webhooks: anybody with the secret can check it."""
    bea = factories.customer(organization=boss.organization, last_name="Stone", addresses=["bea@acme.example"])
    deliver(webhook.pk)
    ((head, body, raw),) = receiver.got
    assert body["type"] == "customer.created"
    assert (body["data"]["id"], body["data"]["last_name"], body["data"]["emails"]) == (
        bea.pk,
        "Stone",
        ["bea@acme.example"],
    )
    secret = base64.b64decode(webhook.secret.reveal().removeprefix("whsec_"))
    signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + raw
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert head["webhook-signature"] == f"v1,{expected}"
    assert head["webhook-id"] == str(webhook.deliveries.get().key)
    assert webhook.deliveries.get().state == State.DELIVERED


def test_every_deed_has_its_event(webhook: Webhook, receiver: Receiver, boss: User) -> None:
    """R27."""
    lead, other = (
        factories.customer(organization=boss.organization, kind="lead", addresses=[f"{name}@acme.example"])
        for name in ("a", "b")
    )
    change_customer(lead, phone="1")
    records.convert(boss, lead)
    merged = records.merge(boss, lead, other)
    undo_change(merged)
    records.delete(boss, other)
    deliver(webhook.pk)
    assert receiver.told == [
        ("customer.created", lead.pk),
        ("customer.created", other.pk),
        ("customer.updated", lead.pk),
        ("customer.converted", lead.pk),
        ("customer.merged", lead.pk),
        ("customer.deleted", other.pk),
        ("customer.created", other.pk),
        ("customer.updated", lead.pk),
        ("customer.deleted", other.pk),
    ]


def test_mail_is_told_that_the_owner_of_the_webhook_may_see(webhook: Webhook, receiver: Receiver, boss: User) -> None:
    """R23: Public and one's own, received and sent."""
    factories.customer(organization=boss.organization, addresses=["bea@acme.example"])
    box = public_box(boss)
    got = arrives(box, subject="Question")
    sent = arrives(box, sender=box.email_address, to=["bea@acme.example"])
    own = arrives(factories.mailbox(owner=boss, mode="private"))
    deliver(webhook.pk)
    mail = [told for told in receiver.told if told[0].startswith("message")]
    assert sorted(mail) == sorted(
        [("message.received", got.pk), ("message.sent", sent.pk), ("message.received", own.pk)]
    )
    data = next(
        body["data"]
        for _, body, _ in receiver.got
        if (body["type"], body["data"]["id"]) == ("message.received", got.pk)
    )
    assert (data["subject"], data["from"]["address"]) == ("Question", "bea@acme.example")
    assert len(data["customers"]) == 1


def test_private_mail_leaves_no_trace(webhook: Webhook, receiver: Receiver, boss: User) -> None:
    """R20, R23: neither a delivery nor a row that says that there was something."""
    factories.customer(organization=boss.organization, addresses=["bea@acme.example"])
    box = public_box(boss)
    factories.share(box, "private")
    arrives(box)
    factories.share(box, "public", ["acme.example"])
    arrives(box)
    arrives(box, sender="nobody@elsewhere.example")
    webhook.deliveries.filter(event="customer.created").delete()
    assert not webhook.deliveries.exists()
    deliver(webhook.pk)
    assert not receiver.got


def test_mail_that_turns_private_before_it_is_sent_is_not_sent(
    webhook: Webhook, receiver: Receiver, boss: User
) -> None:
    """R23: what holds counts when it is told."""
    factories.customer(organization=boss.organization, addresses=["bea@acme.example"])
    box = public_box(boss)
    arrives(box)
    factories.share(box, "private")
    assert "Mail from a customer" not in page(boss, "webhook", webhook.pk)
    deliver(webhook.pk)
    assert receiver.told == [("customer.created", webhook.deliveries.get().object_id)]


def test_a_delivery_of_mail_is_listed_only_while_it_may_be_seen(webhook: Webhook, boss: User) -> None:
    """R25: another administrator may see less, and the same one later."""
    factories.customer(organization=boss.organization, addresses=["bea@acme.example"])
    own = arrives(factories.mailbox(owner=boss, mode="private"))
    deliver(webhook.pk)
    other = factories.user(organization=boss.organization, role="admin")
    delivery = webhook.deliveries.get(object_id=own.pk, event="message.received")
    assert f"{own.pk}</span>" in page(boss, "webhook", webhook.pk)
    assert "Mail from a customer" not in page(other, "webhook", webhook.pk)
    again = reverse("webhook-delivery-again", args=[webhook.pk, delivery.pk])
    assert browser(other).post(again).status_code == 404
    assert browser(boss).post(again).status_code == 302
    delivery.refresh_from_db()
    assert delivery.state == State.WAITING


def test_history_is_not_told(webhook: Webhook, boss: User) -> None:
    """The first fetch of a mailbox brings years of mail."""
    factories.customer(organization=boss.organization, addresses=["bea@acme.example"])
    arrives(public_box(boss), date=timezone.now() - timedelta(days=2))
    assert not webhook.deliveries.filter(event__startswith="message").exists()


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "member"}])
def test_nothing_is_sent_for_somebody_who_no_longer_administers(
    webhook: Webhook, receiver: Receiver, boss: User, change: dict[str, Any]
) -> None:
    """attacks.md: a deactivated user's webhook; not even what waits."""
    factories.customer(organization=boss.organization)
    User.objects.filter(pk=boss.pk).update(**change)
    factories.customer(organization=boss.organization)
    assert webhook.deliveries.count() == 1
    deliver(webhook.pk)
    tasks.dispatch_due()
    assert not receiver.got


def test_another_organisation_is_not_told(webhook: Webhook) -> None:
    """R1."""
    factories.customer(organization=factories.organization(domain="rival.example"))
    assert not webhook.deliveries.exists()


def test_what_is_refused_is_tried_again_and_then_given_up(webhook: Webhook, receiver: Receiver, boss: User) -> None:
    """One delivery that a receiver can't take holds up no other."""
    receiver.status = 500
    factories.customer(organization=boss.organization)
    for count in range(len(BACK_OFF) + 1):
        assert webhook.deliveries.get().state == State.WAITING
        deliver(webhook.pk)
        deliver(webhook.pk)
        assert len(receiver.got) == count + 1, "not before it is due"
        Delivery.objects.update(due_at=timezone.now())
    delivery = webhook.deliveries.get()
    assert (delivery.state, delivery.status, delivery.tries) == (State.FAILED, 500, len(BACK_OFF) + 1)
    assert "answered 500" in page(boss, "webhook", webhook.pk)
    assert len({head["webhook-id"] for head, _, _ in receiver.got}) == 1
    receiver.status = 200
    factories.customer(organization=boss.organization)
    deliver(webhook.pk)
    assert webhook.deliveries.latest("id").state == State.DELIVERED


def test_a_redirection_is_not_followed(webhook: Webhook, receiver: Receiver, boss: User) -> None:
    """It could lead inside."""
    receiver.status = 302
    factories.customer(organization=boss.organization)
    deliver(webhook.pk)
    assert (webhook.deliveries.get().state, webhook.deliveries.get().status) == (State.WAITING, 302)


def test_a_receiver_that_is_gone_is_switched_off(webhook: Webhook, receiver: Receiver, boss: User) -> None:
    """410, as Standard Webhooks have it."""
    receiver.status = 410
    factories.customer(organization=boss.organization)
    deliver(webhook.pk)
    webhook.refresh_from_db()
    assert not webhook.is_active


def test_an_address_inside_is_never_connected_to(
    webhook: Webhook, receiver: Receiver, boss: User, settings: Settings
) -> None:
    """attacks.md: unless an operator allows it; what else is due waits too, and at last it is switched off."""
    settings.ALLOWED_WEBHOOK_NETWORKS = []
    settings.ALLOWED_MAIL_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    for _ in range(2):
        factories.customer(organization=boss.organization)
    deliver(webhook.pk)
    tried = webhook.deliveries.order_by("id")
    assert [each.tries for each in tried] == [1, 0]
    assert "public internet" in tried[0].error
    assert not Webhook.objects.due().exists()
    for _ in range(delivering.MOST_FAILURES):
        Webhook.objects.update(paused_until=None)
        Delivery.objects.update(due_at=timezone.now())
        deliver(webhook.pk)
    webhook.refresh_from_db()
    assert not webhook.is_active
    assert not receiver.got
    assert "could not be reached 12 times" in page(boss, "webhook", webhook.pk)


def test_two_workers_do_not_send_the_same(webhook: Webhook, receiver: Receiver, boss: User) -> None:
    """A doubled hint; and a worker that died does not hold it for ever."""
    factories.customer(organization=boss.organization)
    Webhook.objects.update(held_until=timezone.now() + timedelta(minutes=1))
    deliver(webhook.pk)
    assert not receiver.got
    Webhook.objects.update(held_until=timezone.now() - timedelta(seconds=1))
    deliver(webhook.pk)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://crm.example/", "https://"),
        ("ftp://crm.example/", "https://"),
        ("https://", "not a server name"),
        ("https://user:secret@crm.example/", "user name"),
        ("https://crm.example:port/", "not a web address"),
        ("https://crm.example/a b", "percent-encoded"),
        ("https://crm.example/a\r\nX-Evil: 1", "percent-encoded"),
        ("https://crm.example/ü", "percent-encoded"),
    ],
)
def test_an_address_that_can_not_be_used_is_refused(url: str, words: str) -> None:
    """Beside its field, before anything is saved."""
    with pytest.raises(ValidationError, match=words):
        check_url(url)


def test_a_webhook_is_added_its_secret_shown_once(boss: User) -> None:
    """And kept sealed."""
    client = browser(boss)
    form = {"url": "https://crm.example/hooks", "events": ["customer.created"]}
    assert (
        "https://" in client.post(reverse("webhooks"), form | {"url": "crm.example"}).context["form"].errors["url"][0]
    )
    shown = client.post(reverse("webhooks"), form).content.decode()
    webhook = Webhook.objects.get()
    secret = webhook.secret.reveal()
    assert secret in shown
    assert secret not in page(boss, "webhook", webhook.pk) + page(boss, "webhooks")
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM webhooks_webhook")
        assert secret[6:] not in str(cursor.fetchall())


def test_what_is_done_to_a_webhook_is_in_the_audit_log(webhook: Webhook, boss: User) -> None:
    """R26: what leaves the house is everybody's business."""
    client = browser(boss)
    client.post(reverse("webhooks"), {"url": "https://crm.example/hooks", "events": ["customer.created"]})
    client.post(reverse("webhook-switch", args=[webhook.pk]), {"off": ""})
    client.post(reverse("webhook-delete", args=[webhook.pk]))
    entries = AuditEntry.objects.order_by("id")
    assert [entry.action for entry in entries] == ["webhook_added", "webhook_switched", "webhook_deleted"]
    assert "https://crm.example/hooks" in entries[0].in_words


def test_a_test_goes_out_when_asked(webhook: Webhook, receiver: Receiver, boss: User) -> None:
    """And not while it is off."""
    client = browser(boss)
    client.post(reverse("webhook-test", args=[webhook.pk]))
    deliver(webhook.pk)
    assert receiver.told == [("ping", None)]
    client.post(reverse("webhook-switch", args=[webhook.pk]), {"off": ""})
    assert "is off" in client.post(reverse("webhook-test", args=[webhook.pk]), follow=True).content.decode()
    assert webhook.deliveries.count() == 1


def test_filing_costs_one_question_where_nobody_listens(boss: User) -> None:
    """Not one for each message."""
    factories.customer(organization=boss.organization, addresses=["bea@acme.example"])
    box = public_box(boss)
    with CaptureQueriesContext(connection) as queries:
        arrives(box)
    assert len([query for query in queries if "webhooks_" in query["sql"]]) == 1


def test_old_deliveries_are_forgotten(webhook: Webhook, boss: User) -> None:
    """A month is enough to see what went wrong."""
    factories.customer(organization=boss.organization)
    Delivery.objects.update(created_at=timezone.now() - delivering.KEPT_FOR)
    tasks.forget_old()
    assert not Delivery.objects.exists()
