"""Application configuration."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The `api` app."""

    name = "api"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the schema know what the API's own authentication and fields look like."""
        import api.schema  # noqa: F401
