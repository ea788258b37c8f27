"""Fetch one mailbox with django-mailbox into an SQLite database, and print how many messages that were and how long it took.

Run by `python -m bench --django-mailbox PYTHON` with a Python that has django-mailbox: it is no dependency of the
product. It deletes from the server what it read, always.
"""

import sys
import tempfile
import time

import django
from django.conf import settings
from django.core.management import call_command

uri, folder = sys.argv[1], tempfile.mkdtemp()
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django_mailbox"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/db.sqlite3"}},
    MEDIA_ROOT=folder,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
)
django.setup()
call_command("migrate", verbosity=0)

from django_mailbox.models import Mailbox  # noqa: E402

mailbox = Mailbox.objects.create(name="bench", uri=uri)
started = time.perf_counter()
count = sum(1 for _ in mailbox.get_new_mail())
print(count, time.perf_counter() - started)
