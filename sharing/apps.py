"""Application configuration."""

from django.apps import AppConfig


class SharingConfig(AppConfig):
    """The `sharing` app."""

    name = "sharing"
    default_auto_field = "django.db.models.BigAutoField"
