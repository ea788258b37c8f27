"""*Test account* in the browser, and what has to be confirmed before an account is saved (R10, R12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from accounts.checks import AccountCheck, Tester, follow_account
from accounts.mailboxes import deletes_more, foreseen, needs_test
from accounts.models import Mailbox
from fetcher.checking import check_incoming
from sender.checking import check_outgoing

#: How each side of an account is tested.
TESTERS: Mapping[str, Tester] = {"incoming": check_incoming, "outgoing": check_outgoing}


class AccountForm(Protocol):
    """A form whose `settings`, once it is valid, are what would be saved of an account."""

    settings: dict[str, Any]
    by_owner: bool

    @property
    def mailbox(self) -> Mailbox | None:
        """The account as it is saved; None for a new one."""

    @property
    def sides(self) -> tuple[str, ...]:
        """Which sides of the account the settings are about."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a test has found so far of an account as it would be, and what saving it would need confirmed."""

    account: AccountCheck
    future: Mailbox
    is_saving: bool
    deletes: bool

    @property
    def passed(self) -> bool:
        """Whether the test is over and nothing failed."""
        return self.account.is_done and self.account.ok

    @property
    def waits(self) -> bool:
        """Whether saving waits for somebody to confirm it."""
        return self.is_saving and self.account.is_done and (self.deletes or not self.account.ok)


def test_now(form: AccountForm) -> Review:
    """Test the account of a valid form, for a page that waits for the result."""
    *_, review = _follow(form, frozenset({"deletion"}), is_saving=False)
    return review


def review_before_saving(form: AccountForm, posted: QueryDict) -> Review | None:
    """What has to be confirmed before the account of a valid form is saved; None if nothing has to be, or was.

    An account is tested when it is new or would sign in otherwise than it does now (R12). Before messages are deleted
    from a server, it is asked how many there are (R10).
    """
    confirmed = _confirmed(posted)
    is_tested = "test" not in confirmed and (form.mailbox is None or needs_test(form.mailbox, form.settings))
    deletes = "deletion" not in confirmed and deletes_more(form.settings, form.mailbox)
    if not is_tested and not deletes:
        return None
    *_, review = _follow(form, confirmed, is_saving=True)
    return review if review.deletes or not review.passed else None


def live(request: HttpRequest, form: AccountForm, *others: forms.Form) -> HttpResponseBase:
    """The answer to a script that tests the account of a form: on each line the fragment to be shown from then on.

    With `saving` in the request the last one also has what must be confirmed. A single fragment names what is missing
    in the form or the `others` that would be saved with it.
    """
    checked: list[Any] = [form, *others]
    invalid = [each for each in checked if not each.is_valid()]
    if invalid:
        wrong = [each[name] for each in invalid for name in each.errors if name in each.fields]
        return HttpResponse(_line({"wrong": wrong, "is_saving": "saving" in request.POST}))

    def fragments() -> Iterator[str]:
        for review in _follow(form, _confirmed(request.POST), is_saving="saving" in request.POST):
            yield _line({"review": review})

    return StreamingHttpResponse(fragments(), content_type="text/html; charset=utf-8")


def _line(context: dict[str, Any]) -> str:
    return " ".join(render_to_string("settings/tested.html", context).split()) + "\n"


def _follow(form: AccountForm, confirmed: frozenset[str], *, is_saving: bool) -> Iterator[Review]:
    future = foreseen(form.settings, form.mailbox)
    deletes = "deletion" not in confirmed and is_saving and deletes_more(form.settings, form.mailbox)
    testers = {side: TESTERS[side] for side in form.sides}
    for account in follow_account(future, testers, counts=form.by_owner):
        yield Review(account, future, is_saving, deletes)


def _confirmed(posted: QueryDict) -> frozenset[str]:
    """What the button that was pressed confirms: `test`, that it failed, and `deletion`, of messages on the server."""
    return frozenset(posted.get("confirmed", "").split())
