"""One message as its reader meets it: how much of it at most (R32)."""

from __future__ import annotations

from mail.content import Content
from mail.reports import MAX_RECIPIENTS


def test_a_page_names_so_many_recipients_of_reports_at_most() -> None:
    """However many parts report on however many people."""
    part = b"--b\r\nContent-Type: message/delivery-status\r\n\r\n" + b"Final-Recipient: a\n\n" * 40 + b"\r\n"
    head = b"From: a@b.example\r\nContent-Type: multipart/report; boundary=b\r\n\r\n"
    assert len(Content(head + part * 30 + b"--b--\r\n").reports) == MAX_RECIPIENTS
