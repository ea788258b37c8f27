"""Writing mail: new, reply, forward; the draft's page, which saves itself; its files; sending and taking back (R24, R35–R37)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.timezone import localtime
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from accounts.mailboxes import NotPossible
from mail.models import Message
from portal.compose_forms import ComposeForm, html_for_editor
from portal.displaying import SANDBOX, under_policy
from portal.forms import add_errors
from portal.requests import ids_in, member, words_in
from sender import composing, files, sending
from sender.limits import allowance
from sender.models import DraftFile, Outgoing, Recipient
from sender.recipients import suggestions
from sharing.audit import record_opening
from sharing.visibility import visible_to

#: Key in the session of somebody who writes without formatting.
_PLAIN = "writes-plain-text"
_Missing = composing.NothingToSendFrom.Missing
#: Where what is missing to send can be had, the likeliest first: the name of a page, and words for a link to it.
_NEXT_STEPS = {
    _Missing.ACCOUNT: (("mail-account", "Set up my CRM Mail account"),),
    _Missing.SERVER: (("mailbox-add", "Add POP3 Account"), ("send-mail-as", "Send Mail As")),
    _Missing.ACTIVE: (("send-mail-as", "Send Mail As"),),
}
#: The tools of the editor: command, icon, words.
COMMANDS = (
    ("bold", "bold", "Bold (Ctrl+B)"),
    ("italic", "italic", "Italic (Ctrl+I)"),
    ("underline", "underline", "Underline (Ctrl+U)"),
    ("list", "list", "List"),
    ("numbers", "numbers", "Numbered list"),
    ("quote", "quote", "Quote"),
    ("link", "link", "Link"),
    ("clear", "clear-format", "Remove formatting"),
)


@login_required
@require_POST
def compose(request: HttpRequest) -> HttpResponse:
    """Begin a new message, to whom the form names if it does."""
    to = request.POST.get("to", "")[:1000]
    fields = {"to": to} if to else {}
    return _begun(request, lambda: composing.start_draft(member(request), mailbox=None, **fields))


@login_required
@require_POST
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """Begin a reply, a reply to all or a forward of a message that one may see, own or a colleague's (R24)."""
    user = member(request)
    seen = visible_to(user).select_related("owner", "mailbox", "thread", "folder", "body")
    message = get_object_or_404(seen, pk=pk, is_draft=False)
    # What is quoted is read, whether or not the message itself was opened.
    record_opening(user, message, again=False)
    how = request.POST.get("how")
    if how == "forward":
        return _begun(request, lambda: composing.forward(user, message), message)
    return _begun(request, lambda: composing.reply_to(user, message, to_all=how == "reply_all"), message)


@login_required
@require_http_methods(["GET", "POST"])
def draft(request: HttpRequest, pk: int) -> HttpResponse:
    """A draft in its editor. What is sent from here as a form is saved first, whatever is done with it."""
    found = _own(request, pk)
    form = _form(request, found)
    if request.POST.get("do") == "keep" and form.is_valid():
        return _begun(request, lambda: composing.save_as_new(found, **form.typed))
    if found.status != Outgoing.Status.DRAFT:
        return redirect("message", pk=pk)
    if request.POST.get("do") == "discard":
        return _discarded(request, found)
    if request.method == "POST" and _saves(form):
        done = _after_saving(request, form)
        if done is not None:
            return done
    context = {
        "draft": found,
        "form": form,
        "files": found.files.filter(is_inline=False),
        "heading": found.get_how_display(),
        "answered": _answered(request, found),
        "commands": COMMANDS,
        "allowance": allowance(member(request).organization),
        "saved": _saved_at() if found.is_touched else "",
    }
    return render(request, "compose/compose.html", context)


@login_required
@require_POST
def draft_save(request: HttpRequest, pk: int) -> HttpResponse:
    """Save a draft by itself; JSON with its revision, or with `detail`: what is to be said because it was not saved."""
    form = _form(request, _own(request, pk))
    if _saves(form):
        return JsonResponse({"revision": form.draft.revision, "saved": _saved_at()})
    complaint = next(iter(form.errors.values()))[0]
    return JsonResponse({"detail": complaint}, status=409 if form.is_outdated else 400)


