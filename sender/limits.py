"""How many recipients an organisation may send to in a day of its own time zone (R37): counted in a row, changed by one UPDATE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django.utils.formats import date_format

from accounts.mailboxes import NotPossible
from accounts.models import Organization, User
from sender.models import DaySends


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be sent today: `limit` recipients for `users` active users, of which `used` were taken until now."""

    per_user: int
    users: int
    used: int
    resets_at: datetime

    @property
    def limit(self) -> int:
        """Recipients of the whole organisation today."""
        return self.per_user * self.users

    @property
    def remaining(self) -> int:
        """Recipients that are left today; the limit may have shrunk below what was taken."""
        return max(self.limit - self.used, 0)

    @property
    def resets(self) -> str:
        """When it begins anew, in words, in the organisation's time zone."""
        return f"{date_format(self.resets_at, 'j F, H:i')} ({self.resets_at.tzinfo})"


class LimitReached(NotPossible):
    """A message has more recipients than are left today; nothing was taken. `allowance` says what there is."""

    def __init__(self, allowance: Allowance, recipients: int) -> None:
        self.allowance = allowance
        left = f"{allowance.remaining:,}" if allowance.remaining else "none"
        super().__init__(
            f"Your organisation can send to {allowance.limit:,} recipients a day, {allowance.per_user:,} for each of "
            f"{allowance.users:,} active users. Of these {left} are left, and this message has {recipients:,}. "
            f"The limit resets on {allowance.resets}."
        )


def allowance(organization: Organization, now: datetime | None = None) -> Allowance:
    """What the organisation may send today; three queries."""
    zone = ZoneInfo(organization.time_zone)
    today = _day(zone, now)
    used = DaySends.objects.filter(organization=organization, day=today).values_list("recipients", flat=True).first()
    return Allowance(
        per_user=settings.SENDS_PER_USER_PER_DAY,
        users=User.objects.filter(organization=organization, is_active=True).count(),
        used=used or 0,
        # Midnight may not exist on the day that clocks change: then this is the first moment after it.
        resets_at=datetime.combine(today + timedelta(days=1), time(), zone)
        .astimezone(ZoneInfo("UTC"))
        .astimezone(zone),
    )


def take(organization: Organization, recipients: int, now: datetime | None = None) -> date:
    """Take so many recipients from today's limit, in the caller's transaction; the day, for `give_back`.

    However many do so at once: each waits for the one before, and the last that fits is the last.

    Raises:
        LimitReached: that many are not left.
    """
    day = _day(ZoneInfo(organization.time_zone), now)
    limit = allowance(organization, now).limit
    DaySends.objects.bulk_create([DaySends(organization=organization, day=day)], ignore_conflicts=True)
    fits = DaySends.objects.filter(organization=organization, day=day, recipients__lte=limit - recipients)
    if not fits.update(recipients=F("recipients") + recipients):
        raise LimitReached(allowance(organization, now), recipients)
    return day


def give_back(organization: Organization, day: date, recipients: int) -> None:
    """Give back what was taken for a message that nobody will get."""
    taken = DaySends.objects.filter(organization=organization, day=day, recipients__gte=recipients)
    taken.update(recipients=F("recipients") - recipients)


def forget_old(now: datetime | None = None) -> int:
    """Forget the days that are over for long; how many rows."""
    return DaySends.objects.filter(day__lt=(now or timezone.now()).date() - timedelta(days=60)).delete()[0]


def _day(zone: ZoneInfo, now: datetime | None) -> date:
    return (now or timezone.now()).astimezone(zone).date()
