"""Places in a list of messages, newest first: where a page ended and the next one begins."""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from django.conf import settings
from django.db.models import Q

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Microseconds since the epoch, and the id.
_FORM = struct.Struct(">qq")


@dataclass(frozen=True, slots=True)
class Place:
    """The message that a page ended with, as its date and id say it; it need not exist any more.

    A page may end with a message that its reader may not see. So the text of a place, which travels to the browser and
    back, is sealed: it tells nothing, and the same place always has the same text.
    """

    date: datetime
    pk: int

    def __str__(self) -> str:
        plain = _FORM.pack((self.date - _EPOCH) // _MICROSECOND, self.pk)
        return base64.urlsafe_b64encode(_seal(settings.SECRET_KEY).encrypt(plain, None)).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Place | None:
        """What `str()` of a place gave; None for anything else, which counts as the beginning of the list."""
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
            moment, pk = _FORM.unpack(_seal(settings.SECRET_KEY).decrypt(sealed, None))
        except (ValueError, InvalidTag):
            return None
        return cls(_EPOCH + moment * _MICROSECOND, pk)

    def after(self, date: str = "date", pk: str = "pk") -> Q:
        """Condition on rows whose columns are named: they come later in the list, being older."""
        return Q(**{f"{date}__lt": self.date}) | Q(**{date: self.date, f"{pk}__lt": self.pk})

    def upto(self) -> Q:
        """Condition on messages: they are on this page or an earlier one."""
        return Q(date__gt=self.date) | Q(date=self.date, pk__gte=self.pk)


@lru_cache(maxsize=2)
def _seal(secret: str) -> AESSIV:
    return AESSIV(hashlib.blake2b(secret.encode(), digest_size=64, person=b"places").digest())
