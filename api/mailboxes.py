"""`mailboxes/`: the caller's mail accounts, and for administrators their colleagues' (R5, R6, R8–R11, R13–R15)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import Case, Count, IntegerField, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.checks import AccountCheck, Check, Tester, check_account
from accounts.connecting import complete
from accounts.mailboxes import FIELDS_OF_A_TEST, NotPossible, foreseen, needs_test, password_fields
from accounts.models import ADDRESS_LENGTH, Mailbox, User
from api.base import ApiListView, ApiView, ColleagueField, StrictSerializer
from api.errors import about
from api.filtering import IdFilter
from api.schema import Choice
from fetcher.checking import check_incoming
from fetcher.models import FetchRun
from fetcher.tasks import fetch_now
from mail.accounts import has_mail_account
from mail.models import Message
from sender.checking import check_outgoing
from sharing.administering import change_mailbox, remove_mailbox, switch_mailbox
from sharing.models import SharingPolicy
from sharing.modes import Modes, modes_of, require_open_to, standing_of
from sharing.policies import connect_mailbox, set_policy

_TESTERS: Mapping[str, Tester] = {"incoming": check_incoming, "outgoing": check_outgoing}
_NO_ACCOUNT = "Set up the CRM Mail account first: it is where fetched mail is kept."
_POP3_ONLY = frozenset(
    {
        "email_address",
        "incoming_host",
        "incoming_port",
        "incoming_security",
        "incoming_username",
        "incoming_password",
        "use_same_credentials",
        "delete_policy",
        "delete_after_days",
        "used_by_other_clients",
        "import_since",
        "import_days",
        "poll_interval_minutes",
    }
)
_DECIDED_APART = ("sharing_mode", "excluded_domains", "is_active", "skip_test", "owner")


def _password(*, required: bool) -> serializers.CharField:
    return serializers.CharField(
        write_only=True,
        required=required,
        max_length=1024,
        trim_whitespace=False,
        style={"input_type": "password"},
    )


def _port() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=65535, required=False)


class SharingModeField(Choice):
    """The mode that holds for a mailbox; null is shown while none was chosen, and can't be chosen (R13)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(SharingPolicy.Mode, allow_null=True, **options)
        self.set_name = "SharingMode"

    def get_attribute(self, instance: Mailbox) -> str | None:
        """The mode, or None."""
        modes: Modes = self.context["modes"]
        return modes.of(instance)

    def run_validation(self, data: Any = empty) -> Any:
        """The chosen mode (`ValidationError` otherwise)."""
        if data is None:
            raise ValidationError("Choose public, custom or private.")
        return super().run_validation(data)


class ExcludedDomainsField(serializers.ListField):
    """The domains that a mailbox's policy excludes from sharing in Public (R21)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=serializers.CharField(max_length=255, allow_blank=True), max_length=100, **options)

    def get_attribute(self, instance: Mailbox) -> list[str]:
        """The domains, in the owner's order."""
        policy = getattr(instance, "policy", None)
        return [excluded.domain for excluded in policy.excluded_domains.all()] if policy else []


