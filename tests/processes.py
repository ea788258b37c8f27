"""The product's own processes, started by a test on the test's database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30.0


def environment(**more: str) -> dict[str, str]:
    """The environment in which a process works on this test's database."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database['NAME']}").geturl()
    return os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "crm_mail.settings"} | more


@contextmanager
def worker(**more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker as `manage.py up` starts it; killed at the end if it still runs."""
    command = [sys.executable, "-m", "celery", "-A", "crm_mail", "worker", "-P", "threads", "-c", "2", "-l", "INFO"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "-n", "tests@%h"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(**more))
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)
