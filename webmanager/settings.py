"""Settings of the manager: embedded by default; DATABASE_URL and REDIS_URL replace SQLite and the own Valkey."""

from __future__ import annotations

import os

from django.utils.translation import gettext_lazy as _

from webmanager import databases
from webmanager.data import CHECKOUT, behind_tls_proxy, data_directory, secret_key, tls_files

DATA = data_directory()
DEBUG = False
SECRET_KEY = secret_key(DATA)
# Set by `manage.py up` for its children; else the administrator's own server.
REDIS_URL = os.environ.get("REDIS_URL", f"unix://{DATA}/run/valkey.sock")
# Directory of a running demo (state.json, control.sock), "" without one.
OPENCLP_DEMO = os.environ.get("OPENCLP_DEMO", "")
# Extra names under which browsers may reach the console; addresses and this host's name always work (middleware.py).
CONSOLE_NAMES = tuple(name for name in os.environ.get("OPENCLP_NAMES", "").split(",") if name)
# Addresses and networks that may read /metrics without a token.
METRICS_CLIENTS = tuple(word for word in os.environ.get("OPENCLP_METRICS_CLIENTS", "").split(",") if word)
ALLOWED_HOSTS = ["*"]  # webmanager.middleware.HostMiddleware decides, by a rule that this list cannot say.

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "knox",
    "webmanager",
    "webmanager.accounts",
    "webmanager.history",
    "webmanager.recoveries",
    "webmanager.measures",
    "webmanager.logs",
    "webmanager.drills",
    "webmanager.mirrors",
    "webmanager.overview",
    "builder",
]
MIDDLEWARE = [
    "webmanager.middleware.HostMiddleware",
    "webmanager.middleware.AskingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "webmanager.middleware.ContentSecurityPolicyMiddleware",
    "webmanager.middleware.StaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "webmanager.middleware.LoginMiddleware",
]
ROOT_URLCONF = "webmanager.urls"
ASGI_APPLICATION = "webmanager.asgi.application"
APPEND_SLASH = False  # The REST paths have none, and the pages are never guessed.

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [CHECKOUT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webmanager.context.console",
            ],
        },
    }
]

DATABASES = {"default": databases.settings(os.environ.get("DATABASE_URL", ""), DATA)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # redis-py's own limit of 100 connections would drop agents in a burst.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "max_connections": 1000}], "prefix": "openclp"},
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "openclp",
        "OPTIONS": {"socket_timeout": 5, "socket_connect_timeout": 5},
    }
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
CSRF_FAILURE_VIEW = "webmanager.views.csrf_failed"

# TLS by a proxy (OPENCLP_HTTPS=1) or by the manager itself (OPENCLP_TLS_CERTIFICATE and OPENCLP_TLS_KEY).
HTTPS = behind_tls_proxy() or bool(tls_files()[1])
if behind_tls_proxy():
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
# What clients of this manager see: its own certificate, or that of its proxy; join tokens name its fingerprint.
TLS_CERTIFICATE = os.environ.get("OPENCLP_TLS_CERTIFICATE", "")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Cookies do not know ports: other programs of this host shall not share these names.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "openclp_session", "openclp_csrf"
# From the signing in, however busy the session is (webmanager/sessions.py).
SESSION_COOKIE_AGE = int(float(os.environ.get("OPENCLP_SESSION_HOURS") or 12) * 3600)
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "connect-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "manifest-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_HANDLERS = [
    "builder.uploads.LimitedUploadHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

STATIC_URL = "/static/"
STATICFILES_DIRS = [CHECKOUT / "static"]
WHITENOISE_USE_FINDERS = True
# Looks at the disk for each file: no restart after an edit, no collectstatic in a checkout; ETags keep it cheap.
WHITENOISE_AUTOREFRESH = True
WHITENOISE_MAX_AGE = 0

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ja", _("Japanese"))]
LOCALE_PATHS = [CHECKOUT / "webmanager" / "locale"]
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = os.environ.get("TZ") or "UTC"
USE_TZ = True

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 300, "socket_timeout": 30}
CELERY_TASK_TIME_LIMIT = 300
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = {
    "prune": {"task": "webmanager.tasks.prune", "schedule": 600},
    "recoveries": {"task": "webmanager.recoveries.tasks.sift", "schedule": 30},
    "recoveries-prune": {"task": "webmanager.recoveries.tasks.prune", "schedule": 3600},
    "condense": {"task": "webmanager.measures.tasks.condense", "schedule": 900},
}
EVENTS_KEPT = 100_000  # per cluster
OPERATIONS_KEPT_DAYS = 365
RECOVERIES_KEPT = 20_000  # per cluster
# Recorded states (webmanager/history): the oldest go when either is reached; megabytes for each cluster.
HISTORY_DAYS = int(os.environ.get("OPENCLP_HISTORY_DAYS") or 30)
HISTORY_MB = int(os.environ.get("OPENCLP_HISTORY_MB") or 512)
# A web process says each few seconds which operations it follows; one that is silent for so long is taken for dead.
OPERATION_LOST_S = 10.0
# For so long after that the servers are asked what became of them: agents come back within some ten seconds.
OPERATION_FOUND_S = 60.0
# Collected logs (webmanager/logs/files.py): archives a cluster, days, bytes of all, bytes of the disk that stay free.
LOGS_KEPT, LOGS_DAYS, LOGS_BYTES, LOGS_FREE_BYTES = 20, 30, 8 << 30, 512 << 20

# Tokens are rows of ours; knox's own table is not needed.
KNOX_TOKEN_MODEL = "webmanager.ApiToken"  # noqa: S105  (the name of a model)
MIGRATION_MODULES = {"knox": None}
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_PREFIX": "oclp_"}
TOKEN_DAYS, TOKEN_DAYS_MOST, TOKENS_PER_USER = 30, 365, 50
IDEMPOTENCY_KEYS_KEPT_HOURS = 24

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "webmanager.api.authentication.LimitedBasicAuthentication",
        "webmanager.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "webmanager.api.permissions.NotFromElsewhere",
    ],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "webmanager.api.errors.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "openclp",
    "DESCRIPTION": "Read and operate clusters. Every reply carries `result`: code 0 is success, else message says why.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SCHEMA_PATH_PREFIX": "/api/v[0-9]",
    # Enumerations of the same field that differ need names.
    "ENUM_NAME_OVERRIDES": {
        "EventSeverityEnum": ["info", "warning", "error"],
        "FindingSeverityEnum": ["error", "warning", "note"],
        "DrillKindEnum": "agent.wire.drill.KINDS",
        "MarkKindEnum": "webmanager.history.marks.KINDS",
        "MeasuredKindEnum": ["monitor", "heartbeat", "server"],
        "MirrorStatusEnum": ["Normal", "Recovering", "Abnormal", "No Construction"],
        "ObjectKindEnum": "webmanager.overview.search.KINDS",
        "PartKindEnum": ["notice", "decide", "activate", "deactivate", "wait", "fence", "between"],
        "RecoveryKindEnum": "webmanager.recoveries.models.Recovery.Kind",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"django.channels.server": {"level": "WARNING"}, "httpx": {"level": "WARNING"}},
}
