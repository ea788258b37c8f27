"""Writing: drafts, replies and forwards; each deed one function with its transaction inside (R24, R35).

Whoever calls these with a message has it from `sharing.visibility.visible_to`; a draft is of the user who writes it
(`Outgoing.objects.owned_by`). Files in drafts are `sender.files`', sending is `sender.sending`'s business.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from enum import StrEnum
from html import escape
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.addresses import domain_of
from accounts.mailboxes import NotPossible
from accounts.models import Mailbox, MailboxQuerySet, User
from mail import drafts
from mail.accounts import has_mail_account
from mail.deeds import delete_message, move_message
from mail.filing import Arrival, storable
from mail.indexing import words_of
from mail.models import Folder, MailAccount, Message, Participant
from mail.parsing import MAX_HTML_CHARS, MAX_TEXT_CHARS, ParsedMessage, ParsedParticipant
from mail.rendering import TooLarge, clean_written
from mail.threads import hold
from sender import quoting
from sender.addressing import Person, header_text, read_people, typed
from sender.building import File
from sender.files import keep, read_file, require_draft
from sender.models import Outgoing
from sender.plain_text import plain_text

MAX_SUBJECT_CHARS = 900
MAX_TYPED_CHARS = 100_000
#: A draft in which nobody wrote anything is thrown away after so long.
UNTOUCHED = timedelta(days=1)

_TYPED = ("to", "cc", "bcc")
_EMPTY_LINE = "<div><br></div>"


class DraftChanged(NotPossible):
    """The draft was saved elsewhere since the caller last saw it; `draft` is how it stands now. Nothing was overwritten."""

    def __init__(self, draft: Outgoing) -> None:
        self.draft = draft
        super().__init__("This draft was changed in another window. Reload it to go on with what is there.")


class NothingToSendFrom(NotPossible):
    """There is no mailbox to send from; `missing` is what there has to be first."""

    class Missing(StrEnum):
        """What may be missing, in the order in which it is needed."""

        ACCOUNT = "account"
        SERVER = "server"
        ACTIVE = "active"

    def __init__(self, missing: Missing, sentence: str) -> None:
        self.missing = missing
        super().__init__(sentence)


def identities(user: User) -> MailboxQuerySet:
    """*Send Mail As*: the user's own mailboxes that have an outgoing server. Nobody ever sends as anybody else."""
    return Mailbox.objects.owned_by(user).connected().exclude(outgoing_host="")


def sending_mailbox(user: User) -> Mailbox:
    """The mailbox that mail is sent from if nothing else is said: the active one (R5).

    Raises:
        NothingToSendFrom: there is none; the text says what to do.
    """
    missing = NothingToSendFrom.Missing
    if not has_mail_account(user):
        raise NothingToSendFrom(
            missing.ACCOUNT, "Set up your CRM Mail account first: it keeps what you write and send."
        )
    active = Mailbox.objects.owned_by(user).connected().filter(is_active=True).first()
    if active is not None and active.outgoing_host:
        return active
    if active is not None:
        raise NothingToSendFrom(
            missing.SERVER, f"{active.email_address} has no outgoing server. Enter one, or activate another mailbox."
        )
    if identities(user).exists():
        raise NothingToSendFrom(
            missing.ACTIVE, "None of your mailboxes is active. Activate the one to send from under Send Mail As."
        )
    raise NothingToSendFrom(
        missing.SERVER,
        "Add the POP3 account that you write from, or enter an outgoing server for your CRM Mail account.",
    )


def start_draft(user: User, *, mailbox: Mailbox | None = None, **fields: str) -> Outgoing:
    """A new draft, from `mailbox` or else the active one, with the user's signature unless a text or HTML is given.

    `fields` are those of `save_draft`.

    Raises:
        NotPossible: see `sending_mailbox`.
        ValidationError: see `save_draft`.
    """
    sender = mailbox or sending_mailbox(user)
    is_touched = bool(fields)
    if "text" not in fields and "html" not in fields:
        text, html = _signature(user)
        fields |= {"text": text, "html": html}
    return _start(user, sender, fields, is_touched=is_touched)


