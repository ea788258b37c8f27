"""The CRM Mail account: set up once by each user, then the home of all their mail (R4)."""

from __future__ import annotations

from django.db import transaction

from accounts.addresses import domain_of, normalize_address
from accounts.mailboxes import NotPossible, own_addresses_changed
from accounts.models import Mailbox, User
from mail.models import Folder, MailAccount

STANDARD_FOLDERS = {
    Folder.Kind.INBOX: "Inbox",
    Folder.Kind.SENT: "Sent",
    Folder.Kind.DRAFTS: "Drafts",
    Folder.Kind.TRASH: "Trash",
}


def suggested_address(user: User) -> str:
    """The address to offer: the user's own local part at the organisation's first mail domain."""
    domain = user.organization.mail_domains.order_by("id").values_list("domain", flat=True).first() or ""
    return f"{user.email.partition('@')[0]}@{domain}"


def open_mail_account(user: User, address: str, signature: str = "") -> MailAccount:
    """Make the user's CRM Mail account, with its four folders; it is listed as their first mailbox, not active (R4).

    Raises:
        NotPossible: they have one, or the address is not free at one of the organisation's mail domains.
    """
    normalized = own_domain_address(user, address)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if has_mail_account(user):
            raise NotPossible("You already have a CRM Mail account.")
        require_free(normalized)
        mailbox = Mailbox.objects.create(
            owner=user,
            kind=Mailbox.Kind.CRM_MAIL,
            name="CRM Mail",
            email_address=normalized,
            state=Mailbox.State.OK,
        )
        account = MailAccount.objects.create(user=user, mailbox=mailbox, signature=signature)
        Folder.objects.bulk_create(
            Folder(account=account, kind=kind, name=name) for kind, name in STANDARD_FOLDERS.items()
        )
        own_addresses_changed.send(sender=User, user=user)
    return account


def has_mail_account(user: User) -> bool:
    """Whether the user has set up their CRM Mail account, which every other mailbox needs (R4)."""
    return MailAccount.objects.filter(user=user).exists()


def own_domain_address(user: User, address: str) -> str:
    """`address` normalised.

    Raises:
        NotPossible: it is none, or not at one of the organisation's mail domains.
    """
    normalized = normalize_address(address)
    if normalized is None:
        raise NotPossible("Enter a valid e-mail address.")
    domains = list(user.organization.mail_domains.values_list("domain", flat=True))
    if domain_of(normalized) not in domains:
        raise NotPossible(f"The address must end in @{' or @'.join(domains)}.")
    return normalized


def require_free(address: str) -> None:
    """See that `address` can become the user's CRM Mail address; call it in the transaction that saves it.

    It may be the address of a POP3 mailbox of theirs: most people have one address.

    Raises:
        NotPossible: it is somebody's CRM Mail address.
    """
    if Mailbox.objects.filter(kind=Mailbox.Kind.CRM_MAIL, email_address=address).exists():
        raise NotPossible(f"{address} is taken. Choose another address.")
