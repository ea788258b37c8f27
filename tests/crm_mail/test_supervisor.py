"""The supervisor with small real programs, which report over sockets: nothing guesses at times."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from crm_mail.supervisor import listen, url_of
from tests.patience import PATIENCE

# Says "NAME up PID" to the test, and when it is told to stop; then it does as its kind says.
CHILD = """
import os, signal, socket, subprocess, sys
name, kind, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
test = socket.create_connection(("127.0.0.1", port))
def tell(text):
    test.sendall(f"{name} {text}\\n".encode())
def stop(*_):
    tell("told to stop")
    if kind == "drains":
        test.recv(1)
    if kind != "stubborn":
        tell("ends")
        sys.exit(0)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, lambda *_: tell("interrupted"))
if kind == "parent":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    subprocess.Popen([sys.executable, sys.argv[0], "grandchild", "stubborn", sys.argv[3]])
tell(f"up {os.getpid()}")
if kind == "fails":
    test.recv(1)
    sys.exit(7)
while True:
    signal.pause()
"""

SUPERVISOR = """
import sys
from crm_mail.supervisor import Child, Supervisor
program, port, grace, *children = sys.argv[1:]
def child(text):
    name, kind, wave = text.split(":")
    return Child(name, (sys.executable, program, name, kind, port), wave=int(wave))
with Supervisor(map(child, children), grace=float(grace)) as supervisor:
    code = supervisor.run()
print("left in order", flush=True)
sys.exit(code)
"""


class Reporter:
    """One end of a child's line to the test."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.lines = connection.makefile("r", encoding="utf-8")
        self.name, _, pid = self.read().split()
        self.pid = int(pid)

    def read(self) -> str:
        """The next thing that it says; empty once it is gone."""
        try:
            return self.lines.readline().rstrip("\n")
        except ConnectionResetError:
            return ""


class Stage:
    """A supervisor in a process of its own, and the lines of its children."""

    def __init__(self, listener: socket.socket, folder: Path) -> None:
        self.listener = listener
        self.program = str(folder / "child.py")
        Path(self.program).write_text(CHILD, encoding="utf-8")
        self.cleanup = ExitStack()
        self.cleanup.enter_context(listener)

    def start(self, *children: str, grace: float = PATIENCE) -> subprocess.Popen[str]:
        """`children` are written `name:kind:wave`."""
        port = str(self.listener.getsockname()[1])
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, self.program, port, str(grace), *children],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.cleanup.callback(self.process.kill)
        return self.process

    def meet(self, count: int) -> dict[str, Reporter]:
        """Wait until `count` programs are up."""
        met = []
        for _ in range(count):
            connection, _ = self.listener.accept()
            connection.settimeout(PATIENCE)
            self.cleanup.enter_context(connection)
            met.append(Reporter(connection))
        return {reporter.name: reporter for reporter in met}

    def output(self) -> str:
        """What the supervisor said until it ended."""
        return self.process.communicate(timeout=PATIENCE)[0]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)
    scene = Stage(listener, tmp_path)
    with scene.cleanup:
        yield scene


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_stop_it_ends_everything_and_exits_with_0(stage: Stage, number: signal.Signals) -> None:
    supervisor = stage.start("web:plain:0", "worker:plain:1")
    children = stage.meet(2)
    supervisor.send_signal(number)
    for child in children.values():
        assert [child.read(), child.read(), child.read()] == [
            f"{child.name} told to stop",
            f"{child.name} ends",
            "",
        ]
    assert "left in order" in stage.output()
    assert supervisor.returncode == 0


def test_the_worker_is_told_only_after_web_and_scheduler_are_gone(stage: Stage) -> None:
    supervisor = stage.start("web:drains:0", "scheduler:plain:0", "worker:plain:1")
    children = stage.meet(3)
    supervisor.terminate()
    assert children["web"].read() == "web told to stop"
    assert children["scheduler"].read() == "scheduler told to stop"
    # The web is still at work: the worker must not have heard anything.
    children["worker"].connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        children["worker"].connection.recv(1)
    children["worker"].connection.settimeout(PATIENCE)
    children["web"].connection.sendall(b"!")
    assert children["web"].read() == "web ends"
    assert children["worker"].read() == "worker told to stop"
    stage.output()
    assert supervisor.returncode == 0


def test_a_worker_that_drains_is_waited_for(stage: Stage) -> None:
    supervisor = stage.start("web:plain:0", "worker:drains:1")
    worker = stage.meet(2)["worker"]
    supervisor.terminate()
    assert worker.read() == "worker told to stop"
    assert supervisor.poll() is None
    worker.connection.sendall(b"!")
    assert worker.read() == "worker ends"
    stage.output()
    assert supervisor.returncode == 0


def test_a_child_that_ends_by_itself_stops_the_rest_and_the_exit_code_is_1(stage: Stage) -> None:
    supervisor = stage.start("web:plain:0", "scheduler:fails:0", "worker:plain:1")
    children = stage.meet(3)
    children["scheduler"].connection.sendall(b"!")
    assert children["web"].read() == "web told to stop"
    assert children["worker"].read() == "worker told to stop"
    assert "The scheduler ended by itself (exit code 7)" in stage.output()
    assert supervisor.returncode == 1


