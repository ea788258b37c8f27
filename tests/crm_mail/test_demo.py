"""The demonstration: its mail can be read, its world shows what each sharing mode promises, its mail really moves."""

from __future__ import annotations

import json
import os
import re
import smtplib
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from aiosmtpd.controller import Controller

from accounts.mailboxes import NotPossible
from accounts.models import Mailbox, Organization, User
from crm_mail.demo import world
from crm_mail.demo.conversations import CARLOS, PAULA, PRIYA
from crm_mail.demo.delivery import Delivery, free_port
from crm_mail.demo.messages import later_mail, sample_mail
from crm_mail.demo.pop3_server import Pop3Server
from customers.models import Customer
from fetcher import polling, scheduling
from fetcher.models import FetchRun
from mail.models import Message
from mail.parsing import ParsedMessage, cut_part, parse, read_html
from sharing.visibility import listed_once, visible_to
from tests import factories
from tests.patience import PATIENCE
from tests.processes import ROOT

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def samples() -> list[bytes]:
    """All mailboxes' messages."""
    return [raw for raws in sample_mail(NOW).values() for raw in raws]


@pytest.fixture(scope="module")
def parsed(samples: list[bytes]) -> list[ParsedMessage]:
    """The same, read."""
    return [parse(raw) for raw in samples]


def test_there_are_sixty_different_messages_in_three_mailboxes(parsed: list[ParsedMessage]) -> None:
    assert set(sample_mail(NOW)) == {PAULA, CARLOS, PRIYA}
    assert len({message.fingerprint for message in parsed}) >= 60


def test_the_same_moment_makes_the_same_bytes() -> None:
    assert sample_mail(NOW) == sample_mail(NOW)


def test_every_message_is_read_without_loss(parsed: list[ParsedMessage]) -> None:
    for message in parsed:
        assert message.notes == ()
        assert message.text.strip()
        assert "\ufffd" not in message.subject + message.text


def test_all_of_it_was_written_in_the_past_three_weeks(parsed: list[ParsedMessage]) -> None:
    dates = [message.date for message in parsed]
    assert all(date is not None and NOW - timedelta(days=21) <= date <= NOW for date in dates)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("English", "Could you send a quote"),
        ("German", "Mit freundlichen Grüßen"),
        ("French", "nos sondes doivent être étalonnées"),
        ("Japanese", "いつもお世話になっております"),
        ("Greek", "Καλημέρα"),
        ("Spanish", "Buenos días"),
    ],
)
def test_customers_write_in_many_languages(parsed: list[ParsedMessage], language: str, words: str) -> None:
    assert any(words in message.text for message in parsed)


def test_several_charsets_are_on_the_wire(samples: list[bytes]) -> None:
    used = {part.get_content_charset() for raw in samples for part in message_from_bytes(raw).walk()}
    assert {"utf-8", "iso-8859-1", "windows-1252", "iso-2022-jp"} <= used


def test_answers_name_what_they_answer(parsed: list[ParsedMessage]) -> None:
    known = {message.message_id for message in parsed}
    answers = [message for message in parsed if message.in_reply_to]
    assert len(answers) >= 20
    assert all({message.in_reply_to, *message.references} <= known for message in answers)


def test_documents_pictures_tables_dates_and_mails_are_attached(samples: list[bytes]) -> None:
    begins = {}
    for raw in samples:
        for part in parse(raw).attachments:
            data, content_type = cut_part(raw, part.number)
            assert len(data) == part.size
            begins[content_type] = data[:8]
    assert begins["application/pdf"].startswith(b"%PDF-1.")
    assert begins["image/png"] == b"\x89PNG\r\n\x1a\n"
    assert begins["text/calendar"] == b"BEGIN:VC"
    assert {"text/csv", "message/rfc822"} <= set(begins)


