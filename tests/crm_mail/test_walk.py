"""A walk of every address and of every operation of the API, by people who may not see what the ids in them name.

What takes an id is found in the URL configuration, in the OpenAPI description and in the portal's forms. A new one for
which no object is known here fails `test_nothing_that_takes_an_id_is_forgotten`, which says what to add.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

import pytest
from django import forms
from django.apps import apps
from django.contrib.admindocs.views import simplify_regex
from django.contrib.messages import ERROR
from django.db import connection, transaction
from django.db.models import AutoField, Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern
from django.utils.http import int_to_base36
from drf_spectacular.generators import SchemaGenerator

from accounts.models import Mailbox, Organization, User
from accounts.organizations import add_mail_domain, invite
from customers.changes import delete_customer
from fetcher.models import FetchRun
from mail.arranging import Wanted, arrange_folders, arrange_labels
from mail.consolidating import consolidate
from mail.deeds import delete_message, label_message, move_message
from mail.models import Deed, Folder, Message, Notification
from mail.notifying import note
from sender.files import attach
from sender.models import Outgoing
from sharing.policies import keep_private
from sharing.rules import set_rule
from tests import factories
from tests.api.clients import program
from tests.portal.browsers import browser

pytestmark = pytest.mark.django_db

# --- what the walk knows: add a new address, parameter or field here ------------------------------------------------

#: What an id in an address names, by the route up to and including its place. The kinds are the keys of `Ids` below.
PLACES = {
    "accounts/password/reset/key/<uidb36>": "user in base 36",
    "administration/invitations/<int:pk>": "invitation",
    "answers/<int:pk>": "thread",
    "administration/organization/domains/<int:pk>": "domain",
    "administration/users/<int:pk>": "user",
    "administration/webhooks/<int:pk>": "webhook",
    "administration/webhooks/<int:pk>/deliveries/<int:delivery>": "delivery",
    "contacts/<int:pk>": "contact",
    "leads/<int:pk>": "lead",
    "mail/<int:pk>": "folder",
    "mail/drafts/<int:pk>": "draft",
    "mail/drafts/<int:pk>/images/<int:file_pk>": "image of a draft",
    "mail/deeds/<int:pk>": "deed",
    "mail/folders/<int:pk>": "folder",
    "mail/labels/<int:pk>": "label",
    "mail/messages/<int:pk>": "message",
    "mail/threads/<int:pk>": "thread",
    "notifications/<int:pk>": "notification",
    "records/changes/<int:pk>": "change",
    "records/imports/<int:pk>": "import",
    "settings/email/<int:pk>": "mailbox",
    "settings/mail/accounts/<int:pk>": "mailbox",
    "settings/mail/send-as/<int:pk>": "mailbox",
    "settings/mail/send-as/crm-mail/<int:pk>": "mail account",
    "api/v1/contacts/<int:pk>": "contact",
    "api/v1/leads/<int:pk>": "lead",
    "api/v1/mailboxes/<int:pk>": "mailbox",
    "api/v1/messages/<int:draft>": "draft",
    "api/v1/messages/<int:draft>/files/<int:file>": "draft file",
    "api/v1/messages/<int:queued>": "queued message",
    "api/v1/messages/<int:refused>": "refused message",
    "api/v1/messages/<int:doubtful>": "doubtful message",
    "api/v1/messages/<int:pk>": "message",
    "api/v1/messages/<int:pk>/attachments/<int:attachment>": "attachment",
    "api/v1/sharing-rules/<int:pk>": "rule",
    "api/v1/threads/<int:pk>": "thread",
    "api/v1/users/<int:pk>": "user",
}
#: Places in an address that name no row, and a word to put there.
WORDS = {
    "accounts/confirm-email/<key>": "a-key",
    "accounts/confirm-email/<path:key>": "a-key",
    "accounts/password/reset/key/<uidb36>-<key>": "a-key",
    "api/v1/contacts/external/<str:external_id>": "an-id-of-no-record",
    "api/v1/leads/external/<str:external_id>": "an-id-of-no-record",
    "help/<slug:topic>": "sharing",
    "invitation/<str:token>": "no-such-token",
    "mail/messages/<int:pk>/attachments/<part:place>": "2",
    "mail/messages/<int:pk>/inside/<part:place>": "3",
}
#: Places that stand for one of a few words, each of which makes a route of its own.
SPELLED_OUT = {"<customers:kind>": ("leads", "contacts")}

#: What answers everybody, signed in or not: ways in, and what machines ask. It says nothing about anybody.
FOR_EVERYBODY = frozenset(
    {
        "accounts/inactive/",
        "accounts/login/",
        "accounts/logout/",
        "accounts/password/reset/",
        "accounts/password/reset/done/",
        "accounts/password/reset/key/<uidb36>-<key>/",
        "accounts/password/reset/key/done/",
        "accounts/signup/",  # says that it is closed
        "api/v1/auth/token/",
        "api/v1/docs/",
        "api/v1/schema/",
        "health/live",
        "health/ready",
        "invitation/<str:token>/",
        "metrics",  # for the machine itself, which tests are
        "setup/",  # leads home once there is an organisation
    }
)

RIVALS = ("member of another organisation", "administrator of another organisation")
SIGNED_IN = (*RIVALS, "colleague", "administrator")
#: What is no secret within the organisation. Its leads and contacts are everybody's (R27).
_COLLEAGUES_KNOW = frozenset({"lead", "contact", "change"})
#: Administrators know who belongs to it, whom they invited, its mail domains, and their own rules (R2, R3, R25).
_ADMINISTRATORS_KNOW = _COLLEAGUES_KNOW | {
    "user",
    "user in base 36",
    "invitation",
    "domain",
    "rule",
    "webhook",
    "delivery",
}
KNOWS: dict[str, frozenset[str]] = {"colleague": _COLLEAGUES_KNOW, "administrator": _ADMINISTRATORS_KNOW}
#: Who is a colleague is no secret either where one is named: everybody chooses among them for a customer's owner.
NAMED_IN_BODIES = _COLLEAGUES_KNOW | {"user"}
#: Administrators set up and look after colleagues' mailboxes and set their sharing (interface.md; R25, R26): settings
#: and state, but no number or address of mail and no password. The preview alone has numbers, as R26 wants.
ADMINISTRATORS_MAY = frozenset(
    {
        "settings/email/<int:pk>/",
        "settings/email/<int:pk>/activate/",
        "settings/email/<int:pk>/deactivate/",
        "settings/email/<int:pk>/edit/",
        "settings/email/<int:pk>/fetch/",
        "settings/email/<int:pk>/progress/",
        "settings/email/<int:pk>/remove/",
        "settings/email/<int:pk>/sharing/",
        "settings/email/<int:pk>/test/",
        "settings/mail/accounts/<int:pk>/",
        "settings/mail/accounts/<int:pk>/test/",
        "settings/mail/send-as/<int:pk>/",
        "settings/mail/send-as/<int:pk>/test/",
        "settings/mail/send-as/crm-mail/<int:pk>/",
        "settings/mail/send-as/crm-mail/<int:pk>/test/",
        "api/v1/mailboxes/<int:pk>/",
        "api/v1/mailboxes/<int:pk>/incoming-password/",
        "api/v1/mailboxes/<int:pk>/outgoing-password/",
        "api/v1/mailboxes/<int:pk>/activate/",
        "api/v1/mailboxes/<int:pk>/fetch/",
        "api/v1/mailboxes/<int:pk>/runs/",
        "api/v1/mailboxes/<int:pk>/test/",
        "api/v1/mailboxes/<int:pk>/sharing/",
        "api/v1/mailboxes/<int:pk>/sharing/preview/",
    }
)

_MAILBOX_FORM = {
    "name": "Walked",
    "email_address": "walked@our.example",
    "incoming_host": "127.0.0.1",
    "incoming_security": "ssl",
    "incoming_username": "walked",
    "use_same_credentials": "on",
    "outgoing_host": "127.0.0.1",
    "outgoing_security": "ssl",
    "delete_policy": "leave",
    "import_since": "all",
    "incoming_password": "walked",
    "confirmed": "test deletion",
}
_MAILBOX = {
    "name": "Walked",
    "email_address": "walked@our.example",
    "incoming_host": "127.0.0.1",
    "incoming_username": "walked",
    "incoming_password": "walked",
    "use_same_credentials": True,
    "outgoing_host": "127.0.0.1",
    "sharing_mode": "private",
    "skip_test": True,
}
_OUTGOING_FORM = {
    "outgoing_host": "127.0.0.1",
    "outgoing_security": "ssl",
    "outgoing_username": "walked",
    "outgoing_password": "walked",
    "confirmed": "test",
}
_NEW_PASSWORD = {"password": "walked", "confirmed": "test"}
_CUSTOMER_FORM = {"last_name": "Walked", "addresses": "walked@acme.example"}
_CUSTOMER = {"last_name": "Walked"}

#: A body with which whoever may do it succeeds, by method and route; {} where there is none.
BODIES: dict[str, dict[str, Any] | Callable[[Ids], dict[str, Any]]] = {
    "PATCH api/v1/sharing-rules/<int:pk>/": {"mode": "private"},
    "POST administration/users/<int:pk>/role/": {"role": "member"},
    "POST contacts/<int:pk>/edit/": _CUSTOMER_FORM,
    "POST records/imports/<int:pk>/": {"column_0": "email", "kind": "contact", "updates": "yes"},
    "POST contacts/<int:pk>/merge/": lambda ids: {"other": ids.get("lead", 0)},
    "POST leads/<int:pk>/merge/": lambda ids: {"other": ids.get("contact", 0)},
    "POST api/v1/contacts/<int:pk>/merge/": lambda ids: {"other": ids.get("lead", 0)},
    "POST api/v1/leads/<int:pk>/merge/": lambda ids: {"other": ids.get("contact", 0)},
    "POST contacts/<int:pk>/share/": {"share": "on"},
    "POST leads/<int:pk>/edit/": _CUSTOMER_FORM,
    "POST leads/<int:pk>/share/": {"share": "on"},
    "POST mail/<int:pk>/": {"everything": str(10**12), "deed": "star"},
    "POST mail/folders/<int:pk>/": {"name": "Walked"},
    "POST mail/folders/<int:pk>/remove/": lambda ids: {"into": ids.get("inbox", 0)},
    "POST mail/labels/<int:pk>/": {"everything": str(10**12), "deed": "star"},
    "POST mail/labels/<int:pk>/edit/": {"name": "Walked", "colour": "#6b7280"},
    "POST mail/drafts/<int:pk>/": {"revision": 0, "do": "save"},
    "POST mail/drafts/<int:pk>/save/": {"revision": 0},
    "POST mail/messages/<int:pk>/private/": {"private": "on"},
    "POST mail/threads/<int:pk>/private/": {"private": "on"},
    "POST settings/email/<int:pk>/edit/": _MAILBOX_FORM,
    "POST settings/email/<int:pk>/test/": _MAILBOX_FORM,
    "POST settings/email/<int:pk>/remove/": {"mail": "keep"},
    "POST settings/email/<int:pk>/consolidate/": {"consolidate-is_on": "on", "consolidate-folder": "Walked"},
    "POST settings/mail/accounts/<int:pk>/": _NEW_PASSWORD,
    "POST settings/mail/accounts/<int:pk>/test/": _NEW_PASSWORD,
    "POST settings/mail/send-as/<int:pk>/": _NEW_PASSWORD,
    "POST settings/mail/send-as/<int:pk>/test/": _NEW_PASSWORD,
    "POST settings/mail/send-as/crm-mail/<int:pk>/": _OUTGOING_FORM,
    "POST settings/mail/send-as/crm-mail/<int:pk>/test/": _OUTGOING_FORM,
    "POST settings/email/<int:pk>/sharing/": {"sharing_mode": "private", "confirmed": "on"},
    "PATCH api/v1/contacts/<int:pk>/": _CUSTOMER,
    "PUT api/v1/contacts/<int:pk>/": _CUSTOMER,
    "PATCH api/v1/leads/<int:pk>/": _CUSTOMER,
    "PUT api/v1/leads/<int:pk>/": _CUSTOMER,
    "PUT api/v1/contacts/external/<str:external_id>/": _CUSTOMER,
    "PUT api/v1/leads/external/<str:external_id>/": _CUSTOMER,
    "PATCH api/v1/mailboxes/<int:pk>/": {"name": "Walked"},
    "PUT api/v1/mailboxes/<int:pk>/incoming-password/": {"password": "walked", "skip_test": True},
    "PUT api/v1/mailboxes/<int:pk>/outgoing-password/": {"password": "walked", "skip_test": True},
    "PUT api/v1/mailboxes/<int:pk>/sharing/": {"mode": "private"},
    "POST api/v1/mailboxes/<int:pk>/sharing/preview/": {"mode": "public"},
    "POST api/v1/mailboxes/<int:pk>/test/": {},
    "POST api/v1/messages/<int:pk>/reply/": {"text": "Walked"},
    "POST api/v1/messages/<int:pk>/forward/": {"to": "walked@acme.example"},
    "POST api/v1/messages/<int:doubtful>/settle/": {"arrived": True},
    "PATCH api/v1/messages/<int:pk>/": {"is_read": True, "is_private": True},
    "PATCH api/v1/threads/<int:pk>/": {"is_private": True},
    "PATCH api/v1/users/<int:pk>/": {"name": "Walked"},
}

#: What an id in a query string names. Those of the API are found in its description, the portal's stand here alone.
QUERIES = {
    "administration/sharing/change/?user": "user",
    "api/v1/contacts/?owner": "user",
    "api/v1/leads/?owner": "user",
    "api/v1/mailboxes/?owner": "user",
    "api/v1/messages/?customer": "contact",
    "api/v1/messages/?folder": "folder",
    "api/v1/messages/?label": "label",
    "api/v1/messages/?mailbox": "mailbox",
    "api/v1/messages/?thread": "thread",
    "shared/?colleague": "user",
    "shared/?customer": "contact",
}
#: Those whose answer names what was asked for to whoever knows it anyhow; that it tells of no mail is walked as well.
ANSWERED_BY_NAME = frozenset(
    {
        "administration/sharing/change/?user",
        "api/v1/contacts/?owner",
        "api/v1/leads/?owner",
        "api/v1/mailboxes/?owner",
        "shared/?customer",
    }
)
#: Numbers in query strings and bodies that are no ids.
NOT_IDS = frozenset(
    {
        "page_size",
        "revision",
        "incoming_port",
        "outgoing_port",
        "delete_after_days",
        "import_days",
        "poll_interval_minutes",
    }
)


@dataclass(frozen=True)
class InBody:
    """What an id in a body names, a body that is in order but for that id, and what the address names if not as usual."""

    kind: str
    body: Callable[[int], dict[str, Any]]
    named: Mapping[str, str] = field(default_factory=dict)


_OWNER = InBody("user", lambda pk: {**_CUSTOMER, "owner": pk})
_OWNER_IN_FORM = InBody("user", lambda pk: {**_CUSTOMER_FORM, "owner": pk})
_FOLDERS = InBody("folder", lambda pk: {"folders": [{"id": pk, "name": "Walked"}]})
_LABELS = InBody("label", lambda pk: {"labels": [{"id": pk, "name": "Walked"}]})
#: Ids in the API's bodies, by operation and field; fields of nested objects have a dot.
IN_BODIES = {
    "POST api/v1/contacts/ owner": _OWNER,
    "POST api/v1/contacts/<int:pk>/merge/ other": InBody("lead", lambda pk: {"other": pk}),
    "POST api/v1/leads/<int:pk>/merge/ other": InBody("contact", lambda pk: {"other": pk}),
    "PUT api/v1/contacts/<int:pk>/ owner": _OWNER,
    "PATCH api/v1/contacts/<int:pk>/ owner": _OWNER,
    "POST api/v1/leads/ owner": _OWNER,
    "PUT api/v1/contacts/external/<str:external_id>/ owner": _OWNER,
    "PUT api/v1/leads/external/<str:external_id>/ owner": _OWNER,
    "PUT api/v1/leads/<int:pk>/ owner": _OWNER,
    "PATCH api/v1/leads/<int:pk>/ owner": _OWNER,
    "POST api/v1/mail-account/ folders.id": _FOLDERS,
    "POST api/v1/mail-account/ labels.id": _LABELS,
    "PATCH api/v1/mail-account/ folders.id": _FOLDERS,
    "PATCH api/v1/mail-account/ labels.id": _LABELS,
    "POST api/v1/mailboxes/ owner": InBody("user", lambda pk: {**_MAILBOX, "owner": pk}),
    "PATCH api/v1/mailboxes/<int:pk>/ owner": InBody("user", lambda pk: {"owner": pk}),
    "POST api/v1/messages/ mailbox": InBody("mailbox", lambda pk: {"to": "walked@acme.example", "mailbox": pk}),
    "POST api/v1/messages/<int:pk>/reply/ mailbox": InBody("mailbox", lambda pk: {"text": "Walked", "mailbox": pk}),
    "POST api/v1/messages/<int:pk>/forward/ mailbox": InBody(
        "mailbox", lambda pk: {"to": "walked@acme.example", "mailbox": pk}
    ),
    "PATCH api/v1/messages/<int:pk>/ mailbox": InBody("mailbox", lambda pk: {"mailbox": pk}, {"message": "draft"}),
    "PATCH api/v1/messages/<int:pk>/ folder": InBody("folder", lambda pk: {"folder": pk}),
    "PATCH api/v1/messages/<int:pk>/ labels": InBody("label", lambda pk: {"labels": [pk]}),
    "POST api/v1/sharing-rules/ user": InBody("user", lambda pk: {"user": pk, "mode": "private", "reason": "Walked"}),
}
#: The same in the portal's forms, by route and field.
IN_FORMS = {
    "POST mail/drafts/<int:pk>/ mailbox": InBody("mailbox", lambda pk: {"revision": 0, "mailbox": pk, "do": "save"}),
    "POST administration/sharing/change/ user": InBody(
        "user", lambda pk: {"user": [pk], "kind": "fixed", "mode": "private", "reason": "Walked", "confirmed": "on"}
    ),
    "POST contacts/new/ owner": _OWNER_IN_FORM,
    "POST contacts/<int:pk>/edit/ owner": _OWNER_IN_FORM,
    "POST leads/new/ owner": _OWNER_IN_FORM,
    "POST leads/<int:pk>/edit/ owner": _OWNER_IN_FORM,
    "POST contacts/<int:pk>/merge/ other": InBody("lead", lambda pk: {"other": pk}),
    "POST leads/<int:pk>/merge/ other": InBody("contact", lambda pk: {"other": pk}),
    "POST mail/ thread": InBody("thread", lambda pk: {"thread": [pk], "deed": "star"}),
    "POST mail/ message": InBody("message", lambda pk: {"message": [pk], "deed": "star"}),
    "POST mail/ move": InBody("folder", lambda pk: {"everything": str(10**12), "move": pk}),
    "POST mail/ label": InBody("label", lambda pk: {"everything": str(10**12), "label": pk}),
    "POST mail/folders/<int:pk>/remove/ into": InBody("inbox", lambda pk: {"into": pk}),
    "POST contacts/share/ customer": InBody("contact", lambda pk: {"customer": [pk], "share": "on", "confirmed": "on"}),
    "POST leads/share/ customer": InBody("lead", lambda pk: {"customer": [pk], "share": "on", "confirmed": "on"}),
}
#: Fields that choose a row, in the portal's form classes: each must have its lines in `IN_FORMS`.
FORM_FIELDS = frozenset(
    {
        "portal.compose_forms.ComposeForm.mailbox",
        "portal.arranging.RemovalForm.into",
        "portal.customers.CustomerForm.owner",
    }
)

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
HTMX = {"HX-Request": "true"}

# --- what there is --------------------------------------------------------------------------------------------------

_PLACE = re.compile(r"<(?:\w+:)?\w+>")


def _readable(pattern: Any) -> str:
    return simplify_regex(str(pattern)).removeprefix("/") if isinstance(pattern, RegexPattern) else str(pattern)


def _found(patterns: Iterable[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    for entry in patterns:
        route = before + _readable(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _found(entry.url_patterns, route)
        else:
            yield route


def _spelled_out(route: str) -> list[str]:
    for place, words in SPELLED_OUT.items():
        if place in route:
            return [spelled for word in words for spelled in _spelled_out(route.replace(place, word))]
    return [route]


ROUTES = sorted({spelled for route in _found(get_resolver().url_patterns) for spelled in _spelled_out(route)})


def places(route: str) -> list[str]:
    """The keys under which the places of a route stand in `PLACES` or `WORDS`."""
    return [route[: place.end()] for place in _PLACE.finditer(route)]


def kinds(route: str) -> list[str]:
    """What the ids in a route name; nothing for places that are not known yet, which a test of their own reports."""
    return [PLACES[place] for place in places(route) if place in PLACES]


def is_known(route: str) -> bool:
    """Whether each place of the route is in the tables above."""
    return all(place in PLACES or place in WORDS for place in places(route))


WITH_IDS = [route for route in ROUTES if kinds(route) and is_known(route)]
WITHOUT_IDS = [route for route in ROUTES if not kinds(route) and is_known(route)]


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return schema


def _bare(route: str) -> str:
    return re.sub(r"<[^>]*>|{[^}]*}", "{}", route.removeprefix("/"))


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, route as in the URL configuration, and description of every operation of the API."""
    routes = {_bare(route): route for route in ROUTES}
    for path, methods in _schema()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), routes[_bare(path)], operation


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema or "allOf" in schema:
        reference = schema if "$ref" in schema else schema["allOf"][0]
        schema = _schema()["components"]["schemas"][reference["$ref"].rpartition("/")[2]]
    return schema


