"""Where events are sent, and every delivery of one: what is due, what became of it."""

from __future__ import annotations

import base64
import secrets
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts.credentials import Secret, SecretField
from accounts.models import Organization, User

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

#: So long after the last one a delivery that failed is tried again, and after the last of these no more.
BACK_OFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 300, 600))
_SECRET_BYTES = 32


def new_secret() -> Secret:
    """A key to sign with, written as Standard Webhooks write it."""
    return Secret.seal("whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode())


class WebhookQuerySet(models.QuerySet["Webhook"]):
    """Named questions about webhooks."""

    def for_organization(self, organization: Organization) -> WebhookQuerySet:
        """Those of one organisation."""
        return self.filter(organization=organization)

    def listening(self) -> WebhookQuerySet:
        """Those that are on and whose owner still administers."""
        return self.filter(is_active=True, user__is_active=True, user__role=User.Role.ADMIN)

    def free(self) -> WebhookQuerySet:
        """Those that no worker holds; whoever held one and has not been heard of since does not count.

        Only columns of its own: so an update of these is exact, however many workers try at once.
        """
        return self.filter(Q(held_until=None) | Q(held_until__lt=timezone.now()))

    def due(self) -> WebhookQuerySet:
        """Those that have something to send now and that no worker holds."""
        now = timezone.now()
        waiting = Delivery.objects.filter(webhook=models.OuterRef("pk"), state=Delivery.State.WAITING, due_at__lte=now)
        return self.listening().free().filter(Q(paused_until=None) | Q(paused_until__lte=now), models.Exists(waiting))


class Webhook(models.Model):
    """An address that is told of events. It is told what its owner, an administrator, may see, and nothing else."""

    class Event(models.TextChoices):
        """What can be told."""

        CUSTOMER_CREATED = "customer.created", "A lead or contact was created"
        CUSTOMER_UPDATED = "customer.updated", "A lead or contact was changed"
        CUSTOMER_CONVERTED = "customer.converted", "A lead became a contact"
        CUSTOMER_MERGED = "customer.merged", "Another record was merged into it"
        CUSTOMER_DELETED = "customer.deleted", "A lead or contact was deleted"
        MESSAGE_RECEIVED = "message.received", "Mail from a customer came"
        MESSAGE_SENT = "message.sent", "Mail was sent to a customer"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    url = models.CharField(max_length=500)
    events = models.JSONField(default=list)
    secret = SecretField(default=new_secret)
    is_active = models.BooleanField(default=True)
    failures = models.PositiveIntegerField(default=0, help_text="to reach it, since it last answered")
    paused_until = models.DateTimeField(null=True)
    holder = models.UUIDField(null=True)
    held_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = WebhookQuerySet.as_manager()

    if TYPE_CHECKING:
        deliveries: RelatedManager[Delivery]

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.url

    def get_absolute_url(self) -> str:
        """Its page."""
        return reverse("webhook", args=[self.pk])


class Delivery(models.Model):
    """One event on its way to one address. What it tells is read when it is sent."""

    #: The event of a test, which is about nothing.
    PING = "ping"

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", "waiting"
        DELIVERED = "delivered", "delivered"
        FAILED = "failed", "given up"

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    key = models.UUIDField(
        default=uuid.uuid4, help_text="the same at each try, so that a receiver can tell a repetition"
    )
    event = models.CharField(max_length=20)
    object_id = models.BigIntegerField(help_text="of the customer or message")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    status = models.PositiveSmallIntegerField(null=True, help_text="the last answer's")
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["webhook", "due_at", "id"], condition=Q(state="waiting"), name="deliveries_due"),
            models.Index(fields=["webhook", "-id"], name="deliveries_newest"),
            models.Index(fields=["created_at"], name="deliveries_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.object_id}"

    @property
    def is_about_mail(self) -> bool:
        """Whether it tells of a message, which not everybody may see."""
        return self.event.startswith("message.")
