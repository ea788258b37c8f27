"""The addresses of the API, under `/api/v1/`."""

from django.urls import path, re_path

from api import (
    customers,
    docs,
    errors,
    mail_account,
    mailbox_sharing,
    mailboxes,
    messages,
    sending,
    sharing_rules,
    tokens,
    users,
)
from customers.models import Customer

urlpatterns = [
    path("schema/", docs.SchemaView.as_view(), name="schema"),
    path("docs/", docs.DocsView.as_view(), name="api-docs"),
    path("auth/token/", tokens.TokenView.as_view()),
    path("users/", users.Users.as_view()),
    path("users/<int:pk>/", users.UserDetail.as_view()),
    path("sharing-rules/", sharing_rules.SharingRules.as_view()),
    path("sharing-rules/<int:pk>/", sharing_rules.SharingRuleDetail.as_view()),
    path("mail-account/", mail_account.MailAccountView.as_view()),
    path("mailboxes/", mailboxes.Mailboxes.as_view()),
    path("mailboxes/test/", mailboxes.MailboxTestUnsaved.as_view()),
    path("mailboxes/<int:pk>/test/", mailboxes.MailboxTest.as_view()),
    path("mailboxes/<int:pk>/", mailboxes.MailboxDetail.as_view()),
    path("mailboxes/<int:pk>/incoming-password/", mailboxes.MailboxIncomingPassword.as_view()),
    path("mailboxes/<int:pk>/outgoing-password/", mailboxes.MailboxOutgoingPassword.as_view()),
    path("mailboxes/<int:pk>/activate/", mailboxes.MailboxActivation.as_view()),
    path("mailboxes/<int:pk>/fetch/", mailboxes.MailboxFetch.as_view()),
    path("mailboxes/<int:pk>/runs/", mailboxes.MailboxRuns.as_view()),
    path("mailboxes/<int:pk>/sharing/", mailbox_sharing.MailboxSharing.as_view()),
    path("mailboxes/<int:pk>/sharing/preview/", mailbox_sharing.MailboxSharingPreview.as_view()),
    *(
        pattern
        for prefix, kind in (("leads", Customer.Kind.LEAD), ("contacts", Customer.Kind.CONTACT))
        for pattern in (
            path(f"{prefix}/", customers.Customers.as_view(kind=kind)),
            path(f"{prefix}/bulk/", customers.CustomersBulk.as_view(kind=kind)),
            path(f"{prefix}/external/<str:external_id>/", customers.CustomerByExternalId.as_view(kind=kind)),
            path(f"{prefix}/<int:pk>/", customers.CustomerDetail.as_view(kind=kind)),
            path(f"{prefix}/<int:pk>/merge/", customers.CustomerMerge.as_view(kind=kind)),
            path(f"{prefix}/<int:pk>/emails/", customers.CustomerEmails.as_view(kind=kind)),
            path(f"{prefix}/<int:pk>/share-emails/", customers.CustomerShareEmails.as_view(kind=kind)),
        )
    ),
    path("leads/<int:pk>/convert/", customers.LeadConversion.as_view(kind=Customer.Kind.LEAD)),
    path("messages/", sending.WritableMessages.as_view()),
    path("messages/<int:pk>/", sending.WritableMessage.as_view()),
    path("messages/<int:pk>/reply/", sending.MessageReply.as_view()),
    path("messages/<int:pk>/forward/", sending.MessageForward.as_view()),
    path("messages/<int:draft>/send/", sending.MessageSend.as_view()),
    path("messages/<int:queued>/take-back/", sending.MessageTakeBack.as_view()),
    path("messages/<int:refused>/try-again/", sending.MessageTryAgain.as_view()),
    path("messages/<int:doubtful>/settle/", sending.MessageSettle.as_view()),
    path("messages/<int:draft>/files/<int:file>/", sending.DraftFileDetail.as_view()),
    path("sending-limit/", sending.SendingLimit.as_view()),
    path("messages/<int:pk>/raw/", messages.MessageRaw.as_view()),
    path("messages/<int:pk>/attachments/<int:attachment>/", messages.MessageAttachment.as_view()),
    path("messages/<int:pk>/visibility/", messages.MessageVisibility.as_view()),
    path("messages/<int:pk>/openings/", messages.MessageOpenings.as_view()),
    path("threads/<int:pk>/", messages.ThreadDetail.as_view()),
    # Only with a slash at the end: without one, Django first offers the address that has it.
    re_path(r"^.*/$", errors.no_such_address),
]
