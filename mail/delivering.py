"""Delivering: a message reaches a CRM Mail account without being fetched, from a mail server or from a colleague (R4).

Here is where mail ends its way, in the words of RFC 5321 section 4.4 the *final delivery*: above the bytes as they came
stand Return-Path, which says where they came from, and Delivered-To. Each copy names its own receiver alone, so that
nobody learns of a Bcc. Everything else is filing like any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from accounts.addresses import normalize_address
from accounts.models import Mailbox, Organization
from mail import mime
from mail.filing import Arrival, file_messages
from mail.models import Folder, MailAccount, Message, Receipt

#: No mail server tries longer than that to deliver a message; Postfix and Sendmail give up after 5 days.
_RECEIPT_LIFE = timedelta(days=7)


class NotDeliverable(Exception):
    """Nothing was filed: `kind` for programs, `str()` a sentence for the sender.

    `unknown`: no CRM Mail account has the address; `deactivated`: its user is (R2); `too_large`: see
    `CRM_MAIL_MAX_MESSAGE_BYTES`.
    """

    def __init__(self, kind: str, sentence: str) -> None:
        self.kind = kind
        super().__init__(sentence)


def account_of(address: str) -> MailAccount:
    """The CRM Mail account that mail to `address` is delivered to.

    Raises:
        NotDeliverable: unknown, deactivated.
    """
    connected = Mailbox.objects.connected().filter(kind=Mailbox.Kind.CRM_MAIL)
    mailbox = connected.filter(email_address=normalize_address(address) or "")
    account = MailAccount.objects.select_related("mailbox__owner__organization").filter(mailbox__in=mailbox).first()
    if account is None:
        raise NotDeliverable("unknown", "Nobody here has this address.")
    if not account.mailbox.owner.is_active:
        raise NotDeliverable("deactivated", "This account takes no mail any more.")
    return account


def local_recipients(organization: Organization, addresses: Iterable[str]) -> list[str]:
    """Those of `addresses` whose mail is delivered here instead of being sent to a server, spelled as they were given.

    They are the addresses of CRM Mail accounts, not removed, of the organisation's active users, if it has chosen that
    (`Organization.delivers_locally`); else none.
    """
    if not organization.delivers_locally:
        return []
    normalized = {address: normalize_address(address) for address in addresses}
    here = set(
        Mailbox.objects.for_organization(organization)
        .connected()
        .filter(
            kind=Mailbox.Kind.CRM_MAIL,
            owner__is_active=True,
            email_address__in=[address for address in normalized.values() if address],
        )
        .values_list("email_address", flat=True)
    )
    return [address for address, name in normalized.items() if name in here]


def deliver(raw: bytes, address: str, *, sender: str, trace: str = "") -> Message:
    """File a message into the CRM Mail account that has `address`, once a call; the message is returned.

    `raw` is what went to everybody, without Bcc; `sender` the envelope's, nothing for a report of non-delivery;
    `trace` header lines to add, such as Received. It joins the caller's transaction, so that a sender who notes in the
    same one that this recipient has it delivers exactly once. Two recipients belong in two transactions: filing locks
    the account.

    Raises:
        NotDeliverable: unknown, deactivated, too_large.
    """
    arrival = _arrival(raw, address, sender, trace)
    return _file(account_of(address), arrival)


def deliver_once(raw: bytes, address: str, *, sender: str, trace: str = "") -> Message | None:
    """As `deliver`, for a mail server that sends a message again when our answer was lost; None if it is here already.

    The same bytes from the same sender to the same account are the same message, for a week, if they bear a mark: a
    Message-ID, or the Received line in which every server that took them wrote when it did (RFC 5321 section 4.4).
    Bytes without either may have been sent twice on purpose and are filed as often as they come: better doubled than
    lost. When this returns outside a transaction, the message is committed.

    Raises:
        NotDeliverable: as `deliver`.
    """
    arrival = _arrival(raw, address, sender, trace)
    digest = hashlib.sha256(b"\0".join((_encoded(sender), raw))).hexdigest() if _is_marked(raw) else ""
    with transaction.atomic():
        account = account_of(address)
        # Sent again, it may come while the first is still being filed.
        MailAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        if digest and not Receipt.objects.get_or_create(account=account, digest=digest)[1]:
            return None
        return _file(account, arrival)


def forget_receipts() -> int:
    """Forget of old deliveries that they were; how many."""
    return Receipt.objects.filter(received_at__lt=timezone.now() - _RECEIPT_LIFE).delete()[0]


def _arrival(raw: bytes, address: str, sender: str, trace: str) -> Arrival:
    if len(raw) > settings.MAX_MESSAGE_BYTES:
        raise NotDeliverable("too_large", f"This message is larger than {filesizeformat(settings.MAX_MESSAGE_BYTES)}.")
    return Arrival.read(
        _encoded(f"Return-Path: <{sender}>\r\nDelivered-To: {normalize_address(address)}\r\n{trace}") + raw
    )


def _file(account: MailAccount, arrival: Arrival) -> Message:
    with transaction.atomic():
        [message] = file_messages(account.mailbox, [arrival])
        if message.folder.kind == Folder.Kind.SENT:
            # What people write to themselves has come; only a POP3 server lists what was sent beside what came.
            message.folder = account.folders.get(kind=Folder.Kind.INBOX)
            message.is_read = False
            message.save(update_fields=["folder", "is_read"])
    return message


def _is_marked(raw: bytes) -> bool:
    header, _ = mime.split_header(raw, 0, len(raw))
    return not mime.read_fields(raw[:header]).values.keys().isdisjoint({"message-id", "received"})


def _encoded(text: str) -> bytes:
    # An address that was no UTF-8 goes back to the bytes that came.
    return text.encode("utf-8", "surrogateescape")