@login_required
@require_POST
def draft_files(request: HttpRequest, pk: int) -> HttpResponse:
    """Put files into a draft, or take one out; the list of files, or for an image of the text its address."""
    found = _own(request, pk)
    is_inline = "inline" in request.POST
    try:
        attached = _files_changed(request, found, is_inline=is_inline)
    except (NotPossible, ValidationError) as error:
        return HttpResponse(_complaint(error), status=400, content_type="text/plain; charset=utf-8")
    if is_inline and attached:
        return JsonResponse({"url": attached[0].get_absolute_url()})
    return render(request, "compose/files.html", {"draft": found, "files": found.files.filter(is_inline=False)})


@login_required
@require_safe
@xframe_options_sameorigin
def draft_body(request: HttpRequest, pk: int) -> HttpResponse:
    """The editor with what is written, for its frame: nothing runs there but the three scripts that it names."""
    nonce = secrets.token_urlsafe(16)
    context = {"html": html_for_editor(_own(request, pk)), "nonce": nonce}
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src 'self' data: https:; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    )
    return under_policy(render(request, "compose/frame.html", context), policy)


@login_required
@require_safe
def draft_image(request: HttpRequest, pk: int, file_pk: int) -> HttpResponse:
    """An image that stands in the text of a draft."""
    file = get_object_or_404(_own(request, pk).files, pk=file_pk, is_inline=True)
    return under_policy(HttpResponse(files.read_file(file), content_type=file.content_type), SANDBOX)


@login_required
@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """Whom one may want to write to, as options below the field that is typed in."""
    return render(request, "compose/people.html", {"people": suggestions(member(request), words_in(request, "q"))})


@login_required
@require_POST
def draft_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Undo discarding."""
    composing.restore(_own(request, pk))
    return go_to(request, "draft", pk)


@login_required
@require_POST
def draft_take_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Undo sending, as long as the message waits."""
    return _done(request, pk, sending.take_back, "Not sent. Go on writing.", then="draft")


@login_required
@require_safe
def draft_delivery(request: HttpRequest, pk: int) -> HttpResponse:
    """How delivery is doing, as a fragment; nothing once all is well."""
    return render(request, "compose/delivery.html", delivery_of(_own(request, pk)))


@login_required
@require_POST
def draft_try_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Send once more what could not be sent, to those who did not get it."""
    return _done(request, pk, sending.try_again, "It is sent again.")


@login_required
@require_POST
def draft_settle(request: HttpRequest, pk: int) -> HttpResponse:
    """Decide what became of a message whose delivery is in doubt: it arrived, or is to be sent again (R36)."""
    again = "again" in request.POST
    words = "It is sent again." if again else "It counts as sent."
    return _done(request, pk, lambda found: sending.settle_unknown(found, arrived=not again), words)


def _own(request: HttpRequest, pk: int) -> Outgoing:
    """What the user has written; 404 for others'."""
    return get_object_or_404(Outgoing.objects.owned_by(member(request)), pk=pk)


def _answered(request: HttpRequest, found: Outgoing) -> Message | None:
    """The message that is answered or forwarded, if it may still be seen."""
    seen = visible_to(member(request)).select_related("owner")
    return seen.filter(pk=found.answers_id).first() if found.answers_id else None


def _begun(request: HttpRequest, begin: Callable[[], Outgoing], about: Message | None = None) -> HttpResponse:
    context: dict[str, object] = {"title": "This can’t be sent", "about": about}
    try:
        return redirect("draft", pk=begin().pk)
    except composing.NothingToSendFrom as error:
        context = {"title": "Nothing to send from yet", "steps": _NEXT_STEPS[error.missing], "reason": str(error)}
    except (NotPossible, ValidationError) as error:
        context["reason"] = _complaint(error)
    return render(request, "compose/not_possible.html", context, status=409)


def _form(request: HttpRequest, found: Outgoing) -> ComposeForm:
    is_rich = bool(found.html) or not (found.text.strip() or _PLAIN in request.session)
    return ComposeForm(request.POST or None, draft=found, people=reverse("people"), is_rich=is_rich)


def _saves(form: ComposeForm) -> bool:
    """Save what was typed; what is wrong stands in the form then."""
    if not form.is_valid():
        return False
    try:
        form.note_saved(composing.save_draft(form.draft, form.cleaned_data["revision"], **form.typed))
    except ValidationError as error:
        add_errors(form, error.message_dict)
    except NotPossible as error:
        form.is_outdated = True
        form.add_error(None, str(error))
    return not form.errors


