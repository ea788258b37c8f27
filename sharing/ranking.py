"""The results of one look of a search, the best match first (R31).

Only what one look found is compared, a bounded number of the newest; older mail is compared with its like on a further
page. So the cost is that of a page, and what a database thinks of relevance has no part in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db.models import CharField, F, QuerySet, Value
from django.db.models.functions import Concat

from mail.models import Attachment, Message, Participant, SearchEntry
from mail.ranking import WEIGHTS, score, together
from mail.search_query import Words
from mail.walking import Row

#: Names and subjects that are read to compare results; what has more recipients than that counts as if it had fewer.
_MOST = 5_000
_TOGETHER = "together"


#: Of messages (ids) what stands in their fields, by the names in `mail.ranking.WEIGHTS`.
Texts = Mapping[int, Mapping[str, list[str]]]


def ranked(rows: Sequence[Row], asked: Words, texts: Texts) -> list[Row]:
    """`rows`, results of a search newest first, by how well they fit; of those that fit alike the newest first."""
    scores = {}
    for row in rows:
        fields = {name: texts[row.pk].get(name, []) for name in WEIGHTS}
        age = rows[0].date - row.date
        scores[row.pk] = score(asked, fields, age, is_together=_TOGETHER in texts[row.pk])
    return sorted(rows, key=lambda row: -scores[row.pk])


def texts_of(rows: Sequence[Row], asked: Words) -> Texts:
    """What `ranked` has to know of results. One query."""
    texts: dict[int, dict[str, list[str]]] = {row.pk: defaultdict(list) for row in rows}
    for pk, field, text in _read(texts, asked) if rows else ():
        texts[pk][field].append(text)
    return texts


def _read(messages: Collection[int], asked: Words) -> QuerySet[Any]:
    """Message, field and text of what stands in the fields; and of messages that hold all words together, that they do."""
    subjects = Message.objects.annotate(message=F("pk"), field=_constant("subject"))
    people = Participant.objects.filter(role__in=[Participant.Role.FROM, Participant.Role.TO, Participant.Role.CC])
    written = Concat("name", _constant(" "), "address", output_field=CharField())
    parts = [
        people.filter(message__in=messages).values_list("message", "role", written),
        Attachment.objects.filter(message__in=messages).values_list("message", _constant("name"), "name"),
    ]
    phrase = together(asked)
    if phrase is not None:
        holding = SearchEntry.objects.filter(pk__in=messages, words__match=Words(((phrase,),)))
        parts.append(holding.values_list("message", _constant(_TOGETHER), _constant("")))
    found = (
        subjects.filter(pk__in=messages)
        .values_list("message", "field", "subject")
        .union(*(part.order_by() for part in parts), all=True)
    )
    return found.order_by("-message")[:_MOST]


def _constant(text: str) -> Value:
    return Value(text, output_field=CharField())
