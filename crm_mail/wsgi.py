"""The WSGI entry point that gunicorn serves."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")

application = get_wsgi_application()

# All views are loaded before the first request. What is there by now stays as long as the process: the collector
# need not go through it again and again while somebody waits for a page, nor after every few hundred objects.
get_resolver().url_patterns  # noqa: B018
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 50)
