"""What the views and serializers of the API have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from api.errors import RequestTooLarge
from api.schema import ApiSchema


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses what it does not know instead of leaving it out: nothing is assigned by accident."""

    def to_internal_value(self, data: Any) -> Any:
        """The checked values.

        Raises:
            ValidationError: a value is not usable, or the body names a field that can't be set.
        """
        if isinstance(data, Mapping):
            refused = {
                name: ["This field can't be set." if name in self.fields else "There is no such field."]
                for name in data
                if name not in self.fields or self.fields[name].read_only
            }
            if refused:
                raise ValidationError(refused)
        return super().to_internal_value(data)


class ColleagueField(serializers.PrimaryKeyRelatedField[User]):
    """The id of a user of the caller's organisation; any other id is unknown (R1)."""

    def __init__(self, **options: Any) -> None:
        if not options.get("read_only"):
            options.setdefault("queryset", User.objects.none())
        super().__init__(pk_field=serializers.IntegerField(), **options)

    def get_queryset(self) -> QuerySet[User]:
        """The caller's colleagues, deactivated ones included."""
        return User.objects.for_organization(self.context["request"].user.organization)


class IsAdministrator(BasePermission):
    """Administration is refused to members openly: that it exists is no secret."""

    message = "Only administrators can do this."

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        """Whether the caller is an administrator."""
        return isinstance(request.user, User) and request.user.is_admin


class ApiView(GenericAPIView[Any]):
    """The base of all views: answers are the caller's own and are kept by no cache."""

    schema = ApiSchema()
    ordering: tuple[str, ...] = ("id",)

    @property
    def most_bytes(self) -> int:
        """The largest body that is read."""
        return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse what is too large before it is read; `RequestTooLarge`."""
        super().initial(request, *args, **kwargs)
        size = request.META.get("CONTENT_LENGTH") or "0"
        if not size.isdecimal() or int(size) > self.most_bytes:
            raise RequestTooLarge

    @property
    def caller(self) -> User:
        """Who asks; permissions have made sure that it is somebody."""
        user = self.request.user
        assert isinstance(user, User)  # noqa: S101 - tells mypy what IsAuthenticated has checked
        return user

    def checked(self, request: Request, instance: Any = None, *, partial: bool = False) -> dict[str, Any]:
        """The body's values, as the view's serializer checks them (`ValidationError` otherwise)."""
        return self._values(self.get_serializer(instance, data=request.data, partial=partial))

    def read(self, request: Request, serializer: type[serializers.Serializer[Any]], *, partial: bool = False) -> Any:
        """The body's values, as another `serializer` than the view's checks them (`ValidationError` otherwise)."""
        return self._values(serializer(data=request.data, partial=partial, context=self.get_serializer_context()))

    @staticmethod
    def _values(serializer: serializers.BaseSerializer[Any]) -> dict[str, Any]:
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def shown(self, instance: Any, status: int = 200) -> Response:
        """The answer that shows `instance`."""
        return Response(self.get_serializer(instance).data, status=status)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Keep answers out of shared and private caches: what may be seen changes from one request to the next."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class ApiListView(ListModelMixin, ApiView):
    """A list, a page at a time, in the view's `ordering`."""

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One page."""
        return self.list(request, *args, **kwargs)
