"""What makes the settings of a mailbox whole: ports that follow from security, details that depend on others."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError

from accounts.addresses import normalize_address
from accounts.models import Mailbox
from accounts.providers import INCOMING_PORTS, OUTGOING_PORTS, guess_outgoing

_HOST = re.compile(r"[^\s/@:\[\]]+|\[?[0-9A-Fa-f:.]+\]?")
_OUTGOING_NEEDED = {
    "outgoing_host": "Enter the outgoing server",
    "outgoing_username": "Enter the user name for the outgoing server",
    "outgoing_password": "Enter the password for the outgoing server",
}
_PLAIN_TEXT = "Without encryption everybody on the way can read the password. Confirm it with allow_plain_text: true."


def complete(given: dict[str, Any], mailbox: Mailbox | None = None, *, by_owner: bool = True) -> dict[str, Any]:
    """The fields to save when `given` ones are entered for a new mailbox, or for `mailbox`.

    Passwords are plain strings. Ports that were not given follow the security choice; the outgoing server is guessed
    where the credentials are the same and none is named, and follows the incoming one until it is edited (R9). Whoever is not the owner can send the saved password to
    another server only by entering it again, so no administrator learns it by pointing the mailbox elsewhere (R14).
    The CRM Mail account may do without an outgoing server; with an empty name its user name and password are forgotten.

    Raises:
        ValidationError: `message_dict` names each field that is missing or not usable.
    """
    fields = dict(given)
    errors: dict[str, list[str]] = {}
    if "email_address" in fields:
        address = normalize_address(fields["email_address"])
        if address is None:
            errors["email_address"] = ["Enter a valid e-mail address."]
        else:
            fields["email_address"] = address
    for name in ("incoming_host", "outgoing_host"):
        if fields.get(name):
            fields[name] = fields[name].strip().rstrip(".").lower()
            if not _HOST.fullmatch(fields[name]):
                errors[name] = ["Enter the name of a server, like pop.example.com, and its port beside it."]
    _choose_port(fields, mailbox, "incoming", INCOMING_PORTS)
    _choose_port(fields, mailbox, "outgoing", OUTGOING_PORTS)
    if mailbox is None or mailbox.kind == Mailbox.Kind.POP3:
        _check_outgoing(fields, mailbox, errors)
        _check_days(fields, mailbox, errors)
    else:
        _check_outgoing_alone(fields, mailbox, errors)
    _check_plain_text(fields, mailbox, errors)
    if mailbox is not None and not by_owner:
        _check_passwords_entered(fields, mailbox, errors)
    if errors:
        raise ValidationError(errors)
    return fields


def outgoing_follows(mailbox: Mailbox) -> bool:
    """Whether the outgoing server is still the one that goes with the incoming one, and so changes with it (R9)."""
    guess = guess_outgoing(mailbox.incoming_host)
    return (
        mailbox.use_same_credentials
        and bool(guess)
        and all(getattr(mailbox, name) == guessed for name, guessed in guess.items())
    )


def _value(fields: dict[str, Any], mailbox: Mailbox | None, name: str) -> Any:
    """What a field will be: as given, else as it is, else as a new mailbox has it."""
    if name in fields:
        return fields[name]
    return getattr(mailbox if mailbox is not None else Mailbox(), name)


def _choose_port(fields: dict[str, Any], mailbox: Mailbox | None, side: str, ports: dict[str, int]) -> None:
    security, port = f"{side}_security", f"{side}_port"
    if port in fields or (mailbox is not None and security not in fields):
        return
    was_usual = mailbox is None or getattr(mailbox, port) == ports[getattr(mailbox, security)]
    if was_usual:
        fields[port] = ports[_value(fields, mailbox, security)]


def _check_outgoing(fields: dict[str, Any], mailbox: Mailbox | None, errors: dict[str, list[str]]) -> None:
    if _value(fields, mailbox, "use_same_credentials"):
        is_missing = not _value(fields, mailbox, "outgoing_host")
        if (is_missing or _moves_along(fields, mailbox)) and "incoming_host" not in errors:
            guess = guess_outgoing(_value(fields, mailbox, "incoming_host"))
            if guess:
                fields.update(guess)
            elif is_missing:
                errors["outgoing_host"] = ["The outgoing server can't be guessed from the incoming one. Enter it."]
        return
    _require_outgoing(fields, mailbox, errors, ", or use the same credentials for it.")


def _check_outgoing_alone(fields: dict[str, Any], mailbox: Mailbox, errors: dict[str, list[str]]) -> None:
    """The CRM Mail account has a whole outgoing server or none."""
    if _is_taken_away(fields, "outgoing"):
        fields.update(outgoing_username="", outgoing_password="", outgoing_security=Mailbox.Security.SSL)
        fields.update(outgoing_port=OUTGOING_PORTS[Mailbox.Security.SSL], allow_plain_text=False)
    elif fields.keys() & {"outgoing_port", "outgoing_security", *_OUTGOING_NEEDED}:
        _require_outgoing(fields, mailbox, errors, ".")


def _require_outgoing(fields: dict[str, Any], mailbox: Mailbox | None, errors: dict[str, list[str]], or_: str) -> None:
    for name, missing in _OUTGOING_NEEDED.items():
        if not _value(fields, mailbox, name):
            errors.setdefault(name, [missing + or_])


def _is_taken_away(fields: dict[str, Any], side: str) -> bool:
    return fields.get(f"{side}_host") == ""


def _moves_along(fields: dict[str, Any], mailbox: Mailbox | None) -> bool:
    """Whether the incoming server changes, and the outgoing one, which follows it, was left as it was."""
    return (
        mailbox is not None
        and outgoing_follows(mailbox)
        and fields.get("incoming_host", mailbox.incoming_host) != mailbox.incoming_host
        and not fields.keys() & {"outgoing_host", "outgoing_port", "outgoing_security"}
    )


def _check_days(fields: dict[str, Any], mailbox: Mailbox | None, errors: dict[str, list[str]]) -> None:
    delete_policy = _value(fields, mailbox, "delete_policy")
    if delete_policy == Mailbox.DeletePolicy.AFTER_DAYS and not _value(fields, mailbox, "delete_after_days"):
        errors["delete_after_days"] = ["Enter after how many days messages are deleted from the server."]
    import_since = _value(fields, mailbox, "import_since")
    if import_since == Mailbox.ImportSince.DAYS and not _value(fields, mailbox, "import_days"):
        errors["import_days"] = ["Enter of how many days mail is fetched at first."]


def _check_plain_text(fields: dict[str, Any], mailbox: Mailbox | None, errors: dict[str, list[str]]) -> None:
    if _value(fields, mailbox, "allow_plain_text"):
        return
    for name in ("incoming_security", "outgoing_security"):
        if _value(fields, mailbox, name) == Mailbox.Security.NONE:
            errors[name] = [_PLAIN_TEXT]


def _check_passwords_entered(fields: dict[str, Any], mailbox: Mailbox, errors: dict[str, list[str]]) -> None:
    for side in ("incoming", "outgoing"):
        password = f"{side}_password"
        linked = side == "outgoing" and _value(fields, mailbox, "use_same_credentials")
        sent = "incoming_password" if linked else password
        # Which server it is may have been somebody else's choice as long as it got another password.
        moved = (linked and not mailbox.use_same_credentials) or any(
            name in fields and fields[name] != getattr(mailbox, name)
            for name in (f"{side}_host", f"{side}_port", f"{side}_security")
        )
        if moved and getattr(mailbox, sent) and not fields.get(sent) and not _is_taken_away(fields, side):
            errors[sent] = ["The server changes and this is not your mailbox: enter its password again."]
