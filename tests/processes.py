"""The product's own processes, started by a test on the test's database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connection

from crm_mail.celery import WORKER, app
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parent.parent


def environment(**more: str) -> dict[str, str]:
    """The environment in which a process works on this test's database."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database['NAME']}").geturl()
    return os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "crm_mail.settings"} | more


@contextmanager
def program(*arguments: str, stdout: int | None = None, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A Python module with its arguments as a process on the test's database; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment(**more), stdout=stdout, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


def worker(
    *, threads: int = 2, name: str = "tests", level: str = "INFO", **more: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    """A Celery worker as `manage.py up` starts it, without what earlier tests left for one; killed at the end if it still runs."""
    app.control.purge()
    options = ("--concurrency", f"{threads}", "--loglevel", level, "--hostname", f"{name}@%h")
    return program("celery", *WORKER.split(), *options, **more)
