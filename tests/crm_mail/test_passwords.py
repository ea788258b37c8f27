"""R14: a mailbox's password leaves the server on no way: a marker is planted, everything is driven, all is searched."""

from __future__ import annotations

import base64
import io
import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from celery.signals import before_task_publish
from django.conf import settings
from django.core.management import call_command
from django.core.signals import got_request_exception
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.views.debug import ExceptionReporter

from accounts.models import Mailbox, User
from fetcher.models import FetchRun
from fetcher.pop3 import Pop3Session
from tests import factories
from tests.api.clients import ROOT, program
from tests.fetching import fetch
from tests.portal.browsers import browser
from tests.portal.places import places
from tests.processes import worker
from tests.servers import Edit, Fault, ScriptedPop3Server, SmtpSink
from tests.servers import mailbox as pop3_mailbox

pytestmark = pytest.mark.django_db(transaction=True)

MARKER = "Pa55-marker-in-0815-zwolf"
#: What an account has besides its connections.
UNTESTED = {"name", "email_address", "delete_policy", "import_since", "sharing_mode"}
WRONG = "Pa55-marker-wr-4711-zwolf"


def spellings(password: str) -> Iterator[str]:
    """How a password may be written: as it is, and inside of base64 text at each of the three places."""
    yield password
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + password.encode()).decode().rstrip("=")
        yield whole[(0, 2, 3)[before] : -1]


class Everything:
    """All that was let out, by where."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def add(self, where: str, what: object) -> None:
        """Take up what was let out."""
        self.said.append((where, what.decode(errors="replace") if isinstance(what, bytes) else str(what)))

    def leaks(self) -> list[str]:
        """Where a marker or a sealed password was seen."""
        sealed = [
            password.token
            for mailbox in Mailbox.objects.all()
            for password in (mailbox.incoming_password, mailbox.outgoing_password)
            if password
        ]
        known = [*spellings(MARKER), *spellings(WRONG)]
        return [
            where
            for where, what in self.said
            if any(each in what for each in known)
            or (not where.startswith(("database", "dumpdata", "log")) and any(token in what for token in sealed))
        ]


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[Everything]:
    """What is let out from now on: task messages, and reports of failed requests as operators get them."""
    found = Everything()
    caplog.set_level(logging.DEBUG)

    def published(body: object = None, headers: object = None, **_: object) -> None:
        found.add("task", f"{body} {headers}")

    def failed(request: Any = None, **_: object) -> None:
        report = ExceptionReporter(request, *sys.exc_info())
        found.add("traceback", report.get_traceback_html() + report.get_traceback_text())

    before_task_publish.connect(published)
    got_request_exception.connect(failed)
    yield found
    before_task_publish.disconnect(published)
    got_request_exception.disconnect(failed)


def test_the_marker_is_found_wherever_it_would_be() -> None:
    """The search itself: in plain text and in what AUTH PLAIN sends."""
    found = Everything()
    found.add("plain", f"x{MARKER}x")
    for user in ("a", "ab", "abc"):
        found.add(user, base64.b64encode(f"\0{user}\0{MARKER}".encode()))
    assert found.leaks() == ["plain", "a", "ab", "abc"]


def test_a_password_is_in_no_page_answer_log_task_traceback_or_dump(
    everything: Everything,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R14."""
    admin = factories.user(role="admin", mail_account=True)
    raw = factories.raw_message(sender="bea@acme.example", subject="An offer")
    echo = Fault("PASS", Edit(lambda _reply: f"-ERR no mailbox with the password {WRONG}\r\n".encode()))
    with (
        ScriptedPop3Server(pop3_mailbox(raw, password=MARKER)) as pop3,
        ScriptedPop3Server(pop3_mailbox(), faults=[echo]) as echoing,
        SmtpSink(users={"user": MARKER}) as smtp,
    ):
        account = {
            "name": "Work",
            "email_address": "ann@work.example",
            "incoming_host": "127.0.0.1",
            "incoming_port": pop3.port,
            "incoming_security": "none",
            "incoming_username": "user",
            "incoming_password": MARKER,
            "use_same_credentials": True,
            "outgoing_host": "127.0.0.1",
            "outgoing_port": smtp.port,
            "outgoing_security": "none",
            "allow_plain_text": True,
            "delete_policy": "leave",
            "import_since": "all",
            "sharing_mode": "public",
        }
        by_pages(everything, admin, account, echoing.port)
        mailbox = Mailbox.objects.get(kind="pop3")
        by_api(everything, admin, account, mailbox, echoing.port)
        crashing(everything, admin, account, mailbox, monkeypatch)
        with worker(CRM_MAIL_LOG_LEVEL="DEBUG"):
            polls = pop3.commands.count("QUIT") + 1
            browser(admin).post(reverse("mailbox-fetch", args=[mailbox.pk]))
            pop3.wait_for("QUIT", polls)
        echo_account = Mailbox.objects.get(email_address="echo@work.example")
        program(admin).post(f"{ROOT}mailboxes/{echo_account.pk}/activate/")
        fetch(echo_account)
        assert echo_account.state == "password_rejected"
        assert "password" in echo_account.last_error
    everything.add("log", caplog.text)
    everything.add("output", "".join(capfd.readouterr()))
    read_everything(everything, admin, mailbox)
    assert everything.leaks() == []
    assert mailbox.incoming_password.reveal() == MARKER


