"""A real Dovecot on free loopback ports, with a private configuration and authority, wherever it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.certificates import Authority
from tests.patience import PATIENCE

PASSWORD = "secret"

_CONFIGURATION = """
protocols = pop3
base_dir = {folder}/run
log_path = {folder}/dovecot.log
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:{folder}/mail/%u/Maildir
first_valid_uid = 1
mail_max_userip_connections = 1000
default_login_user = {login_user}
default_internal_user = {internal_user}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 1
  client_limit = 1000
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = {tls_port}
    ssl = yes
  }}
}}
service pop3 {{
  process_limit = 1000
}}
service anvil {{
  client_limit = 4000
  # No penalty for wrong passwords: they all come from one address.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  client_limit = 4000
  # Postfix asks here who may send.
  unix_listener {folder}/sign-in {{
    mode = 0666
  }}
}}
"""


def installed() -> bool:
    """Whether a Dovecot 2.3 with POP3 is here and can be started by this user (it wants to be root)."""
    program = _program()
    if program is None or os.geteuid() != 0:
        return False
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    library = Path("/usr/lib/dovecot")
    return version.startswith("2.3") and (not library.exists() or (library / "pop3").exists())


class Dovecot:
    """A running Dovecot; a context manager. Any user name signs in with `PASSWORD`.

    `port` speaks plain POP3 and STLS, `tls_port` POP3 over TLS; both are for `localhost`, certified by `ca_file`.
    `sign_in` is the socket on which another server can ask whether a password is right.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self.port, self.tls_port = free_ports(2)
        authority = Authority(self.folder / "tls")
        self.ca_file = authority.file
        self.certificate = authority.issue()
        self.sign_in = self.folder / "sign-in"
        (self.folder / "mail").mkdir()

    def maildir(self, user: str) -> Path:
        """Where a user's mail is; the folder may not be there yet."""
        return self.folder / "mail" / user / "Maildir"

    def add_messages(self, user: str, messages: Iterable[bytes]) -> None:
        """Put messages into a user's Maildir; they are listed in this order."""
        maildir = self.maildir(user)
        for name in ("cur", "new", "tmp"):
            (maildir / name).mkdir(parents=True, exist_ok=True)
        new = maildir / "new"
        first = len(list(new.iterdir())) + len(list((maildir / "cur").iterdir()))
        owner = pwd.getpwnam("mail")
        for place, raw in enumerate(messages, first):
            # Dovecot sorts new files by the time in their names.
            path = new / f"{1_750_000_000 + place}.{place:06d}.test"
            path.write_bytes(raw)
            os.chown(path, owner.pw_uid, owner.pw_gid)
        for folder in (maildir.parent, maildir, *maildir.iterdir()):
            os.chown(folder, owner.pw_uid, owner.pw_gid)

    def start(self) -> Self:
        """Start it and wait until it listens."""
        program = _program()
        if program is None:
            raise RuntimeError("Dovecot is not installed")
        owner = pwd.getpwnam("mail")
        os.chown(self.folder / "mail", owner.pw_uid, owner.pw_gid)
        self.folder.chmod(0o755)
        configuration = self.folder / "dovecot.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=self.folder,
                certificate=self.certificate.certificate,
                key=self.certificate.key,
                password=PASSWORD,
                port=self.port,
                tls_port=self.tls_port,
                user=owner.pw_uid,
                group=owner.pw_gid,
                login_user="dovenull",
                internal_user="dovecot",
            )
        )
        # -F keeps it in the foreground: its end is then this process's to see and to wait for.
        self._process = subprocess.Popen([program, "-F", "-c", str(configuration)])
        wait_until_listening(self._process, self.port, self.tls_port)
        return self

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self._process.terminate()
        self._process.wait(PATIENCE)
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def wait_until_listening(process: subprocess.Popen[bytes], *ports: int) -> None:
    """Wait until a server that was just started answers on all `ports`; RuntimeError if it ends before."""
    for port in ports:
        for _ in range(int(PATIENCE * 20)):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                try:
                    code = process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
                raise RuntimeError(f"{process.args} ended with {code}") from None
            else:
                break
        else:
            raise RuntimeError(f"{process.args} did not start to listen on port {port}")


def _program() -> str | None:
    return shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that were free a moment ago."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
