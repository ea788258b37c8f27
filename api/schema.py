"""What OpenAPI needs to be told: the token, named choices, the errors that every operation can answer."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import TextChoices
from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Token …`."""

    target_class = "api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:  # noqa: ARG002
        """An API key in the header, since OpenAPI knows no other name for it."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token …`, with a token from `auth/token/`.",
        }


class Choice(serializers.ChoiceField):
    """One of a model's choices; OpenAPI names the set after its class (`Mailbox.State` becomes `MailboxState`)."""

    def __init__(self, of: type[TextChoices], **options: Any) -> None:
        super().__init__(choices=of.choices, **options)
        self.set_name = re.sub(r"\W", "", of.__qualname__)


class ChoiceSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """A named component for each set of choices."""

    target_class = Choice
    match_subclasses = True

    def get_name(self) -> str:
        """The component's name."""
        name: str = self.target.set_name
        return name

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:  # noqa: ARG002
        """The choices."""
        return {"type": "string", "enum": list(self.target.choices)}


class ApiSchema(AutoSchema):
    """Adds the errors of interface.md to each operation."""

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        if direction != "response":
            return bodies
        if self.method in {"POST", "PUT", "PATCH"} or self.get_filter_backends():
            messages = {"type": "array", "items": {"type": "string"}}
            bodies.setdefault("400", _answer("What is wrong, by field.", {"additionalProperties": messages}))
        codes = ["401", "403"] if self.view.authentication_classes else ["429"]
        if "{" in self.path:
            codes.append("404")
        if self.method != "GET":
            codes.append("409")
        for code in codes:
            detail = {"properties": {"detail": {"type": "string"}}, "required": ["detail"]}
            bodies.setdefault(code, _answer("Why not.", detail))
        return bodies


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"type": "object", **schema}}}}
