"""The Celery application. Its messages are only hints; what is due is rows (architecture, *the database owns the truth*)."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready
from kombu.transport import virtual

from crm_mail.memory import settle

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")


class Hint(virtual.Message):
    """A message that need not be answered when its connection was lost: the next look gives the hint again."""

    def ack_log_error(self, *arguments: Any, **options: Any) -> None:
        """Answer it. On a lost connection that would end the whole worker (kombu 5.7)."""
        connection = self.channel and self.channel.connection
        if connection is not None and connection.client is not None:
            super().ack_log_error(*arguments, **options)


virtual.Channel.Message = Hint
# Nor is what was not answered put back, which fails in the same way.
virtual.Channel.do_restore = False

#: The arguments of Celery for a worker. Workers agree through the database: they need not greet or watch each other.
WORKER = "-A crm_mail worker --pool threads --without-gossip --without-mingle --without-heartbeat"

app = Celery("crm_mail")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect
def _settle(**_: object) -> None:
    settle()
