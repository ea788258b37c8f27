"""Application configuration."""

from typing import Any

from django.apps import AppConfig


class SenderConfig(AppConfig):
    """The `sender` app."""

    name = "sender"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """What a server hands back was sent: it is in doubt no more."""
        from mail.drafts import came_back
        from sender.models import Outgoing
        from sender.sending import settle_unknown

        def settle(messages: Any, **_: Any) -> None:
            in_doubt = Outgoing.objects.filter(pk__in=messages, status=Outgoing.Status.UNKNOWN)
            for outgoing in in_doubt.select_related("message__owner"):
                settle_unknown(outgoing, arrived=True)

        came_back.connect(settle, weak=False, dispatch_uid="sender.came_back")
