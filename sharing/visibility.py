"""The one way to a message: what a user may see, evaluated when asked (sharing.md)."""

from __future__ import annotations

from django.db.models import Case, Exists, IntegerField, OuterRef, Q, Value, When

from accounts.addresses import domain_covers
from accounts.internal import covering, internal_among, is_internal
from accounts.models import User
from mail.matching import has_correspondent
from mail.models import Folder, Message, MessageQuerySet, Participant
from sharing.models import ExcludedDomain, SharedRecord, SharingPolicy
from sharing.rule import Facts, Verdict, decide

_NEVER_SHARED_FOLDERS = (Folder.Kind.TRASH, Folder.Kind.DRAFTS)


def visible_to(viewer: User) -> MessageQuerySet:
    """The messages that `viewer` may see. Every list, count, search, thread, attachment and export starts here.

    The conditions are the lines of the contract, in its order; `sharing.rule` holds the same on plain data.
    """
    if not viewer.is_active:
        return Message.objects.none()
    shared = (
        Q(owner__organization=viewer.organization_id)
        & Q(is_private=False, thread__is_private=False)
        & Q(is_draft=False)
        & ~Q(folder__kind__in=_NEVER_SHARED_FOLDERS)
        & Q(has_correspondent())
        & (
            Q(mailbox__policy__mode=SharingPolicy.Mode.PUBLIC) & ~_excluded_participant()
            | Q(mailbox__policy__mode=SharingPolicy.Mode.CUSTOM) & Q(_shares_a_correspondent())
        )
    )
    return Message.objects.filter(Q(owner=viewer) | shared)


def _excluded_participant() -> Q:
    """Condition on messages: an excluded domain of the mailbox covers a participant who is not internal (line 7).

    Where a message names more people than are read, one of them may be: then any excluded domain counts.
    """
    excluded = covering(ExcludedDomain.objects.filter(policy__mailbox=OuterRef("message__mailbox")), "domain")
    known = Participant.objects.filter(Exists(excluded), message=OuterRef("pk")).exclude(
        is_internal("message__owner__organization", "address", "domain")
    )
    any_excluded = Exists(ExcludedDomain.objects.filter(policy__mailbox=OuterRef("mailbox")))
    return Q(Exists(known)) | Q(has_all_participants=False) & Q(any_excluded)


def _shares_a_correspondent() -> Exists:
    """Condition on messages: the owner has ticked one of the correspondent customers (line 9)."""
    return has_correspondent(
        customer__in=SharedRecord.objects.filter(owner=OuterRef("message__owner")).values("customer")
    )


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
        mode=policy.mode if policy else None,
        has_correspondent=bool(customers),
        excluded_participant=bool(excluded and not message.has_all_participants)
        or any(domain_covers(domain, participant.domain) for participant in outside for domain in excluded),
        shares_a_correspondent=SharedRecord.objects.filter(owner=owner, customer__in=customers).exists(),
    )


def explain(viewer: User, message: Message) -> Verdict:
    """Whether `viewer` may see `message`, and by which line of the rule (R26)."""
    return decide(facts_about(viewer, message))


def viewers_of(message: Message) -> list[User]:
    """The colleagues who may see `message` now, its owner left out. The rule is the same for all of them."""
    colleagues = User.objects.for_organization(message.owner.organization).filter(is_active=True)
    others = list(colleagues.exclude(pk=message.owner_id))
    return others if others and explain(others[0], message).visible else []
