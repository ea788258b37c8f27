"""Administration › Sharing: who shares what, and the rules for it (R25, R26). For administrators only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.contrib import messages as notices
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import Mailbox, User
from portal.forms import ChoiceCards
from portal.mailbox_forms import MODE_DESCRIPTIONS
from portal.requests import administrators_only, ids_in, member
from sharing.models import SharingPolicy
from sharing.preview import Preview, preview
from sharing.rules import Shared, Sharer, drop_rule, overview, set_rule

Mode = SharingPolicy.Mode


class OverviewFilterForm(forms.Form):
    """Whom the table of who shares what lists."""

    find = forms.CharField(required=False, max_length=200)
    mode = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Every mode"),
            *((mode.value, mode.name.capitalize()) for mode in Mode),
            ("fixed", "Fixed by a rule"),
        ],
    )


class RuleForm(forms.Form):
    """What administrators lay down for people or a role (R25)."""

    KINDS = (
        ("role", "As for their role"),
        ("choice", "The user’s own choice"),
        ("recommended", "Recommend a mode"),
        ("fixed", "Fix a mode"),
    )
    kind = forms.ChoiceField(
        label="What holds for them",
        choices=KINDS,
        widget=ChoiceCards(
            descriptions={
                "role": "Their own rule goes; that of members or administrators holds.",
                "choice": "Everybody chooses for each mailbox. Their own earlier choice holds again.",
                "recommended": "The mode is marked as recommended where people choose. It changes nothing by itself.",
                "fixed": "The mode holds for all their mailboxes at once, now and later. They see your reason.",
            }
        ),
        error_messages={"required": "Choose what holds for them."},
    )
    mode = forms.ChoiceField(
        label="Mode",
        required=False,
        choices=[(mode.value, mode.label) for mode in Mode],
        widget=ChoiceCards(descriptions=MODE_DESCRIPTIONS),
    )
    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Shown to the people concerned.",
    )

    def __init__(self, *args: Any, for_role: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if for_role:
            self.fields["kind"].choices = self.KINDS[1:]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """A rule with a mode needs one, and a fixed mode a reason."""
        given = super().clean() or {}
        if given.get("kind") in {"recommended", "fixed"} and not given.get("mode") and "mode" not in self.errors:
            self.add_error("mode", "Choose a mode.")
        if given.get("kind") == "fixed" and not given.get("reason", "").strip():
            self.add_error("reason", "Say why: it is shown to the people concerned.")
        if given.get("kind") in {"role", "choice"}:
            # Without the portal's script these two are sent as well, though nobody would be shown them.
            given |= {"mode": "", "reason": ""}
        return given

    def apply(self, actor: User, targets: list[User | str]) -> None:
        """Lay it down."""
        kind, given = self.cleaned_data["kind"], self.cleaned_data
        if kind == "role":
            drop_rule(actor, targets)
        elif kind == "choice":
            set_rule(actor, targets, reason=given["reason"])
        else:
            set_rule(actor, targets, mode=given["mode"], is_fixed=kind == "fixed", reason=given["reason"])

    @property
    def in_words(self) -> str:
        """What was chosen, for the page that asks to confirm it."""
        kind = self.cleaned_data["kind"]
        words = dict(self.KINDS)[kind]
        if kind in {"recommended", "fixed"}:
            mode = Mode(self.cleaned_data["mode"]).name.capitalize()
            words = f"{mode} is {'fixed' if kind == 'fixed' else 'recommended'}"
        return words


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a rule would mean for one person: in words, and how many messages, never which (R25, R26)."""

    before: Sharer
    after: Sharer
    becomes_visible: int
    becomes_hidden: int

    @property
    def in_words(self) -> str:
        """Who decides afterwards."""
        rule = self.after.rule
        if rule is None or not rule.mode:
            return "They choose for each mailbox."
        mode = Mode(rule.mode).name.capitalize()
        if rule.is_fixed:
            return f"{mode} holds for all their mailboxes."
        return f"They choose for each mailbox; {mode} is recommended."

    @property
    def switches(self) -> list[tuple[Mailbox, str, str]]:
        """The mailboxes for which another mode would hold, with the mode before and after."""
        before = {shared.mailbox.pk: shared.mode for shared in self.before.mailboxes}
        after = [(shared.mailbox, before.get(shared.mailbox.pk, ""), shared.mode) for shared in self.after.mailboxes]
        return [switch for switch in after if switch[1] != switch[2]]


