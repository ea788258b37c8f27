"""Sending what is due: signed, to public addresses only, in bounded time, and tried again when it fails.

A delivery is sent at least once: a worker that dies between sending and noting it sends it again, under the same
`webhook-id`. The form is that of Standard Webhooks (standardwebhooks.com).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import logging
import time
import uuid
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts import https
from accounts.credentials import SecretUnreadable
from accounts.servers import Endpoint, ServerError, ascii_host, safe_words
from customers.models import Customer
from mail.matching import correspondents
from sharing.visibility import visible_to
from webhooks.models import BACK_OFF, Delivery, Webhook

log = logging.getLogger(__name__)

#: What is said of errors that are otherwise explained for mail servers.
_SENTENCES = {
    "address_not_allowed": "The host is not on the public internet, so nothing is sent there. An operator can allow its "
    "network.",
    "port_not_allowed": "On the public internet only port 443 is connected to.",
}
#: In seconds, from the look-up of the name to the last byte of the answer.
PATIENCE = 10.0
#: So much of an answer is read.
_ANSWER_BYTES = 1 << 16
#: So long, in seconds, one turn goes on; other webhooks come in between.
TURN = 20.0
HELD_FOR = timedelta(minutes=2)
KEPT_FOR = timedelta(days=30)
#: An address that can't be reached so often in a row, over a day at this back-off, is no longer tried.
MOST_FAILURES = 12


def check_url(text: str) -> str:
    """`text` as an address that events can be sent to.

    Raises:
        ValidationError: it is none, or not encrypted.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValidationError("This is not a web address.") from None
    if parts.scheme != "https":
        raise ValidationError("The address has to begin with https://, so that nobody on the way can read along.")
    if parts.username is not None or parts.password is not None:
        raise ValidationError("Leave out user name and password. The receiver checks the signature instead.")
    try:
        ascii_host(Endpoint(parts.hostname or "", port or https.PORT, "ssl"))
    except ServerError as error:
        raise ValidationError(error.sentence) from error
    target = _target(parts)
    if not target.isascii() or not target.isprintable() or " " in target:
        raise ValidationError("Write what stands behind the host percent-encoded.")
    return parts._replace(fragment="").geturl()


def deliver(pk: int) -> bool:
    """Send what is due to a webhook, for one turn; whether anything may be left. Nothing if another worker does."""
    holder = uuid.uuid4()
    free = Webhook.objects.free().filter(pk=pk)
    is_due = Webhook.objects.due().filter(pk=pk).exists()
    if not is_due or not free.update(holder=holder, held_until=timezone.now() + HELD_FOR):
        return False
    webhook = Webhook.objects.select_related("user__organization").get(pk=pk)
    until = time.monotonic() + TURN
    try:
        while time.monotonic() < until:
            due = webhook.deliveries.filter(state=Delivery.State.WAITING, due_at__lte=timezone.now())
            delivery = due.order_by("due_at", "id").first()
            mine = Webhook.objects.filter(pk=pk, holder=holder)
            is_on = Webhook.objects.listening().filter(pk=pk).exists()
            if delivery is None or not is_on or not mine.update(held_until=timezone.now() + HELD_FOR):
                return False
            if not _send(webhook, delivery):
                return False
        return True
    finally:
        Webhook.objects.filter(pk=pk, holder=holder).update(holder=None, held_until=None)


def forget_old() -> int:
    """Delete deliveries of a month ago; how many."""
    return Delivery.objects.filter(created_at__lte=timezone.now() - KEPT_FOR).delete()[0]


def signature(secret: str, key: str, timestamp: int, body: bytes) -> str:
    """The value of the header `webhook-signature`."""
    signed = f"{key}.{timestamp}.".encode() + body
    digest = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def payload(webhook: Webhook, delivery: Delivery) -> dict[str, Any] | None:
    """What a delivery tells now; None of a message that the owner of the webhook may not see any more."""
    data: dict[str, Any] | None = {}
    if delivery.is_about_mail:
        data = _message(webhook, delivery.object_id)
    elif delivery.event != Delivery.PING:
        data = _customer(webhook, delivery.object_id)
    if data is None:
        return None
    return {"type": delivery.event, "timestamp": delivery.created_at.isoformat(), "data": data}