def test_a_child_killed_from_outside_stops_the_rest(stage: Stage) -> None:
    supervisor = stage.start("web:plain:0", "worker:plain:1")
    children = stage.meet(2)
    os.kill(children["worker"].pid, signal.SIGKILL)
    assert children["web"].read() == "web told to stop"
    assert "The worker ended by itself (SIGKILL)" in stage.output()
    assert supervisor.returncode == 1


def test_a_child_that_will_not_stop_is_killed_after_the_grace(stage: Stage) -> None:
    supervisor = stage.start("web:plain:0", "worker:stubborn:1", grace=0.2)
    worker = stage.meet(2)["worker"]
    supervisor.terminate()
    assert [worker.read(), worker.read()] == ["worker told to stop", ""]
    assert "The worker did not stop in time and is killed" in stage.output()
    assert supervisor.returncode == 0


def test_what_a_child_leaves_behind_is_ended_too(stage: Stage) -> None:
    supervisor = stage.start("web:parent:0")
    grandchild = stage.meet(2)["grandchild"]
    supervisor.terminate()
    assert grandchild.read() == ""
    stage.output()
    assert supervisor.returncode == 0


def test_ctrl_c_again_stops_at_once(stage: Stage) -> None:
    supervisor = stage.start("worker:stubborn:0")
    worker = stage.meet(1)["worker"]
    supervisor.send_signal(signal.SIGINT)
    assert worker.read() == "worker told to stop"
    supervisor.send_signal(signal.SIGINT)
    assert worker.read() == ""
    stage.output()
    assert supervisor.returncode == 0


def test_a_second_request_to_terminate_does_not_cut_the_draining(stage: Stage) -> None:
    supervisor = stage.start("worker:drains:0")
    worker = stage.meet(1)["worker"]
    supervisor.terminate()
    assert worker.read() == "worker told to stop"
    supervisor.terminate()
    worker.connection.sendall(b"!")
    assert worker.read() == "worker ends"
    stage.output()
    assert supervisor.returncode == 0


def test_ctrl_c_in_the_terminal_reaches_only_the_supervisor(stage: Stage) -> None:
    supervisor = stage.start("worker:plain:0")
    worker = stage.meet(1)["worker"]
    os.killpg(supervisor.pid, signal.SIGINT)
    assert worker.read() == "worker told to stop"
    stage.output()
    assert supervisor.returncode == 0


def test_a_terminal_that_is_gone_does_not_stop_the_stopping(stage: Stage) -> None:
    supervisor = stage.start("worker:stubborn:0", grace=0.2)
    worker = stage.meet(1)["worker"]
    assert supervisor.stdout is not None
    supervisor.stdout.close()
    supervisor.send_signal(signal.SIGHUP)
    assert [worker.read(), worker.read()] == ["worker told to stop", ""]
    supervisor.wait(timeout=PATIENCE)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux")
def test_children_are_told_to_stop_when_the_supervisor_is_killed(stage: Stage) -> None:
    supervisor = stage.start("worker:plain:0")
    worker = stage.meet(1)["worker"]
    supervisor.kill()
    assert [worker.read(), worker.read()] == ["worker told to stop", "worker ends"]


def test_a_request_to_stop_during_the_preparations_is_kept() -> None:
    program = (
        "import os, signal, sys; from crm_mail.supervisor import Child, Supervisor\n"
        "with Supervisor([Child('web', (sys.executable, '-c', 'print(1)'))]) as supervisor:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('prepared', flush=True)\n"
        "    sys.exit(supervisor.run())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "prepared\n")


def test_it_says_that_it_is_ready_once_the_web_answers() -> None:
    web = (
        "import socket, sys; listener = socket.socket(fileno=int(sys.argv[1]))\n"
        "connection, _ = listener.accept(); request = connection.recv(9999).decode()\n"
        "sys.stdin.close(); connection.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n' + request.encode())\n"
        "listener.accept()\n"
    )
    program = (
        "import os, signal, sys\n"
        "from crm_mail.supervisor import Child, Supervisor, WebProbe, listen, url_of\n"
        "listener = listen('127.0.0.1', 0); url = url_of(listener); fd = listener.fileno()\n"
        "def ready(): print('ready', url.startswith('http://127.0.0.1:'), flush=True);"
        " os.kill(os.getpid(), signal.SIGTERM)\n"
        f"web = Child('web', (sys.executable, '-c', {web!r}, str(fd)), pass_fds=(fd,))\n"
        "probe = WebProbe(listener, 'localhost')\n"
        "with Supervisor([web], probe=probe, on_ready=ready) as supervisor:\n"
        "    sys.exit(supervisor.run())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("ready True\n")
    assert done.returncode == 0


def test_a_port_that_is_taken_is_refused() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "start"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("0.0.0.0", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
    ],
)
def test_the_url_can_be_opened_on_this_machine(host: str, start: str) -> None:
    try:
        listener = listen(host, 0)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with listener:
        assert url_of(listener).startswith(start)