def _files_changed(request: HttpRequest, found: Outgoing, *, is_inline: bool = False) -> list[DraftFile]:
    """Take out of a draft what the form names, and put in what it brings, which is returned."""
    for pk in ids_in(request.POST.getlist("detach")):
        files.detach(get_object_or_404(found.files, pk=pk))
    return [
        files.attach(found, file.name or "", file.read(), file.content_type or "", is_inline=is_inline)
        for file in request.FILES.getlist("attachments")
    ]


def _after_saving(request: HttpRequest, form: ComposeForm) -> HttpResponse | None:
    """What the button asks for; None if that could not be done, which the form says then."""
    found, deed = form.draft, request.POST.get("do")
    try:
        _files_changed(request, found)
        if deed == "send":
            return _sent(request, sending.send(found, revision=found.revision))
        if deed == "plain":
            request.session[_PLAIN] = True
            composing.save_draft(found, found.revision, text=found.text)
        elif deed == "rich":
            request.session.pop(_PLAIN, None)
            composing.save_draft(found, found.revision, html=html_for_editor(found) or "<div><br></div>")
    except ValidationError as error:
        add_errors(form, error.message_dict)
        return None
    except NotPossible as error:
        form.add_error(None, str(error))
        return None
    return redirect("draft", pk=found.pk)


def _sent(request: HttpRequest, found: Outgoing) -> HttpResponse:
    undo = f"{reverse('draft-take-back', args=[found.pk])}?seconds={sending.UNDO_SECONDS}"
    notices.success(request, "Your message is being sent.", extra_tags=undo)
    answered = _answered(request, found)
    return redirect("message", pk=answered.pk) if answered else redirect("mail")


def _discarded(request: HttpRequest, found: Outgoing) -> HttpResponse:
    folder = found.message.folder_id
    try:
        is_gone = composing.discard(found)
    except NotPossible as error:
        notices.error(request, str(error))
        return redirect("message", pk=found.pk)
    undo = "" if is_gone else reverse("draft-restore", args=[found.pk])
    notices.success(request, "The draft is discarded.", extra_tags=undo)
    return redirect("mail-folder", pk=folder)


def _done(
    request: HttpRequest, pk: int, deed: Callable[[Outgoing], object], words: str, *, then: str = "message"
) -> HttpResponse:
    try:
        deed(_own(request, pk))
    except (NotPossible, ValidationError) as error:
        notices.warning(request, _complaint(error))
        return go_to(request, "message", pk)
    notices.success(request, words)
    return go_to(request, then, pk)


def go_to(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """To a page of its own, whether a form asked or htmx did for a part of a page."""
    url = reverse(name, args=[pk])
    return HttpResponseClientRedirect(url) if request.htmx else redirect(url)  # type: ignore[attr-defined]


def delivery_of(outgoing: Outgoing | None) -> dict[str, Any]:
    """What `compose/delivery.html` shows of a message that its owner wrote here; nothing for one that they did not."""
    if outgoing is None:
        return {}
    refused = outgoing.recipients.filter(state=Recipient.State.REFUSED)
    if outgoing.status == Outgoing.Status.FAILED and outgoing.words:
        # What holds for all of them is said once.
        refused = refused.exclude(words=outgoing.words)
    return {"outgoing": outgoing, "refused": list(refused)}


def _complaint(error: NotPossible | ValidationError) -> str:
    return " ".join(error.messages) if isinstance(error, ValidationError) else str(error)


def _saved_at() -> str:
    return f"Saved {localtime():%H:%M}"


urlpatterns = [
    path("mail/compose/", compose, name="compose"),
    path("mail/compose/people/", people, name="people"),
    path("mail/messages/<int:pk>/answer/", answer, name="message-answer"),
    path("mail/drafts/<int:pk>/", draft, name="draft"),
    path("mail/drafts/<int:pk>/save/", draft_save, name="draft-save"),
    path("mail/drafts/<int:pk>/files/", draft_files, name="draft-files"),
    path("mail/drafts/<int:pk>/images/<int:file_pk>/", draft_image, name="draft-image"),
    path("mail/drafts/<int:pk>/body/", draft_body, name="draft-body"),
    path("mail/drafts/<int:pk>/restore/", draft_restore, name="draft-restore"),
    path("mail/drafts/<int:pk>/take-back/", draft_take_back, name="draft-take-back"),
    path("mail/drafts/<int:pk>/delivery/", draft_delivery, name="draft-delivery"),
    path("mail/drafts/<int:pk>/try-again/", draft_try_again, name="draft-try-again"),
    path("mail/drafts/<int:pk>/settle/", draft_settle, name="draft-settle"),
]
