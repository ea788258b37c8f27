"""Application configuration: which changes become deliveries."""

from typing import Any

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """The `webhooks` app."""

    name = "webhooks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Note deliveries in the transaction of what they tell."""
        from customers.changes import customers_changed
        from mail.matching import customers_met_now
        from webhooks import noting

        def customers(organization: int, customers: Any, what: str, **_: Any) -> None:
            noting.note_customers(organization, f"customer.{what}", customers)

        def mail(messages: Any, **_: Any) -> None:
            noting.note_mail(messages)

        customers_changed.connect(customers, weak=False, dispatch_uid="webhooks.customers")
        customers_met_now.connect(mail, weak=False, dispatch_uid="webhooks.mail")