def _numbers(schema: dict[str, Any], name: str = "") -> Iterator[str]:
    """The writable fields that hold numbers, those of nested objects with a dot."""
    schema = schema if schema.get("readOnly") else _resolved(schema)
    if schema.get("readOnly"):
        return
    if schema.get("type") in {"integer", "number"}:
        yield name
    elif schema.get("type") == "array":
        yield from _numbers(schema["items"], name)
    for inner, described in schema.get("properties", {}).items():
        yield from _numbers(described, f"{name}.{inner}" if name else inner)


def ids_in_queries() -> Iterator[str]:
    """The parameters of the API that take an id, as keys of `QUERIES`."""
    for _, route, operation in operations():
        for parameter in operation.get("parameters", []):
            is_number = parameter["schema"].get("type") in {"integer", "number"}
            if parameter["in"] == "query" and is_number and parameter["name"] not in NOT_IDS:
                yield f"{route}?{parameter['name']}"


def ids_in_bodies() -> Iterator[str]:
    """The fields of the API's bodies that take an id, as keys of `IN_BODIES`."""
    for method, route, operation in operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for name in _numbers(content["schema"]):
                if name not in NOT_IDS:
                    yield f"{method} {route} {name}"


def ids_in_forms() -> Iterator[str]:
    """The fields of the portal's forms that choose a row."""
    classes = [forms.BaseForm]
    for form in classes:
        classes += form.__subclasses__()
        if form.__module__.startswith("portal."):
            for name, described in form.base_fields.items():  # type: ignore[attr-defined]
                if isinstance(described, forms.ModelChoiceField):
                    yield f"{form.__module__}.{form.__name__}.{name}"


