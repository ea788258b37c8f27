"""What one does to one's own mail from a list or beside a message, and undoing it (R31).

A form posts to the address of its list. Which button was pressed says what is done: `deed` with its name, `move`, `label`
or `unlabel` with the folder or label, `star` or `unstar` with one conversation. It is done to the conversations `thread`,
to the messages `message`, or to `everything` in the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox
from mail.boxes import Box
from mail.deeds import do, undo
from mail.models import Deed, Folder, Label, MessageQuerySet
from mail.tasks import hint_deeds
from portal.boxes import AT_A_TIME, changed, here
from portal.requests import ids_in, member

Kind = Deed.Kind

#: So many conversations can be named in one deed; Django takes at most a thousand fields.
MOST = 900
_NAMED = {each.value: each for each in (Kind.READ, Kind.UNREAD, Kind.STAR, Kind.UNSTAR, Kind.RESTORE, Kind.DELETE)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a form asks for. `chosen` is None where it is everything in the box, up to the message `upto`."""

    kind: Deed.Kind
    threads: list[int]
    chosen: MessageQuerySet | None
    upto: int | None
    folder: Folder | None = None
    label: Label | None = None

    @property
    def words(self) -> str:
        """What it is called when it is done, as the end of a sentence."""
        if self.folder is not None:
            return f"moved to {self.folder}"
        if self.label is not None:
            return f"{'labelled' if self.kind == Kind.LABEL else 'no longer labelled'} {self.label}"
        return str(self.kind.label)


def carry_out(request: HttpRequest, box: Box) -> HttpResponse:
    """Do what a form asks for; what can't be undone is shown first, with what it means."""
    try:
        wanted = _wanted(request, box)
        if wanted.kind == Kind.DELETE and "confirmed" not in request.POST:
            return _asked(request, box, wanted)
        with transaction.atomic():
            deed = do(wanted.kind, box, wanted.chosen, upto=wanted.upto, folder=wanted.folder, label=wanted.label)
            if deed.is_going_on:
                hint_deeds()
    except NotPossible as error:
        notices.error(request, str(error))
        return _told(request, box, [])
    _say(request, box, deed, wanted.words)
    return _told(request, box, wanted.threads if wanted.chosen is not None else None)


@login_required
@require_POST
def undone(request: HttpRequest, pk: int) -> HttpResponse:
    """Put back what a deed of one's own changed, as far as it is still as the deed left it."""
    user = member(request)
    deed = get_object_or_404(Deed, owner=user, pk=pk)
    try:
        deed = undo(user, deed.pk)
    except NotPossible as error:
        notices.error(request, str(error))
    else:
        if deed.is_going_on:
            hint_deeds()
            notices.info(request, "Being undone…")
        elif deed.restored < deed.done:
            kept = deed.done - deed.restored
            notices.info(request, f"Undone, but for {_messages(kept)} that {_were(kept)} changed since.")
        else:
            notices.success(request, "Undone.")
    after = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(after, allowed_hosts=None):
        after = reverse("mail")
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "mail/reload.html", {"after": after})
    return redirect(after)


@login_required
@require_safe
def going_on(request: HttpRequest) -> HttpResponse:
    """How far workers are with what one did to very many messages; asked for again and again until they are done."""
    deeds = Deed.objects.filter(owner=member(request), state__in=("working", "undoing")).order_by("pk")
    context = {"deeds": deeds.select_related("folder", "label"), "was_going_on": "again" in request.GET}
    return render(request, "mail/progress.html", context)


