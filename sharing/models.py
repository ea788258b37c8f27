"""Sharing policies of mailboxes, ticks on records, and the audit log (R20–R26)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Mailbox, Organization, User
from customers.models import Customer
from mail.models import Message

MAX_EXCLUDED_DOMAINS = 5


class SharingPolicy(models.Model):
    """How far the owner of a mailbox lets colleagues read its customer mail. A mailbox without one shares nothing."""

    class Mode(models.TextChoices):
        """The three modes of the source page (R20)."""

        PUBLIC = "public", "Public – Complete Sharing"
        CUSTOM = "custom", "Custom – Record-level Sharing"
        PRIVATE = "private", "Private – Only me"

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, related_name="policy")
    mode = models.CharField(max_length=7, choices=Mode)
    changed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.get_mode_display()


class ExcludedDomain(models.Model):
    """A domain whose mail stays unshared in Public. The numbered places, 1 to 5, are how the database refuses a sixth."""

    policy = models.ForeignKey(SharingPolicy, models.CASCADE, related_name="excluded_domains")
    place = models.PositiveSmallIntegerField()
    domain = models.CharField(max_length=253)

    class Meta:
        ordering = ["place"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "place"], name="excluded_domain_place"),
            models.UniqueConstraint(fields=["policy", "domain"], name="excluded_domain_once"),
            models.CheckConstraint(condition=Q(place__range=(1, MAX_EXCLUDED_DOMAINS)), name="five_excluded_domains"),
        ]

    def __str__(self) -> str:
        return self.domain


class SharedRecord(models.Model):
    """The *Share Email* tick of one user on one lead or contact; it acts in Custom and is kept in the other modes (R22)."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="shared_records")
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="shared_by")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "customer"], name="shared_once")]

    def __str__(self) -> str:
        return f"{self.customer} shared by {self.owner}"


class AuditEntry(models.Model):
    """Something that somebody did which others may have to account for; never changed or deleted by the application."""

    class Action(models.TextChoices):
        """What was done."""

        POLICY_CHANGED = "policy_changed", "changed the sharing of a mailbox"
        RECORD_SHARED = "record_shared", "ticked Share Email"
        RECORD_UNSHARED = "record_unshared", "unticked Share Email"
        KEPT_PRIVATE = "kept_private", "kept mail private"
        PRIVACY_LIFTED = "privacy_lifted", "no longer keeps mail private"
        MESSAGE_OPENED = "message_opened", "opened a shared message"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="audit_entries")
    at = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=20, choices=Action)
    mailbox = models.ForeignKey(Mailbox, models.SET_NULL, null=True, related_name="+")
    message = models.ForeignKey(Message, models.SET_NULL, null=True, related_name="audit_entries")
    customer = models.ForeignKey(Customer, models.SET_NULL, null=True, related_name="+")
    details = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["organization", "-at"], name="audit_by_time")]

    def __str__(self) -> str:
        return f"{self.actor} {self.get_action_display()}"