QUERIED = sorted(key for key in QUERIES if key.partition("?")[0] in ROUTES)
WRITABLE = {**IN_BODIES, **IN_FORMS}
WRITTEN = sorted(key for key in WRITABLE if key.split(" ")[1] in ROUTES)

# --- the world ------------------------------------------------------------------------------------------------------

#: Ids by what they name.
Ids = dict[str, int]
#: How far an id that never existed is from one that does; equally long, so that even lengths must agree.
_UNKNOWN = 10_000_000
#: Stands in everything that nobody but its owner may see.
SECRET = "hush"


@dataclass
class Walker:
    """Somebody who tries every address."""

    portal: Client
    api: Client
    #: What is theirs, for the places beside a forbidden one.
    own: Ids = field(default_factory=dict)
    #: What they may not see, in several varieties.
    hidden: list[Ids] = field(default_factory=list)
    #: The kinds of things that are no secret to them.
    knows: Collection[str] = ()
    #: Words that no page may show them.
    blind: tuple[str, ...] = (SECRET,)

    def client(self, route: str) -> Client:
        """With what they ask: a program's token for the API, a browser for the rest."""
        return self.api if route.startswith("api/") else self.portal

    def cases(self, route: str) -> list[tuple[Ids, Ids]]:
        """Ids for the places of a route, at least one of them hidden; and the same with ids that never existed."""
        found: dict[tuple[int, ...], tuple[Ids, Ids]] = {}
        for number, hidden in enumerate(self.hidden):
            # Beside their own things only the first variety of what is hidden: that is enough.
            for choice in product((hidden, self.own) if number == 0 else (hidden,), repeat=len(kinds(route))):
                named = dict(zip(kinds(route), choice, strict=True))
                secret = {kind for kind, ids in named.items() if ids is hidden and kind not in self.knows}
                if secret and all(kind in ids for kind, ids in named.items()):
                    ids = {kind: ids[kind] for kind, ids in named.items()}
                    unknown = {kind: pk + _UNKNOWN * (kind in secret) for kind, pk in ids.items()}
                    found[tuple(ids.values())] = (ids, unknown)
        return list(found.values())


