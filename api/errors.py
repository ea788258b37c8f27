"""Errors as interface.md has them: 400 is `{field: [messages]}`, everything else `{"detail"}`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from accounts.mailboxes import NotPossible
from sender.limits import LimitReached
from sender.once import KeyReused

GENERAL = "non_field_errors"


class Conflict(APIException):
    """What is asked for can't be done as things stand; the detail says why."""

    status_code = status.HTTP_409_CONFLICT


class RequestTooLarge(APIException):
    """The body is larger than anything that is taken."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request is too large. Send fewer records at once."


class TooMuchSent(APIException):
    """The organisation has sent enough for today; the detail names the limit and when it resets (R37)."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS


class KeyMisused(APIException):
    """The `Idempotency-Key` came before, with another body."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key was used for another request. Use a new one for each message."


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """The answer to an exception, or None for one that is a fault of ours."""
    if isinstance(error, LimitReached):
        error = TooMuchSent(str(error))
    elif isinstance(error, KeyReused):
        error = KeyMisused()
    elif isinstance(error, NotPossible):
        error = Conflict(str(error))
    elif isinstance(error, DjangoValidationError):
        error = ValidationError(_by_field(error))
    elif isinstance(error, Http404):
        error = NotFound()
    response = exception_handler(error, context)
    if response is not None and response.status_code == status.HTTP_400_BAD_REQUEST:
        response.data = flat(response.data)
    return response


@contextmanager
def about(field: str, *, refused: str | None = None) -> Iterator[None]:
    """Answer 400 and name `field` when the deed inside is not possible because of it.

    `refused` is the field to name, if another, when the deed refuses a value.
    """
    try:
        yield
    except NotPossible as error:
        raise ValidationError({field: [str(error)]}) from error
    except DjangoValidationError as error:
        if hasattr(error, "error_dict"):
            raise
        raise ValidationError({refused or field: error.messages}) from error


def no_such_address(_request: HttpRequest, **_: object) -> JsonResponse:
    """404 in the API's own words, for a program that mistook an address."""
    return JsonResponse({"detail": "Not found."}, status=status.HTTP_404_NOT_FOUND)


def _by_field(error: DjangoValidationError) -> dict[str, list[str]]:
    if not hasattr(error, "error_dict"):
        return {GENERAL: error.messages}
    return {GENERAL if field == NON_FIELD_ERRORS else field: messages for field, messages in error.message_dict.items()}


def flat(data: Any) -> dict[str, list[str]]:
    """Errors of nested fields become sentences of the field that holds them."""
    if isinstance(data, dict):
        if set(data) == {"detail"}:
            return {GENERAL: list(_sentences(data["detail"]))}
        return {field: list(_sentences(errors)) for field, errors in data.items()}
    return {GENERAL: list(_sentences(data))}


def _sentences(errors: Any) -> Iterator[str]:
    if isinstance(errors, dict):
        for inner in errors.values():
            yield from _sentences(inner)
    elif isinstance(errors, list | tuple):
        for inner in errors:
            yield from _sentences(inner)
    else:
        yield str(errors)