def by_pages(everything: Everything, admin: User, account: dict[str, Any], echoing: int) -> None:
    """Find, test, mistake, refuse, confirm and save in the browser."""
    client = browser(admin)
    form = {name: "on" if value is True else value for name, value in account.items()}
    wrong = form | {"incoming_password": WRONG}
    add, test = reverse("mailbox-add"), reverse("mailbox-test-new")
    answers = [
        client.post(add, form | {"find": "servers"}),
        client.post(add, form | {"find": "outgoing"}),
        client.post(add, form | {"test": "account"}),
        client.post(add, wrong | {"test": "account"}),
        client.post(add, form | {"name": "", "incoming_port": "0"}),
        client.post(add, wrong),
        client.post(test, wrong | {"incoming_port": echoing}),
        client.post(test, wrong | {"saving": "1", "name": ""}),
        client.post(add, form),
    ]
    mailbox = Mailbox.objects.get(kind="pop3")
    for name in ("password-incoming", "password-outgoing"):
        there = reverse(name, args=[mailbox.pk])
        answers += [client.post(there, {"password": WRONG}), client.post(there, {"password": MARKER, "both": "on"})]
    for answer in answers:
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        everything.add(f"page {answer.request['PATH_INFO']}", body)
        everything.add("headers", dict(answer.headers))


def by_api(everything: Everything, admin: User, account: dict[str, Any], mailbox: Mailbox, echoing: int) -> None:
    """Add, test, change, mistake by the REST API."""
    client = program(admin)
    one = f"{ROOT}mailboxes/{mailbox.pk}/"
    other = account | {"email_address": "echo@work.example", "incoming_port": echoing, "incoming_password": WRONG}
    answers = [
        client.post(f"{ROOT}mailboxes/test/", {name: value for name, value in other.items() if name not in UNTESTED}),
        client.post(f"{ROOT}mailboxes/", other),
        client.post(f"{ROOT}mailboxes/", other | {"skip_test": True}),
        client.post(f"{ROOT}mailboxes/", account | {"incoming_password": [WRONG]}),
        client.patch(one, {"incoming_password": WRONG}),
        client.patch(one, {"name": "Other"}),
        client.put(f"{one}incoming-password/", {"password": WRONG}),
        client.put(f"{one}incoming-password/", {"password": MARKER}),
        client.put(f"{one}incoming-password/", {"passwort": MARKER}),
        client.generic("PUT", f"{one}incoming-password/", f'{{"password": "{MARKER}"', "application/json"),
        client.post(f"{one}test/"),
    ]
    for answer in answers:
        everything.add(f"api {answer.request['PATH_INFO']}", answer.content)
    assert [answer.status_code for answer in answers] == [200, 400, 201, 400, 400, 200, 400, 204, 400, 400, 200]


def crashing(
    everything: Everything,
    admin: User,
    account: dict[str, Any],
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Let requests and a poll break with a password at hand."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    client = Client(raise_request_exception=False)
    client.force_login(admin, backend="portal.adapter.Backend")
    api = program(admin)
    api.raise_request_exception = False
    form = {name: "on" if value is True else value for name, value in account.items()}
    seen = len(everything.said)
    with monkeypatch.context() as patch:
        patch.setattr("portal.connecting.connect_mailbox", broken)
        patch.setattr("portal.passwords.change_mailbox", broken)
        patch.setattr("api.mailboxes.connect_mailbox", broken)
        answers = [
            client.post(reverse("mailbox-add"), form),
            client.post(reverse("password-incoming", args=[mailbox.pk]), {"password": MARKER}),
            api.post(f"{ROOT}mailboxes/", account | {"email_address": "new@work.example"}),
        ]
    with monkeypatch.context() as patch:
        patch.setattr(Pop3Session, "login", broken)
        answers.append(client.post(reverse("mailbox-add"), form | {"test": "account"}))
        with pytest.raises(RuntimeError) as caught:
            fetch(mailbox)
        everything.add("traceback", "".join(traceback.format_exception(caught.value)))
    assert [answer.status_code for answer in answers] == [500] * 4
    for answer in answers:
        everything.add(f"error page {answer.request['PATH_INFO']}", answer.content)
    reports = [what for where, what in everything.said[seen:] if where == "traceback"]
    assert len(reports) == len(answers) + 1
    assert all("RuntimeError" in report for report in reports)


def read_everything(everything: Everything, admin: User, mailbox: Mailbox) -> None:
    """Every page and every address of the API, every row of the database, and what `dumpdata` writes."""
    colleague = factories.user(organization=admin.organization, role="admin", mail_account=True)
    customer = factories.customer(organization=admin.organization, addresses=["bea@acme.example"])
    message = mailbox.messages.get()
    for user in (admin, colleague):
        client = browser(user)
        for path in places(mailbox, customer, message):
            answer = client.get(path, follow=True)
            assert answer.status_code in {200, 404}, path
            everything.add(f"page {path}", answer.content)
        everything.add("page audit", b"".join(client.post(reverse("audit-export")).streaming_content))
        one = f"mailboxes/{mailbox.pk}/"
        for path in (
            "users/",
            "mail-account/",
            "mailboxes/",
            one,
            f"{one}runs/",
            f"{one}sharing/",
            "messages/",
            "schema/",
        ):
            answer = program(user).get(ROOT + path)
            assert answer.status_code == 200, path
            everything.add(f"api {path}", answer.content)
    for path in ("/health/ready", "/metrics"):
        everything.add(path, Client().get(path).content)
    assert "django.contrib.admin" not in settings.INSTALLED_APPS
    dump = io.StringIO()
    call_command("dumpdata", stdout=dump)
    everything.add("dumpdata", dump.getvalue())
    assert FetchRun.objects.filter(state="failed").exists()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - the names are ours
            for row in cursor.fetchall():
                for value in row:
                    everything.add(f"database {table}", bytes(value) if isinstance(value, memoryview) else value)
