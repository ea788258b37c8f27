"""A real Postfix on free loopback ports, with a configuration and a queue of its own, wherever it is installed.

Every address of every domain has its Maildir at the Dovecot beside it, made when the first message comes: what
Postfix delivered can be read as files, or fetched by POP3. Nothing is ever sent to another machine.

    with Postfix() as server, override_settings(MAIL_CA_FILE=str(server.ca_file)):
        …                                                 # submit to localhost, server.tls_port
        [copy] = server.wait_for("bea@acme.example")      # the copy as it lies in her Maildir
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tests import dovecot
from tests.dovecot import PASSWORD, Dovecot, free_ports, wait_until_listening
from tests.patience import PATIENCE

__all__ = ["PASSWORD", "Postfix", "installed"]

_T = TypeVar("_T")

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mx.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_auth_destination, reject
smtpd_recipient_restrictions = check_recipient_access texthash:{folder}/recipients
smtpd_delay_reject = yes
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sign_in}
smtpd_sasl_security_options = noanonymous
smtpd_client_connection_count_limit = 0
message_size_limit = {size_limit}
default_transport = error:5.4.4 nothing leaves this machine
relay_transport = error:5.4.4 nothing leaves this machine
transport_maps = texthash:{folder}/transport
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:any
virtual_transport = maildir
maildir_destination_recipient_limit = 1
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
lmtp_destination_recipient_limit = 50
address_verify_map =
address_verify_poll_delay = 1s
unverified_recipient_reject_code = 550
"""

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{verifying_port} inet n - n - - smtpd
  -o smtpd_recipient_restrictions=reject_unverified_recipient
127.0.0.1:{starttls_port} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
127.0.0.1:{tls_port} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
maildir unix - n n - - pipe
  flags=DORXhu user=mail argv=/bin/sh {folder}/deliver ${{recipient}}
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

# maildir(5); 75 is EX_TEMPFAIL of sysexits.h.
_DELIVER = """
trap 'exit 75' EXIT
set -eu
maildir={maildirs}/$1/Maildir
mkdir -p "$maildir/tmp" "$maildir/new" "$maildir/cur"
name=$(date +%s.%N)_$$.test
cat >"$maildir/tmp/$name"
mv "$maildir/tmp/$name" "$maildir/new/$name"
trap - EXIT
"""


def installed() -> bool:
    """Whether a Postfix and a Dovecot are here and can be started by this user (they want to be root)."""
    return shutil.which("postfix", path=_PATH) is not None and dovecot.installed()


class Postfix:
    """A running Postfix with its Dovecot; a context manager. Any user name signs in with `PASSWORD`.

    `port` takes mail from outside, plain or with STARTTLS and without sign-in; so does `verifying_port`, which asks
    first, where the mail is to go, whether the receiver is known there. `starttls_port` and `tls_port` take mail from
    users who signed in, and only encrypted. All are for `localhost`, certified by `ca_file`.

    `transports` says by domain where its mail goes instead of a Maildir, for example
    `{"our.example": "lmtp:inet:127.0.0.1:8024"}`; `recipients` by address what is answered to RCPT, for example
    `{"gone@acme.example": "550 5.1.1 no such user"}`.
    """

    def __init__(
        self,
        *,
        transports: Mapping[str, str] | None = None,
        recipients: Mapping[str, str] | None = None,
        size_limit: int = 60 * 1024 * 1024,
    ) -> None:
        self.dovecot = Dovecot()
        self.folder = Path(tempfile.mkdtemp(prefix="postfix-"))
        self.port, self.verifying_port, self.starttls_port, self.tls_port = free_ports(4)
        self.ca_file = self.dovecot.ca_file
        self._transports = dict(transports or {})
        self._recipients = dict(recipients or {})
        self._size_limit = size_limit

    def received(self, address: str) -> list[bytes]:
        """The copies in an address's Maildir, in no particular order."""
        maildir = self.dovecot.maildir(address.lower())
        # Dovecot moves what a POP3 client has seen from one to the other.
        return [path.read_bytes() for name in ("cur", "new") for path in sorted((maildir / name).glob("*"))]

    def wait_for(self, address: str, count: int = 1) -> list[bytes]:
        """Wait until so many copies are in an address's Maildir."""
        return self._wait(lambda: self.received(address), lambda copies: len(copies) >= count)

    def wait_until_delivered(self) -> None:
        """Wait until nothing is under way: whatever has not arrived then will not."""
        self._wait(self.queue, lambda waiting: not waiting)

    def queue(self) -> list[str]:
        """What is under way, a JSON object a message (postqueue(1))."""
        return self._run("postqueue", "-j").splitlines()

    def flush(self) -> None:
        """Have it try at once what it had to put off."""
        self._run("postqueue", "-f")

    def log(self) -> str:
        """What it wrote so far."""
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder)
            stack.enter_context(self.dovecot)
            self._configure()
            self._process = subprocess.Popen(
                # In the foreground its end is this process's to see and to wait for.
                [self._program("postfix"), "-c", self._configuration, "start-fg"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(self._stop)
            wait_until_listening(self._process, self.port, self.starttls_port, self.tls_port)
            self._to_undo = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._to_undo.close()

    def _stop(self) -> None:
        # `postfix stop` does the same, and then sleeps a second. Its processes have a session of their own.
        os.kill(int((self.folder / "queue" / "pid" / "master.pid").read_text()), signal.SIGTERM)
        self._process.wait(PATIENCE)

    @property
    def _configuration(self) -> str:
        return str(self.folder / "configuration")

    def _configure(self) -> None:
        configuration = self.folder / "configuration"
        for folder in (configuration, self.folder / "queue", self.folder / "data"):
            folder.mkdir()
        self.folder.chmod(0o755)
        os.chown(self.folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
        (self.folder / "transport").write_text(_table(self._transports))
        (self.folder / "recipients").write_text(_table(self._recipients))
        values = {
            "folder": self.folder,
            "certificate": self.dovecot.certificate.certificate,
            "key": self.dovecot.certificate.key,
            "sign_in": self.dovecot.sign_in,
            "maildirs": self.dovecot.folder / "mail",
            "size_limit": self._size_limit,
            "port": self.port,
            "verifying_port": self.verifying_port,
            "starttls_port": self.starttls_port,
            "tls_port": self.tls_port,
        }
        (configuration / "main.cf").write_text(_MAIN.format_map(values))
        (configuration / "master.cf").write_text(_MASTER.format_map(values))
        (self.folder / "deliver").write_text(_DELIVER.format_map(values))

    def _wait(self, ask: Callable[[], _T], enough: Callable[[_T], bool]) -> _T:
        for _ in range(int(PATIENCE * 20)):
            answer = ask()
            if enough(answer):
                return answer
            try:
                code = self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"Postfix ended with {code}:\n{self.log()[-4000:]}")
        raise AssertionError(f"It did not come to that:\n{self.log()[-4000:]}")

    def _run(self, name: str, *arguments: str) -> str:
        command = [self._program(name), "-c", self._configuration, *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout

    @staticmethod
    def _program(name: str) -> str:
        found = shutil.which(name, path=_PATH)
        if found is None:
            raise RuntimeError(f"{name} is not installed")
        return found


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def _table(entries: Mapping[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in entries.items())
