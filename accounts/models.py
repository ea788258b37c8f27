"""Organisations, users, invitations, API tokens and mailboxes."""

from __future__ import annotations

import zoneinfo
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import JSONObject
from django.utils import timezone

from accounts.addresses import normalize_address
from accounts.credentials import SecretField, no_secret

ADDRESS_LENGTH = 320


def validate_time_zone(value: str) -> None:
    """Refuse a name that the time zone database does not hold."""
    if value not in zoneinfo.available_timezones():
        raise ValidationError("Choose a time zone from the list, for example Europe/Berlin.")


class Organization(models.Model):
    """One company on this installation; everything else belongs to exactly one (R1)."""

    name = models.CharField(max_length=200)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    poll_interval_minutes = models.PositiveSmallIntegerField(
        default=5, validators=[MinValueValidator(3), MaxValueValidator(60)]
    )
    retention_months = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1200)],
        help_text="the age at which mail is deleted here; null keeps it",
    )
    retention_set_at = models.DateTimeField(null=True, editable=False, help_text="when that was chosen")
    delivers_locally = models.BooleanField(
        "deliver mail to CRM Mail addresses here",
        default=False,
        help_text="Mail between colleagues then goes straight into the CRM Mail account, and your own mail server "
        "does not see it. Leave it off if people also read these addresses elsewhere.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class MailDomain(models.Model):
    """A mail domain that the organisation itself owns: every address it covers is a colleague's (R3)."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="mail_domains")
    domain = models.CharField(max_length=253)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["organization", "domain"], name="one_mail_domain_each")]

    def __str__(self) -> str:
        return self.domain


class UserManager(BaseUserManager["User"]):
    """Users are found by their normalised sign-in address."""

    def get_by_natural_key(self, username: str | None) -> User:
        """The user who signs in with this address, however it is spelled."""
        return self.get(email=normalize_address(username or "") or "")

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a user; without a password nobody can sign in as them until one is set.

        Raises:
            ValueError: `email` is not an address.
        """
        address = normalize_address(email)
        if address is None:
            raise ValueError(f"{email!r} is not an e-mail address.")
        user = self.model(email=address, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def for_organization(self, organization: Organization) -> models.QuerySet[User]:
        """The users of one organisation, deactivated ones included."""
        return self.filter(organization=organization)


class User(AbstractBaseUser):
    """A member or administrator of one organisation; the difference is what they may configure, not what they may read."""

    class Role(models.TextChoices):
        """What a user may configure."""

        ADMIN = "admin", "Administrator"
        MEMBER = "member", "Member"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="users")
    email = models.EmailField("e-mail address", max_length=ADDRESS_LENGTH, unique=True)
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    customer_columns = models.JSONField(null=True, editable=False, help_text="of their lists; null for the usual ones")

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def is_admin(self) -> bool:
        """Whether this user administers the organisation."""
        return self.role == self.Role.ADMIN

    def get_full_name(self) -> str:
        """The name that colleagues see."""
        return str(self)


class Invitation(models.Model):
    """An administrator's invitation of a colleague; its link works once, for a week (R2). Only a hash of it is kept."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=ADDRESS_LENGTH)
    name = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=10, choices=User.Role, default=User.Role.MEMBER)
    token_hash = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.email

    @property
    def is_open(self) -> bool:
        """Whether the link still works."""
        return self.accepted_at is None and self.expires_at > timezone.now()


class ApiToken(models.Model):
    """A program's way to sign in as a user: `Authorization: Token …`. Only the SHA-256 of the token is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"API token of {self.user}"


class MailboxQuerySet(models.QuerySet["Mailbox"]):
    """Named questions about mailboxes."""

    def owned_by(self, user: User) -> MailboxQuerySet:
        """The mailboxes of one user, the CRM Mail account first, in the order they were added (R4)."""
        return self.filter(owner=user).order_by(F("kind").asc(), "id")

    def for_organization(self, organization: Organization) -> MailboxQuerySet:
        """The mailboxes of everybody in one organisation."""
        return self.filter(owner__organization=organization)

    def configurable_by(self, user: User) -> MailboxQuerySet:
        """One's own, and for administrators those of everybody in the organisation: to set up, not to read (R25)."""
        if user.is_admin:
            return self.for_organization(user.organization)
        return self.owned_by(user)

    def connected(self) -> MailboxQuerySet:
        """Those that were not removed."""
        return self.filter(removed_at=None)

    def removed(self) -> MailboxQuerySet:
        """Those that were removed while their mail is kept."""
        return self.exclude(removed_at=None).filter(deletes_mail=False)

    def shown_as(self, state: str) -> MailboxQuerySet:
        """POP3 accounts whose `shown_state` is `state`."""
        pop3 = self.filter(kind=Mailbox.Kind.POP3)
        runs = Q(is_active=True, owner__is_active=True)
        return pop3.exclude(runs) if state == Mailbox.State.PAUSED else pop3.filter(runs, state=state)

    def found_by(self, words: str) -> MailboxQuerySet:
        """Those in whose name or address, or their owner's, each of the words occurs."""
        found = self
        for word in words.split()[:10]:
            found = found.filter(
                Q(name__icontains=word)
                | Q(email_address__icontains=word)
                | Q(owner__name__icontains=word)
                | Q(owner__email__icontains=word)
            )
        return found

    def troubles(self) -> models.QuerySet[Mailbox, dict[str, Any]]:
        """What pages warn of, each as one value: active ones whose password was rejected or that can't be fetched (R18).

        No user has more than one.
        """
        troubled = self.filter(is_active=True, state__in=(Mailbox.State.PASSWORD_REJECTED, Mailbox.State.ERROR))
        columns = ("pk", "email_address", "state", "last_error")
        return troubled.values_list(JSONObject(**{name: name for name in columns}), flat=True)

    def polled(self) -> MailboxQuerySet:
        """Mailboxes that workers poll: active POP3 ones of active users whose password was not rejected (R2, R15, R18)."""
        return self.filter(kind=Mailbox.Kind.POP3, is_active=True, owner__is_active=True).exclude(
            state=Mailbox.State.PASSWORD_REJECTED
        )


class Mailbox(models.Model):
    """A mail account of one user: a POP3 account that is polled, or the CRM Mail account that keeps what was fetched.

    Scheduling lives in rows: `next_fetch_at` says when it is due, `lease_token` and `lease_until` who holds it (R17).
    """

    class Kind(models.TextChoices):
        """Where the mail comes from; alphabetical order lists the CRM Mail account first."""

        CRM_MAIL = "crm_mail", "CRM Mail"
        POP3 = "pop3", "POP3"

    class Security(models.TextChoices):
        """How the connection is protected (R8)."""

        SSL = "ssl", "SSL/TLS"
        STARTTLS = "starttls", "STARTTLS"
        NONE = "none", "None (plain text)"

    class DeletePolicy(models.TextChoices):
        """When a fetched message is deleted from the server (R10)."""

        LEAVE = "leave", "Leave messages on the server"
        AFTER_FETCH = "after_fetch", "Delete after fetching"
        AFTER_DAYS = "after_days", "Delete some days after fetching"
        WHEN_DELETED = "when_deleted", "Delete when deleted in CRM Mail"

    class ImportSince(models.TextChoices):
        """What the first fetch takes (R15)."""

        ALL = "all", "Everything on the server"
        DAYS = "days", "The last days"
        NOW = "now", "Only mail that arrives from now on"

    class State(models.TextChoices):
        """How fetching goes, for people."""

        OK = "ok", "Working"
        NEVER_FETCHED = "never_fetched", "Not fetched yet"
        PASSWORD_REJECTED = "password_rejected", "Password rejected"
        ERROR = "error", "Error"
        PAUSED = "paused", "Paused"

    owner = models.ForeignKey(User, models.CASCADE, related_name="mailboxes")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.POP3)
    name = models.CharField("account name", max_length=100)
    email_address = models.CharField("e-mail address", max_length=ADDRESS_LENGTH, db_index=True)

    incoming_host = models.CharField("incoming server", max_length=253, blank=True)
    incoming_port = models.PositiveIntegerField(
        "port", default=995, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    incoming_security = models.CharField("security", max_length=10, choices=Security, default=Security.SSL)
    incoming_username = models.CharField("user name", max_length=ADDRESS_LENGTH, blank=True)
    incoming_password = SecretField("password", default=no_secret, blank=True)

    use_same_credentials = models.BooleanField("use the same credentials for the outgoing mail server", default=False)
    outgoing_host = models.CharField("outgoing server", max_length=253, blank=True)
    outgoing_port = models.PositiveIntegerField(
        "outgoing port", default=465, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    outgoing_security = models.CharField("outgoing security", max_length=10, choices=Security, default=Security.SSL)
    outgoing_username = models.CharField("outgoing user name", max_length=ADDRESS_LENGTH, blank=True)
    outgoing_password = SecretField("outgoing password", default=no_secret, blank=True)

    allow_plain_text = models.BooleanField("send passwords and mail unencrypted", default=False)
    delete_policy = models.CharField(
        "delete message setting", max_length=12, choices=DeletePolicy, default=DeletePolicy.LEAVE
    )
    delete_after_days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(3650)]
    )
    used_by_other_clients = models.BooleanField("used by other POP clients too", default=False)
    import_since = models.CharField("first fetch", max_length=4, choices=ImportSince, default=ImportSince.ALL)
    import_days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(3650)]
    )
    poll_interval_minutes = models.PositiveSmallIntegerField(
        "fetch every (minutes)",
        null=True,
        blank=True,
        validators=[MinValueValidator(3), MaxValueValidator(60)],
    )

    is_active = models.BooleanField(default=False)
    state = models.CharField(max_length=20, choices=State, default=State.NEVER_FETCHED)
    last_error = models.TextField(blank=True)
    error_kind = models.CharField(max_length=40, blank=True, help_text="what kind of error the last one was")
    last_fetched_at = models.DateTimeField(null=True, blank=True)
    next_fetch_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    one_by_one_until = models.DateTimeField(
        null=True, blank=True, help_text="until when commands are not sent ahead, because the server broke under it"
    )
    fetched_messages = models.PositiveBigIntegerField(default=0, help_text="messages stored since it was added")
    fetched_bytes = models.PositiveBigIntegerField(default=0, help_text="their size on the server, in bytes")
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    removed_at = models.DateTimeField(null=True, blank=True, help_text="set when the account was taken away")
    deletes_mail = models.BooleanField(default=False, help_text="whether its mail goes too, once it was taken away")

    objects = MailboxQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "mailboxes"
        indexes = [models.Index(fields=["next_fetch_at"], condition=Q(is_active=True), name="mailbox_due")]
        constraints = [
            models.UniqueConstraint(fields=["owner"], condition=Q(is_active=True), name="one_active_mailbox"),
            models.UniqueConstraint(
                fields=["owner", "email_address"], condition=Q(kind="pop3"), name="one_mailbox_each_address"
            ),
            models.UniqueConstraint(fields=["owner"], condition=Q(kind="crm_mail"), name="one_crm_mail_account"),
            models.UniqueConstraint(
                fields=["email_address"],
                condition=Q(kind="crm_mail"),
                name="crm_mail_address_taken_once",
            ),
            models.CheckConstraint(
                condition=Q(incoming_port__range=(1, 65535), outgoing_port__range=(1, 65535)),
                name="ports_exist",
            ),
            models.CheckConstraint(
                condition=~Q(delete_policy="after_days") | Q(delete_after_days__gte=1),
                name="days_until_deletion",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} <{self.email_address}>"

    @property
    def sides(self) -> tuple[str, ...]:
        """Which servers it can have: the CRM Mail account is fetched from nowhere (R4)."""
        return ("outgoing",) if self.kind == self.Kind.CRM_MAIL else ("incoming", "outgoing")

    @property
    def interval_minutes(self) -> int:
        """Minutes between two polls: its own, else the organisation's (R15)."""
        return self.poll_interval_minutes or self.owner.organization.poll_interval_minutes

    @property
    def shown_state(self) -> str:
        """The state as people see it: a mailbox that nobody polls is paused, whatever happened before."""
        if self.kind == self.Kind.POP3 and not (self.is_active and self.owner.is_active):
            return self.State.PAUSED
        return self.state
