"""Sharing policies of mailboxes, ticks on records, and the audit log (R20–R26)."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Mailbox, Organization, User
from customers.models import Customer
from mail.models import Message

MAX_EXCLUDED_DOMAINS = 5


class SharingPolicy(models.Model):
    """How far the owner of a mailbox lets colleagues read its customer mail. A mailbox without one shares nothing.

    The mode is empty where a rule of the administrators held when the mailbox was added: the owner has not chosen.
    """

    class Mode(models.TextChoices):
        """The three modes of the source page (R20)."""

        PUBLIC = "public", "Public – Complete Sharing"
        CUSTOM = "custom", "Custom – Record-level Sharing"
        PRIVATE = "private", "Private – Only me"

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, related_name="policy")
    mode = models.CharField(max_length=7, choices=Mode, blank=True)
    changed_at = models.DateTimeField(default=timezone.now, help_text="when the mode was chosen")

    def __str__(self) -> str:
        return self.get_mode_display() or "Not chosen"


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
    merged_from = models.ForeignKey(
        Customer, models.SET_NULL, null=True, related_name="+", help_text="the merged record that was ticked"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "customer"], name="shared_once")]

    def __str__(self) -> str:
        return f"{self.customer} shared by {self.owner}"


class SharingRule(models.Model):
    """What administrators have laid down about the mode of one user, or of everybody in a role (R25).

    A user's rule goes before that of their role; without either, or with an empty mode, the choice is the user's own.
    A fixed mode acts in place of the owner's own, which is kept below it; one that is not fixed is a recommendation.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="sharing_rules")
    user = models.OneToOneField(User, models.CASCADE, null=True, blank=True, related_name="sharing_rule")
    role = models.CharField(max_length=10, choices=User.Role, blank=True)
    mode = models.CharField(max_length=7, choices=SharingPolicy.Mode, blank=True)
    is_fixed = models.BooleanField(default=True)
    reason = models.CharField(max_length=500, blank=True)
    set_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    set_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "role"], condition=~Q(role=""), name="one_rule_for_a_role"),
            models.CheckConstraint(condition=Q(user=None) ^ Q(role=""), name="rule_for_a_user_or_a_role"),
        ]

    def __str__(self) -> str:
        return f"{self.get_mode_display() or 'User’s choice'} for {self.user or self.get_role_display()}"


class ReadMark(models.Model):
    """A colleague has read a message that is shared with them; what they have not, their list of shared mail shows first."""

    reader = models.ForeignKey(User, models.CASCADE, related_name="read_marks", db_index=False)
    message = models.ForeignKey(Message, models.CASCADE, related_name="read_marks")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["reader", "message"], name="read_once")]

    def __str__(self) -> str:
        return f"{self.message} read by {self.reader}"


class CaughtUp(models.Model):
    """Up to when a colleague has said that all shared mail counts as read; without one, since they joined."""

    reader = models.OneToOneField(User, models.CASCADE, related_name="caught_up")
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.reader} until {self.until}"


class AppendOnly(models.QuerySet["AuditEntry"]):
    """Entries that are only ever added; `sharing.audit.purge` alone takes away those whose time is over."""

    def update(self, **_: object) -> int:
        """Refused.

        Raises:
            TypeError: always.
        """
        raise TypeError("The audit log is never changed.")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Refused.

        Raises:
            TypeError: always.
        """
        raise TypeError("The audit log is never deleted from, but by its retention.")


class AuditEntry(models.Model):
    """Something that somebody did which others may have to account for; never changed or deleted by the application."""

    class Action(models.TextChoices):
        """What was done, as the end of a sentence that begins with the actor."""

        POLICY_CHANGED = "policy_changed", "changed the sharing of a mailbox"
        RULE_CHANGED = "rule_changed", "changed a sharing rule"
        RECORD_SHARED = "record_shared", "ticked Share Email"
        RECORD_UNSHARED = "record_unshared", "unticked Share Email"
        KEPT_PRIVATE = "kept_private", "kept mail private"
        PRIVACY_LIFTED = "privacy_lifted", "no longer keeps mail private"
        MESSAGE_OPENED = "message_opened", "opened a shared message"
        USER_INVITED = "user_invited", "invited somebody"
        INVITATION_WITHDRAWN = "invite_withdrawn", "withdrew an invitation"
        USER_ADDED = "user_added", "added a user"
        USER_CHANGED = "user_changed", "changed a user"
        ORGANIZATION_CHANGED = "org_changed", "changed the organisation's settings"
        MAILBOX_CHANGED = "mailbox_changed", "changed somebody's mailbox"
        RECORD_CONVERTED = "record_converted", "converted a lead to a contact"
        RECORD_DELETED = "record_deleted", "deleted a record"
        RECORDS_MERGED = "records_merged", "merged a record into another"
        RECORD_CHANGE_UNDONE = "change_undone", "undid a change of a record"
        LOG_EXPORTED = "log_exported", "exported the audit log"
        CUSTOMERS_EXPORTED = "customers_exported", "exported leads or contacts"
        WEBHOOK_ADDED = "webhook_added", "added a webhook"
        WEBHOOK_SWITCHED = "webhook_switched", "switched a webhook"
        WEBHOOK_DELETED = "webhook_deleted", "deleted a webhook"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="audit_entries", db_index=False)
    at = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=20, choices=Action)
    about = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    mailbox = models.ForeignKey(Mailbox, models.SET_NULL, null=True, related_name="+")
    message = models.ForeignKey(Message, models.SET_NULL, null=True, related_name="audit_entries")
    customer = models.ForeignKey(Customer, models.SET_NULL, null=True, related_name="+")
    details = models.JSONField(default=dict)

    objects = AppendOnly.as_manager()

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["organization", "-at", "-id"], name="audit_by_time")]

    def __str__(self) -> str:
        return f"{self.actor} {self.get_action_display()}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the entry.

        Raises:
            TypeError: it was added before.
        """
        if not self._state.adding:
            raise TypeError("The audit log is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> tuple[int, dict[str, int]]:
        """Refused.

        Raises:
            TypeError: always.
        """
        raise TypeError("The audit log is never deleted from, but by its retention.")

    @property
    def in_words(self) -> str:
        """The details as a line for people: what changed from what to what, or simply what is noted."""
        before, after = self.details.get("before"), self.details.get("after")
        if before is None or after is None:
            return ", ".join(
                f"{_label(name)}: {_plain(value)}" for name, value in sorted(self.details.items()) if value != ""
            )
        lines = ((name, _plain(before.get(name)), _plain(after[name])) for name in sorted(after))
        return "; ".join(f"{_label(name)}: {was} → {now}" for name, was, now in lines if was != now)


def _label(name: str) -> str:
    return name.replace("_", " ")


def _plain(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{_label(name)} {_plain(each)}" for name, each in sorted(value.items()))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