class MailboxSerializer(StrictSerializer):
    """A mail account. Passwords go in and never come out (R14)."""

    id = serializers.IntegerField(read_only=True)
    kind = Choice(Mailbox.Kind, read_only=True)
    owner = ColleagueField(required=False, help_text="Administrators may name a colleague.")
    name = serializers.CharField(max_length=100)
    email_address = serializers.CharField(max_length=ADDRESS_LENGTH)
    incoming_host = serializers.CharField(max_length=253)
    incoming_port = _port()
    incoming_security = Choice(Mailbox.Security, required=False)
    incoming_username = serializers.CharField(max_length=ADDRESS_LENGTH)
    incoming_password = _password(required=True)
    use_same_credentials = serializers.BooleanField(required=False)
    outgoing_host = serializers.CharField(max_length=253, required=False, allow_blank=True)
    outgoing_port = _port()
    outgoing_security = Choice(Mailbox.Security, required=False)
    outgoing_username = serializers.CharField(max_length=ADDRESS_LENGTH, required=False, allow_blank=True)
    outgoing_password = _password(required=False)
    allow_plain_text = serializers.BooleanField(required=False)
    delete_policy = Choice(Mailbox.DeletePolicy, required=False)
    delete_after_days = serializers.IntegerField(min_value=1, max_value=3650, required=False, allow_null=True)
    used_by_other_clients = serializers.BooleanField(required=False)
    import_since = Choice(Mailbox.ImportSince, required=False)
    import_days = serializers.IntegerField(min_value=1, max_value=3650, required=False, allow_null=True)
    poll_interval_minutes = serializers.IntegerField(min_value=3, max_value=60, required=False, allow_null=True)
    sharing_mode = SharingModeField()
    excluded_domains = ExcludedDomainsField(required=False)
    is_active = serializers.BooleanField(required=False)
    state = Choice(Mailbox.State, source="shown_state", read_only=True)
    last_error = serializers.CharField(read_only=True)
    last_fetched_at = serializers.DateTimeField(read_only=True, allow_null=True)
    next_fetch_at = serializers.DateTimeField(read_only=True, allow_null=True)
    message_count = serializers.SerializerMethodField()
    skip_test = serializers.BooleanField(write_only=True, required=False)

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_message_count(self, mailbox: Mailbox) -> int | None:
        """How many messages it holds; for its owner only."""
        return mailbox.message_count if mailbox.owner_id == self._caller.pk else None  # type: ignore[attr-defined]

    @property
    def _caller(self) -> User:
        caller: User = self.context["request"].user
        return caller

    def validate_owner(self, owner: User) -> User:
        """Only administrators add mailboxes for somebody else, and a mailbox stays whose it is."""
        if self.instance is not None and owner.pk != self.instance.owner_id:
            raise ValidationError("A mailbox can't be given to somebody else.")
        if owner.pk != self._caller.pk and not self._caller.is_admin:
            raise ValidationError("Only administrators can add mailboxes for others.")
        return owner

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The CRM Mail account has no server that mail comes from, and its address is changed in `mail-account/`."""
        if self.instance is not None and self.instance.kind == Mailbox.Kind.CRM_MAIL:
            refused = [name for name in attrs if name in _POP3_ONLY]
            if refused:
                raise ValidationError({name: ["The CRM Mail account doesn't have this setting."] for name in refused})
        return attrs


class ConnectionSerializer(MailboxSerializer):
    """What a test of a mail account needs."""

    def get_fields(self) -> dict[str, Any]:
        """The fields of a mailbox that say how its servers are reached."""
        return {name: each for name, each in super().get_fields().items() if name in FIELDS_OF_A_TEST}


class PasswordSerializer(StrictSerializer):
    """A new password."""

    password = _password(required=True)
    skip_test = serializers.BooleanField(write_only=True, required=False)


class CheckSerializer(serializers.Serializer[Check]):
    """What the test of one server found; `cause` is empty where it succeeded."""

    ok = serializers.BooleanField()
    detail = serializers.CharField()
    cause = serializers.CharField()
    steps = serializers.SerializerMethodField()

    @extend_schema_field({"type": "array", "items": {"type": "object", "additionalProperties": True}})
    def get_steps(self, check: Check) -> list[dict[str, Any]]:
        """The steps in their order; a failed one is the last."""
        return [{"name": step.name, "ok": step.ok, "said": step.said} for step in check.steps]


class AccountTestSerializer(serializers.Serializer[dict[str, Check]]):
    """What *Test account* answers (R12). The CRM Mail account has no incoming server."""

    incoming = CheckSerializer(required=False)
    outgoing = CheckSerializer()


class RunSerializer(serializers.Serializer[FetchRun]):
    """One poll. How much mail it brought is shown to the owner only."""

    id = serializers.IntegerField()
    started = serializers.DateTimeField()
    finished = serializers.DateTimeField(allow_null=True)
    state = Choice(FetchRun.State)
    new = serializers.IntegerField(allow_null=True)
    deleted = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()

    def to_representation(self, instance: FetchRun) -> dict[str, Any]:
        """The run as the caller may know it."""
        shown: dict[str, Any] = super().to_representation(instance)
        if instance.mailbox.owner_id != self.context["request"].user.pk:
            shown["new"] = shown["deleted"] = None
        return shown


class FetchSerializer(serializers.Serializer[Any]):
    """What *fetch now* answers."""

    run = RunSerializer()


class MailboxFilter(filters.FilterSet):
    """Which mailboxes are listed."""

    owner = IdFilter(field_name="owner", help_text="For administrators: whose mailboxes.")


class MailboxView(ApiView):
    """The base of views of mailboxes: which of them there are for the caller."""

    serializer_class: Any = MailboxSerializer
    queryset: Any = Mailbox.objects.none()
    ordering: tuple[str, ...] = ("of_others", "owner_id", "kind", "id")

    def get_queryset(self) -> QuerySet[Any]:
        """The caller's mailboxes; for an administrator also, after them, everybody else's in the organisation."""
        caller = self.caller
        mailboxes = Mailbox.objects.configurable_by(caller).connected()
        counted = Message.objects.owned_by(caller).filter(mailbox=OuterRef("pk")).order_by().values("mailbox")
        return (
            mailboxes.annotate(
                of_others=Case(When(owner=caller, then=Value(0)), default=Value(1), output_field=IntegerField()),
                message_count=Coalesce(Subquery(counted.annotate(count=Count("pk")).values("count")), 0),
            )
            .select_related("owner__organization", "policy")
            .prefetch_related("policy__excluded_domains")
        )

    def get_serializer_context(self) -> dict[str, Any]:
        """The modes of all mailboxes, read once."""
        return {**super().get_serializer_context(), "modes": modes_of(self.caller.organization)}

    def mailbox(self, pk: int) -> Mailbox:
        """One of them, 404 otherwise."""
        mailbox: Mailbox = get_object_or_404(self.get_queryset(), pk=pk)
        return mailbox


class Mailboxes(ApiListView, MailboxView):
    """All mailboxes, the caller's CRM Mail account first, and new ones."""

    filterset_class = MailboxFilter

    @extend_schema(responses={201: MailboxSerializer})
    def post(self, request: Request) -> Response:
        """Add a POP3 mailbox. 409 until its owner has a CRM Mail account (R4)."""
        if "owner" not in request.data and not has_mail_account(self.caller):
            raise NotPossible(_NO_ACCOUNT)
        given = self.checked(request)
        owner = given.get("owner", self.caller)
        if not has_mail_account(owner):
            raise NotPossible(_NO_ACCOUNT)
        fields = complete({name: value for name, value in given.items() if name not in _DECIDED_APART})
        require_open_to(owner, given["sharing_mode"])
        if not given.get("skip_test"):
            future = foreseen(fields)
            _require_working(future, future.sides, counts=owner == self.caller)
        with transaction.atomic():
            with about("email_address", refused="excluded_domains"):
                mailbox = connect_mailbox(
                    owner,
                    actor=self.caller,
                    sharing_mode=given["sharing_mode"],
                    excluded_domains=given.get("excluded_domains", []),
                    **fields,
                )
            _switch(self.caller, mailbox, given.get("is_active"))
        return self.shown(self.mailbox(mailbox.pk), status=201)


