"""Every page of the portal. Each module holds the full addresses of its area in its own `urlpatterns`."""

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path

from portal import (
    administration,
    arranging,
    attachments,
    audit_log,
    bulk,
    composing,
    connecting,
    consolidating,
    customers,
    home,
    identities,
    imports,
    message,
    notifications,
    oversight,
    passwords,
    reading,
    records,
    removal,
    retention,
    searching,
    settings,
    setup,
    shared,
    webhooks,
)
from portal import help as help_pages


def closed(request: HttpRequest, **_: str) -> HttpResponse:  # noqa: ARG001
    """A page of django-allauth that is not offered here."""
    raise Http404


urlpatterns = [
    path("", include(home)),
    path("", include(setup)),
    path("", include(settings)),
    path("", include(connecting)),
    path("", include(consolidating)),
    path("", include(notifications)),
    path("", include(passwords)),
    path("", include(identities)),
    path("", include(removal)),
    path("", include(retention)),
    path("", include(reading)),
    path("", include(bulk)),
    path("", include(arranging)),
    path("", include(message)),
    path("", include(attachments)),
    path("", include(searching)),
    path("", include(composing)),
    path("", include(shared)),
    path("", include(customers)),
    path("", include(records)),
    path("", include(imports)),
    path("", include(administration)),
    path("", include(oversight)),
    path("", include(audit_log)),
    path("", include(webhooks)),
    path("", include(help_pages)),
    # Sign-in addresses say who is a colleague, so nobody changes their own by themselves.
    path("accounts/email/", closed),
    path("accounts/confirm-email/", closed),
    path("accounts/confirm-email/<path:key>", closed),
]
