"""Settings, all read from the environment and `.env` (interface.md). The embedded default and production differ by values.

Without `DATABASE_URL` everything lives in the data folder: SQLite, Celery messages as files, the cache in the database,
and secrets that are made there on the first start. With it, secrets must be given.
"""

import ipaddress
import sys
from pathlib import Path

import environ
from celery.schedules import crontab
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from crm_mail import secrets

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(BASE_DIR / ".env")

DATA_DIR = Path(env.str("CRM_MAIL_DATA_DIR", str(BASE_DIR / "data"))).resolve()
DEBUG = env.bool("CRM_MAIL_DEBUG", False)
EMBEDDED = "DATABASE_URL" not in env.ENVIRON
HOST = env.str("CRM_MAIL_HOST", "127.0.0.1")
PORT = env.int("CRM_MAIL_PORT", 8000)

SECRET_KEY = env.str("CRM_MAIL_SECRET_KEY", "")
ENCRYPTION_KEYS = env.list("CRM_MAIL_ENCRYPTION_KEYS", default=[])
if EMBEDDED or DEBUG:
    SECRET_KEY = SECRET_KEY or secrets.secret_key(DATA_DIR)
    ENCRYPTION_KEYS = ENCRYPTION_KEYS or secrets.encryption_keys(DATA_DIR)
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "Set CRM_MAIL_SECRET_KEY to a long random string. Make one with: "
        'python3 -c "import secrets; print(secrets.token_urlsafe(50))"'
    )
if not ENCRYPTION_KEYS:
    raise ImproperlyConfigured(
        "Set CRM_MAIL_ENCRYPTION_KEYS, which protects mailbox passwords. Make one with: "
        'python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
    )

#: Where people reach the portal: used in links that leave it, and what decides whether cookies need HTTPS.
BASE_URL = env.str("CRM_MAIL_BASE_URL", f"http://{HOST}:{PORT}").rstrip("/")
#: Lets a scraper that is not on this machine read /metrics, with `Authorization: Bearer …`.
METRICS_TOKEN = env.str("CRM_MAIL_METRICS_TOKEN", "")
HTTPS = BASE_URL.startswith("https://")
ALLOWED_HOSTS = env.list("CRM_MAIL_ALLOWED_HOSTS", default=[BASE_URL.split("//")[1].split(":")[0], "localhost", HOST])

#: Days that entries of the audit log are kept; 0 keeps them for ever.
AUDIT_DAYS = env.int("CRM_MAIL_AUDIT_DAYS", 730)

# --- mail servers ---------------------------------------------------------------------------------------------------
ALLOWED_MAIL_NETWORKS = [ipaddress.ip_network(n) for n in env.list("CRM_MAIL_ALLOWED_MAIL_NETWORKS", default=[])]
#: Where webhooks may be sent beside the public internet; nowhere unless an operator says so.
ALLOWED_WEBHOOK_NETWORKS = [ipaddress.ip_network(n) for n in env.list("CRM_MAIL_ALLOWED_WEBHOOK_NETWORKS", default=[])]
#: Whether the servers of an address are looked up in DNS and at its domain (R7); the domain then learns of the question.
LOOK_UP_SERVERS = env.bool("CRM_MAIL_LOOK_UP_SERVERS", default=True)
MAIL_CA_FILE = env.str("CRM_MAIL_CA_FILE", "") or None
MAX_MESSAGE_BYTES = env.int("CRM_MAIL_MAX_MESSAGE_BYTES", 50 * 1024 * 1024)
#: Where `manage.py up` has the organisation's own mail server deliver by LMTP; nowhere if empty.
LMTP_LISTEN = env.str("CRM_MAIL_LMTP_LISTEN", "")
SENDS_PER_USER_PER_DAY = env.int("CRM_MAIL_SENDS_PER_USER_PER_DAY", 300)
#: Seconds without an answer after which a mail server counts as dead.
MAIL_SERVER_TIMEOUT = env.float("CRM_MAIL_MAIL_SERVER_TIMEOUT", 20.0)
#: Seconds that an outgoing server may take for one answer: some make strangers wait on purpose (RFC 5321 section 4.5.3.2).
SENDING_TIMEOUT = env.float("CRM_MAIL_SENDING_TIMEOUT", 60.0)
#: Connections that one worker process has to one mail server at a time.
CONNECTIONS_PER_HOST = env.int("CRM_MAIL_CONNECTIONS_PER_HOST", 4)
#: Seconds that one poll may last before it yields and goes on later.
POLL_SECONDS = env.float("CRM_MAIL_POLL_SECONDS", 20.0)
#: Seconds after which a poll lists everything on the server, not only what came after the last it saw.
FULL_LISTING_SECONDS = env.float("CRM_MAIL_FULL_LISTING_SECONDS", 6 * 3600.0)
#: Seconds after which the lease of a worker that died ends.
LEASE_SECONDS = env.float("CRM_MAIL_LEASE_SECONDS", 120.0)
#: Seconds between two looks at which mailboxes are due.
DISPATCH_SECONDS = env.float("CRM_MAIL_DISPATCH_SECONDS", 10.0)

# --- applications ---------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "whitenoise.runserver_nostatic",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_htmx",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "crm_mail.apps.CrmMailConfig",
    "accounts",
    "customers",
    "mail",
    "sharing",
    "fetcher",
    "sender",
    "webhooks",
    "portal",
    "api",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.middleware.SetupMiddleware",
    "portal.middleware.TimeZoneMiddleware",
]
ROOT_URLCONF = "crm_mail.urls"
WSGI_APPLICATION = "crm_mail.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.portal",
            ]
        },
    }
]

