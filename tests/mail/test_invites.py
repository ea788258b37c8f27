"""Invitations on a card: what, when, where, from whom; forgiving, bounded, never raising."""

import time
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.invites import Invite, read_invite


def calendar(*lines, method="REQUEST", before=""):
    return "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            f"METHOD:{method}",
            *filter(None, [before]),
            "BEGIN:VEVENT",
            *lines,
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ]
    )


def test_an_invitation_is_read_whole():
    read = read_invite(
        calendar(
            "SUMMARY:Review\\, with a very",
            "  long line",
            'ORGANIZER;CN="Stone, Bea":mailto:bea@acme.example',
            "DTSTART:20261103T140000Z",
            "DTEND:20261103T150000Z",
            "LOCATION;LANGUAGE=en:Room 5",
            "ATTENDEE;RSVP=TRUE:mailto:ann@our.example",
            "RRULE:FREQ=WEEKLY;COUNT=5",
        )
    )
    assert read == Invite(
        heading="Invitation",
        what="Review, with a very long line",
        start=datetime(2026, 11, 3, 14, tzinfo=UTC),
        end=datetime(2026, 11, 3, 15, tzinfo=UTC),
        where="Room 5",
        organizer="Stone, Bea <bea@acme.example>",
        repeats="Every week, 5 times",
        attendees=1,
    )


@pytest.mark.parametrize(
    ("line", "utc"),
    [
        ("DTSTART;TZID=Europe/Berlin:20260701T120000", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("DTSTART;TZID=Europe/Berlin:20261201T120000", datetime(2026, 12, 1, 11, tzinfo=UTC)),
        ("DTSTART;TZID=W. Europe Standard Time:20260701T120000", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("DTSTART;TZID=/mozilla.org/20050126_1/Europe/Berlin:20260701T120000", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ('DTSTART;TZID="America/New_York":20260701T120000', datetime(2026, 7, 1, 16, tzinfo=UTC)),
    ],
)
def test_the_zone_is_found_by_any_of_its_names(line, utc):
    assert read_invite(calendar(line)).start == utc


def test_a_zone_of_one_offset_is_taken_from_the_calendar():
    zone = "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nBEGIN:STANDARD\r\nTZOFFSETTO:+0530\r\nEND:STANDARD\r\nEND:VTIMEZONE"
    assert read_invite(calendar("DTSTART;TZID=Ours:20261103T120000", before=zone)).start == datetime(
        2026, 11, 3, 6, 30, tzinfo=UTC
    )


def test_a_zone_that_nobody_knows_is_named():
    read = read_invite(calendar("DTSTART;TZID=Nowhere:20261103T120000"))
    assert (read.start.hour, read.start.tzinfo, read.zone) == (12, None, "Nowhere")


def test_whole_days_end_on_their_last_day():
    read = read_invite(calendar("DTSTART;VALUE=DATE:20261103", "DTEND;VALUE=DATE:20261105"))
    assert (read.start, read.end, read.is_all_day) == (date(2026, 11, 3), date(2026, 11, 4), True)
    assert read_invite(calendar("DTSTART;VALUE=DATE:20261103", "DTEND;VALUE=DATE:20261104")).end is None


@pytest.mark.parametrize(
    ("lines", "method", "heading"),
    [
        ([], "CANCEL", "Cancelled"),
        (["STATUS:CANCELLED"], "REQUEST", "Cancelled"),
        ([], "PUBLISH", "Event"),
        ([], "WHATEVER", "Event"),
        (["ATTENDEE;PARTSTAT=ACCEPTED:mailto:ann@x.example"], "REPLY", "ann@x.example accepts"),
    ],
)
def test_the_heading_says_what_it_is_about(lines, method, heading):
    assert read_invite(calendar("SUMMARY:x", *lines, method=method)).heading == heading


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "BEGIN:VCALENDAR",
        "BEGIN:VEVENT\nDTSTART:99999999T999999Z",
        "END:VEVENT\nEND:X",
        calendar("DTSTART:00000000"),
        calendar("DURATION:P9999W", "DTSTART:99991231T000000Z"),
    ],
)
def test_rubbish_is_read_as_far_as_it_goes(text):
    read = read_invite(text)
    assert read is None or read.start is None or read.end is None


@given(st.text(alphabet='BEGIN:VTD;="\\\nEND10Z,', max_size=300))
def test_nothing_makes_it_raise(text):
    read_invite(calendar(text))


def test_a_hostile_calendar_takes_bounded_time():
    started = time.process_time()
    for piece in ("BEGIN:VEVENT\n", 'X;A="', ";A=B", "A:\n ", "\r\n ", "ATTENDEE:x\n", "\\"):
        read_invite("BEGIN:VCALENDAR\nBEGIN:VEVENT\nX" + piece * (500_000 // len(piece)))
    assert time.process_time() - started < 5
