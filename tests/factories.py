"""Small worlds for tests, built through the same functions that the product uses. Every call makes something new."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.models import Mailbox, MailDomain, Organization, User
from customers import imports
from customers.changes import create_customer
from customers.models import Customer, CustomerImport
from fetcher.models import SeenUid
from mail.accounts import has_mail_account, open_mail_account
from mail.filing import Arrival, file_messages
from mail.models import Message
from sender import scheduling
from sender.composing import start_draft
from sender.models import Outgoing
from sender.sending import send
from sharing.policies import connect_mailbox, set_policy
from webhooks.models import Delivery, Webhook

PASSWORD = "correct horse battery"

_numbers = itertools.count(1)


def organization(*, domain: str = "our.example", name: str = "Our Company", time_zone: str = "UTC") -> Organization:
    """An organisation that owns one mail domain."""
    made = Organization.objects.create(name=name, time_zone=time_zone)
    MailDomain.objects.create(organization=made, domain=domain)
    return made


def user(
    *,
    organization: Organization | None = None,
    email: str | None = None,
    name: str = "",
    role: str = User.Role.MEMBER,
    is_active: bool = True,
    mail_account: bool = False,
) -> User:
    """A user who signs in with `PASSWORD`; with `mail_account`, their CRM Mail account exists."""
    number = next(_numbers)
    home = organization or globals()["organization"]()
    domain = home.mail_domains.first().domain
    made = User.objects.create_user(
        email or f"user{number}@{domain}",
        PASSWORD,
        organization=home,
        name=name or f"User {number}",
        role=role,
        is_active=is_active,
    )
    if mail_account:
        open_mail_account(made, f"mail{number}@{domain}")
    return made


def mailbox(
    *,
    owner: User | None = None,
    mode: str | None = "public",
    excluded_domains: Sequence[str] = (),
    **fields: Any,
) -> Mailbox:
    """A POP3 mailbox with a sharing mode (None: not chosen yet); the owner gets a CRM Mail account if they have none."""
    number = next(_numbers)
    holder = owner or user()
    if not has_mail_account(holder):
        open_mail_account(holder, f"mail{number}@{holder.organization.mail_domains.first().domain}")
    values = {
        "name": f"Mailbox {number}",
        "email_address": f"box{number}@{holder.organization.mail_domains.first().domain}",
        "incoming_host": "127.0.0.1",
        "incoming_port": 995,
        "incoming_username": f"box{number}",
        "incoming_password": "secret",
        "outgoing_host": "127.0.0.1",
        "use_same_credentials": True,
    } | fields
    made = connect_mailbox(
        holder,
        actor=holder,
        sharing_mode=mode or "private",
        excluded_domains=excluded_domains,
        **values,
    )
    if mode is None:
        made.policy.delete()
        made = Mailbox.objects.get(pk=made.pk)
    return made


def mailbox_on(port: int, username: str = "user", **fields: Any) -> Mailbox:
    """A mailbox that is fetched from a server on this port of this machine, unencrypted if not said otherwise."""
    connection = {"incoming_security": "none", "allow_plain_text": True}
    return mailbox(incoming_port=port, incoming_username=username, **connection | fields)


def share(mailbox: Mailbox, mode: str, excluded_domains: Sequence[str] | None = None) -> None:
    """Choose a sharing mode as the owner would."""
    set_policy(mailbox, actor=mailbox.owner, mode=mode, excluded_domains=excluded_domains)


def customer(
    *,
    organization: Organization,
    addresses: Sequence[str] = (),
    kind: str = Customer.Kind.CONTACT,
    last_name: str | None = None,
    **fields: Any,
) -> Customer:
    """A contact, or with `kind` a lead."""
    return create_customer(
        organization=organization,
        addresses=addresses,
        kind=kind,
        last_name=last_name or f"Customer {next(_numbers)}",
        **fields,
    )


def raw_message(
    *,
    sender: str | None = "bea@acme.example",
    to: Sequence[str] = ("rep@our.example",),
    cc: Sequence[str] = (),
    bcc: Sequence[str] = (),
    subject: str = "An offer",
    text: str = "Please find our offer attached.",
    html: str | None = None,
    attachments: Sequence[tuple[str, str, bytes]] = (),
    message_id: str | None = None,
    references: Sequence[str] = (),
    date: datetime | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """The bytes of a message, with CRLF line ends. `attachments` are (name, content type, bytes)."""
    made = EmailMessage()
    for header, value in {
        "From": sender or "",
        "To": ", ".join(to),
        "Cc": ", ".join(cc),
        "Bcc": ", ".join(bcc),
        "Subject": subject,
        "Date": format_datetime(date or datetime(2026, 11, 2, 9, 30, tzinfo=UTC)),
        "Message-ID": f"<{message_id or f'{next(_numbers)}@mail.example'}>",
        "In-Reply-To": f"<{references[-1]}>" if references else "",
        "References": " ".join(f"<{reference}>" for reference in references),
        **(headers or {}),
    }.items():
        if value:
            made[header] = value
    made.set_content(text)
    if html is not None:
        made.add_alternative(html, subtype="html")
    for name, content_type, data in attachments:
        maintype, _, subtype = content_type.partition("/")
        made.add_attachment(data, maintype=maintype, subtype=subtype, filename=name)
    return made.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def file_raw(mailbox: Mailbox, raw: bytes) -> Message:
    """Put the bytes of one message into a mailbox, as a fetch does."""
    message = file_messages(mailbox, [Arrival.read(raw)])[0]
    SeenUid.objects.create(
        mailbox=mailbox,
        uid=f"uid-{next(_numbers)}",
        outcome=SeenUid.Outcome.STORED,
        message=message,
    )
    return message


def message(*, mailbox: Mailbox, **fields: Any) -> Message:
    """A message in a mailbox; `fields` as for `raw_message`."""
    fields.setdefault("to", [mailbox.email_address])
    return file_raw(mailbox, raw_message(**fields))


def outgoing(mailbox: Mailbox, status: str = "draft", **fields: str) -> Outgoing:
    """A message that is written, or with another `status` was sent, from a mailbox."""
    fields = {"to": "bea@acme.example", "subject": "An offer", "text": "Hello"} | fields
    made = start_draft(mailbox.owner, mailbox=mailbox, **fields)
    if status != Outgoing.Status.DRAFT:
        send(made)
    if status not in {Outgoing.Status.DRAFT, Outgoing.Status.QUEUED}:
        Outgoing.objects.filter(pk=made.pk).update(due_at=timezone.now())
        claimed = scheduling.claim(made.pk)
        assert claimed is not None
        to = [recipient.address for recipient in claimed.recipients.all()]
        if status == Outgoing.Status.UNKNOWN:
            scheduling.hand_over(claimed, to)
            scheduling.in_doubt(claimed)
        elif status == Outgoing.Status.FAILED:
            scheduling.finish(claimed, refused=dict.fromkeys(to, "5.1.1 no such user"))
        elif status == Outgoing.Status.SENT:
            scheduling.finish(claimed, taken=to)
    return Outgoing.objects.owned_by(mailbox.owner).get(pk=made.pk)


def upload(user: User, text: str, name: str = "people.csv") -> CustomerImport:
    """A CSV file that a user has uploaded."""
    return imports.upload(user, SimpleUploadedFile(name, text.encode()))


def checked_import(user: User) -> CustomerImport:
    """An upload of one row that was checked and waits to be imported."""
    work = upload(user, f"Email\nimported.{user.pk}@acme.example\n")
    imports.check(work, work.mapping, kind="contact", updates=True)
    imports.work_on(work.pk)
    return work


def webhook(user: User, url: str = "https://crm.example/hooks", **fields: Any) -> Webhook:
    """A webhook that is told of everything, with a test on its way."""
    fields = {"events": list(Webhook.Event)} | fields
    made = Webhook.objects.create(organization=user.organization, user=user, url=url, **fields)
    Delivery.objects.create(webhook=made, event=Delivery.PING, object_id=0)
    return made