@dataclass
class World:
    """Everybody who walks, the messages that nobody but their owner may see, and the database as it was."""

    walkers: dict[str, Walker]
    secrets: list[int]
    before: dict[str, list[str]]


def _start_ids() -> None:
    """Give each table ids of nine digits in a range of its own, so that an id is found again in any answer."""
    for number, model in enumerate(_models()):
        if isinstance(model._meta.pk, AutoField):
            table, start = model._meta.db_table, 100_000_000 + 2 * _UNKNOWN * number
            with connection.cursor() as cursor:
                if connection.vendor == "sqlite":
                    cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
                    cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, start])
                else:
                    cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, start])


def _models() -> list[type[Model]]:
    ours = ("accounts", "customers", "mail", "sharing", "fetcher", "sender", "webhooks")
    return [model for name in ours for model in apps.get_app_config(name).get_models(include_auto_created=True)]


def _filed(mailbox: Mailbox, sender: str, subject: str, **more: Any) -> Message:
    attachments = [
        (f"{subject}.pdf", "application/pdf", f"%PDF-1.4 {subject}".encode()),
        (f"{subject}.eml", "application/octet-stream", factories.raw_message(subject=subject, html="<p>Inside</p>")),
    ]
    return factories.message(
        mailbox=mailbox, sender=sender, subject=subject, text=f"{subject} text", attachments=attachments, **more
    )


