"""Searching mail: every word must occur in the subject, the sender, or the text (R31, in its plain form)."""

from __future__ import annotations

from django.db.models import Q

from mail.models import MessageQuerySet

MAX_WORDS = 20


def search(messages: MessageQuerySet, text: str) -> MessageQuerySet:
    """Those of `messages` in which every word of `text` occurs, in any case; words after the twentieth are left out.

    The Bcc, folders and labels are never looked in: whoever may see a message need not be its owner.
    """
    for word in text.split()[:MAX_WORDS]:
        messages = messages.filter(
            Q(subject__icontains=word)
            | Q(from_name__icontains=word)
            | Q(from_address__icontains=word)
            | Q(body__text__icontains=word)
        )
    return messages
