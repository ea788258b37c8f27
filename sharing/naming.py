"""What the names in a search stand for: folders and labels of the searcher's own, leads and contacts (R31)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection
from django.db.models import CharField, QuerySet, Value

from accounts.models import User
from customers.models import Customer
from mail.models import Folder, Label
from mail.search_query import Filter
from mail.words import fold

#: Leads and contacts that one name may stand for; of more than that so many and one are found.
CUSTOMERS = 200
_OWN = {"folder": Folder, "label": Label}


def named(viewer: User, filters: Iterable[Filter]) -> Mapping[tuple[str, str], list[int]]:
    """The ids of all that each filter with a name stands for, by its kind and value; at most one query for all of them."""
    asked = list(dict.fromkeys((each.kind, each.value) for each in filters if each.kind in {*_OWN, "customer"}))
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    if not asked:
        return found
    own: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for kind, place, pk, name in _read(viewer, asked):
        if kind in _OWN:
            own[kind].append((pk, name))
        else:
            found[asked[place]].append(pk)
    for kind, value in asked:
        found[kind, value] += [pk for pk, name in own[kind] if _comparable(name) == _comparable(value)]
    return found


def _read(viewer: User, asked: list[tuple[str, str]]) -> QuerySet[Any]:
    """Kind, place in `asked`, id and name: of customers those that are asked for, else all that are the viewer's."""
    parts: list[QuerySet[Any, Any]] = []
    for place, (kind, value) in enumerate(asked):
        if kind == "customer":
            known = Customer.objects.search(value, viewer.organization).order_by()
            parts.append(_some(known).values_list(_text(kind), Value(place), "pk", _text("")))
    for kind in {kind for kind, _ in asked} & {*_OWN}:
        mine = _OWN[kind]._default_manager.filter(account__user=viewer).order_by()
        parts.append(mine.values_list(_text(kind), Value(0), "pk", "name"))
    first, *others = parts
    return first.union(*others, all=True)


def _some(known: QuerySet[Customer]) -> QuerySet[Customer]:
    """As many of them as tell that there are too many."""
    if connection.features.supports_slicing_ordering_in_compound:
        return known[: CUSTOMERS + 1]
    # SQLite takes no limit in a part of a union, but below it.
    return Customer.objects.filter(pk__in=known.values("pk")[: CUSTOMERS + 1]).order_by()


def _text(text: str) -> Value:
    return Value(text, output_field=CharField())


def _comparable(name: str) -> list[str]:
    """A name as others are compared with it: by its words, or by its signs if it has none."""
    return fold(name).split() or name.casefold().split()