def reply_to(user: User, message: Message, *, to_all: bool = False, mailbox: Mailbox | None = None) -> Outgoing:
    """A draft that answers `message`, own or a colleague's: recipients, subject, quote and conversation filled in.

    Raises:
        NotPossible: see `sending_mailbox`.
    """
    quote = quoting.quote_for_reply(message, user)
    fields = _addressed(user, message, to_all=to_all) | _above(user, quote)
    how = Outgoing.How.REPLY_ALL if to_all else Outgoing.How.REPLY
    return _start(user, mailbox or sending_mailbox(user), fields, quote.files, how=how, **_answering(message))


def answer_with(
    user: User, message: Message, *, to_all: bool = False, mailbox: Mailbox | None = None, **fields: str
) -> Outgoing:
    """As `reply_to`, but with what `fields` say, and nothing quoted: for programs, which write all of it themselves.

    Raises:
        NotPossible: see `sending_mailbox`.
        ValidationError: see `save_draft`.
    """
    fields = _addressed(user, message, to_all=to_all) | fields
    how = Outgoing.How.REPLY_ALL if to_all else Outgoing.How.REPLY
    return _start(user, mailbox or sending_mailbox(user), fields, how=how, is_touched=True, **_answering(message))


def forward(user: User, message: Message, *, mailbox: Mailbox | None = None) -> Outgoing:
    """A draft that hands `message`, own or a colleague's, on to somebody, with its attachments.

    Raises:
        NotPossible: see `sending_mailbox`.
        ValidationError: of `attachments`: they are more than what can be sent.
    """
    sender = mailbox or sending_mailbox(user)
    fields = {"subject": quoting.forward_subject(message.subject)}
    fields |= _above(user, quote := quoting.quote_for_forward(message, user))
    return _start(user, sender, fields, quote.files, how=Outgoing.How.FORWARD, **_answering(message))


def forward_with(
    user: User, message: Message, *, mailbox: Mailbox | None = None, text: str = "", html: str = "", **fields: str
) -> Outgoing:
    """As `forward`, but with what `fields` say, `text` or `html` above what is forwarded, and no signature: for programs.

    Raises:
        NotPossible: see `sending_mailbox`.
        ValidationError: see `save_draft`, and `forward`.
    """
    quote = quoting.quote_for_forward(message, user)
    above = html or (f"<div>{_as_html(text)}</div>" if text else "")
    content = {"html": f"{above}{_EMPTY_LINE if above else ''}{quote.html}"}
    if text or not html:
        content["text"] = f"{text}\n\n{quote.text}".lstrip("\n")
    fields = {"subject": quoting.forward_subject(message.subject)} | fields | content
    more = {"how": Outgoing.How.FORWARD, "is_touched": True, **_answering(message)}
    return _start(user, mailbox or sending_mailbox(user), fields, quote.files, **more)


def save_draft(draft: Outgoing, revision: int, *, mailbox: Mailbox | None = None, **fields: str) -> Outgoing:
    """Save what was typed; a field that is left out stays as it is. Returns the draft with its new `revision`.

    `fields`: `to`, `cc`, `bcc` (as typed; whether they are addresses is asked on sending), `subject`, `text`, `html`.
    Text alone makes a plain message; HTML alone is the message, and its text is made from it. `mailbox` is the one to send
    from. `revision` is the one that the caller's state is based on: an older one never overwrites a newer one, and the
    same save twice, because its answer was lost, is one save.

    Raises:
        DraftChanged: it was saved elsewhere in the meantime.
        NotPossible: it is no draft any more.
        ValidationError: a field is too long, or the mailbox is not the user's; by field.
    """
    changed = _checked(draft, mailbox, fields)
    with transaction.atomic():
        hold(draft.message.owner_id)
        saved = Outgoing.objects.filter(pk=draft.pk, status=Outgoing.Status.DRAFT, revision=revision).update(
            revision=F("revision") + 1,
            is_touched=True,
            **{name: value for name, value in changed.items() if name != "subject"},
        )
        current = Outgoing.objects.owned_by(draft.message.owner).get(pk=draft.pk)
        if not saved:
            require_draft(current)
            if current.revision == revision + 1 and _is_same(current, mailbox, changed):
                return current
            raise DraftChanged(current)
        refile(current, mailbox or current.message.mailbox, changed.get("subject", current.message.subject))
    return current


