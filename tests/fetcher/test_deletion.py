"""What deleting here means for the server, in words; and what is deleted there in fact (R10)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.template import Context, Template
from django.utils import timezone

from accounts.mailboxes import remove_mailbox
from accounts.models import Mailbox
from fetcher.deletion import deletable, deletion_words
from fetcher.models import SeenUid
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"delete_policy": "leave"}, "The mail server keeps its copy"),
        ({"delete_policy": "after_fetch"}, "kept only here"),
        ({"delete_policy": "after_days", "delete_after_days": 7}, "7 days after it was fetched"),
        ({"delete_policy": "after_days", "delete_after_days": 1}, "a day after it was fetched"),
        ({"delete_policy": "when_deleted"}, "copy is deleted too, at the next fetch"),
    ],
)
def test_each_delete_setting_has_its_words(fields: dict[str, Any], words: str) -> None:
    """R10."""
    (sentence,) = deletion_words([factories.mailbox(**fields)])
    assert words in sentence


def test_an_account_that_is_not_fetched_deletes_later() -> None:
    """R5, R10: nothing signs in to the server of an account that is not active, and never again to a removed one's."""
    mailbox = factories.mailbox(delete_policy="when_deleted")
    Mailbox.objects.filter(pk=mailbox.pk).update(is_active=False)
    mailbox.refresh_from_db()
    assert "active and fetched again" in deletion_words([mailbox])[0]
    remove_mailbox(mailbox, deletes_mail=False)
    assert "still has stays there" in deletion_words([mailbox])[0]


def test_several_accounts_are_named_where_they_differ() -> None:
    """Trash holds the mail of all of them."""
    leaving = factories.mailbox(email_address="a@our.example")
    same = factories.mailbox(owner=leaving.owner, email_address="b@our.example", is_active=False)
    other = factories.mailbox(owner=leaving.owner, email_address="c@our.example", delete_policy="after_fetch")
    assert len(deletion_words([leaving, same])) == 1
    assert [words.partition(":")[0] for words in deletion_words([leaving, same, other])] == [
        "a@our.example, b@our.example",
        "c@our.example",
    ]
    assert deletion_words([]) == []


def test_the_words_can_be_put_into_any_page() -> None:
    """With a mailbox or several."""
    mailbox = factories.mailbox(delete_policy="after_fetch")
    template = Template("{% load ui %}{% deletion one %}|{% deletion several %}")
    one, _, several = template.render(Context({"one": mailbox, "several": [mailbox]})).partition("|")
    assert "kept only here" in one
    assert one.split() == several.split()


def test_what_retention_deleted_here_is_not_deleted_there() -> None:
    """R10, R40: *delete when deleted in CRM Mail* is about what its owner deletes."""
    mailbox = factories.mailbox(delete_policy="when_deleted")
    deleted, expired = (factories.message(mailbox=mailbox) for _ in range(2))
    SeenUid.objects.filter(message=expired).update(has_expired=True)
    kept = SeenUid.objects.get(message=deleted)
    deleted.delete()
    expired.delete()
    assert list(deletable(mailbox)) == [kept]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="EXPLAIN is read as PostgreSQL writes it")
@pytest.mark.parametrize(
    ("policy", "index"),
    [("after_days", "seen_on_server"), ("when_deleted", "seen_and_deleted_here")],
)
def test_what_may_be_deleted_is_found_by_an_index_of_its_own(policy: str, index: str) -> None:
    """R10: asked at each poll of such a mailbox, however much was fetched, deleted or expired there."""
    mailbox = factories.mailbox(delete_policy=policy, delete_after_days=7)
    message, now = factories.message(mailbox=mailbox), timezone.now()
    long_ago = now - timedelta(days=8)
    SeenUid.objects.bulk_create(
        SeenUid(
            mailbox=mailbox,
            uid=f"{n}",
            outcome="stored",
            message=None if n % 2 else message,
            has_expired=n % 2,
            seen_at=now if n % 3 else long_ago,
            deleted_at=None if n % 3 else now,
        )
        for n in range(6_000)
    )
    SeenUid.objects.filter(mailbox=mailbox, uid__in=["1", "2"]).update(
        message=None, has_expired=False, seen_at=long_ago
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE fetcher_seenuid")
    plan = deletable(mailbox).explain(analyze=True)
    assert set(deletable(mailbox).values_list("uid", flat=True)) == {"1", "2"}
    assert re.search(rf"Index Scan (using|on) {index}\b", plan), plan
    assert "Rows Removed" not in plan