class MailboxDetail(MailboxView):
    """One mailbox."""

    def get(self, _request: Request, pk: int) -> Response:
        """Show its settings and state."""
        return self.shown(self.mailbox(pk))

    def patch(self, request: Request, pk: int) -> Response:
        """Change its settings. A new server, user name or password is tried at once (R18)."""
        mailbox = self.mailbox(pk)
        given = self.checked(request, mailbox, partial=True)
        fields = complete(
            {name: value for name, value in given.items() if name not in _DECIDED_APART},
            mailbox,
            by_owner=mailbox.owner_id == self.caller.pk,
        )
        if needs_test(mailbox, fields) and not given.get("skip_test"):
            _require_working(foreseen(fields, mailbox), mailbox.sides, counts=mailbox.owner_id == self.caller.pk)
        with transaction.atomic():
            if fields:
                with about("email_address"):
                    change_mailbox(self.caller, mailbox, **fields)
            if "sharing_mode" in given or "excluded_domains" in given:
                share(self.caller, mailbox, given.get("sharing_mode"), given.get("excluded_domains"))
            _switch(self.caller, mailbox, given.get("is_active"))
        return self.shown(self.mailbox(pk))

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "mail", enum=["keep", "delete"], description="What becomes of its mail here; kept if left out."
            )
        ],
        responses={204: None},
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Remove a POP3 account. On its server nothing is deleted."""
        mail = request.query_params.get("mail", "keep")
        if mail not in {"keep", "delete"}:
            raise ValidationError({"mail": ["Choose keep or delete."]})
        remove_mailbox(self.caller, self.mailbox(pk), deletes_mail=mail == "delete")
        return Response(status=204)


class _PasswordView(MailboxView):
    serializer_class = PasswordSerializer
    side = ""

    def change_password(self, request: Request, pk: int) -> Response:
        """Test the password, save it, and poll at once. Linked passwords change together (R9, R38)."""
        mailbox = self.mailbox(pk)
        if not getattr(mailbox, f"{self.side}_host"):
            raise NotPossible(f"This account has no {self.side} server that wants a password.")
        given = self.checked(request)
        fields = password_fields(self.side, given["password"], both=mailbox.use_same_credentials)
        if not given.get("skip_test"):
            sides = mailbox.sides if mailbox.use_same_credentials else (self.side,)
            _require_working(foreseen(fields, mailbox), sides, counts=mailbox.owner_id == self.caller.pk)
        change_mailbox(self.caller, mailbox, **fields)
        return Response(status=204)


class MailboxIncomingPassword(_PasswordView):
    """The password of the incoming server (R38)."""

    side = "incoming"

    @extend_schema(responses={204: None})
    def put(self, request: Request, pk: int) -> Response:
        """Change it; also that of the outgoing server while both are the same. A 400 with `test` when a test fails."""
        return self.change_password(request, pk)


class MailboxOutgoingPassword(_PasswordView):
    """The password of the outgoing server (R38)."""

    side = "outgoing"

    @extend_schema(responses={204: None})
    def put(self, request: Request, pk: int) -> Response:
        """Change it; also that of the incoming server while both are the same. A 400 with `test` when a test fails."""
        return self.change_password(request, pk)


class MailboxTestUnsaved(MailboxView):
    """*Test account* before anything is saved (R12)."""

    serializer_class = ConnectionSerializer

    @extend_schema(operation_id="mailboxes_test_unsaved", responses={200: AccountTestSerializer})
    def post(self, request: Request) -> Response:
        """Try both servers, at most 20 seconds. Nothing is saved, fetched or sent."""
        return _tested(foreseen(complete(self.checked(request))))


class MailboxTest(MailboxView):
    """*Test account* of a saved mailbox, as it is or with other settings (R12)."""

    serializer_class = ConnectionSerializer

    @extend_schema(responses={200: AccountTestSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Try both servers, with what the body changes. Nothing is saved, fetched or sent."""
        mailbox = self.mailbox(pk)
        given = self.checked(request, mailbox, partial=True)
        by_owner = mailbox.owner_id == self.caller.pk
        future = foreseen(complete(given, mailbox, by_owner=by_owner), mailbox)
        if not future.outgoing_host:
            raise NotPossible("The CRM Mail account has no server to test. Name its outgoing server.")
        return _tested(future, counts=by_owner)


