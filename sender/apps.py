"""Application configuration."""

from typing import Any

from django.apps import AppConfig


class SenderConfig(AppConfig):
    """The `sender` app."""

    name = "sender"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """What a server hands back was sent: it is in doubt no more. What is deleted unsent is given back to the limit.

        What sending locks before messages is locked before messages that may be deleted.
        """
        from mail.drafts import came_back
        from mail.removal import messages_go, messages_may_go
        from sender.models import Outgoing
        from sender.outcome import forget, lock_with
        from sender.sending import settle_unknown

        def settle(messages: Any, **_: Any) -> None:
            in_doubt = Outgoing.objects.filter(pk__in=messages, status=Outgoing.Status.UNKNOWN)
            locked = in_doubt.select_related("message__owner").select_for_update(of=("self",)).order_by("pk")
            for outgoing in locked:
                settle_unknown(outgoing, arrived=True)

        def keep(messages: Any, **_: Any) -> None:
            lock_with(messages)

        def uncount(messages: Any, **_: Any) -> None:
            forget(messages)

        came_back.connect(settle, weak=False, dispatch_uid="sender.came_back")
        messages_may_go.connect(keep, weak=False, dispatch_uid="sender.messages_may_go")
        messages_go.connect(uncount, weak=False, dispatch_uid="sender.messages_go")
