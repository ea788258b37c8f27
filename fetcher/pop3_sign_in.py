"""Signing in to a POP3 server: AUTH PLAIN or USER and PASS, and no trace of the password anywhere (R14)."""

from __future__ import annotations

import base64

from fetcher.pop3_errors import CommandRefused, Pop3Error, StatusLine, read_status, sign_in_refusal
from fetcher.pop3_wire import Wire


def sign_in(wire: Wire, mechanisms: str, user: str, password: str) -> Pop3Error | None:
    """Sign in, by AUTH PLAIN if it is among `mechanisms` (the arguments of the SASL capability), else by USER and PASS.

    A failure is returned, not raised, so that the caller can raise it free of the frames that knew the password.
    """
    if any(c in "\r\n\0" for c in user + password):
        return CommandRefused("line_break")
    try:
        if "PLAIN" in mechanisms.upper().split():
            status = _authenticate(wire, "PLAIN", f"\0{user}\0{password}".encode())
        else:
            status = _say(wire, f"USER {user}")
            if status.ok:
                status = _say(wire, f"PASS {password}")
    except Pop3Error as error:
        return error
    if status.ok:
        return None
    refused = sign_in_refusal(status)
    # Nobody is to read the password in an error, whatever a server says back.
    return CommandRefused(refused.reason) if password in status.words else refused


def _say(wire: Wire, command: str) -> StatusLine:
    wire.send(command.encode())
    return wire.status()


def _authenticate(wire: Wire, mechanism: str, response: bytes) -> StatusLine:
    """RFC 5034: one message from us is the whole exchange. A token for XOAUTH2 would go this way too."""
    command, encoded = f"AUTH {mechanism}".encode(), base64.b64encode(response)
    # Section 4: an initial response only where the command stays within 255 octets.
    fits = len(command) + 1 + len(encoded) + 2 <= 255
    wire.send(command + b" " + encoded if fits else command)
    line = wire.line()
    if _is_challenge(line):
        wire.send(encoded)
        line = wire.line()
    if _is_challenge(line):
        # A second challenge explains a failure; this asks for the verdict.
        wire.send(b"*")
        line = wire.line()
    return read_status(line) or wire.give_up("protocol")


def _is_challenge(line: bytes) -> bool:
    return line.startswith(b"+ ") or line == b"+"