class MailboxActivation(MailboxView):
    """Choosing the active mailbox (R5)."""

    @extend_schema(request=None, responses={200: MailboxSerializer})
    def post(self, _request: Request, pk: int) -> Response:
        """Make this the mailbox that is polled and sent from; the one that was stops."""
        switch_mailbox(self.caller, self.mailbox(pk), is_active=True)
        return self.shown(self.mailbox(pk))


class MailboxFetch(MailboxView):
    """Fetching at once (R15)."""

    serializer_class = FetchSerializer

    @extend_schema(request=None, responses={202: FetchSerializer})
    def post(self, _request: Request, pk: int) -> Response:
        """Have a worker poll the mailbox now; the run that is going, if one is."""
        return self.shown({"run": fetch_now(self.mailbox(pk))}, status=202)


class MailboxRuns(ApiListView, MailboxView):
    """The last polls of a mailbox, the latest first (R18)."""

    serializer_class = RunSerializer
    filter_backends: Any = ()
    ordering = ("-started", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        """The runs of the mailbox that the address names."""
        mailbox = get_object_or_404(super().get_queryset(), pk=self.kwargs["pk"])
        return FetchRun.objects.filter(mailbox=mailbox).select_related("mailbox")


def _tested(mailbox: Mailbox, *, counts: bool = True) -> Response:
    return Response(AccountTestSerializer(_check(mailbox, mailbox.sides, counts=counts).checks).data)


def _check(mailbox: Mailbox, sides: Iterable[str], *, counts: bool) -> AccountCheck:
    return check_account(mailbox, {side: _TESTERS[side] for side in sides}, counts=counts)


def _require_working(mailbox: Mailbox, sides: Iterable[str], *, counts: bool) -> None:
    """Refuse an account whose test fails (R12)."""
    found = _check(mailbox, sides, counts=counts)
    if not found.ok:
        raise ValidationError({"test": [f"{title}: {each.detail}" for title, each in found.titled if not each.ok]})


def share(actor: User, mailbox: Mailbox, mode: str | None, domains: list[str] | None) -> None:
    """Choose the sharing of a mailbox; None leaves a thing as it is. A 400 names the field that can't be so."""
    chosen = mode or standing_of(mailbox).mode
    if chosen is None:
        raise ValidationError({"sharing_mode": ["Choose public, custom or private."]})
    require_open_to(mailbox.owner, chosen)
    with about("excluded_domains"):
        set_policy(mailbox, actor=actor, mode=chosen, excluded_domains=domains)


def _switch(actor: User, mailbox: Mailbox, is_active: bool | None) -> None:
    if is_active is not None and is_active != mailbox.is_active:
        switch_mailbox(actor, mailbox, is_active=is_active)