def _wanted(request: HttpRequest, box: Box) -> Wanted:
    """What the form asks for; 404 where it names a deed, folder or label that the owner does not have.

    Raises:
        NotPossible: it names no messages, or too many.
    """
    given = request.POST
    threads = ids_in(given.getlist("thread"))
    upto = next(iter(ids_in([given.get("upto", "")])), None)
    kind, target = _pressed(given)
    everything = next(iter(ids_in([given.get("everything", "")])), None)
    if target == "everything":
        everything = upto
    elif kind in {Kind.STAR, Kind.UNSTAR} and target:
        threads, everything = ids_in([target]), None
    messages = ids_in(given.getlist("message"))
    if everything is not None:
        chosen, threads, upto = None, [], everything
    elif len(threads) > MOST or len(messages) > MOST:
        raise NotPossible(f"At most {MOST:,} conversations at a time, or everything in the list.")
    elif messages:
        chosen = box.messages().filter(pk__in=messages)
        threads = list(chosen.values_list("thread_id", flat=True).distinct())
    elif threads:
        chosen = box.of(threads, upto)
    else:
        raise NotPossible("Tick the conversations first.")
    folder = label = None
    if kind == Kind.MOVE:
        where: dict[str, Any] = {"kind": Folder.Kind.TRASH} if target == "trash" else {"pk__in": ids_in([target])}
        folder = get_object_or_404(Folder.objects.select_related("account"), account__user=box.owner, **where)
    if kind in {Kind.LABEL, Kind.UNLABEL}:
        labels = Label.objects.select_related("account").filter(account__user=box.owner)
        label = get_object_or_404(labels, pk__in=ids_in([target]))
    return Wanted(kind, threads, chosen, upto, folder, label)


def _pressed(given: Any) -> tuple[Deed.Kind, str]:
    """The kind of deed whose button was pressed, and what the button names."""
    for kind in (Kind.MOVE, Kind.LABEL, Kind.UNLABEL, Kind.STAR, Kind.UNSTAR):
        if given.get(kind.value):
            return kind, given[kind.value]
    named = given.get("deed", "")
    if named == "trash":
        return Kind.MOVE, "trash"
    if named == "empty":
        return Kind.DELETE, "everything"
    if named not in _NAMED:
        raise Http404
    return _NAMED[named], ""


def _asked(request: HttpRequest, box: Box, wanted: Wanted) -> HttpResponse:
    """The question before mail is deleted for good, with what that means on the servers (R10)."""
    doomed = box.messages() if wanted.chosen is None else wanted.chosen
    if wanted.chosen is None and wanted.upto is not None:
        doomed = doomed.filter(pk__lte=wanted.upto)
    context = {
        "box": box,
        "here": here(box),
        "count": doomed.count(),
        "mailboxes": Mailbox.objects.filter(pk__in=doomed.values("mailbox")).order_by("pk"),
        "given": [
            *(("thread", thread) for thread in wanted.threads),
            *(("message", pk) for pk in request.POST.getlist("message")),
            ("upto", wanted.upto or ""),
            *([("everything", wanted.upto)] if wanted.chosen is None else []),
        ],
    }
    template = "mail/confirm_fragment.html" if request.htmx else "mail/confirm.html"  # type: ignore[attr-defined]
    return render(request, template, context)


def _say(request: HttpRequest, box: Box, deed: Deed, words: str) -> None:
    """A notice of what was done, with the way to undo it."""
    url = f"{reverse('mail-undo', args=[deed.pk])}?{urlencode({'next': here(box)})}" if deed.can_be_undone else ""
    if deed.is_going_on:
        notices.info(request, f"{_messages(deed.total)} {_are(deed.total)} being {words}…", extra_tags=url)
    elif deed.done:
        notices.success(request, f"{_messages(deed.done)} {words}.", extra_tags=url)
    else:
        notices.info(request, "Nothing to change there.")


def _told(request: HttpRequest, box: Box, threads: list[int] | None) -> HttpResponse:
    """The list after a deed: the page again, or to htmx what changed of it, where `threads` says that; else all of it."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(here(box))
    if threads is None or len(threads) > AT_A_TIME:
        return render(request, "mail/reload.html", {"after": here(box)})
    return render(request, "mail/changed.html", changed(box, threads))


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


urlpatterns = [
    path("mail/deeds/", going_on, name="mail-deeds"),
    path("mail/deeds/<int:pk>/undo/", undone, name="mail-undo"),
]
