"""All customers' mail in a single place: what comes from leads and contacts goes into a folder or gets a label (R33).

It is mail *received* whose sender is a correspondent customer (sharing.md) at the time; what the owner wrote stays in
Sent. On arrival that happens in the transaction that files it. On request it happens to mail that was there before, a
batch at a time; then only what is still in the Inbox moves, and nothing that was deleted gets a label.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox
from mail.accounts import has_mail_account
from mail.arranging import add_folder, add_label
from mail.cursors import Place
from mail.matching import effective
from mail.models import Consolidation, Correspondence, Folder, Label, Labelling, MailAccount, Message, MessageQuerySet

State = Consolidation.State
NAME_LENGTH = 100
_COLOUR = "#3150b8"
#: So many messages are looked at in one transaction.
BATCH = 500


def consolidation_of(mailbox: Mailbox) -> Consolidation | None:
    """Where the mail of a mailbox's customers is put together, None if it isn't."""
    return Consolidation.objects.select_related("folder", "label").filter(mailbox=mailbox).first()


def consolidate(mailbox: Mailbox, *, kind: str, name: str) -> Consolidation:
    """Put mail from customers into a `folder`, or give it a `label`, of the owner's from now on; made if it is new.

    Another place than before ends what is going on with mail that was there.

    Raises:
        NotPossible: the owner has no CRM Mail account, or no folder or label can have that name.
    """
    if not has_mail_account(mailbox.owner):
        raise NotPossible("Set up the CRM Mail account first: its folders and labels are where mail is put.")
    with transaction.atomic():
        find = _folder if kind == "folder" else _label
        place = {"folder": None, "label": None} | {kind: find(mailbox.owner.mail_account, _checked(name))}
        made, is_new = Consolidation.objects.get_or_create(mailbox=mailbox, defaults=place)
        if not is_new and (made.folder, made.label) != (place["folder"], place["label"]):
            fresh = {"state": State.NOT_ASKED, "place": "", "looked_at": 0, "total": 0, "put": 0}
            for field, value in (place | fresh).items():
                setattr(made, field, value)
            made.save()
    return made


def stop_consolidating(mailbox: Mailbox) -> None:
    """Leave new mail in the Inbox; what was put elsewhere stays there."""
    Consolidation.objects.filter(mailbox=mailbox).delete()


def put_filed(mailbox: Mailbox, messages: Iterable[Message]) -> None:
    """Put those of freshly filed messages, linked to their customers, that came from one where they belong.

    Call it in the transaction that files them. Where nothing is put together that is one query, without customers none.
    """
    received = {
        message.pk: message
        for message in messages
        if message.has_customer and message.direction == Message.Direction.RECEIVED
    }
    consolidation = consolidation_of(mailbox) if received else None
    if consolidation is None or (place := _held(consolidation)) is None:
        return
    from_customers = _from_customers(received, mailbox.owner.organization_id)
    _put(place, Message.objects.filter(pk__in=from_customers))
    if isinstance(place, Folder):
        for pk in from_customers:
            received[pk].folder = place


def put_stored(consolidation: Consolidation) -> None:
    """Have mail that is there already looked at too, from the newest on; while that is going on, nothing changes."""
    total = Message.objects.owned_by(consolidation.mailbox.owner).count()
    Consolidation.objects.filter(pk=consolidation.pk).exclude(state=State.GOING).update(
        state=State.GOING, place="", looked_at=0, total=total, put=0
    )


def cancel_stored(consolidation: Consolidation) -> None:
    """Look at no more of it. What was put elsewhere by now stays there."""
    Consolidation.objects.filter(pk=consolidation.pk, state=State.GOING).update(state=State.CANCELLED)


def going_on() -> list[Consolidation]:
    """Those whose stored mail is still to be looked at."""
    return list(Consolidation.objects.filter(state=State.GOING).order_by("pk"))


def put_further(consolidation: Consolidation) -> None:
    """Look at the next batch of stored mail, all or nothing; however many workers do so, each looks at another one."""
    with transaction.atomic():
        # First the place, then what leads to it: in this order they are deleted, too.
        place = _held(consolidation)
        kind = "folder" if isinstance(place, Folder) else "label"
        current = Consolidation.objects.select_for_update(of=("self",)).select_related("mailbox__owner")
        work = current.filter(pk=consolidation.pk, state=State.GOING, **{kind: place}).first()
        if place is None or work is None:
            return
        owner = work.mailbox.owner
        mail = Message.objects.owned_by(owner)
        looked_at = Place.read(work.place)
        if looked_at is not None:
            mail = mail.filter(looked_at.after())
        found = list(mail.newest_first().values_list("pk", "date")[:BATCH])
        eligible = Message.objects.filter(mailbox=work.mailbox, direction=Message.Direction.RECEIVED, is_draft=False)
        if isinstance(place, Folder):
            eligible = eligible.filter(folder=owner.mail_account.folders.get(kind=Folder.Kind.INBOX))
        else:
            eligible = eligible.not_discarded()
        chosen = eligible.filter(pk__in=_from_customers([pk for pk, _ in found], owner.organization_id))
        # Locked in the order in which deeds lock them, so that both wait for each other instead of failing.
        locked = list(chosen.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
        work.put = F("put") + _put(place, Message.objects.filter(pk__in=locked))
        work.looked_at = F("looked_at") + len(found)
        if found:
            work.place = str(Place(found[-1][1], found[-1][0]))
        if len(found) < BATCH:
            work.state = State.DONE
        work.save(update_fields=["put", "looked_at", "place", "state"])


def _folder(account: MailAccount, name: str) -> Folder:
    known = {folder.name.casefold(): folder for folder in account.folders.all()}
    folder = known.get(name.casefold()) or add_folder(account, name)
    if folder.kind != Folder.Kind.CUSTOM:
        raise NotPossible(f"{folder} is one of the folders that every account has. Choose a folder of your own.")
    return folder


def _label(account: MailAccount, name: str) -> Label:
    known = {label.name.casefold(): label for label in account.labels.all()}
    return known.get(name.casefold()) or add_label(account, name, _COLOUR)


def _checked(name: str) -> str:
    name = " ".join(name.replace("\0", " ").split())
    if not 0 < len(name) <= NAME_LENGTH:
        raise NotPossible(f"Enter a name of at most {NAME_LENGTH} characters.")
    return name


def _held(consolidation: Consolidation) -> Folder | Label | None:
    """The folder or label, which nobody deletes before the transaction ends; None if somebody has."""
    folders = Folder.objects.filter(consolidations=consolidation)
    labels = Label.objects.filter(consolidations=consolidation)
    kept: QuerySet[Any] = labels if consolidation.folder_id is None else folders
    return kept.select_for_update(of=("self",), no_key=True).first()


def _from_customers(messages: Collection[int], organization: int) -> list[int]:
    """Those of received messages (ids) whose sender is a correspondent customer."""
    links = effective(Correspondence.objects.filter(message__in=messages), organization)
    return list(links.order_by().values_list("message_id", flat=True).distinct())


def _put(place: Folder | Label, messages: MessageQuerySet) -> int:
    """Move or label messages; how many were not there yet."""
    if isinstance(place, Folder):
        return messages.exclude(folder=place).update(folder=place)
    # Locked, so that nobody marks one as read meanwhile.
    unlabelled = messages.exclude(labels=place).select_for_update(of=("self",)).order_by("pk")
    new = list(unlabelled.values_list("pk", "date", "is_read"))
    labellings = [Labelling(label=place, message_id=pk, date=date, is_read=is_read) for pk, date, is_read in new]
    Labelling.objects.bulk_create(labellings, ignore_conflicts=True)
    return len(new)
