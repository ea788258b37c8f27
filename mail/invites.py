"""Invitations to meetings (iCalendar, RFC 5545, RFC 5546), as far as a card shows them. Pure, bounded, never raising."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

MAX_BYTES = 512 * 1024
MAX_LINES = 5_000
MAX_TEXT_CHARS = 1_000

_LINE = re.compile(
    r"([A-Za-z0-9-]{1,60})((?:;[A-Za-z0-9-]{1,60}=(?:\"[^\"]*+\"|[^\";:]*+)(?:,(?:\"[^\"]*+\"|[^\";:,]*+))*+)*+):(.*)",
    re.DOTALL,
)
_PARAMETER = re.compile(r";([A-Za-z0-9-]{1,60})=(?:\"([^\"]*+)\"|([^;]*+))")
_MOMENT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})?(Z)?)?")
_DURATION = re.compile(r"P(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,4})M)?(?:(\d{1,4})S)?)?")
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NAMES = {
    "REQUEST": "Invitation",
    "PUBLISH": "Event",
    "CANCEL": "Cancelled",
    "REPLY": "Answer",
    "COUNTER": "Proposed change",
}
_ANSWERS = {"ACCEPTED": "accepts", "DECLINED": "declines", "TENTATIVE": "may come", "DELEGATED": "sends somebody else"}
_REPEATS = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year", "HOURLY": "hour"}

#: What Windows calls the zones that most mail is written in (CLDR's windowsZones).
_WINDOWS_ZONES = {
    "afghanistan standard time": "Asia/Kabul",
    "alaskan standard time": "America/Anchorage",
    "arab standard time": "Asia/Riyadh",
    "arabian standard time": "Asia/Dubai",
    "argentina standard time": "America/Argentina/Buenos_Aires",
    "atlantic standard time": "America/Halifax",
    "aus eastern standard time": "Australia/Sydney",
    "bangladesh standard time": "Asia/Dhaka",
    "belarus standard time": "Europe/Minsk",
    "canada central standard time": "America/Regina",
    "cen. australia standard time": "Australia/Adelaide",
    "central america standard time": "America/Guatemala",
    "central europe standard time": "Europe/Budapest",
    "central european standard time": "Europe/Warsaw",
    "central standard time": "America/Chicago",
    "central standard time (mexico)": "America/Mexico_City",
    "china standard time": "Asia/Shanghai",
    "e. africa standard time": "Africa/Nairobi",
    "e. australia standard time": "Australia/Brisbane",
    "e. europe standard time": "Europe/Chisinau",
    "e. south america standard time": "America/Sao_Paulo",
    "eastern standard time": "America/New_York",
    "egypt standard time": "Africa/Cairo",
    "fle standard time": "Europe/Kiev",
    "gmt standard time": "Europe/London",
    "greenwich standard time": "Atlantic/Reykjavik",
    "gtb standard time": "Europe/Bucharest",
    "hawaiian standard time": "Pacific/Honolulu",
    "india standard time": "Asia/Kolkata",
    "iran standard time": "Asia/Tehran",
    "israel standard time": "Asia/Jerusalem",
    "korea standard time": "Asia/Seoul",
    "middle east standard time": "Asia/Beirut",
    "morocco standard time": "Africa/Casablanca",
    "mountain standard time": "America/Denver",
    "myanmar standard time": "Asia/Yangon",
    "nepal standard time": "Asia/Kathmandu",
    "new zealand standard time": "Pacific/Auckland",
    "newfoundland standard time": "America/St_Johns",
    "pacific sa standard time": "America/Santiago",
    "pacific standard time": "America/Los_Angeles",
    "pakistan standard time": "Asia/Karachi",
    "romance standard time": "Europe/Paris",
    "russian standard time": "Europe/Moscow",
    "sa pacific standard time": "America/Bogota",
    "se asia standard time": "Asia/Bangkok",
    "singapore standard time": "Asia/Singapore",
    "south africa standard time": "Africa/Johannesburg",
    "sri lanka standard time": "Asia/Colombo",
    "taipei standard time": "Asia/Taipei",
    "tokyo standard time": "Asia/Tokyo",
    "turkey standard time": "Europe/Istanbul",
    "us eastern standard time": "America/Indiana/Indianapolis",
    "us mountain standard time": "America/Phoenix",
    "utc": "UTC",
    "venezuela standard time": "America/Caracas",
    "w. australia standard time": "Australia/Perth",
    "w. central africa standard time": "Africa/Lagos",
    "w. europe standard time": "Europe/Berlin",
    "west asia standard time": "Asia/Tashkent",
}


@dataclass(frozen=True, slots=True)
class Invite:
    """An event. Moments are aware where their zone is known; `zone` names it where it is not; dates are whole days.

    `end` is the last moment or day of it, None where it is not said.
    """

    heading: str
    what: str = ""
    start: datetime | date | None = None
    end: datetime | date | None = None
    zone: str = ""
    where: str = ""
    organizer: str = ""
    repeats: str = ""
    attendees: int = 0

    @property
    def is_all_day(self) -> bool:
        """Whether it is about days, not hours."""
        return self.start is not None and not isinstance(self.start, datetime)


@dataclass(frozen=True, slots=True)
class _Property:
    value: str
    parameters: Mapping[str, str]

    @property
    def text(self) -> str:
        unescaped = _ESCAPED.sub(lambda match: "\n" if match[1] in "nN" else match[1], self.value[: 4 * MAX_TEXT_CHARS])
        return " ".join(unescaped.split())[:MAX_TEXT_CHARS]

    @property
    def person(self) -> str:
        address = self.value.strip()
        if address[:7].lower() == "mailto:":
            address = address[7:]
        name = " ".join(self.parameters.get("CN", "").split())
        return f"{name} <{address}>"[:MAX_TEXT_CHARS] if name and name != address else address[:MAX_TEXT_CHARS]


def read_invite(text: str) -> Invite | None:
    """The first event in a calendar, None where there is none to be read."""
    calendar: dict[str, _Property] = {}
    event: dict[str, _Property] = {}
    attendees: list[_Property] = []
    offsets: dict[str, list[str]] = {}
    zone = ""
    inside: list[str] = []
    for name, property_ in _properties(text[:MAX_BYTES]):
        if name == "BEGIN":
            inside.append(property_.value.strip().upper())
        elif name == "END":
            if inside and inside.pop() == "VEVENT":
                break
        elif inside[-1:] == ["VEVENT"]:
            event.setdefault(name, property_)
            if name == "ATTENDEE":
                attendees.append(property_)
        elif inside[-1:] == ["VCALENDAR"]:
            calendar.setdefault(name, property_)
        elif inside[-1:] == ["VTIMEZONE"] and name == "TZID":
            zone = property_.value.strip()
        elif inside[-2:-1] == ["VTIMEZONE"] and name == "TZOFFSETTO":
            offsets.setdefault(zone, []).append(property_.value.strip())
    if not event:
        return None
    return _invite(calendar, event, attendees, offsets)


def _invite(
    calendar: Mapping[str, _Property],
    event: Mapping[str, _Property],
    attendees: list[_Property],
    offsets: Mapping[str, list[str]],
) -> Invite:
    method = calendar["METHOD"].value.strip().upper() if "METHOD" in calendar else "PUBLISH"
    if "STATUS" in event and event["STATUS"].value.strip().upper() == "CANCELLED":
        method = "CANCEL"
    start, zone = _moment(event.get("DTSTART"), offsets)
    end, _ = _moment(event.get("DTEND"), offsets)
    if end is None and start is not None and "DURATION" in event:
        end = _plus(start, event["DURATION"].value.strip())
    if end is not None and type(end) is date:
        # RFC 5545 section 3.6.1: the end of a day-long event is the day after.
        end = end - timedelta(days=1) if end > date.min else end
    if end is not None and not _is_after(end, start):
        end = None
    heading = _NAMES.get(method, "Event")
    if method == "REPLY" and attendees:
        answer = _ANSWERS.get(attendees[0].parameters.get("PARTSTAT", "").upper(), "answers")
        heading = f"{attendees[0].person} {answer}"
    return Invite(
        heading=heading,
        what=event["SUMMARY"].text if "SUMMARY" in event else "",
        start=start,
        end=end,
        zone=zone,
        where=event["LOCATION"].text if "LOCATION" in event else "",
        organizer=event["ORGANIZER"].person if "ORGANIZER" in event else "",
        repeats=_repeats(event["RRULE"].value) if "RRULE" in event else "",
        attendees=len(attendees) if method != "REPLY" else 0,
    )


def _properties(text: str) -> Iterator[tuple[str, _Property]]:
    """The properties of a calendar, unfolded; lines that are none are passed over."""
    unfolded = re.sub(r"\n[ \t]", "", text.replace("\r", ""))
    for line in unfolded.split("\n", MAX_LINES)[:MAX_LINES]:
        match = _LINE.match(line.strip("\ufeff"))
        if match:
            parameters = {name.upper(): quoted or bare for name, quoted, bare in _PARAMETER.findall(match[2])}
            yield match[1].upper(), _Property(match[3], parameters)


def _moment(written: _Property | None, offsets: Mapping[str, list[str]]) -> tuple[datetime | date | None, str]:
    """The moment or day, and the name of its zone where nobody knows that."""
    match = _MOMENT.match(written.value.strip()) if written else None
    if match is None or written is None:
        return None, ""
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        if match[4] is None:
            return date(year, month, day), ""
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        if match[7]:
            return moment, ""
        name = written.parameters.get("TZID", "").strip()
        zone = _zone(name, offsets.get(name, []))
        return moment.replace(tzinfo=zone), "" if zone else name
    except (ValueError, OverflowError):
        return None, ""


def _zone(name: str, offsets: list[str]) -> tzinfo | None:
    """The zone of that name: as the world calls it, as Windows does, or of one offset all year."""
    known = _WINDOWS_ZONES.get(name.lower(), name.strip("/"))
    # Mozilla and Evolution write a path before it.
    for candidate in (known, "/".join(known.split("/")[-2:])):
        if re.fullmatch(r"[A-Za-z0-9_+/-]{1,60}", candidate):
            try:
                return ZoneInfo(candidate)
            except (KeyError, ValueError, OSError):
                continue
    match = _OFFSET.match(offsets[0]) if len(set(offsets)) == 1 else None
    if match is None:
        return None
    ahead = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(ahead if match[1] == "+" else -ahead) if ahead < timedelta(hours=24) else None


def _is_after(end: datetime | date, start: datetime | date | None) -> bool:
    try:
        return start is not None and end > start
    except TypeError:
        # A day and an hour, or one with a zone and one without.
        return False


def _plus(start: datetime | date, duration: str) -> datetime | date | None:
    match = _DURATION.fullmatch(duration)
    if match is None:
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    try:
        return start + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return None


def _repeats(rule: str) -> str:
    """How often, in words."""
    parts = dict(part.split("=", 1) for part in rule.strip().upper().split(";")[:20] if "=" in part)
    unit = _REPEATS.get(parts.get("FREQ", ""))
    if unit is None:
        return "Repeats"
    every = parts.get("INTERVAL", "1")
    words = f"Every {unit}" if every == "1" or not every.isdecimal() else f"Every {every[:4]} {unit}s"
    count = parts.get("COUNT", "")
    return f"{words}, {count[:5]} times" if count.isdecimal() else words