def foresee(people: list[User], change: Callable[[], object]) -> tuple[Preview, list[Outlook]]:
    """What `change` would do to what colleagues see of people's mail, in total and for each of them (R26).

    Nothing is changed; a fixed number of queries for each few thousand messages, however many people.
    """
    organization = people[0].organization
    before = {sharer.user.pk: sharer for sharer in overview(organization)}
    after: dict[int, Sharer] = {}

    def change_and_look() -> None:
        change()
        after.update((sharer.user.pk, sharer) for sharer in overview(organization))

    total = preview(people, change_and_look)
    visible, hidden = total.visible_by_owner(), total.hidden_by_owner()
    pks = [user.pk for user in people]
    return total, [Outlook(before[pk], after[pk], visible[pk], hidden[pk]) for pk in pks]


@administrators_only
@require_safe
def sharing_overview(request: HttpRequest) -> HttpResponse:
    """Who shares what and since when, and the rules for it (R25). No counts of mail, no addresses of mail."""
    organization = member(request).organization
    form = OverviewFilterForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {"find": "", "mode": ""}
    rules = {rule.role: rule for rule in organization.sharing_rules.filter(user=None).select_related("set_by")}
    sharers = [
        replace(sharer, mailboxes=list(filter(_is_shown, sharer.mailboxes)))
        for sharer in overview(organization)
        if wanted["find"].lower() in f"{sharer.user.name} {sharer.user.email}".lower()
        and (
            not wanted["mode"]
            or (wanted["mode"] == "fixed" and sharer.fixed)
            or any(shared.mode == wanted["mode"] for shared in sharer.mailboxes)
        )
    ]
    context = {
        "form": form,
        "sharers": sharers,
        "roles": [(value, label, rules.get(value)) for value, label in User.Role.choices],
    }
    return render(request, "administration/sharing.html", context)


@administrators_only
@require_http_methods(["GET", "POST"])
def sharing_change(request: HttpRequest) -> HttpResponse:
    """Lay down a rule for people or a role: chosen, shown with what it would do, and confirmed (R25, R26)."""
    user = member(request)
    data = request.POST if request.method == "POST" else request.GET
    role = data.get("role", "") if data.get("role", "") in User.Role.values else ""
    colleagues = User.objects.for_organization(user.organization)
    chosen = ids_in(data.getlist("user"))
    people = list((colleagues.filter(role=role) if role else colleagues.filter(pk__in=chosen)).order_by("name", "id"))
    if not role and not people:
        notices.error(request, "Tick the people first for whom you want to change something.")
        return redirect("sharing-overview")
    targets: list[User | str] = [role] if role else list(people)
    asked = request.method == "POST" and "kind" in request.POST
    form = RuleForm(request.POST if asked else None, for_role=bool(role))
    all_of_them = f"all {User.Role(role).label.lower()}s" if role else ""
    context: dict[str, Any] = {"form": form, "people": people, "role": role, "all_of_them": all_of_them}
    if not form.is_valid() or "back" in request.POST:
        return render(request, "administration/sharing_change.html", context)
    if "confirmed" not in request.POST:
        if people:
            context["preview"], context["outlooks"] = foresee(people, lambda: form.apply(user, targets))
        return render(request, "administration/sharing_preview.html", context)
    form.apply(user, targets)
    whom = all_of_them or (str(people[0]) if len(people) == 1 else f"{len(people)} people")
    notices.success(request, f"Saved for {whom}: {form.in_words}.")
    return redirect("sharing-overview")


def _is_shown(shared: Shared) -> bool:
    """The CRM Mail account counts once a mode holds for it (interface.md); until then it has none to choose."""
    return bool(shared.mode) or shared.mailbox.kind == Mailbox.Kind.POP3


urlpatterns = [
    path("administration/sharing/", sharing_overview, name="sharing-overview"),
    path("administration/sharing/change/", sharing_change, name="sharing-change"),
]