def test_html_shows_inline_and_remote_pictures(samples: list[bytes]) -> None:
    pages = [(read_html(raw), parse(raw).attachments) for raw in samples]
    assert any("cid:" in html and any(part.is_inline for part in attachments) for html, attachments in pages)
    assert any("https://pixel." in html for html, _ in pages)


def test_what_arrives_later_is_new_and_for_every_member(parsed: list[ParsedMessage]) -> None:
    later = later_mail(NOW)
    assert {receiver for receiver, _ in later} == {PAULA, CARLOS, PRIYA}
    assert not {parse(raw).message_id for _, raw in later} & {message.message_id for message in parsed}


# --- the world ------------------------------------------------------------------------------------


def fill(server: Pop3Server, organization: Organization) -> None:
    """Put the sample mail on a server, as the command does."""
    for member, raws in sample_mail(organization.created_at).items():
        server.add_mailbox(member, world.POP3_PASSWORD, raws)


@pytest.fixture
def pop3() -> Iterator[Pop3Server]:
    """The demonstration's POP3 server."""
    with Pop3Server() as server:
        yield server


@pytest.fixture
def organization(pop3: Pop3Server, db: None) -> Organization:
    """The demonstration's organisation, its mail still on the server."""
    made = world.build(pop3_port=pop3.port, smtp_port=2525)
    fill(pop3, made)
    return made


def poll(address: str) -> FetchRun:
    """Poll a mailbox once, as a worker does."""
    mailbox = Mailbox.objects.get(email_address=address)
    run, _ = scheduling.claim(mailbox)
    begun = scheduling.start(mailbox.pk, run.token)
    assert begun is not None
    return polling.poll(begun)


@pytest.fixture
def fetched(organization: Organization) -> Organization:
    """The same with all mail fetched."""
    for address in (PAULA, CARLOS, PRIYA):
        run = poll(address)
        assert (run.state, run.error) == ("done", "")
    return organization


def owners_of_mail_with(address: str, viewer: str) -> set[str]:
    """In whose mailboxes the mail is that `viewer` sees on the record with `address`."""
    customer = Customer.objects.with_address(address).get()
    user = User.objects.get(email=viewer)
    found = visible_to(user).filter(correspondences__customer=customer)
    return set(listed_once(found, user).values_list("owner__email", flat=True))


def test_everything_is_built_and_every_message_is_stored(pop3: Pop3Server, fetched: Organization) -> None:
    assert fetched.users.count() == 4
    assert fetched.customers.count() >= 14
    assert {mailbox.policy.mode for mailbox in Mailbox.objects.filter(kind="pop3")} == {"public", "custom", "private"}
    assert Message.objects.count() == sum(len(pop3.uids(address)) for address in (PAULA, CARLOS, PRIYA))


def test_a_colleague_sees_the_public_members_mail_on_a_contact(fetched: Organization) -> None:
    """R21."""
    assert owners_of_mail_with("claire.dubois@laiterie-dubois.example", world.ADMIN) == {PAULA}


def test_the_excluded_domains_mail_is_its_owners_alone(fetched: Organization) -> None:
    """R21."""
    assert owners_of_mail_with("m.hart@hart-legal.example", PAULA) == {PAULA}
    assert owners_of_mail_with("m.hart@hart-legal.example", world.ADMIN) == set()


def test_the_custom_member_shares_the_ticked_customers_only(fetched: Organization) -> None:
    """R22."""
    assert owners_of_mail_with("erik.lund@nordic-pulp.example", world.ADMIN) == {CARLOS}
    assert owners_of_mail_with("bea.stone@acme.example", world.ADMIN) == {PAULA, CARLOS}
    assert owners_of_mail_with("lucia.gomez@conservas-gomez.example", world.ADMIN) == set()
    assert owners_of_mail_with("lucia.gomez@conservas-gomez.example", CARLOS) == {CARLOS}


