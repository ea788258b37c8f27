"""Small pieces of the interface, for `{% load ui %}`."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.timesince import timesince

from accounts.models import Mailbox
from fetcher.deletion import deletion_words

register = template.Library()

_HUES = 6
_TONES = {"success": "ok", "error": "error", "warning": "warn"}
_FOLDER_ICONS = {"inbox": "inbox", "sent": "send", "drafts": "draft", "trash": "trash"}
_TONE_ICONS = {"ok": "check", "error": "error", "warn": "alert"}


@register.simple_tag
@lru_cache(maxsize=256)
def icon(name: str) -> str:
    """An icon of the sprite `static/icons.svg`, hidden from screen readers: the words beside it say the same."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static("icons.svg"), name)


@register.filter
def folder_icon(kind: str) -> str:
    """The name of the icon of a folder of this kind."""
    return _FOLDER_ICONS.get(kind, "folder")


@register.filter
def lasts(undo: str) -> str:
    """For how many seconds a deed can be undone, where that is soon over: `seconds` in the address that undoes it."""
    return parse_qs(urlsplit(undo or "").query).get("seconds", [""])[0]


@register.simple_tag
def label_dot(colour: str) -> str:
    """A dot in a label's colour, as an attribute of SVG: the page's policy allows no style."""
    return format_html(
        '<svg class="label-dot" viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5" r="5" fill="{}"/></svg>',
        colour,
    )


@register.inclusion_tag("includes/avatar.html")
def avatar(person: object, size: str = "") -> dict[str, object]:
    """The initials of a user or customer in a colour of their own; `size` is empty, `small` or `large`."""
    name = str(person)
    return {"initials": initials(name), "hue": zlib.crc32(name.encode()) % _HUES + 1, "size": size}


@register.simple_tag
def options(choices: Mapping[Any, Any], chosen: Any = None) -> str:
    """The options of a select, value to label: many of them at the cost of a few."""
    return mark_safe(  # noqa: S308 - both are escaped
        "".join(
            f'<option value="{escape(str(value))}"{" selected" if value == chosen else ""}>{escape(str(label))}</option>'
            for value, label in choices.items()
        )
    )


@register.inclusion_tag("includes/deletion.html")
def deletion(mailboxes: Mailbox | Iterable[Mailbox]) -> dict[str, object]:
    """What deleting mail of a mailbox, or of several, for good means for its copy on the server (R10)."""
    return {"words": deletion_words([mailboxes] if isinstance(mailboxes, Mailbox) else mailboxes)}


@register.filter
def item(mapping: Mapping[Any, Any], key: Any) -> Any:
    """What a mapping holds for a key; empty where it holds nothing."""
    return mapping.get(key, "")


@register.filter
def initials(name: str) -> str:
    """First letters of the first and last word of a name or address."""
    words = [word for word in name.replace("@", " ").replace(".", " ").split() if word[0].isalnum()]
    if not words:
        return "?"
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


@register.filter
def tone(level: str) -> str:
    """The tone (ok, info, warn, error) of a django message of this level."""
    return _TONES.get(level, "info")


@register.filter
def tone_icon(name: str) -> str:
    """The icon that goes with a tone."""
    return _TONE_ICONS.get(name, "info")


@register.filter
def when(moment: datetime | None) -> str:
    """A moment as short as lists need it: the time today, the day this year, else the date."""
    if moment is None:
        return ""
    return _short(timezone.localtime(moment))


@register.simple_tag
def time(moment: datetime, css: str = "") -> str:
    """A moment as `when` writes it, for programs exactly; `css` is the class of the element."""
    local = timezone.localtime(moment)
    return format_html(
        '<time class="{}" datetime="{}">{}</time>' if css else '<time{} datetime="{}">{}</time>',
        css,
        local.isoformat(),
        _short(local),
    )


@register.filter
def epoch(moment: datetime) -> str:
    """Seconds since 1970, exact to the microsecond, to be compared by scripts."""
    return f"{moment.timestamp():.6f}"


def _short(local: datetime) -> str:
    today = timezone.localdate()
    if local.date() == today:
        return f"{local:%H:%M}"
    return f"{local.day} {local:%b}" if local.year == today.year else f"{local.day} {local:%b} {local.year}"


@register.filter
def upcoming(moment: datetime) -> str:
    """How far a planned moment is away; what should have happened by now happens any moment."""
    return "any moment" if moment <= timezone.now() else str(naturaltime(moment))


@register.filter
def waits(moment: datetime) -> str:
    """For how long, in its largest unit."""
    return timesince(moment, depth=1)