def _ids_of(message: Message) -> Ids:
    account = message.owner.mail_account
    consolidate(message.mailbox, kind="label", name=account.labels.get().name)
    note(message.owner, Notification.Kind.SENDING_FAILED, message=message)
    return {
        "message": message.pk,
        "attachment": message.attachments.all()[0].pk,
        "thread": message.thread_id,
        "mailbox": message.mailbox_id,
        "mail account": account.mailbox_id,
        "folder": account.folders.get(kind=Folder.Kind.CUSTOM).pk,
        "inbox": account.folders.get(kind=Folder.Kind.INBOX).pk,
        "label": account.labels.get().pk,
        "import": factories.checked_import(message.owner).pk,
        "notification": message.owner.notifications.get(message=message).pk,
        "deed": Deed.objects.create(owner=message.owner, kind=Deed.Kind.READ).pk,
        **_written_ids(message),
    }


def _written_ids(message: Message) -> Ids:
    """What the owner of a message writes and has written, under the same subject."""

    def written(status: str) -> Outgoing:
        return factories.outgoing(message.mailbox, status, subject=f"{message.subject} {status}", text=message.subject)

    draft = written("draft")
    return {
        "draft": draft.pk,
        "draft file": attach(draft, f"{message.subject}.txt", b"text").pk,
        "image of a draft": attach(draft, "image.png", b"\x89PNG", "image/png", is_inline=True).pk,
        "queued message": written("queued").pk,
        "refused message": written("failed").pk,
        "doubtful message": written("unknown").pk,
    }


def _person(organization: Organization, name: str, mode: str, word: str, **more: Any) -> tuple[User, Mailbox]:
    """Somebody with a mailbox, a folder and a label."""
    user = factories.user(
        organization=organization, email=f"{name}@{organization.mail_domains.all()[0].domain}", **more
    )
    mailbox = factories.mailbox(
        owner=user,
        mode=mode,
        name=f"{name} box",
        incoming_password=f"{SECRET} password",
        excluded_domains=["lawyers.example"],
    )
    arrange_folders(user.mail_account, [Wanted(name=f"{word} folder")])
    arrange_labels(user.mail_account, [Wanted(name=f"{word} label")])
    return user, mailbox


def _customers(organization: Organization, name: str) -> Ids:
    lead, contact, gone = (
        factories.customer(
            organization=organization, kind=kind, addresses=[f"{name}.{word}@acme.example"], last_name=name
        )
        for word, kind in (("lead", "lead"), ("contact", "contact"), ("gone", "lead"))
    )
    actor = organization.users.first()
    assert actor is not None
    return {"lead": lead.pk, "contact": contact.pk, "change": delete_customer(gone, actor=actor).pk}


def _hooks(user: User) -> Ids:
    webhook = factories.webhook(user)
    return {"webhook": webhook.pk, "delivery": webhook.deliveries.get().pk}


def _secret_messages(rep: Mailbox, boss: Mailbox) -> list[Message]:
    """One message for each reason for which a colleague may not see it (sharing.md, lines 3 to 7)."""
    muffled = "muffled.contact@acme.example"
    names = ("kept", "thread", "trash", "draft", "excluded")
    kept, thread, trash, draft, excluded = (
        _filed(rep, muffled, f"{SECRET} {name}", cc=["carl@lawyers.example"] if name == "excluded" else [])
        for name in names
    )
    keep_private(rep.owner, kept, True)
    keep_private(rep.owner, thread.thread, True)
    delete_message(trash)
    Message.objects.filter(pk=draft.pk).update(is_draft=True)
    unknown = _filed(rep, "dan@elsewhere.example", f"{SECRET} nobody")
    return [_filed(boss, muffled, f"{SECRET} private"), kept, thread, trash, draft, excluded, unknown]


def _rival(administers: bool, known: list[Ids]) -> Walker:
    """A member or administrator of another organisation, with everything of their own."""
    role = User.Role.ADMIN if administers else User.Role.MEMBER
    organization = factories.organization(domain=f"{role}.rival.example", name="Rival")
    user, mailbox = _person(organization, "rival", "custom", "own", role=role)
    own = _customers(organization, "own") | _ids_of(_filed(mailbox, "own.contact@acme.example", "own mail"))
    own |= {"user": user.pk, "user in base 36": user.pk, "rule": set_rule(user, [user])[0].pk}
    own |= _hooks(user)
    return Walker(browser(user), program(user), own, known, blind=(SECRET, "our.example", "muffled"))


