"""What a test of a mail server found, step by step, in words (R12). Filled in by `fetcher.checking` and `sender.checking`."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from accounts.credentials import Secret
from accounts.mailboxes import poll_username
from accounts.models import Mailbox
from accounts.providers import provider_at
from accounts.servers import Endpoint, ServerError


class StepName(StrEnum):
    """The steps of a test, in their order."""

    NAME = "name"
    CONNECTION = "connection"
    ENCRYPTION = "encryption"
    SIGN_IN = "sign_in"
    MAILBOX = "mailbox"


#: The step at which each kind of `ServerError` happens; those of encryption are the others.
_STEPS = {
    "host_invalid": StepName.NAME,
    "unknown_host": StepName.NAME,
    "name_timeout": StepName.NAME,
    "name_failed": StepName.NAME,
    "address_not_allowed": StepName.NAME,
    "port_not_allowed": StepName.NAME,
    "refused": StepName.CONNECTION,
    "unreachable": StepName.CONNECTION,
    "timeout": StepName.CONNECTION,
}
#: Seconds that the test of an account takes at most (R12).
SECONDS = 20.0

_REJECTED = frozenset({"password_rejected", "app_password_needed", "pop_disabled"})


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a test and what is to be said about it; of a failed one, what to do."""

    name: StepName
    ok: bool
    said: str


@dataclass(slots=True)
class Check:
    """The steps of a test so far. A failed one is the last; `cause` is then a stable word for programs."""

    endpoint: Endpoint
    steps: list[Step] = field(default_factory=list)
    cause: str = ""
    is_done: bool = False
    #: Whether it may be told how many messages there are: administrators don't look into others' mailboxes (R25).
    counts: bool = True
    #: How many there are, once that is known and may be told.
    messages: int | None = None
    #: Called after each step that was passed, in the thread that tests.
    noticed: Callable[[], None] = lambda: None

    @property
    def ok(self) -> bool:
        """Whether no step failed so far."""
        return not self.cause

    @property
    def detail(self) -> str:
        """The last step in words: why it failed, or how far it came."""
        return self.steps[-1].said

    def connected(self) -> None:
        """Note that the server was found, answered, and encrypts as it should."""
        host, port = self.endpoint.host, self.endpoint.port
        self._passed(StepName.NAME, f"{host} was found.")
        self._passed(StepName.CONNECTION, f"It answers on port {port}.")
        plain = self.endpoint.security == "none"
        said = "Not encrypted, as you chose." if plain else "Encrypted, and the certificate holds."
        self._passed(StepName.ENCRYPTION, said)

    def signed_in(self) -> None:
        """Note that the server took user name and password."""
        self._passed(StepName.SIGN_IN, "The server accepted the user name and the password.")

    def counted(self, messages: int) -> None:
        """Note that the mailbox could be opened, and how many messages there are if that may be said."""
        if not self.counts:
            self._passed(StepName.MAILBOX, "The mailbox can be opened.")
            return
        self.messages = messages
        count = "1 message is" if messages == 1 else f"{messages:,} messages are"
        self._passed(StepName.MAILBOX, f"{count} on the server.")

    def not_connected(self, error: ServerError) -> None:
        """Note at which step connecting failed."""
        self.failed(_STEPS.get(error.kind, StepName.ENCRYPTION), error.kind, error.sentence)

    def failed(self, at: StepName, cause: str, said: str) -> None:
        """Note that a step failed; those before it that are not noted yet had succeeded."""
        if not self.steps:
            self.connected()
            self.steps = [step for step in self.steps if _place(step.name) < _place(at)]
        self.steps.append(Step(at, ok=False, said=said))
        self.cause = cause

    def advise(self, incoming_host: str) -> None:
        """Say in the failed step what the provider of `incoming_host` requires, where that may be the cause."""
        provider = provider_at(incoming_host)
        if provider is None or self.cause not in _REJECTED:
            return
        wanted = {
            "pop_disabled": (provider.enable_pop,),
            "app_password_needed": (provider.app_password,),
            "password_rejected": (provider.app_password, provider.caution),
        }[self.cause]
        failed = self.steps[-1]
        said = " ".join([failed.said, *filter(None, wanted)])
        self.steps[-1] = Step(failed.name, ok=False, said=said)

    def _passed(self, name: StepName, said: str) -> None:
        self.steps.append(Step(name, ok=True, said=said))
        self.noticed()


class Tester(Protocol):
    """A function that tries one server and notes its steps: `fetcher.checking.check_incoming` and its counterpart."""

    def __call__(self, check: Check, username: str, password: Secret, *, seconds: float, incoming_host: str) -> object:
        """Fill in `check` within `seconds`."""


@dataclass(frozen=True, slots=True)
class AccountCheck:
    """What the test of an account has found so far, by server: `incoming`, `outgoing`, or one of them."""

    checks: dict[str, Check]

    @property
    def ok(self) -> bool:
        """Whether no step failed so far."""
        return all(check.ok for check in self.checks.values())

    @property
    def is_done(self) -> bool:
        """Whether nothing more will follow."""
        return all(check.is_done for check in self.checks.values())

    @property
    def messages(self) -> int | None:
        """How many messages are on the server, where that was asked, is known and may be told."""
        return self.checks["incoming"].messages if "incoming" in self.checks else None

    @property
    def titled(self) -> list[tuple[str, Check]]:
        """Each with what people call it."""
        return [(f"{side.capitalize()} mail", check) for side, check in self.checks.items()]


def follow_account(mailbox: Mailbox, testers: Mapping[str, Tester], *, counts: bool = True) -> Iterator[AccountCheck]:
    """Try the servers of an account at once, and yield what is known after each step; the last is the result (R12).

    `testers` says by which function each side, `incoming` or `outgoing`, is tested. All together takes at most
    `SECONDS`. Nothing is saved, fetched or sent. Without `counts` the number of messages on the server is left out.
    """
    news: queue.SimpleQueue[None] = queue.SimpleQueue()

    def notice() -> None:
        news.put(None)

    def carry_out(side: str, check: Check) -> None:
        username = poll_username(mailbox) if side == "incoming" else mailbox.outgoing_username
        password = getattr(mailbox, f"{side}_password")
        try:
            testers[side](check, username, password, seconds=SECONDS, incoming_host=mailbox.incoming_host)
        finally:
            check.is_done = True
            notice()

    account = AccountCheck(
        {side: Check(_endpoint(mailbox, side), counts=counts, noticed=notice) for side in testers},
    )
    yield account
    with ThreadPoolExecutor(2, thread_name_prefix="test of an account") as pool:
        going = [pool.submit(carry_out, side, check) for side, check in account.checks.items()]
        while not account.is_done:
            news.get()
            yield account
        # Once more: what came last may have come while the line before was on its way.
        yield account
        for each in going:
            each.result()


def check_account(mailbox: Mailbox, testers: Mapping[str, Tester], *, counts: bool = True) -> AccountCheck:
    """The result of `follow_account`."""
    *_, account = follow_account(mailbox, testers, counts=counts)
    return account


def _endpoint(mailbox: Mailbox, side: str) -> Endpoint:
    return Endpoint(*(getattr(mailbox, f"{side}_{part}") for part in ("host", "port", "security")))


def _place(name: StepName) -> int:
    return list(StepName).index(name)
