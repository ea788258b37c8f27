"""The wiring: settings, URLs, Celery, health, metrics, and the command that runs it all."""

from crm_mail.celery import app as celery_app

__all__ = ["celery_app"]
