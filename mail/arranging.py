"""The folders and labels of a CRM Mail account, and its address, as its owner arranges them (R4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import models, transaction

from accounts.addresses import normalize_address
from accounts.mailboxes import NotPossible, own_addresses_changed
from accounts.models import User
from mail.accounts import own_domain_address, require_free
from mail.boxes import Box
from mail.deeds import do
from mail.models import Deed, Folder, Label, MailAccount

MAX_FOLDERS = 200
#: Colours that are offered for labels: each stands out from a light and from a dark page at 3 : 1 (WCAG 1.4.11).
PALETTE = {
    "#6b7280": "Grey",
    "#c2413b": "Red",
    "#b45f1f": "Orange",
    "#94751a": "Yellow",
    "#3f8a3a": "Green",
    "#19857b": "Teal",
    "#2f7fc1": "Blue",
    "#7a6ad8": "Violet",
    "#b9529b": "Pink",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A folder or label as it is to be; without `pk` it is a new one. `colour` is a label's, None leaves it."""

    name: str
    pk: int | None = None
    colour: str | None = None


def arrange_folders(account: MailAccount, wanted: Sequence[Wanted]) -> None:
    """Make the user's own folders those in `wanted`: new ones are added, known ones renamed, missing ones removed.

    The four standard folders stay as they are, named or not.

    Raises:
        NotPossible: a folder is not theirs, a name is doubled, or a folder to be removed still holds mail.
    """
    with transaction.atomic():
        standard = account.folders.exclude(kind=Folder.Kind.CUSTOM)
        fixed = dict(standard.values_list("pk", "name"))
        own = [item for item in wanted if item.pk not in fixed]
        names = [*fixed.values(), *(item.name for item in own)]
        _check_names(names)
        gone = account.folders.filter(kind=Folder.Kind.CUSTOM).exclude(pk__in=[item.pk for item in own if item.pk])
        full = gone.exclude(messages=None).first()
        if full is not None:
            raise NotPossible(f"The folder “{full.name}” still holds mail. Move that first.")
        gone.delete()
        _save(account.folders.filter(kind=Folder.Kind.CUSTOM), own, Folder(account=account))


def arrange_labels(account: MailAccount, wanted: Sequence[Wanted]) -> None:
    """Make the user's labels those in `wanted`; one that is removed is taken off its messages, which stay.

    Raises:
        NotPossible: a label is not theirs, or a name is doubled.
    """
    with transaction.atomic():
        _check_names([item.name for item in wanted])
        account.labels.exclude(pk__in=[item.pk for item in wanted if item.pk]).delete()
        _save(Label.objects.filter(account=account), wanted, Label(account=account))


def add_folder(account: MailAccount, name: str) -> Folder:
    """Add a folder.

    Raises:
        NotPossible: there is one of that name, or there are too many.
    """
    with transaction.atomic():
        _lock(account)
        _check_names([*account.folders.values_list("name", flat=True), name])
        return account.folders.create(name=name)


def rename_folder(folder: Folder, name: str) -> None:
    """Give a folder of the user's own another name.

    Raises:
        NotPossible: there is another one of that name, or it is one of the four that every account has.
    """
    with transaction.atomic():
        _lock(folder.account)
        _require_custom(folder)
        others = folder.account.folders.exclude(pk=folder.pk)
        _check_names([*others.values_list("name", flat=True), name])
        folder.name = name
        folder.save(update_fields=["name"])


def remove_folder(folder: Folder, into: Folder) -> Deed:
    """Take a folder away; its mail goes into another one of the account. With very much mail workers finish it.

    Customers' mail that was put together there stays in the Inbox from now on (R33).

    Raises:
        NotPossible: it is one of the four that every account has, or `into` is no place for its mail.
    """
    _require_custom(folder)
    if into.account_id != folder.account_id or into.pk == folder.pk:
        raise NotPossible("Choose another folder for the mail.")
    with transaction.atomic():
        folder.consolidations.all().delete()
        return do(Deed.Kind.REMOVE, Box(folder.account.user, folder), None, folder=into)


def add_label(account: MailAccount, name: str, colour: str) -> Label:
    """Add a label.

    Raises:
        NotPossible: there is one of that name, or there are too many.
    """
    with transaction.atomic():
        _lock(account)
        _check_names([*account.labels.values_list("name", flat=True), name])
        return account.labels.create(name=name, colour=colour)


def change_label(label: Label, name: str, colour: str) -> None:
    """Give a label another name and colour.

    Raises:
        NotPossible: there is another one of that name.
    """
    with transaction.atomic():
        _lock(label.account)
        others = label.account.labels.exclude(pk=label.pk)
        _check_names([*others.values_list("name", flat=True), name])
        label.name, label.colour = name, colour
        label.save(update_fields=["name", "colour"])


def remove_label(label: Label) -> None:
    """Take a label off all its messages, which stay, and away."""
    label.delete()


def change_address(account: MailAccount, address: str) -> None:
    """Give the account another address at one of the organisation's mail domains.

    Raises:
        NotPossible: the address is not free there.
    """
    user = account.user
    if normalize_address(address) == account.mailbox.email_address:
        return
    normalized = own_domain_address(user, address)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        require_free(normalized)
        account.mailbox.email_address = normalized
        account.mailbox.save(update_fields=["email_address"])
        own_addresses_changed.send(sender=User, user=user)


def change_signature(account: MailAccount, signature: str) -> None:
    """Save what is put under messages that the user writes."""
    account.signature = signature
    account.save(update_fields=["signature"])


def _lock(account: MailAccount) -> None:
    """Until the transaction ends nobody else arranges this account."""
    MailAccount.objects.select_for_update().get(pk=account.pk)


def _require_custom(folder: Folder) -> None:
    if folder.kind != Folder.Kind.CUSTOM:
        raise NotPossible(f"Every account has {folder.name}; it stays as it is.")


def _check_names(names: Sequence[str]) -> None:
    if len(names) > MAX_FOLDERS:
        raise NotPossible(f"There can be at most {MAX_FOLDERS}.")
    folded = [name.casefold() for name in names]
    doubled = next((name for number, name in enumerate(names) if folded[number] in folded[:number]), None)
    if doubled is not None:
        raise NotPossible(f"There can be only one “{doubled}”.")


def _save(
    known: models.QuerySet[Folder] | models.QuerySet[Label],
    wanted: Sequence[Wanted],
    blank: Folder | Label,
) -> None:
    """Rename the `known` rows that are wanted and add the others as copies of `blank`.

    Rows first get names that no person gives, so that two can swap theirs under the constraint on names.
    """
    rows = {row.pk: row for row in known}
    if any(item.pk is not None and item.pk not in rows for item in wanted):
        raise NotPossible("One of them is not in this account.")
    for pk, row in rows.items():
        row.name = f"\x1f{pk}"
        row.save(update_fields=["name"])
    for item in wanted:
        row = rows[item.pk] if item.pk is not None else type(blank)(account=blank.account)
        row.name = item.name
        if item.colour is not None and isinstance(row, Label):
            row.colour = item.colour
        row.save()
