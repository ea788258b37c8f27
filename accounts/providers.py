"""What is known about mail providers' servers: guesses that fill in a form, always editable (R7, R9, R11)."""

from __future__ import annotations

GMAIL_HOSTS = frozenset({"pop.gmail.com", "pop.googlemail.com"})
RECENT_TAG = "recent:"
_POP_LABELS = ("pop", "pop3", "pops", "incoming", "in")


def is_gmail(host: str) -> bool:
    """Whether `host` is Gmail's POP3 server, the only one that knows the `recent:` tag (R11)."""
    return host.strip().rstrip(".").lower() in GMAIL_HOSTS


def guess_outgoing(incoming_host: str) -> str | None:
    """The outgoing server that usually stands beside `incoming_host` (`pop.x.example` → `smtp.x.example`), or None."""
    label, _, rest = incoming_host.strip().rstrip(".").lower().partition(".")
    if "." not in rest:
        return None
    if label in _POP_LABELS:
        return f"smtp.{rest}"
    return f"{label}.{rest}" if label == "mail" else None