# --- database, cache, broker ----------------------------------------------------------------------------------------
DATABASES = {"default": env.db("DATABASE_URL", f"sqlite:///{DATA_DIR / 'crm_mail.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        # FULL, because a message is deleted from its server right after the commit that stored it.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
    DATABASES["default"]["TEST"] = {"NAME": env.str("CRM_MAIL_TEST_DATABASE", None)}
else:
    DATABASES["default"].setdefault("CONN_MAX_AGE", 60)
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    if DATABASES["default"]["ENGINE"].endswith("postgresql"):
        # Compiling a page's statements takes many times longer than running them.
        DATABASES["default"].setdefault("OPTIONS", {}).setdefault("options", "-c jit=off")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": env.cache("CACHE_URL")
    if "CACHE_URL" in env.ENVIRON
    else {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}
}

QUEUE_DIR = DATA_DIR / "queue"
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", "filesystem://localhost//")
if CELERY_BROKER_URL.startswith("filesystem:"):
    for folder in (QUEUE_DIR, QUEUE_DIR / "messages", QUEUE_DIR / "control"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {
        "data_folder_in": str(QUEUE_DIR / "messages"),
        "data_folder_out": str(QUEUE_DIR / "messages"),
        "control_folder": str(QUEUE_DIR / "control"),
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
# If the worker that took a hint dies, the next look gives it again.
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "dispatch-due": {
        "task": "fetcher.tasks.dispatch_due",
        "schedule": DISPATCH_SECONDS,
        "options": {"expires": DISPATCH_SECONDS},
    },
    "deliver-due": {
        "task": "sender.tasks.dispatch_due",
        "schedule": DISPATCH_SECONDS,
        "options": {"expires": DISPATCH_SECONDS},
    },
    "tidy-up-sending": {"task": "sender.tasks.tidy_up", "schedule": crontab(hour=3, minute=50)},
    "delete-removed-mail": {"task": "mail.tasks.delete_removed", "schedule": crontab(minute=17)},
    "forget-receipts": {"task": "mail.tasks.forget_receipts", "schedule": crontab(hour=3, minute=50)},
    "delete-too-old-mail": {"task": "mail.tasks.delete_too_old", "schedule": crontab(minute=37)},
    "link-stored-mail": {"task": "mail.tasks.link_stored_mail", "schedule": 60, "options": {"expires": 60}},
    "consolidate-stored-mail": {"task": "mail.tasks.consolidate_stored", "schedule": 60, "options": {"expires": 60}},
    "forget-notifications": {"task": "mail.tasks.forget_notifications", "schedule": crontab(hour=3, minute=20)},
    "carry-out-deeds": {"task": "mail.tasks.carry_out_deeds", "schedule": 60, "options": {"expires": 60}},
    "index-stored-mail": {"task": "mail.tasks.index_stored_mail", "schedule": 60, "options": {"expires": 60}},
    "work-on-imports": {"task": "customers.tasks.work_on_imports", "schedule": 60, "options": {"expires": 60}},
    "deliver-webhooks": {"task": "webhooks.tasks.dispatch_due", "schedule": 30, "options": {"expires": 30}},
    "forget-deliveries": {"task": "webhooks.tasks.forget_old", "schedule": crontab(hour=3, minute=40)},
    "forget-deleted-records": {"task": "customers.tasks.forget_deleted", "schedule": crontab(minute=47)},
    "purge-audit-log": {"task": "sharing.tasks.purge_audit_log", "schedule": crontab(hour=3, minute=30)},
}

# --- people ---------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["portal.adapter.Backend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "portal.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
#: Lockout: ten failures in a quarter of an hour for an account, fifty for an address (R2).
ACCOUNT_RATE_LIMITS = {"login_failed": "10/15m/key,50/15m/ip"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "CRM Mail"
EMAIL_CONFIG = env.email_url("CRM_MAIL_EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
#: So many proxies stand before the portal; sign-in failures are counted by the address that the outermost one names.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("CRM_MAIL_PROXIES", 0)
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
DEFAULT_FROM_EMAIL = env.str("CRM_MAIL_FROM_EMAIL", f"CRM Mail <no-reply@{ALLOWED_HOSTS[0]}>")

# --- browser security -----------------------------------------------------------------------------------------------
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
CSRF_TRUSTED_ORIGINS = [BASE_URL]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = env.int("CRM_MAIL_HSTS_SECONDS", 31_536_000)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [SELF],
    }
}

# --- screens --------------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
#: The portal speaks English only; looking for translations would take a tenth of the time of a page.
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
FORM_RENDERER = "portal.forms.FormRenderer"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
#: More than any form takes, so that it can say so.
MAX_UPLOAD_BYTES = 64 * 1024 * 1024
FILE_UPLOAD_HANDLERS = [
    "crm_mail.uploads.BoundedUploadHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# --- REST API -------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "api.pagination.CursorPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "api.errors.handle",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CRM Mail",
    "DESCRIPTION": "Customer mail of a sales team, shared exactly as far as each mailbox's owner allows.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
}

# --- logs and reports -----------------------------------------------------------------------------------------------
DEFAULT_EXCEPTION_REPORTER_FILTER = "crm_mail.reports.NamesOnly"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "stream": sys.stderr}},
    "root": {"handlers": ["console"], "level": env.str("CRM_MAIL_LOG_LEVEL", "INFO")},
    "loggers": {"celery.utils.functional": {"level": "WARNING"}, "mail.log": {"level": "WARNING"}},
}
