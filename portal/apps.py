"""Application configuration: what the portal does when somebody's password changes."""

from typing import Any

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The `portal` app."""

    name = "portal"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """A new password signs out the programs that had a token (R2)."""
        from allauth.account.signals import password_changed, password_reset, password_set

        from accounts.organizations import revoke_tokens

        def revoke(user: Any, **_: Any) -> None:
            revoke_tokens(user)

        for signal in (password_changed, password_reset, password_set):
            signal.connect(revoke, weak=False, dispatch_uid="portal.revoke_tokens")