def save_as_new(draft: Outgoing, *, mailbox: Mailbox | None = None, **fields: str) -> Outgoing:
    """What was typed in a draft that was changed or sent elsewhere meanwhile, as a draft of its own, with the files.

    What is kept private in the one is in the other.

    Raises:
        ValidationError: see `save_draft`.
    """
    kept = tuple(
        File(file.name, file.content_type, file.content_id, file.is_inline, read_file(file))
        for file in draft.files.all()
    )
    more = {"how": draft.how, "answers": draft.answers, "references": draft.references}
    with transaction.atomic():
        made = _start(draft.message.owner, mailbox or draft.message.mailbox, fields, kept, is_touched=True, **more)
        made.message.is_private = draft.message.is_kept_private
        made.message.save(update_fields=["is_private"])
    return made


def refile(draft: Outgoing, mailbox: Mailbox, subject: str) -> None:
    """Have the message of a draft, in Drafts, say what the draft says. Callers hold the threads of its owner."""
    arrival = _arrival(draft, mailbox, subject)
    has_attachments = draft.files.filter(is_inline=False).exists()
    drafts.rewrite(draft.message, mailbox, arrival, Folder.Kind.DRAFTS, has_attachments=has_attachments)


def discard(draft: Outgoing) -> bool:
    """Move a draft, or what could not be sent, to Trash, where `restore` finds it; True if it is gone for good.

    That is a draft in which nobody has written, or one that was in Trash already.

    Raises:
        NotPossible: it is being sent, or was.
    """
    with transaction.atomic():
        hold(draft.message.owner_id)
        locked = Outgoing.objects.select_for_update().get(pk=draft.pk)
        if locked.status not in {Outgoing.Status.DRAFT, Outgoing.Status.FAILED}:
            raise NotPossible("This message is being sent or was sent; it is no draft that can be discarded.")
        if not locked.is_touched:
            drafts.throw_away(Message.objects.filter(pk=draft.pk))
            return True
        return delete_message(draft.message)


def restore(draft: Outgoing) -> None:
    """Bring a discarded draft back to where it was."""
    kind = Folder.Kind.DRAFTS if draft.status == Outgoing.Status.DRAFT else Folder.Kind.SENT
    move_message(draft.message, Folder.objects.get(account__user=draft.message.owner_id, kind=kind))


def throw_away_untouched() -> int:
    """Delete drafts that were opened long ago and in which nobody ever wrote; how many they were."""
    old = Outgoing.objects.filter(
        status=Outgoing.Status.DRAFT, is_touched=False, message__filed_at__lt=timezone.now() - UNTOUCHED
    )
    return drafts.throw_away(Message.objects.filter(outgoing__in=old))


def _above(user: User, quote: quoting.Quote) -> dict[str, str]:
    """Room to write in and the signature, above what is quoted."""
    text, html = _signature(user)
    return {"text": f"{text or chr(10)}\n{quote.text}", "html": f"{html or _EMPTY_LINE}{_EMPTY_LINE}{quote.html}"}


def _addressed(user: User, message: Message, *, to_all: bool) -> dict[str, str]:
    to, cc = quoting.reply_recipients(user, message, to_all=to_all)
    return {"to": typed(to), "cc": typed(cc), "subject": quoting.reply_subject(message.subject)}


def _answering(message: Message) -> dict[str, Any]:
    return {"answers": message, "references": quoting.conversation_of(message)}


