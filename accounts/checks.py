"""What a test of a mail server found, step by step, in words (R12). Filled in by `fetcher.checking` and `sender.checking`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

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

    @property
    def ok(self) -> bool:
        """Whether no step failed."""
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
        """Note that the mailbox could be opened."""
        count = "1 message is" if messages == 1 else f"{messages:,} messages are"
        self._passed(StepName.MAILBOX, f"{count} on the server.")

    def forget_count(self) -> None:
        """Leave out how many messages there are: for administrators, who don't look into others' mailboxes (R25)."""
        if self.steps[-1].name == StepName.MAILBOX and self.ok:
            self.steps[-1] = Step(StepName.MAILBOX, ok=True, said="The mailbox can be opened.")

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


def side_by_side(incoming: Callable[[], Check], outgoing: Callable[[], Check]) -> tuple[Check, Check]:
    """Carry out both tests of an account at once, so that they take no longer than one."""
    with ThreadPoolExecutor(2, thread_name_prefix="test of an account") as pool:
        first, second = pool.submit(incoming), pool.submit(outgoing)
        return first.result(), second.result()


def _place(name: StepName) -> int:
    return list(StepName).index(name)
