"""Where one can go."""

from __future__ import annotations

from django.urls import reverse

from accounts.models import Mailbox
from customers.models import Customer
from mail.models import Message
from sender.composing import start_draft
from tests import factories


def places(mailbox: Mailbox, customer: Customer, message: Message) -> list[str]:
    """The addresses of the pages that an administrator with an account, a contact and a message of it can open."""
    return [
        *(
            reverse(name)
            for name in ("home", "answers", "notifications", "mail", "mail-starred", "mail-arrange", "shared", "help")
        ),
        *(reverse("search", query=query) for query in ({}, {"q": "offer", "order": "best"}, {"q": "offer is:blue"})),
        *(reverse(name) for name in ("email-settings", "mail-account", "mailbox-add", "mail-accounts", "send-mail-as")),
        *(
            reverse(name)
            for name in (
                "mailboxes",
                "users",
                "sharing-overview",
                "audit-log",
                "webhooks",
                "organization",
                "organization-retention",
            )
        ),
        factories.webhook(mailbox.owner).get_absolute_url(),
        *(reverse(name) for name in ("record-changes", "imports", "image-senders")),
        factories.upload(mailbox.owner, "Name,Email\nBea,bea@acme.example\n").get_absolute_url(),
        factories.checked_import(mailbox.owner).get_absolute_url(),
        *(reverse(name, args=["contacts"]) for name in ("customer-list", "customer-add")),
        *(reverse(name, args=["contacts", customer.pk]) for name in ("customer", "customer-edit", "customer-merge")),
        *(
            reverse(name, args=[mailbox.pk])
            for name in ("mailbox", "mailbox-edit", "mailbox-sharing", "mailbox-remove")
        ),
        *(reverse(name, args=[mailbox.pk]) for name in ("password-incoming", "password-outgoing")),
        reverse("outgoing-server", args=[mailbox.owner.mail_account.mailbox_id]),
        reverse("draft", args=[start_draft(mailbox.owner, mailbox=mailbox, subject="An offer").pk]),
        *(
            reverse(name, args=[message.pk])
            for name in ("message", "message-source", "message-sharing", "message-openings")
        ),
    ]
