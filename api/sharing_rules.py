"""`sharing-rules/`: what administrators lay down about the mode of users and roles (R25)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from api.base import ApiListView, ApiView, ColleagueField, IsAdministrator, StrictSerializer
from api.schema import Choice
from sharing.models import SharingPolicy, SharingRule
from sharing.rules import drop_rule, set_rule


class UsersChoiceField(serializers.BooleanField):
    """Whether the rule leaves the mode to the user."""

    def get_attribute(self, instance: SharingRule) -> bool:
        """True for a rule without a mode."""
        return not instance.mode


class SharingRuleSerializer(StrictSerializer):
    """A rule for one user or for everybody in a role: a mode, fixed unless `is_fixed` is false, or `users_choice`."""

    id = serializers.IntegerField(read_only=True)
    user = ColleagueField(required=False, allow_null=True)
    role = Choice(User.Role, required=False, allow_blank=True)
    mode = Choice(SharingPolicy.Mode, required=False, allow_blank=True)
    users_choice = UsersChoiceField(required=False)
    is_fixed = serializers.BooleanField(required=False, help_text="False only recommends the mode.")
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500)
    set_by = serializers.IntegerField(source="set_by_id", read_only=True, allow_null=True)
    set_at = serializers.DateTimeField(read_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of user and role, and exactly one of mode and the user's choice."""
        if bool(attrs.get("user")) == bool(attrs.get("role")):
            raise ValidationError({"user": ["Name either a user or a role."]})
        if bool(attrs.get("mode")) == bool(attrs.get("users_choice")):
            raise ValidationError({"mode": ["Name either a mode, or users_choice: true."]})
        return attrs


class RuleChangeSerializer(StrictSerializer):
    """What can be changed of a rule; what is left out stays. Whom it is for stays in any case."""

    mode = Choice(SharingPolicy.Mode, required=False)
    users_choice = UsersChoiceField(required=False)
    is_fixed = serializers.BooleanField(required=False)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A mode or the user's choice, never both and never neither."""
        if attrs.get("mode") and attrs.get("users_choice"):
            raise ValidationError({"mode": ["Name either a mode, or users_choice: true."]})
        keeps = self.instance is not None and self.instance.mode
        if attrs.get("users_choice") is False and not attrs.get("mode") and not keeps:
            raise ValidationError({"mode": ["Name the mode that holds instead."]})
        return attrs


class _RuleView(ApiView):
    permission_classes = [IsAuthenticated, IsAdministrator]
    serializer_class = SharingRuleSerializer
    queryset = SharingRule.objects.none()

    def get_queryset(self) -> QuerySet[SharingRule]:
        """The rules of the administrator's organisation."""
        return SharingRule.objects.filter(organization=self.caller.organization).select_related("user")


class SharingRules(ApiListView, _RuleView):
    """All rules. Whoever has none chooses for themselves."""

    @extend_schema(responses={200: SharingRuleSerializer, 201: SharingRuleSerializer})
    def post(self, request: Request) -> Response:
        """Lay down a rule; it acts on the next request and in place of an earlier one for the same user or role (200)."""
        given = self.checked(request)
        target = given.get("user") or given["role"]
        mode, fixed = given.get("mode", ""), given.get("is_fixed", True)
        earlier = set(self.get_queryset().values_list("pk", flat=True))
        [rule] = set_rule(self.caller, [target], mode=mode, is_fixed=fixed, reason=given.get("reason", ""))
        return self.shown(rule, status=200 if rule.pk in earlier else 201)


class SharingRuleDetail(_RuleView):
    """One rule."""

    def get(self, _request: Request, pk: int) -> Response:
        """Show it."""
        return self.shown(get_object_or_404(self.get_queryset(), pk=pk))

    @extend_schema(request=RuleChangeSerializer, responses={200: SharingRuleSerializer})
    def patch(self, request: Request, pk: int) -> Response:
        """Change it; a mode that comes in place of the user's choice is fixed unless `is_fixed` is false."""
        rule = get_object_or_404(self.get_queryset(), pk=pk)
        change = RuleChangeSerializer(rule, data=request.data, partial=True)
        change.is_valid(raise_exception=True)
        given = change.validated_data
        mode = "" if given.get("users_choice") else given.get("mode", rule.mode)
        fixed = given.get("is_fixed", rule.is_fixed if rule.mode else True)
        if given:
            reason = given.get("reason", rule.reason)
            [rule] = set_rule(self.caller, [rule.user or rule.role], mode=mode, is_fixed=fixed, reason=reason)
        return self.shown(rule)

    @extend_schema(responses={204: None})
    def delete(self, _request: Request, pk: int) -> Response:
        """Take it away: for a user that of their role holds again, for a role everybody's own choice."""
        rule = get_object_or_404(self.get_queryset(), pk=pk)
        drop_rule(self.caller, [rule.user or rule.role])
        return Response(status=204)