def _built() -> World:
    _start_ids()
    ours = factories.organization(domain="our.example")
    rep, rep_box = _person(ours, "rep", "public", SECRET)
    boss, boss_box = _person(ours, "boss", "private", SECRET)
    colleague, colleague_box = _person(ours, "colleague", "custom", "own")
    admin, admin_box = _person(ours, "admin", "custom", "own", role=User.Role.ADMIN)
    newcomer = factories.user(organization=ours)
    open_customers, muffled_customers = _customers(ours, "open"), _customers(ours, "muffled")
    FetchRun.objects.create(
        mailbox=boss_box, token="0f8fad5b-d9cb-469f-a165-70867728950e", state=FetchRun.State.DONE, new=3, deleted=2
    )
    theirs = muffled_customers | {
        "user": boss.pk,
        "user in base 36": boss.pk,
        "invitation": invite(admin, email="invited@our.example")[0].pk,
        "domain": add_mail_domain(ours, "also-our.example").pk,
        "rule": set_rule(admin, [boss], reason="walked")[0].pk,
        **_hooks(admin),
    }
    shared = _filed(rep_box, "open.contact@acme.example", "shared mail")
    # A message that colleagues see, where only its owner may know that it is: in a folder and under a label.
    move_message(shared, rep.mail_account.folders.get(kind=Folder.Kind.CUSTOM))
    label_message(shared, list(rep.mail_account.labels.all()))
    secrets = _secret_messages(rep_box, boss_box)
    # The other reasons are walked by tests/sharing; here a few stand for all where each costs many requests.
    hidden = [theirs | _ids_of(message) for message in secrets[:4]]
    account = hidden[1] | {"mailbox": boss.mail_account.mailbox_id}
    everything = [hidden[0], theirs | _ids_of(shared) | open_customers, account]
    walkers = {
        "member of another organisation": _rival(False, everything),
        "administrator of another organisation": _rival(True, everything[:1]),
        "colleague": Walker(
            browser(colleague),
            program(colleague),
            open_customers | _ids_of(_filed(colleague_box, "open.contact@acme.example", "own mail")),
            [*hidden, account],
            KNOWS["colleague"],
            blind=(SECRET, "boss box"),
        ),
        "administrator": Walker(
            browser(admin),
            program(admin),
            theirs
            | open_customers
            | {"user": colleague.pk}
            | _ids_of(_filed(admin_box, "open.contact@acme.example", "own mail")),
            [*hidden, account],
            KNOWS["administrator"],
        ),
        "nobody": Walker(Client(), program(), {}, everything, blind=(SECRET, "our.example", "muffled")),
        "newcomer": Walker(browser(newcomer), program(newcomer), {}, hidden),
    }
    return World(walkers, [message.pk for message in secrets], _rows())


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Built once: each test takes back what it does, and the end of the module takes back the world."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield _built()
        transaction.set_rollback(True)


def _rows() -> dict[str, list[str]]:
    """Every row of every table of ours."""
    rows = {}
    with connection.cursor() as cursor:
        for model in _models():
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")  # noqa: S608
            rows[model.__name__] = sorted(
                repr([bytes(value) if isinstance(value, memoryview) else value for value in row])
                for row in cursor.fetchall()
            )
    return rows


def assert_nothing_changed(world: World) -> None:
    """The database is as it was."""
    after = _rows()
    assert [name for name, rows in world.before.items() if after[name] != rows] == []


