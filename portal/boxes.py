"""What the pages of the Email tab have in common: where a list is, what stands beside it, what of it changed (R31)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.db.models import Prefetch, prefetch_related_objects
from django.urls import reverse

from mail.boxes import COUNTED, Box, Row, folders_of, labels_of, rows_of_threads
from mail.models import Folder, Label
from sender.models import Outgoing

#: So many conversations are refreshed at a time; what changes more shows the list anew.
AT_A_TIME = 200


def here(box: Box) -> str:
    """The address of a box."""
    if box.label is not None:
        address = reverse("mail-label", args=[box.label.pk])
    elif box.folder is None:
        address = reverse("mail-starred")
    else:
        address = reverse("mail-folder", args=[box.folder.pk])
    return f"{address}?{urlencode({'show': 'unread'})}" if box.unread else address


def surroundings(
    box: Box, folders: Sequence[Folder] | None = None, labels: Sequence[Label] | None = None
) -> dict[str, Any]:
    """What stands beside a list: folders and labels, with how much in them is unread."""
    folders = folders_of(box.owner) if folders is None else folders
    labels = labels_of(box.owner) if labels is None else labels
    counted = (each for each in [*folders, *labels] if each in (box.folder, box.label))
    return {
        "box": box,
        "here": here(box),
        "folders": folders,
        "labels": labels,
        "unread": next((each.unread for each in counted), 0),  # type: ignore[union-attr]
        "unread_inbox": next((each.unread for each in folders if each.kind == Folder.Kind.INBOX), 0),  # type: ignore[attr-defined]
        "most_counted": COUNTED,
    }


def with_delivery(rows: Sequence[Row]) -> Sequence[Row]:
    """`rows`, in which what is not sent yet knows how that is doing (R36): a query if there is any."""
    doing = Prefetch("outgoing", Outgoing.objects.only("status", "words"))
    prefetch_related_objects([row.latest for row in rows if row.latest.is_draft], doing)
    return rows


def changed(box: Box, threads: Sequence[int]) -> dict[str, Any]:
    """What a list shows anew of some conversations: the rows of those that are in the box, the ids of those that are not."""
    rows = with_delivery(rows_of_threads(box, threads)) if threads else []
    there = {row.thread for row in rows}
    return surroundings(box) | {"rows": rows, "gone": [thread for thread in threads if thread not in there]}
