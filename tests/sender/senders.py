"""Somebody who sends, the server they send through, and a try to deliver."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from accounts.models import User
from sender import delivery
from sender.composing import start_draft
from sender.models import Outgoing
from tests import factories
from tests.servers import SmtpSink


def server(**replies_and_tls: Any) -> SmtpSink:
    """A mail server that wants a sign-in."""
    return SmtpSink(users={"user": "secret"}, **replies_and_tls)


def sender_on(port: int, **fields: Any) -> User:
    """Somebody who sends through the server on this port of this machine."""
    user = factories.user(name="Rep", **{key: fields.pop(key) for key in ("organization",) if key in fields})
    values = {
        "outgoing_host": "127.0.0.1",
        "outgoing_port": port,
        "outgoing_security": "none",
        "allow_plain_text": True,
        "incoming_username": "user",
        "incoming_password": "secret",
    }
    factories.mailbox(owner=user, **values | fields)
    return user


def written(user: User, **fields: str) -> Outgoing:
    """A draft to Bea."""
    return start_draft(user, **{"to": "Bea <bea@acme.example>", "subject": "An offer", "text": "Hello"} | fields)


def deliver(outgoing: Outgoing) -> Outgoing:
    """Have it tried now, and see how it stands."""
    Outgoing.objects.filter(pk=outgoing.pk).update(due_at=timezone.now())
    delivery.deliver(outgoing.pk)
    return Outgoing.objects.owned_by(outgoing.message.owner).get(pk=outgoing.pk)