@contextmanager
def taken_back() -> Iterator[None]:
    """What is done inside never happened."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# --- asking ---------------------------------------------------------------------------------------------------------

_RANDOM = (
    (re.compile(r'(csrfmiddlewaretoken" value=|X-CSRFToken": |nonce=)"[\w-]+'), r"\1"),
    (re.compile(r"'nonce-[^']+'"), "nonce"),
    (re.compile(r"\d\d:\d\d(:\d\d(\.\d+)?)?"), "time"),
    (re.compile(r'"Seconds" class="number">\d+\.\d'), "seconds"),
    (re.compile(r"\A/mail/drafts/\d+/\Z"), "a draft that was just begun"),
)


@dataclass(frozen=True)
class Answer:
    """What somebody can learn from an answer, without what differs each time and without the ids that were asked for."""

    status: int
    redirects: tuple[tuple[str, int], ...]
    headers: tuple[tuple[str, str], ...]
    cookies: tuple[str, ...]
    body: str

    @property
    def leads_to_sign_in(self) -> bool:
        """Whether it is a redirect to the sign-in page."""
        return self.status == 302 and dict(self.headers)["Location"].startswith("/accounts/login/")

    @property
    def refuses(self) -> bool:
        """Whether nothing is told or done."""
        return self.status in {401, 403, 404, 405} or self.leads_to_sign_in


def address(route: str, ids: Ids) -> str:
    """The address of a route with ids and words in its places."""
    filled, end = "", 0
    for place, key in zip(_PLACE.finditer(route), places(route), strict=True):
        kind = PLACES.get(key)
        value = ids[kind] if kind else WORDS[key]
        filled += route[end : place.start()] + (int_to_base36(value) if kind == "user in base 36" else str(value))  # type: ignore[arg-type]
        end = place.end()
    return f"/{filled}{route[end:]}"


def _learnt(response: Any, ids: Iterable[int]) -> Answer:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    texts = [body.decode("utf-8", "replace"), *(value for _, value in response.items())]
    for pattern, instead in _RANDOM:
        texts = [pattern.sub(instead, text) for text in texts]
    for pk in ids:
        texts = [text.replace(str(pk), "<id>").replace(int_to_base36(pk), "<id>") for text in texts]
    names = [name for name, _ in response.items()]
    return Answer(
        response.status_code,
        tuple(getattr(response, "redirect_chain", ())),
        tuple(sorted(zip(names, texts[1:], strict=True))),
        tuple(sorted(response.cookies)),
        texts[0],
    )


def raw_answer(walker: Walker, method: str, route: str, path: str, body: Mapping[str, Any], **options: Any) -> Any:
    """The answer as the client has it."""
    client, send = walker.client(route), method.lower()
    if method in {"GET", "HEAD"}:
        return getattr(client, send)(path, **options)
    if route.startswith("api/"):
        return getattr(client, send)(path, body, **options)
    if method == "POST":
        return client.post(path, body, **options)
    return getattr(client, send)(path, **options)


def body_of(method: str, route: str, ids: Ids) -> dict[str, Any]:
    """What is sent there, where rows are named with these ids."""
    body = BODIES.get(f"{method} {route}", {})
    return body(ids) if callable(body) else body


def ask(walker: Walker, method: str, route: str, ids: Ids, **options: Any) -> Answer:
    """What `walker` learns by a method at a route with these ids."""
    body = body_of(method, route, ids)
    return _learnt(raw_answer(walker, method, route, address(route, ids), body, **options), ids.values())


def assert_finds_nothing(walker: Walker, route: str) -> None:
    """By no method anything is told or done, and the answers are those for ids that never existed."""
    fragments = [("GET", HTMX)] if not route.startswith("api/") else []
    for method, headers in [*((method, {}) for method in METHODS), *fragments]:
        never: dict[frozenset[str], Answer] = {}
        for number, (ids, unknown) in enumerate(walker.cases(route)):
            asked = frozenset(kind for kind, pk in unknown.items() if pk != ids[kind])
            if asked not in never:
                never[asked] = ask(walker, method, route, unknown, headers=headers)
            elif number and (never[asked].status == 405 or headers or method in {"HEAD", "OPTIONS"}):
                continue  # one variety is enough for what is refused unseen, or goes the way of GET
            answer = ask(walker, method, route, ids, headers=headers)
            named = f"{method} {route} with {ids}"
            # OPTIONS of the API says which methods there are, the same for every id.
            assert answer.refuses or method == "OPTIONS" or route in FOR_EVERYBODY, f"{named}: {answer.status}"
            assert answer == never[asked], f"{named} differs from an id that never existed"
            assert_shows_nothing(walker, answer.body, named)


def assert_shows_nothing(walker: Walker, text: str, where: str) -> None:
    """None of the words that the walker may not read."""
    assert [word for word in walker.blind if word in text.lower()] == [], where


# --- nothing is forgotten -------------------------------------------------------------------------------------------


def test_nothing_that_takes_an_id_is_forgotten() -> None:
    """R1: whoever adds an address, parameter or field with an id tells the walk what it names."""
    tables = {
        "PLACES (what the id names) or WORDS (a word, where it names no row)": {
            place for route in ROUTES for place in places(route) if place not in PLACES and place not in WORDS
        },
        "QUERIES, or its name to NOT_IDS": {key for key in ids_in_queries() if key not in QUERIES},
        "IN_BODIES, or its name to NOT_IDS": {key for key in ids_in_bodies() if key not in IN_BODIES},
        "FORM_FIELDS, with the routes of that form to IN_FORMS": set(ids_in_forms()) - FORM_FIELDS,
    }
    missing = [
        f"{key!r} takes an id that the walk does not know: add it to {table}"
        for table in tables
        for key in sorted(tables[table])
    ]
    assert not missing, f"In {__file__}:\n" + "\n".join(missing)


def test_every_operation_of_the_api_is_walked() -> None:
    """R1: by its route, its method, and with a body where it takes one."""
    for method, route, operation in operations():
        assert method in METHODS
        assert route in WITH_IDS or route in WITHOUT_IDS
        fields = [
            _resolved(content["schema"]).get("properties", {})
            for content in operation.get("requestBody", {}).get("content", {}).values()
        ]
        if "<" in route and any(not described.get("readOnly") for each in fields for described in each.values()):
            assert f"{method} {route}" in BODIES, f"add a body for {method} {route} to BODIES in {__file__}"


def test_what_is_open_is_there() -> None:
    """The lists of what is open name nothing that has gone."""
    assert set(ROUTES) >= FOR_EVERYBODY
    assert set(ROUTES) >= ADMINISTRATORS_MAY


@pytest.mark.parametrize("route", [route for route in WITH_IDS if route not in FOR_EVERYBODY])
def test_whoever_may_succeeds_with_the_same_body(world: World, route: str) -> None:
    """The oracle of the walk: what the others are refused would have been done."""
    owner = world.walkers["administrator"]
    described = {method for method, described, _ in operations() if described == route}
    done = set()
    for method in METHODS:
        with taken_back():
            body = body_of(method, route, owner.own)
            response = raw_answer(owner, method, route, address(route, owner.own), body, follow=True)
            if response.status_code == 405:
                continue
            done.add(method)
            assert response.status_code in {200, 202, 204}, (method, response.status_code, response.content)
            context = getattr(response, "context", None) or {}
            if method == "POST":
                hint = f"add a body for POST {route} to BODIES in {__file__}"
                assert not ("form" in context and context["form"].errors), f"{context['form'].errors}: {hint}"
                refused = [str(notice) for notice in context.get("messages", ()) if notice.level >= ERROR]
                assert not refused, f"{refused}: {hint}"
    assert done - {"OPTIONS"}
    if route.startswith("api/"):
        assert done - {"HEAD", "OPTIONS"} == described


# --- nobody ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [route for route in ROUTES if is_known(route)])
def test_who_has_not_signed_in_is_sent_to_sign_in_or_refused(world: World, route: str) -> None:
    """R2: every address but those for everybody, by every method; and with every id alike."""
    nobody = world.walkers["nobody"]
    ids = world.walkers["nobody"].hidden[0]
    # Where there are ids, the other methods come with them below.
    for method in ("OPTIONS",) if kinds(route) else METHODS:
        answer = ask(nobody, method, route, ids)
        assert answer.refuses or route in FOR_EVERYBODY, (method, answer.status, answer.headers)
        assert_shows_nothing(nobody, answer.body, method)
    if kinds(route):
        assert_finds_nothing(nobody, route)
    assert_nothing_changed(world)


# --- ids in addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", WITH_IDS)
@pytest.mark.parametrize("who", RIVALS)
def test_another_organisation_finds_nothing_at_all(world: World, who: str, route: str) -> None:
    """R1: nothing crosses between two organisations, not even whether it exists."""
    assert world.walkers[who].cases(route)
    assert_finds_nothing(world.walkers[who], route)
    assert_nothing_changed(world)


@pytest.mark.parametrize("route", [route for route in WITH_IDS if not KNOWS["colleague"].issuperset(kinds(route))])
def test_a_colleague_finds_nothing_that_is_not_shared(world: World, route: str) -> None:
    """R20–R26, R32: private mail and all that belongs to it, somebody else's mailbox, folder and label."""
    assert world.walkers["colleague"].cases(route)
    assert_finds_nothing(world.walkers["colleague"], route)
    assert_nothing_changed(world)


@pytest.mark.parametrize(
    "route",
    [r for r in WITH_IDS if r not in ADMINISTRATORS_MAY and not KNOWS["administrator"].issuperset(kinds(r))],
)
def test_an_administrator_finds_nothing_that_is_not_shared(world: World, route: str) -> None:
    """R23, R25: administrators configure; as readers they are like everybody else."""
    assert world.walkers["administrator"].cases(route)
    assert_finds_nothing(world.walkers["administrator"], route)
    assert_nothing_changed(world)


