"""What happens to a mailbox, its owner, the clock or the disk while it is fetched loses nothing and doubles nothing (R16, R17)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import override_settings
from django.utils import timezone

from accounts.mailboxes import add_mailbox, change_mailbox, remove_mailbox
from accounts.models import Mailbox
from accounts.organizations import deactivate_user, reactivate_user
from fetcher import polling, scheduling
from fetcher.models import FetchRun, SeenUid
from mail import blobs
from mail.models import Message
from sharing.visibility import visible_to
from tests import factories, servers
from tests.certificates import Authority
from tests.fetching import fetch
from tests.servers import Fault, Say, ScriptedPop3Server

pytestmark = pytest.mark.django_db

RAWS = [factories.raw_message(subject=f"Message {n}") for n in range(1, 5)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedPop3Server]:
    """A server with four messages; each is a batch."""
    monkeypatch.setattr(polling, "BATCH_MESSAGES", 1)
    with ScriptedPop3Server(servers.mailbox(*RAWS)) as server:
        yield server


def fetch_and(mailbox: Mailbox, deed: Callable[[], object]) -> FetchRun:
    """Poll; once the first message is stored, do something else."""
    claimed, _ = scheduling.claim(mailbox)
    run = scheduling.start(mailbox.pk, claimed.token)
    assert run is not None

    def after(run: FetchRun) -> None:
        if run.new == 1:
            deed()

    polling.poll(run, after)
    mailbox.refresh_from_db()
    run.refresh_from_db()
    return run


def assert_all_is_stored_once() -> None:
    """Whatever happened before."""
    assert sorted(blobs.read(message) for message in Message.objects.all()) == sorted(RAWS)
    assert SeenUid.objects.count() == len(RAWS)


def test_a_new_password_ends_a_poll_with_the_old_one(server: ScriptedPop3Server) -> None:
    """What was stored stays; the rest comes with the new password, at once."""
    mailbox = factories.mailbox_on(server.port)
    run = fetch_and(mailbox, lambda: change_mailbox(mailbox, incoming_password="secret"))
    assert (run.state, run.error) == ("failed", "Stopped: the mailbox's settings changed meanwhile.")
    assert (mailbox.state, mailbox.last_error, Message.objects.count()) == ("never_fetched", "", 1)
    assert mailbox.next_fetch_at <= timezone.now()
    fetch(mailbox)
    assert_all_is_stored_once()


def test_a_mailbox_that_is_removed_gets_no_further_mail(server: ScriptedPop3Server) -> None:
    """R10: and nothing is deleted on its server. Added again it goes on where it stopped."""
    mailbox = factories.mailbox_on(server.port, delete_policy="after_fetch")
    run = fetch_and(mailbox, lambda: remove_mailbox(mailbox, deletes_mail=False))
    assert (run.state, Message.objects.count(), len(server.uids("user"))) == ("failed", 1, len(RAWS))
    assert (mailbox.next_fetch_at, mailbox.lease_token) == (None, None)
    add_mailbox(
        mailbox.owner,
        name="Again",
        email_address=mailbox.email_address,
        incoming_host="127.0.0.1",
        incoming_port=server.port,
        incoming_security="none",
        incoming_username="user",
        incoming_password="secret",
        use_same_credentials=True,
        outgoing_host="127.0.0.1",
    )
    mailbox.refresh_from_db()
    fetch(mailbox)
    assert_all_is_stored_once()


def test_of_a_user_who_is_deactivated_the_poll_that_is_going_is_the_last(server: ScriptedPop3Server) -> None:
    """R2."""
    administrator = factories.user(role="admin")
    mailbox = factories.mailbox_on(server.port, owner=factories.user(organization=administrator.organization))
    run = fetch_and(mailbox, lambda: deactivate_user(mailbox.owner))
    Mailbox.objects.update(next_fetch_at=timezone.now())
    assert (run.is_open, scheduling.claim_due(10)) == (False, [])
    reactivate_user(mailbox.owner)
    fetch(mailbox)
    assert_all_is_stored_once()


def test_sharing_that_ends_while_mail_is_fetched_hides_all_of_it(server: ScriptedPop3Server) -> None:
    """R20: what came before and what comes after."""
    mailbox = factories.mailbox_on(server.port, mode="public")
    colleague = factories.user(organization=mailbox.owner.organization)
    factories.customer(organization=mailbox.owner.organization, addresses=["bea@acme.example"])
    seen = []

    def end() -> None:
        seen.append(visible_to(colleague).count())
        factories.share(mailbox, "private")

    fetch_and(mailbox, end)
    assert (seen, visible_to(colleague).count()) == ([1], 0)
    assert_all_is_stored_once()


def test_fetch_mail_leaves_a_mailbox_to_the_worker_that_fetches_it(server: ScriptedPop3Server) -> None:
    """R17."""
    mailbox = factories.mailbox_on(server.port)
    said = StringIO()
    fetch_and(mailbox, lambda: call_command("fetch_mail", mailbox=mailbox.email_address, stdout=said))
    assert said.getvalue() == f"{mailbox.email_address}: a worker is fetching it right now.\n"
    assert server.connections == 1
    assert_all_is_stored_once()


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_that_jumps_hands_the_mailbox_on_and_doubles_nothing(
    server: ScriptedPop3Server, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """R16: the lease of the poll that is going counts as over; whoever claims the mailbox then is the one who stores."""
    mailbox = factories.mailbox_on(server.port)
    real = timezone.now
    claimed: list[FetchRun] = []

    def jump() -> None:
        monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(hours=hours))
        claimed.extend(scheduling.claim_due(10))

    run = fetch_and(mailbox, jump)
    assert (run.state, Message.objects.count()) == ("failed", 1)
    (following,) = claimed
    second = scheduling.start(mailbox.pk, following.token)
    assert second is not None
    assert (polling.poll(second).new, second.state) == (len(RAWS) - 1, "done")
    assert_all_is_stored_once()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the data folder holds the database of the embedded default")
@pytest.mark.django_db(transaction=True)
def test_a_data_folder_that_becomes_read_only_stores_nothing_and_loses_nothing(server: ScriptedPop3Server) -> None:
    """R16: not even the error can be noted; after the lease the mailbox is fetched again."""
    mailbox = factories.mailbox_on(server.port, delete_policy="after_fetch")
    with pytest.raises(OperationalError, match="readonly"):
        fetch_and(mailbox, lambda: connection.cursor().execute("PRAGMA query_only = ON"))
    connection.cursor().execute("PRAGMA query_only = OFF")
    assert (Message.objects.count(), len(server.uids("user"))) == (1, len(RAWS))
    Mailbox.objects.update(lease_until=timezone.now())
    server.mailboxes["user"].is_open = False
    (following,) = scheduling.claim_due(10)
    second = scheduling.start(mailbox.pk, following.token)
    assert second is not None
    assert (polling.poll(second).new, server.uids("user")) == (len(RAWS) - 1, [])
    assert_all_is_stored_once()


def too_old(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same for TLS 1.1 at most."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.filterwarnings("ignore:.*TLSv1:DeprecationWarning")
@pytest.mark.parametrize(
    ("fault", "security", "kind"),
    [
        ("expired", "ssl", "certificate_expired"),
        ("not yet valid", "ssl", "certificate_not_yet_valid"),
        ("another name", "ssl", "certificate_name"),
        ("unknown issuer", "ssl", "certificate_issuer"),
        ("too old", "ssl", "tls_too_old"),
        ("expired", "starttls", "certificate_expired"),
        ("not yet valid", "starttls", "certificate_not_yet_valid"),
        ("another name", "starttls", "certificate_name"),
        ("unknown issuer", "starttls", "certificate_issuer"),
        ("too old", "starttls", "tls_too_old"),
        ("stripped", "starttls", "tls"),
        ("refused", "starttls", "tls"),
        ("injected", "starttls", "tls"),
    ],
)
def test_encryption_that_can_not_be_trusted_is_an_error_and_no_password_is_sent(
    tmp_path: Path, fault: str, security: str, kind: str
) -> None:
    """R8, R18: tried again after the interval; once it is mended, all is fetched."""
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "stranger", "Stranger")
    context = {
        "expired": authority.issue(ends_in_days=-1).server_context(),
        "not yet valid": authority.issue(starts_in_days=1).server_context(),
        "another name": authority.issue("other.example").server_context(),
        "unknown issuer": stranger.issue().server_context(),
        "too old": too_old(authority.issue().server_context()),
        "stripped": None,
    }.get(fault, authority.issue().server_context())
    answers = {"refused": b"-ERR not now\r\n", "injected": b"+OK begin\r\n+OK injected\r\n"}
    faults = [Fault("STLS", Say(answers[fault]))] if fault in answers else []
    implicit = security == "ssl"
    with (
        override_settings(MAIL_CA_FILE=str(authority.file)),
        ScriptedPop3Server(servers.mailbox(*RAWS), tls=context, implicit_tls=implicit, faults=faults) as server,
    ):
        encrypted = {"incoming_host": "localhost", "incoming_security": security, "allow_plain_text": False}
        mailbox = factories.mailbox_on(server.port, **encrypted)
        fetch(mailbox)
        assert (mailbox.state, mailbox.error_kind, mailbox.failures) == ("error", kind, 1)
        assert timedelta(minutes=4) < mailbox.next_fetch_at - timezone.now() < timedelta(minutes=6)
        assert not [said for said in server.commands if said.startswith(("USER", "PASS", "AUTH"))]
        with ScriptedPop3Server(
            servers.mailbox(*RAWS), tls=authority.issue().server_context(), implicit_tls=implicit
        ) as mended:
            Mailbox.objects.update(incoming_port=mended.port)
            fetch(mailbox)
    assert (mailbox.state, mailbox.last_error, mailbox.failures) == ("ok", "", 0)
    assert_all_is_stored_once()
