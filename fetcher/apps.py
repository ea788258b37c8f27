"""Application configuration: what fetching remembers when the floor below deletes mail."""

from typing import Any

from django.apps import AppConfig


class FetcherConfig(AppConfig):
    """The `fetcher` app."""

    name = "fetcher"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Note what nobody wished to delete, in the transaction that deletes it (R10)."""
        from fetcher.models import SeenUid
        from mail.retention import messages_expire

        def keep_on_server(messages: Any, **_: Any) -> None:
            SeenUid.objects.filter(message__in=messages).update(has_expired=True)

        messages_expire.connect(keep_on_server, weak=False, dispatch_uid="fetcher.keep_on_server")
