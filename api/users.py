"""`users/`: the people of the organisation, for its administrators (R2)."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import ADDRESS_LENGTH, User
from api.base import ApiListView, ApiView, IsAdministrator, StrictSerializer
from api.errors import about
from api.schema import Choice
from sharing import administering


class UserSerializer(StrictSerializer):
    """A colleague. One who was invited has no id until the invitation is accepted."""

    id = serializers.IntegerField(read_only=True, allow_null=True)
    email = serializers.CharField(max_length=ADDRESS_LENGTH)
    name = serializers.CharField(max_length=200, required=False)
    role = Choice(User.Role, required=False)
    is_active = serializers.BooleanField(required=False)
    password = serializers.CharField(
        write_only=True,
        required=False,
        max_length=4096,
        trim_whitespace=False,
        style={"input_type": "password"},
        help_text="For programs. Left out, an invitation is mailed.",
    )


class UserChangeSerializer(StrictSerializer):
    """What an administrator can change of a colleague; address and password are the colleague's own matter."""

    name = serializers.CharField(max_length=200, required=False)
    role = Choice(User.Role, required=False)
    is_active = serializers.BooleanField(required=False)


class _UserView(ApiView):
    permission_classes = [IsAuthenticated, IsAdministrator]
    serializer_class = UserSerializer
    queryset = User.objects.none()
    ordering = ("name", "id")

    def get_queryset(self) -> QuerySet[User]:
        """The users of the administrator's organisation."""
        return User.objects.for_organization(self.caller.organization)


class Users(ApiListView, _UserView):
    """All users, and new ones."""

    @extend_schema(responses={201: UserSerializer})
    def post(self, request: Request) -> Response:
        """Invite somebody by mail, or with `password` add them at once."""
        given = self.checked(request)
        if given.pop("is_active", True) is False:
            raise ValidationError({"is_active": ["New users are active. Deactivate them afterwards."]})
        person = {"email": given["email"], "name": given.get("name", ""), "role": given.get("role", "member")}
        if "password" in given:
            return self.shown(administering.add_member(self.caller, password=given["password"], **person), status=201)
        with about("email"):
            invitation = administering.invite_by_mail(self.caller, **person)
        invited = User(email=invitation.email, name=invitation.name, role=invitation.role, is_active=False)
        return self.shown(invited, status=201)


class UserDetail(_UserView):
    """One user."""

    def get(self, _request: Request, pk: int) -> Response:
        """Show the user."""
        return self.shown(get_object_or_404(self.get_queryset(), pk=pk))

    @extend_schema(request=UserChangeSerializer, responses={200: UserSerializer})
    def patch(self, request: Request, pk: int) -> Response:
        """Change the name or role, deactivate or reactivate; somebody must remain to administer."""
        user = get_object_or_404(self.get_queryset(), pk=pk)
        change = UserChangeSerializer(user, data=request.data, partial=True)
        change.is_valid(raise_exception=True)
        given = change.validated_data
        administering.change_user(self.caller, user, **given)
        return self.shown(user)
