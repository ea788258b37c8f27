"""The one way to a message: what a user may see, evaluated when asked (sharing.md)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from functools import cached_property, lru_cache

from django.db.models import (
    Case,
    Count,
    Exists,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)
from django.utils.formats import date_format
from django.utils.timezone import localtime

from accounts.addresses import domain_covers
from accounts.among import among
from accounts.internal import covering, internal_among, is_internal
from accounts.models import User
from customers.models import Customer
from mail.matching import effective, links_here
from mail.models import IN_TRASH, Correspondence, Folder, Message, MessageQuerySet, Participant
from sharing.models import ExcludedDomain, SharedRecord, SharingPolicy
from sharing.modes import Mode, Modes, modes_of, standing_of
from sharing.rule import Facts, Line, Verdict, decide

_NEVER_SHARED_FOLDERS = (Folder.Kind.TRASH, Folder.Kind.DRAFTS)


def visible_to(viewer: User) -> MessageQuerySet:
    """The messages that `viewer` may see. Every list, count, search, thread, attachment and export starts here."""
    return Sight(viewer).messages()


def shared_by(owners: Collection[User]) -> MessageQuerySet:
    """The messages of `owners` (of one organisation) that any colleague may see now."""
    if not owners:
        return Message.objects.none()
    organization = next(iter(owners)).organization_id
    return Message.objects.filter(_is_shared(organization, modes_of(organization)), owner__in=owners)


class Sight:
    """What somebody may see, with the modes of the organisation's mailboxes read once: for one request, never longer."""

    def __init__(self, viewer: User) -> None:
        self.viewer = viewer
        self.modes = modes_of(viewer.organization_id)

    def messages(self, *narrowed: Q) -> MessageQuerySet:
        """All of it, own and shared, as far as the conditions `narrowed` hold."""
        return self._filtered(self._is_mine | self._is_shared, *narrowed)

    def of_colleagues(self, *narrowed: Q) -> MessageQuerySet:
        """What they may see without being its owner."""
        return self._filtered(self._is_shared, ~Q(owner=self.viewer), *narrowed)

    def customer_mail(self) -> MessageQuerySet:
        """Mail with leads and contacts, own and shared, without drafts and what is in Trash."""
        # Whether they have met a customer is not asked first: an index has that, and it is judged here, not looked up.
        mine = self._is_mine & Q(Exists(links_here(self.viewer.organization_id)), is_draft=False)
        return self._filtered(mine | self._is_shared, ~IN_TRASH)

    def candidates(self, owner: int | None = None) -> MessageQuerySet:
        """Messages among which all the customer mail is that they may see: to be walked along and then judged.

        Of one `owner` (an id) only, where one is given.
        """
        if owner not in {None, self.viewer.pk, *self.modes.owners_in(Mode.PUBLIC, Mode.CUSTOM)}:
            return Message.objects.none()  # without a look at all that they keep for themselves
        # With either an index gives them in the order of lists.
        whose = {"organization": self.viewer.organization_id} if owner is None else {"owner": owner}
        return Message.objects.filter(self._is_mine_or_perhaps_shared, has_customer=True, **whose)

    def narrowing(self) -> Q:
        """Condition on messages that all those fulfil that they may see, of any kind: cheap, and true for some others."""
        return Q(owner=self.viewer) | Q(self._is_mine_or_perhaps_shared, has_customer=True)

    def links_of(self, customer: Customer) -> QuerySet[Correspondence]:
        """Links among which all those are by which `customer` is a correspondent of what they may see.

        A message is shared by a tick on any of its correspondents, and is then listed at the others as well.
        """
        public, custom = self.modes.mailboxes_in(Mode.PUBLIC), self.modes.mailboxes_in(Mode.CUSTOM)
        ticked = _has_ticked_record("owner", "message")
        return Correspondence.objects.filter(
            among("message__mailbox", public) | Q(owner=self.viewer) | among("message__mailbox", custom) & ticked,
            customer=customer,
        )

    @cached_property
    def _is_mine(self) -> Q:
        return among("owner", [self.viewer.pk], is_judged=True)

    @cached_property
    def _is_mine_or_perhaps_shared(self) -> Q:
        public, custom = self.modes.mailboxes_in(Mode.PUBLIC), self.modes.mailboxes_in(Mode.CUSTOM)
        ticked = _has_ticked_record("owner", "pk")
        return among("mailbox", public) | Q(owner=self.viewer) | among("mailbox", custom) & ticked

    @cached_property
    def _is_shared(self) -> Q:
        return _is_shared(self.viewer.organization_id, self.modes)

    def _filtered(self, *conditions: Q) -> MessageQuerySet:
        return Message.objects.filter(*conditions) if self.viewer.is_active else Message.objects.none()