def _start(user: User, mailbox: Mailbox, fields: dict[str, str], files: tuple[File, ...] = (), **more: Any) -> Outgoing:
    _require_own(user, mailbox)
    draft = Outgoing(**more)
    images = {file.content_id: file.content_id for file in files if file.is_inline}
    content = _content(fields, images)
    subject = content.pop("subject", "")
    for name, value in content.items():
        setattr(draft, name, value)
    with transaction.atomic():
        draft.message = drafts.open_draft(mailbox, _arrival(draft, mailbox, subject))
        draft.save()
        keep(draft, files)
    return Outgoing.objects.owned_by(user).get(pk=draft.pk)


def _arrival(draft: Outgoing, mailbox: Mailbox, subject: str) -> Arrival:
    """A draft as far as it can be filed: whom it names so far, and its text."""
    people = {Participant.Role.FROM.value: [sender_of(mailbox)]}
    people |= {field: read_people(getattr(draft, field))[0] for field in _TYPED}
    parsed = ParsedMessage(
        references=tuple(draft.references),
        subject=subject,
        date=timezone.now(),
        participants=tuple(
            ParsedParticipant(role, one.name, one.address, domain_of(one.address))
            for role, found in people.items()
            for one in found
        ),
        text=draft.text,
        snippet=" ".join(draft.text.split()),
        fingerprint=uuid.uuid4().hex,
    )
    return Arrival(parsed, words_of(parsed), (), "", len(draft.text) + len(draft.html))


def sender_of(mailbox: Mailbox) -> Person:
    """Who a message from `mailbox` is from: its owner by name, at its address."""
    return Person(header_text(mailbox.owner.name), mailbox.email_address)


def _checked(draft: Outgoing, mailbox: Mailbox | None, fields: dict[str, str]) -> dict[str, str]:
    if mailbox is not None:
        _require_own(draft.message.owner, mailbox)
    ids = draft.files.filter(is_inline=True).values_list("content_id", flat=True) if fields.get("html") else ()
    return _content(fields, {one: one for one in ids})


def _content(fields: dict[str, str], images: dict[str, str]) -> dict[str, str]:
    """The fields as they are stored; HTML sanitised, text and HTML in step.

    Raises:
        ValidationError: by field.
    """
    limits = dict.fromkeys(_TYPED, MAX_TYPED_CHARS)
    limits |= {"subject": MAX_SUBJECT_CHARS, "text": MAX_TEXT_CHARS, "html": MAX_HTML_CHARS}
    too_long = [name for name, value in fields.items() if len(value) > limits[name]]
    if too_long:
        raise ValidationError({name: [f"At most {limits[name]:,} characters fit here."] for name in too_long})
    content = {name: storable(value) for name, value in fields.items()}
    if "subject" in content:
        content["subject"] = header_text(content["subject"])
    if content.get("html", "").strip():
        try:
            content["html"], _ = clean_written(content["html"], images, remote_images=True)
        except TooLarge:
            raise ValidationError(
                {"html": ["The formatting is too much for a message. Paste it as plain text."]}
            ) from None
        content.setdefault("text", plain_text(content["html"]))
    elif "text" in content or "html" in content:
        content["html"] = ""
    return content


def _is_same(current: Outgoing, mailbox: Mailbox | None, changed: dict[str, str]) -> bool:
    message = current.message
    same_mailbox = mailbox is None or mailbox.pk == message.mailbox_id
    return same_mailbox and all(
        getattr(message if name == "subject" else current, name) == value for name, value in changed.items()
    )


def _require_own(user: User, mailbox: Mailbox) -> None:
    if not identities(user).filter(pk=mailbox.pk).exists():
        raise ValidationError({"mailbox": ["You can send only from your own mailboxes that have an outgoing server."]})


def _signature(user: User) -> tuple[str, str]:
    """The user's signature, apart from a line to write in, as text and as HTML; two empty texts if they have none."""
    account = MailAccount.objects.filter(user=user).first()
    signature = account.signature.strip() if account else ""
    if not signature:
        return "", ""
    return f"\n\n-- \n{signature}\n", f"{_EMPTY_LINE}{_EMPTY_LINE}<div>-- <br>{_as_html(signature)}</div>"


def _as_html(text: str) -> str:
    return escape(text).replace("\n", "<br>")
