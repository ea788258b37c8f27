"""Runs the portal's programs side by side and ends them in order.

Nothing here polls: one `select` waits for signals (INT, TERM, HUP, CHLD, as bytes on a socket) and
for the web's first answer alike. Every child leads a process group of its own, so that Ctrl-C in a
terminal reaches only the supervisor, and so that what a child leaves behind can be ended with it.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, eq=False)
class Child:
    """One program. Children of a lower `wave` are stopped, and waited for, before higher ones."""

    name: str
    argv: tuple[str, ...]
    wave: int = 0
    pass_fds: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WebProbe:
    """Asks a listening socket for a page once, and is answered as soon as somebody serves it."""

    listener: socket.socket
    host_header: str
    path: str = "/health/live"

    def ask(self) -> socket.socket:
        """A connection that becomes readable with the answer; the listener's queue holds it."""
        host, port = self.listener.getsockname()[:2]
        connection = socket.create_connection((_reachable(host), port))
        request = f"GET {self.path} HTTP/1.0\r\nHost: {self.host_header}\r\n\r\n"
        connection.sendall(request.encode())
        return connection


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at `host` and `port` (0: any free one). Raises OSError if it cannot."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family, backlog=2048)


def url_of(listener: socket.socket) -> str:
    """The address to type into a browser on this machine."""
    host, port = listener.getsockname()[:2]
    host = _reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _begins_an_answer(connection: socket.socket) -> bool:
    try:
        return connection.recv(5) == b"HTTP/"
    except ConnectionError:  # the web went away; its end is reported as that of a child
        return False


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


class Signals:
    """The signals of this process as bytes on a socket. A context manager; main thread only."""

    asked_to_stop = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # A hang-up that was ignored from outside (nohup) stays ignored.
        hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
        self._previous = {
            number: signal.signal(number, lambda *_: None)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, *hangup)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """So that a selector can wait for it."""
        return self._reader.fileno()

    def drain(self) -> list[int]:
        """The numbers received since the last call, in order."""
        try:
            return list(self._reader.recv(4096))
        except BlockingIOError:
            return []


class Supervisor:
    """Starts children, watches them, and stops them all as soon as one has to stop.

    A context manager: from its start, a request to stop is kept until `run` can act on it, so that
    preparations such as migrations are not cut in the middle.
    """

    def __init__(
        self,
        children: Iterable[Child],
        *,
        probe: WebProbe | None = None,
        on_ready: Callable[[], None] = lambda: None,
        grace: float = 60.0,
        say: Callable[[str], None] = print,
    ) -> None:
        """`grace`: seconds that stopping may take before what still runs is killed."""
        self._children = tuple(children)
        self._probe = probe
        self._on_ready = on_ready
        self._grace = grace
        self._say = say
        self._running: dict[Child, subprocess.Popen[bytes]] = {}
        self._signals = Signals()

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._signals.__exit__(kind, error, trace)

    def run(self) -> int:
        """Run until asked to stop (returns 0) or until a child ends by itself (returns 1)."""
        try:
            if self._signals.asked_to_stop.intersection(self._signals.drain()):
                return 0
            for child in self._children:
                self._start(child)
            return self._watch()
        finally:
            self._stop()

    def _tell(self, text: str) -> None:
        # With the terminal gone nobody reads it, and the children must be stopped all the same.
        with contextlib.suppress(OSError):
            self._say(text)

    def _start(self, child: Child) -> None:
        parent = os.getpid()

        def die_with_parent() -> None:
            # The kernel sends TERM if the supervisor is killed; before prctl(2) it could not know.
            if _LIBC is not None:
                _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
                if os.getppid() != parent:
                    os._exit(1)

        self._running[child] = subprocess.Popen(  # noqa: S603 - the programs are our own
            child.argv,
            stdin=subprocess.DEVNULL,
            stdout=2,  # standard output carries the supervisor's own few sentences
            env={**os.environ, **child.environment},
            pass_fds=child.pass_fds,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the supervisor has one thread
        )

    def _watch(self) -> int:
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as connections:
            selector.register(self._signals, selectors.EVENT_READ)
            answer = None
            if self._probe:
                answer = connections.enter_context(self._probe.ask())
                # Held by the web alone, so that people get *refused*, not silence, once it is gone.
                self._probe.listener.close()
                selector.register(answer, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is answer:
                        selector.unregister(answer)
                        if _begins_an_answer(answer):
                            self._on_ready()
                if self._signals.asked_to_stop.intersection(self._signals.drain()):
                    self._tell("Stopping. Running work is finished first; Ctrl-C again stops at once.")
                    return 0
                if ended := self._ended():
                    self._tell(f"{ended}. Stopping the rest.")
                    return 1

    def _ended(self) -> str:
        """A sentence about the first child that is no longer running, if any."""
        for child, process in self._running.items():
            code = process.poll()
            if code is not None:
                how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
                return f"The {child.name} ended by itself ({how})"
        return ""

    def _stop(self) -> None:
        """1. TERM to each wave, waiting for it. 2. What outlives the grace is killed, by group."""
        deadline = time.monotonic() + self._grace
        for wave in sorted({child.wave for child in self._running}):
            processes = [p for child, p in self._running.items() if child.wave == wave]
            for process in processes:
                process.terminate()
            if not self._ended_before(deadline, processes):
                deadline = 0.0
        for child, process in self._running.items():
            if process.poll() is None:
                self._tell(f"The {child.name} did not stop in time and is killed.")
            with contextlib.suppress(ProcessLookupError):  # nothing of the group is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _ended_before(self, deadline: float, processes: list[subprocess.Popen[bytes]]) -> bool:
        """Wait for `processes`; False if time ran out or somebody pressed Ctrl-C once more."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._signals, selectors.EVENT_READ)
            while any(process.poll() is None for process in processes):
                remaining = deadline - time.monotonic()
                if remaining <= 0 or signal.SIGINT in self._signals.drain():
                    return False
                selector.select(remaining)
        return True
