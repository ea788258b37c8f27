"""One try to deliver one message: to colleagues here, to everybody else through its mailbox's outgoing server (R36)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from contextlib import ExitStack

from django.conf import settings
from django.db import transaction

from accounts.credentials import SecretUnreadable
from accounts.hosts import DOUBTFUL, connection_to
from accounts.leases import LeaseLost
from accounts.models import Mailbox
from accounts.servers import Endpoint, ServerError
from mail import blobs, delivering
from mail.threads import hold
from sender import scheduling
from sender.models import Outgoing, Recipient
from sender.smtp import PERMANENT, Answers, InDoubt, SmtpError, SmtpSession

log = logging.getLogger(__name__)

#: No try takes longer than this, however slow a server is.
DEADLINE = 900.0
#: So long a message waits that finds all connections to its server taken.
_NO_CONNECTION_SECONDS = 5.0
#: What whoever sends can do about an error.
_NEXT_STEPS = dict.fromkeys(
    ("password_rejected", "app_password_needed"),
    " Save the right password under Settings › Mail › Send Mail As, then try again.",
)
#: What no later try can change of a server that can't be reached.
_NEVER_REACHED = frozenset({"host_invalid", "address_not_allowed", "port_not_allowed"})


def deliver(pk: int) -> None:
    """Try a message that is due; nothing happens if it isn't any more, or another worker has it.

    It waits while this worker has as many connections to the server as it may have, so that slow servers never hold all
    threads (R17).
    """
    claimed = scheduling.claim(pk)
    if claimed is None:
        return
    mailbox = claimed.message.mailbox
    with ExitStack() as held:
        is_free = claimed.attempts == 1 or held.enter_context(connection_to(DOUBTFUL, patience=0))
        if not is_free or not held.enter_context(connection_to(mailbox.outgoing_host)):
            scheduling.postpone(claimed, _NO_CONNECTION_SECONDS)
            return
        try:
            with scheduling.kept(claimed):
                _try(claimed, mailbox)
        except LeaseLost as error:
            log.info("%s", error)


def _try(claimed: Outgoing, mailbox: Mailbox) -> None:
    raw = blobs.read(claimed.message)
    refused_here = _deliver_here(claimed, mailbox, raw)
    left = claimed.recipients.filter(state=Recipient.State.OPEN).exclude(address__in=refused_here)
    addresses = list(left.values_list("address", flat=True))
    answers = Answers()
    words = ""
    try:
        if addresses:
            answers = _submit(claimed, mailbox, addresses, raw)
    except InDoubt:
        scheduling.in_doubt(claimed)
        return
    except (SmtpError, ServerError) as error:
        words = error.sentence + _NEXT_STEPS.get(error.kind, "")
        is_final = error.kind in (PERMANENT if isinstance(error, SmtpError) else _NEVER_REACHED)
        said = dict.fromkeys(addresses, words)
        answers = Answers(refused=said) if is_final else Answers(deferred=said)
    except SecretUnreadable:
        words = "The saved password of the outgoing server can't be read any more. Enter it again."
        answers = Answers(refused=dict.fromkeys(addresses, words))
    scheduling.finish(
        claimed,
        taken=answers.taken,
        refused=answers.refused | refused_here,
        deferred=answers.deferred,
        words=words,
    )


def _deliver_here(claimed: Outgoing, mailbox: Mailbox, raw: bytes) -> dict[str, str]:
    """Put the message into the accounts of colleagues that it is for; whom that was refused, and why.

    Each is noted in the transaction that files it: nobody gets it twice, whenever a worker dies.
    """
    refused = {}
    people = claimed.recipients.filter(state=Recipient.State.OPEN)
    organization = mailbox.owner.organization
    for address in delivering.local_recipients(organization, people.values_list("address", flat=True)):
        try:
            with transaction.atomic():
                hold(delivering.account_of(address).user_id)
                scheduling.renew(claimed)
                delivering.deliver(raw, address, sender=mailbox.email_address)
                claimed.recipients.filter(address=address).update(state=Recipient.State.ACCEPTED)
        except delivering.NotDeliverable as error:
            refused[address] = str(error)
    return refused


def _submit(claimed: Outgoing, mailbox: Mailbox, addresses: Collection[str], raw: bytes) -> Answers:
    """Hand the message to the outgoing server; its words never hold the password."""
    if mailbox.removed_at is not None:
        raise SmtpError("account_removed")
    endpoint = Endpoint(mailbox.outgoing_host, mailbox.outgoing_port, mailbox.outgoing_security)
    password = mailbox.outgoing_password.reveal()
    try:
        with SmtpSession.open(endpoint, seconds=DEADLINE, patience=settings.SENDING_TIMEOUT) as session:
            if mailbox.outgoing_username:
                session.login(mailbox.outgoing_username, password)
            answers = session.submit(
                mailbox.email_address,
                addresses,
                raw,
                before_end=lambda taken: scheduling.hand_over(claimed, taken),
            )
    except SmtpError as error:
        if password and password in error.sentence:
            raise SmtpError(error.kind) from None
        raise
    return Answers(answers.taken, _without(answers.refused, password), _without(answers.deferred, password))


def _without(answers: Mapping[str, str], password: str) -> dict[str, str]:
    return {address: "" if password and password in said else said for address, said in answers.items()}
