"""Application configuration: what mail does when the floors below announce a change."""

from typing import Any

from django.apps import AppConfig


class MailConfig(AppConfig):
    """The `mail` app."""

    name = "mail"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Keep links and directions in step with addresses, and tell of imports, in the transaction that changed them."""
        from accounts.mailboxes import own_addresses_changed
        from customers.changes import addresses_changed
        from customers.imports import import_ended
        from mail import matching, notifying
        from mail.models import Correspondence
        from mail.tasks import hint_backfill

        def relink(customers: Any, added: Any, **_: Any) -> None:
            matching.unlink_outdated(Correspondence.objects.filter(customer__in=customers))
            if matching.link_stored(added):
                hint_backfill()

        def redirect(user: Any, **_: Any) -> None:
            matching.redirect(user)

        def tell(work: Any, **_: Any) -> None:
            notifying.note(work.user, notifying.Kind.IMPORT_FINISHED, customer_import=work)

        addresses_changed.connect(relink, weak=False, dispatch_uid="mail.relink")
        own_addresses_changed.connect(redirect, weak=False, dispatch_uid="mail.redirect")
        import_ended.connect(tell, weak=False, dispatch_uid="mail.tell_of_import")