def _customer(webhook: Webhook, pk: int) -> dict[str, Any]:
    found = Customer.with_deleted.for_organization(webhook.organization).filter(pk=pk)
    customer = found.prefetch_related("addresses").first()
    if customer is None:
        return {"id": pk}
    fields = ("id", "kind", "external_id", "first_name", "last_name", "company", "phone")
    shown = {name: getattr(customer, name) for name in fields}
    return shown | {
        "owner": customer.owner_id,
        "emails": [row.address for row in customer.addresses.all()],
        "is_deleted": customer.deleted_at is not None,
        "merged_into": customer.merged_into_id,
    }


def _message(webhook: Webhook, pk: int) -> dict[str, Any] | None:
    message = visible_to(webhook.user).not_discarded().filter(pk=pk).first()
    if message is None:
        return None
    return {
        "id": message.pk,
        "mailbox": message.mailbox_id,
        "owner": message.owner_id,
        "thread": message.thread_id,
        "direction": message.direction,
        "subject": message.subject,
        "from": {"name": message.from_name, "address": message.from_address},
        "date": message.date.isoformat(),
        "customers": [
            {"id": each.pk, "kind": each.kind, "external_id": each.external_id}
            for each in correspondents([message])[message.pk]
        ],
    }


def _send(webhook: Webhook, delivery: Delivery) -> bool:
    """Try one delivery and note what came of it; whether the address could be reached."""
    told = payload(webhook, delivery)
    if told is None:
        # Not even that there was something is left to see.
        delivery.delete()
        return True
    delivery.tries += 1
    try:
        status = _post(webhook, delivery, json.dumps(told).encode())
    except ServerError as error:
        return _missed(webhook, delivery, _SENTENCES.get(error.kind, error.sentence))
    except SecretUnreadable:
        return _missed(webhook, delivery, "The saved secret can't be read. Delete this webhook and add it again.")
    except (OSError, http.client.HTTPException) as error:
        return _missed(webhook, delivery, f"No answer: {safe_words(str(error).encode())}")
    Webhook.objects.filter(pk=webhook.pk).update(failures=0, paused_until=None)
    webhook.failures = 0
    if status == http.HTTPStatus.GONE:
        Webhook.objects.filter(pk=webhook.pk).update(is_active=False)
    if 200 <= status < 300:
        _note(delivery, Delivery.State.DELIVERED, status=status)
    else:
        _again(delivery, status=status, error=f"The receiver answered {status}.")
    return True


def _missed(webhook: Webhook, delivery: Delivery, why: str) -> bool:
    """It could not be reached: what else is due waits as well."""
    webhook.failures += 1
    pause = BACK_OFF[min(webhook.failures, len(BACK_OFF)) - 1]
    Webhook.objects.filter(pk=webhook.pk).update(
        failures=webhook.failures,
        paused_until=timezone.now() + pause,
        is_active=webhook.failures < MOST_FAILURES,
    )
    _again(delivery, status=None, error=why)
    return False


def _again(delivery: Delivery, *, status: int | None, error: str) -> None:
    if delivery.tries > len(BACK_OFF):
        _note(delivery, Delivery.State.FAILED, status=status, error=error)
    else:
        due: datetime = timezone.now() + BACK_OFF[delivery.tries - 1]
        _note(delivery, Delivery.State.WAITING, status=status, error=error, due_at=due)


def _note(delivery: Delivery, state: Delivery.State, **fields: Any) -> None:
    changed = {"error": "", **fields, "state": state, "tries": delivery.tries}
    Delivery.objects.filter(pk=delivery.pk).update(**changed)


def _post(webhook: Webhook, delivery: Delivery, body: bytes) -> int:
    """Send it; the status of the answer. Redirections are not followed."""
    parts = urlsplit(webhook.url)
    port = parts.port or https.PORT
    host = ascii_host(Endpoint(parts.hostname or "", port, "ssl"))
    key, timestamp = str(delivery.key), int(time.time())
    literal = f"[{host}]" if ":" in host else host
    head = {
        "Host": literal if port == https.PORT else f"{literal}:{port}",
        "User-Agent": "CRM Mail",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "webhook-id": key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(webhook.secret.reveal(), key, timestamp, body),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    with https.connection(
        host, time.monotonic() + PATIENCE, port=port, networks=settings.ALLOWED_WEBHOOK_NETWORKS
    ) as sock:
        sock.sendall(f"POST {_target(parts)} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + body)
        answer = http.client.HTTPResponse(sock, method="POST")
        answer.begin()
        answer.read(_ANSWER_BYTES)
        return answer.status


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
