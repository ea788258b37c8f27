"""The Celery application. Its messages are only hints; what is due is rows (architecture, *the database owns the truth*)."""

import os

from celery import Celery
from celery.signals import worker_ready
from kombu.transport.virtual import Channel

from crm_mail.memory import settle

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")

# A hint that was not answered need not be put back: the next look gives it again. Putting it back on a connection that has
# just been lost ends the whole worker (kombu 5.7).
Channel.do_restore = False

app = Celery("crm_mail")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect
def _settle(**_: object) -> None:
    settle()
