"""Application configuration."""

from django.apps import AppConfig


class CrmMailConfig(AppConfig):
    """The wiring as an app: it holds the commands that run the product."""

    name = "crm_mail"
