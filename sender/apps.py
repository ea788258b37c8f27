"""Application configuration."""

from django.apps import AppConfig


class SenderConfig(AppConfig):
    """The `sender` app."""

    name = "sender"
    default_auto_field = "django.db.models.BigAutoField"
