"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from crm_mail.memory import settle

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm_mail.settings")

application = get_wsgi_application()

# All views are loaded before the first request.
get_resolver().url_patterns  # noqa: B018
settle()
