"""Notifications: what a user should know of, until they have read and cleared it (R18, R34)."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_POST, require_safe

from mail.models import Notification
from mail.notifying import clear
from portal.requests import member
from sharing.notices import notifications_for
from sharing.visibility import Sight


@login_required
@require_safe
def notifications(request: HttpRequest) -> HttpResponse:
    """All of them, the latest first."""
    return render(request, "notifications/list.html", {"notifications": notifications_for(Sight(member(request)))})


@login_required
@require_POST
def notification_clear(request: HttpRequest, pk: int) -> HttpResponse:
    """Take one away."""
    user = member(request)
    get_object_or_404(Notification, user=user, pk=pk)
    clear(user, pk=pk)
    return _back(request)


@login_required
@require_POST
def notifications_clear(request: HttpRequest) -> HttpResponse:
    """Take all of them away."""
    clear(member(request))
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    """Where the button was: on the home page, or on the page of all of them."""
    return redirect("home" if "home" in request.POST else "notifications")


urlpatterns = [
    path("notifications/", notifications, name="notifications"),
    path("notifications/clear/", notifications_clear, name="notifications-clear"),
    path("notifications/<int:pk>/clear/", notification_clear, name="notification-clear"),
]
