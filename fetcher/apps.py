"""Application configuration."""

from django.apps import AppConfig


class FetcherConfig(AppConfig):
    """The `fetcher` app."""

    name = "fetcher"
    default_auto_field = "django.db.models.BigAutoField"