@pytest.mark.parametrize("viewer", [world.ADMIN, PAULA, CARLOS])
def test_nobody_else_sees_the_private_members_mail(fetched: Organization, viewer: str) -> None:
    """R23."""
    priya = User.objects.get(email=PRIYA)
    assert Message.objects.owned_by(priya).exists()
    assert not visible_to(User.objects.get(email=viewer)).filter(owner=priya).exists()


def test_built_again_only_the_ports_are_new_and_nothing_is_fetched_twice(fetched: Organization) -> None:
    with Pop3Server() as second:
        assert world.build(pop3_port=second.port, smtp_port=2526) == fetched
        fill(second, fetched)
        assert [poll(address).new for address in (PAULA, CARLOS, PRIYA)] == [0, 0, 0]
    assert set(Mailbox.objects.filter(kind="pop3").values_list("outgoing_port", flat=True)) == {2526}
    assert Organization.objects.count() == 1
    assert User.objects.count() == 4


@pytest.mark.django_db
def test_somebodys_real_installation_is_left_alone() -> None:
    real = factories.user().organization
    with pytest.raises(NotPossible, match=f"holds {real.name}, which is no demonstration"):
        world.build(pop3_port=1, smtp_port=1)
    assert list(Organization.objects.all()) == [real]


# --- the mail that moves --------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_answer_reaches_the_members_mailbox_and_is_fetched_at_once(pop3: Pop3Server) -> None:
    fill(pop3, world.build(pop3_port=pop3.port, smtp_port=2525))
    told: list[str] = []
    before = pop3.uids(PAULA)
    controller = Controller(Delivery(pop3, told.append), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        with smtplib.SMTP(controller.hostname, controller.port) as client:
            raw = factories.raw_message(to=["paula.mail@northwind.example"], subject="An answer", text="Read me.")
            client.sendmail(CARLOS, ["Paula.Mail@northwind.example", "somebody@else.example"], raw)
    finally:
        controller.stop()
    assert len(pop3.uids(PAULA)) == len(before) + 1
    assert FetchRun.objects.get().mailbox.email_address == PAULA
    assert told == ["\nMail to somebody@else.example: An answer\nRead me.\n"]


def api(url: str, path: str, token: str = "", **data: str) -> Any:
    """What the portal's API answers."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {})
    body = json.dumps(data).encode() if data else None
    request = Request(url + path, data=body, headers=headers)  # noqa: S310 - our own program said where it is
    with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        return json.load(answer)


def test_started_it_fetches_by_itself_and_stopped_it_leaves_nothing_behind(tmp_path: Path) -> None:
    """The whole of it: servers, people, worker and portal, until somebody asks it to stop."""
    ours = ("CRM_MAIL_", "DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL")
    given = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    program = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "demo"],
        env=given | {"CRM_MAIL_PORT": "0", "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    too_late = threading.Timer(3 * PATIENCE, program.kill)
    too_late.start()
    try:
        assert program.stdout is not None
        url, fetched, said = "", 0, []
        while not (url and fetched == 3):
            line = program.stdout.readline()
            said.append(line)
            assert line, "".join(said)
            found = re.match(r"CRM Mail is at (\S+)", line)
            url = found[1] if found else url
            fetched += "fetcher.tasks.poll_mailbox" in line and "succeeded" in line
        for sign_in in world.SIGN_INS:
            assert any(sign_in.email in line and sign_in.name in line for line in said)
        token = api(url, "/api/v1/auth/token/", email=world.ADMIN, password=world.PASSWORD)["token"]
        subjects = {message["subject"] for message in api(url, "/api/v1/messages/?search=", token)["results"]}
        assert "Quote for 40 pressure sensors" in subjects
        assert not {"Framework agreement", "A word about last week", "Confidential: draft settlement"} & subjects
        program.terminate()
        rest = program.communicate()[0]
        assert program.returncode == 0, rest
    finally:
        too_late.cancel()
        program.kill()
        program.wait()
    assert list(tmp_path.iterdir()) == []