# --- what is open to colleagues -------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", sorted(ADMINISTRATORS_MAY))
def test_administrators_configure_mailboxes_without_learning_of_their_mail(world: World, route: str) -> None:
    """R14, R25, interface.md: no number of messages, no address of mail, no password."""
    admin = world.walkers["administrator"]
    for method in METHODS:
        with taken_back():
            path = address(route, admin.hidden[0])
            response = raw_answer(admin, method, route, path, body_of(method, route, admin.hidden[0]), follow=True)
            if response.status_code == 405:
                continue
            assert response.status_code in {200, 202, 204}
            text = (b"".join(response.streaming_content) if response.streaming else response.content).decode()
            assert_shows_nothing(admin, text, method)
            assert "muffled" not in text
            if text and method not in {"HEAD", "OPTIONS"} and route.startswith("api/"):
                for name, value in _pairs(response.json()):
                    assert name not in {"message_count", "new", "deleted"} or value is None, (method, name)
                    assert "password" not in name


def test_an_administrators_preview_has_numbers_only(world: World) -> None:
    """R26: how much becomes visible is said before it is saved, never which mail it is."""
    admin, route = world.walkers["administrator"], "settings/email/<int:pk>/sharing/"
    response = admin.portal.post(address(route, admin.hidden[0]), {"sharing_mode": "public"})
    assert response.status_code == 200
    assert response.context["preview"].becomes_visible == 1
    assert_shows_nothing(admin, response.content.decode(), route)
    assert "muffled" not in response.content.decode()
    assert_nothing_changed(world)


def _pairs(data: Any) -> Iterator[tuple[str, Any]]:
    """Every name with its value, however deep."""
    if isinstance(data, dict):
        yield from data.items()
    for inner in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _pairs(inner)


#: Addresses with a question that the portal or the API answers from mail.
ASKED = ("shared/?find=hush", "shared/?find=muffled", "api/v1/messages/?search=hush", "contacts/?search=hush")


def _open_to(who: str) -> list[str]:
    """The addresses and questions that somebody may use with ids of what others have."""
    mine = ADMINISTRATORS_MAY if who == "administrator" else ()
    routes = [route for route in ROUTES if route in mine or KNOWS[who].issuperset(kinds(route))]
    return [route for route in [*routes, *ASKED, *QUERIED] if is_known(route) and route not in FOR_EVERYBODY]


@pytest.mark.parametrize(("who", "route"), [(who, route) for who in KNOWS for route in _open_to(who)])
def test_pages_are_the_same_with_and_without_what_others_keep(world: World, who: str, route: str) -> None:
    """R23, R26, R30: lists, counts, records, settings and exports give no hint of mail that the reader may not see."""
    walker, theirs = world.walkers[who], world.walkers[who].hidden[0]
    place, _, query = route.partition("?")
    asked = str(theirs[QUERIES[route]]) if route in QUERIES else ""
    path = address(place, theirs) + (f"?{query}" if query else "") + (f"={asked}" if asked else "")

    def shown(headers: dict[str, str]) -> Answer:
        with taken_back():
            response = walker.client(place).get(path, headers=headers)
            if response.status_code == 405 and not place.startswith("api/"):
                response = walker.client(place).post(path, headers=headers)
            answer = _learnt(response, ())
        assert_shows_nothing(walker, answer.body.replace(query.partition("=")[2] or "\0", ""), path)
        return answer

    with_mail, fragment = shown({}), shown(HTMX)
    with taken_back():
        Message.objects.filter(pk__in=world.secrets).delete()
        assert shown({}) == with_mail
        assert fragment == with_mail or shown(HTMX) == fragment


@pytest.mark.parametrize("who", RIVALS)
@pytest.mark.parametrize("route", [route for route in WITHOUT_IDS if route not in FOR_EVERYBODY])
def test_no_page_of_another_organisation_tells_of_ours(world: World, who: str, route: str) -> None:
    """R1: lists, counts, searches and exports are the organisation's own."""
    walker = world.walkers[who]
    with taken_back():
        answer = ask(walker, "GET", route, {})
        if answer.status == 405:
            answer = ask(walker, "POST", route, {})
    assert_shows_nothing(walker, answer.body, route)


# --- ids in query strings and bodies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "key"),
    [
        (who, key)
        for key in QUERIED
        for who in SIGNED_IN
        if key not in ANSWERED_BY_NAME or QUERIES[key] not in KNOWS.get(who, ())
    ],
)
def test_an_id_in_a_query_string_finds_nothing(world: World, who: str, key: str) -> None:
    """R1, R23: what is not the caller's to know is answered like an id that never existed, by lists with nothing."""
    walker = world.walkers[who]
    route, _, name = key.partition("?")
    kind = QUERIES[key]
    # Somebody else's folders and labels are secret even where the messages in them are shared.
    hidden = walker.hidden if kind in {"folder", "label"} else walker.hidden[:1]
    for pk in {ids[kind] for ids in hidden}:
        found, never = (
            _learnt(walker.client(route).get(f"/{route}?{name}={asked}"), [asked]) for asked in (pk, pk + _UNKNOWN)
        )
        assert found == never
        assert_shows_nothing(walker, found.body, key)
        if route.startswith("api/") and found.status != 400:
            assert json.loads(found.body)["results"] == []
    assert_nothing_changed(world)


@pytest.mark.parametrize(
    ("who", "key"),
    [(who, key) for key in WRITTEN for who in SIGNED_IN if who in RIVALS or WRITABLE[key].kind not in NAMED_IN_BODIES],
)
def test_an_id_in_a_body_changes_nothing(world: World, who: str, key: str) -> None:
    """R1, R23: an owner, folder, label or customer that is not the caller's to choose is unknown."""
    method, route, _ = key.split(" ")
    kind, body = WRITABLE[key].kind, WRITABLE[key].body
    is_api, makes_account = route.startswith("api/"), key.startswith("POST api/v1/mail-account/")
    walker = world.walkers["newcomer" if makes_account else who]  # only who has no account yet makes one
    named = {place: walker.own[name] for place, name in WRITABLE[key].named.items()}
    pk, path = world.walkers[who].hidden[0][kind], address(route, {**walker.own, **named})
    answers = []
    for asked in (pk, pk + _UNKNOWN):
        response = raw_answer(walker, method, route, path, body(asked), follow=True)
        assert response.status_code in ({400, 403, 404, 409} if is_api else {200, 404})
        answers.append(_learnt(response, [asked]))
    assert answers[0] == answers[1]
    assert_shows_nothing(walker, answers[0].body, key)
    assert_nothing_changed(world)
    if who == RIVALS[1] and not makes_account:  # The rest of the body was in order: with an id of their own it is done.
        with taken_back():
            raw_answer(walker, method, route, path, body(walker.own[kind]), follow=True)
            if kind != "user" or not key.endswith("mailboxes/<int:pk>/ owner"):  # which must stay whose it is
                with pytest.raises(AssertionError):
                    assert_nothing_changed(world)
