"""Every page of the portal. Each module holds the full addresses of its area in its own `urlpatterns`."""

from importlib.util import find_spec

from django.urls import include, path

from portal import administration, help as help_pages, home, setup

urlpatterns = [
    path("", include(home.urlpatterns)),
    path("", include(setup.urlpatterns)),
    path("", include(administration.urlpatterns)),
    path("", include(help_pages.urlpatterns)),
]
for name in ("settings", "customers", "reading"):
    if find_spec(f"portal.{name}"):
        urlpatterns.append(path("", include(f"portal.{name}")))