def count_revealed_by_tick(owner: User, customer: Customer, modes: Modes) -> int:
    """How many messages of `owner` colleagues may see while *Share Email* is ticked on `customer` (R22)."""
    links = Correspondence.objects.filter(
        _is_shareable(owner.organization_id, "message__"),
        customer=customer,
        owner=owner,
    ).filter(among("message__mailbox", modes.mailboxes_in(Mode.CUSTOM)))
    counted = effective(links, owner.organization_id).aggregate(count=Count("message", distinct=True))
    return int(counted["count"])


def _has_ticked_record(owner: str, message: str) -> Q:
    """Condition on rows with a message: its owner ticked *Share Email* on a record that has to do with it."""
    # Nested, so that no database thinks of gathering all ticked correspondence first.
    tick = SharedRecord.objects.filter(owner=OuterRef(OuterRef(owner)), customer=OuterRef("customer"))
    return Q(Exists(Correspondence.objects.filter(Exists(tick), message=OuterRef(message))))


def _is_shared(organization: int, modes: Modes) -> Q:
    """Condition on messages: the active colleagues of the owner may see it (lines 3 to 10, the same for all of them).

    `sharing.rule` holds the same on plain data.
    """
    public, custom = modes.mailboxes_in(Mode.PUBLIC), modes.mailboxes_in(Mode.CUSTOM)
    ticked = Exists(SharedRecord.objects.filter(owner=OuterRef(OuterRef("owner")), customer=OuterRef("customer")))
    correspondents = links_here(organization).filter(among(OuterRef("mailbox"), public) | Q(ticked))
    return (
        _is_shareable(organization)
        & among("mailbox", public | custom, is_judged=True)
        & Q(Exists(correspondents))
        & ~(among("mailbox", public & modes.excluding, is_judged=True) & _excluded_participant(organization))
    )


def _is_shareable(organization: int, of: str = "") -> Q:
    """Condition on messages: they are the organisation's, and neither kept private nor a draft nor in Trash (1, 3, 4).

    `of` leads to the message from other rows.
    """
    wanted = {
        "organization": organization,
        "has_customer": True,
        "is_private": False,
        "thread__is_private": False,
        "is_draft": False,
    }
    return Q(**{of + name: value for name, value in wanted.items()}) & ~Q(
        **{f"{of}folder__kind__in": _NEVER_SHARED_FOLDERS}
    )


@lru_cache(maxsize=256)
def _excluded_participant(organization: int) -> Q:
    """Condition on messages of mailboxes that exclude domains: one of them covers a participant who is not internal (line 7).

    Where a message names more people than are read, one of them may be: then any excluded domain counts.
    """
    excluded = covering(ExcludedDomain.objects.filter(policy__mailbox=OuterRef(OuterRef("mailbox"))), "domain")
    known = Participant.objects.filter(Exists(excluded), message=OuterRef("pk")).exclude(is_internal(organization))
    return Q(has_all_participants=False) | Q(Exists(known))


