"""How PostgreSQL goes about the question who may see what."""

from __future__ import annotations

import pytest
from django.db import connection

from sharing.visibility import Sight, visible_to
from tests import factories

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="EXPLAIN is read as PostgreSQL writes it"),
]


def test_who_may_see_a_message_is_judged_and_never_looked_up() -> None:
    """Else it would gather all mail of public mailboxes to meet the few copies of a page (speed.md).

    Even where it may read no table from end to end it has no index for the condition: whoever asks finds the messages.
    """
    mailbox = factories.mailbox(mode="public")
    factories.mailbox(owner=factories.user(organization=mailbox.owner.organization), mode="custom")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    for messages in (visible_to(mailbox.owner), Sight(mailbox.owner).customer_mail()):
        for asked in (messages, messages.filter(fingerprint__in=["a", "b"])):
            plan = asked.explain()
            assert "Index Cond: (mailbox_id" not in plan
            assert f"Index Cond: (owner_id = {mailbox.owner.pk})" not in plan
            assert "BitmapAnd" not in plan