def listed_once(messages: MessageQuerySet, viewer: User) -> MessageQuerySet:
    """`messages` with one copy of each message that several mailboxes hold: the viewer's own, else the first stored (R30).

    Only copies in `messages` itself are compared, so a copy that the viewer may not see changes nothing.
    """
    preference = Case(When(owner=viewer, then=Value(0)), default=Value(1), output_field=IntegerField())
    ranked = messages.annotate(preference=preference)
    better = ranked.filter(fingerprint=OuterRef("fingerprint")).filter(
        Q(preference__lt=OuterRef("preference")) | Q(preference=OuterRef("preference"), pk__lt=OuterRef("pk"))
    )
    return ranked.exclude(Exists(better))


def facts_about(viewer: User, message: Message) -> Facts:
    """What the rule needs to know, read from the database now, independently of `visible_to`."""
    owner = message.owner
    policy = SharingPolicy.objects.filter(mailbox=message.mailbox_id).first()
    mode = standing_of(message.mailbox).mode
    participants = list(message.participants.all())
    internal = internal_among(owner.organization, {participant.address for participant in participants})
    outside = [participant for participant in participants if participant.address not in internal]
    roles = (
        {Participant.Role.TO, Participant.Role.CC}
        if message.direction == Message.Direction.SENT
        else {Participant.Role.FROM}
    )
    customers = {
        link.customer_id
        for link in message.correspondences.all()
        if link.role in roles and link.address not in internal
    }
    excluded = list(policy.excluded_domains.values_list("domain", flat=True)) if policy else []
    return Facts(
        viewer_is_active=viewer.is_active,
        same_organization=viewer.organization_id == owner.organization_id,
        viewer_is_owner=viewer.pk == owner.pk,
        kept_private=message.is_kept_private,
        draft_or_trash=message.is_draft or message.folder.kind in _NEVER_SHARED_FOLDERS,
        mode=mode,
        has_correspondent=bool(customers),
        excluded_participant=bool(excluded and not message.has_all_participants)
        or any(domain_covers(domain, participant.domain) for participant in outside for domain in excluded),
        shares_a_correspondent=SharedRecord.objects.filter(owner=owner, customer__in=customers).exists(),
    )


def explain(viewer: User, message: Message) -> Verdict:
    """Whether `viewer` may see `message`, and by which line of the rule (R26)."""
    return decide(facts_about(viewer, message))


def explain_to_colleagues(message: Message) -> Verdict:
    """What the rule says to any active colleague of the message's owner: for them all it is the same."""
    return decide(replace(facts_about(message.owner, message), viewer_is_active=True, viewer_is_owner=False))


def setting_behind(message: Message, line: Line) -> str:
    """The setting that made `line` decide about `message`, as a sentence; empty where none did.

    For the owner, and for a viewer who may see the message.
    """
    standing = standing_of(message.mailbox)
    if line in {Line.PUBLIC, Line.NOT_SHARED, Line.NOTHING_ELSE} and standing.mode and standing.since:
        mode = SharingPolicy.Mode(standing.mode).name.capitalize()
        by = "set by your administrators" if standing.rule else f"chosen by {message.owner}"
        return f"“{message.mailbox.name}” is {mode} since {_day(standing.since)}, {by}."
    if line == Line.SHARED_RECORD:
        links = effective(message.correspondences.all(), message.organization_id)
        ticks = SharedRecord.objects.filter(owner=message.owner, customer__in=links.values("customer"))
        tick = ticks.select_related("customer").order_by("created_at").first()
        return f"{message.owner} ticked Share Email on {tick.customer} on {_day(tick.created_at)}." if tick else ""
    return ""


def viewers_of(message: Message) -> list[User]:
    """The colleagues who may see `message` now, its owner left out. The rule is the same for all of them."""
    if not explain_to_colleagues(message).visible:
        return []
    colleagues = User.objects.filter(organization=message.organization_id, is_active=True)
    return list(colleagues.exclude(pk=message.owner_id))


def _day(moment: datetime) -> str:
    return date_format(localtime(moment), "j F Y")
