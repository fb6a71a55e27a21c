"""Django's settings; defaults run the whole product on one machine without any file."""

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.templatetags.static import static

from trinity import env

BASE_DIR = Path(__file__).resolve().parent.parent
# Database, artifacts, keys and the agents' sockets.
DATA_DIR = Path(env.text("TRINITY_DATA_DIR", str(BASE_DIR / "data"))).absolute()

# The database lies here, and the agents' sockets: nobody else's business.
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

DEBUG = env.flag("TRINITY_DEBUG", default=False)
SECRET_KEY = env.kept_secret("TRINITY_SECRET_KEY", DATA_DIR / "secret.key")
# Apart from SECRET_KEY, so that either can be replaced without the other. The first of them
# seals, and all unseal: docs/operating.md says how one is replaced.
ENCRYPTION_KEY_FILE = DATA_DIR / "encryption.key"
ENCRYPTION_KEYS = env.kept_secret("TRINITY_ENCRYPTION_KEY", ENCRYPTION_KEY_FILE).split()
# What agents' servers prove themselves with; apart again, so that replacing the one above cuts
# no running agent off.
AGENT_KEY = env.kept_secret("TRINITY_AGENT_KEY", DATA_DIR / "agents.key")
TRINITY_HOST = env.text("TRINITY_HOST", "127.0.0.1")
TRINITY_PORT = env.number("TRINITY_PORT", 8000, least=1)
ALLOWED_HOSTS = env.words(
    "TRINITY_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", TRINITY_HOST]
)
CSRF_TRUSTED_ORIGINS = env.words("TRINITY_TRUSTED_ORIGINS", [])
ADMIN_EMAIL = env.text("TRINITY_ADMIN_EMAIL", "admin@localhost.localdomain")
# Taken as given; without it one is made up and shown once.
ADMIN_PASSWORD = env.secret("TRINITY_ADMIN_PASSWORD", "")
# Other sites whose pages may read the API, with a token.
TRINITY_ALLOWED_ORIGINS = env.words("TRINITY_ALLOWED_ORIGINS", [])
TRINITY_ENGINE_AWAY_SINCE = "agents.api.agents.engine_away_since"
TRINITY_POLL_TOKENS = "operations.grants.polled"
# For development: a signature of zeros counts as anybody's. All that grants allow is then
# open to everybody who reaches the port.
TRINITY_ACCEPT_ZERO_SIGNATURE = env.flag("TRINITY_ACCEPT_ZERO_SIGNATURE", default=False)
# How many signed requests in a minute may bear one account's signature, or come from one address.
TRINITY_SIGNER_RATE = env.number("TRINITY_SIGNER_RATE", 60, least=1)
TRINITY_ADDRESS_RATE = env.number("TRINITY_ADDRESS_RATE", 120, least=1)

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "csp",
    "axes",
    "trinity",
    "agents",
    "operations",
]
MIDDLEWARE = [
    "trinity.measures.RequestDurations",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "trinity.api.ApiMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "trinity.urls"
ASGI_APPLICATION = "trinity.asgi.application"
APPEND_SLASH = False
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
            ]
        },
    }
]

DATABASES = {"default": env.database("DATABASE_URL", DATA_DIR / "trinity.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.text("REDIS_URL", "")
CHANNEL_LAYERS: dict[str, dict[str, Any]]
CACHES: dict[str, dict[str, Any]]
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
    }
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            # Tickets live here: a flood of them must not push out others at once.
            "OPTIONS": {"MAX_ENTRIES": 10_000},
        }
    }

AUTH_USER_MODEL = "trinity.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "agents"
LOGOUT_REDIRECT_URL = "sign-in"
# Only the pair of user and address is locked: nobody can lock another person out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_RESET_ON_SUCCESS = True
AXES_HTTP_RESPONSE_CODE = 429
AXES_LOCKOUT_TEMPLATE = "429.html"
AXES_VERBOSE = False
# Failed sign-ins are audit events, which the admin shows already.
AXES_ENABLE_ADMIN = False

# A sign-in works over plain HTTP on the own machine; behind TLS, say so here.
SERVED_OVER_TLS = env.flag("TRINITY_TLS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SERVED_OVER_TLS
SECURE_SSL_REDIRECT = SERVED_OVER_TLS
SECURE_HSTS_SECONDS = 31_536_000 if SERVED_OVER_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SERVED_OVER_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SERVED_OVER_TLS else None
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "EXCLUDE_URL_PREFIXES": ["/admin/"],
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served by finders, without a collect step, as long as one process serves everything.
WHITENOISE_USE_FINDERS = True
USE_TZ = True
TIME_ZONE = "UTC"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024**2

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "trinity.identity.BearerAuthentication",
        "trinity.identity.CookieAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["trinity.shapes.JSONBodyParser"],
    "EXCEPTION_HANDLER": "trinity.error_answers.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "trinity.schema.OpenApi",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Trinity",
    "DESCRIPTION": "A self-hosted control plane for fleets of AI agents",
    "VERSION": "1",
    "SWAGGER_UI_DIST": "SIDECAR",
    # Served by trinity.schema_api, with credentials.
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api",
    # Each list of choices stays where it is used.
    "POSTPROCESSING_HOOKS": [],
}

TRINITY_RUNTIME = "agents.docker_runtime.DockerRuntime"
# Images that an agent may be made of.
TRINITY_IMAGES = env.words("TRINITY_IMAGES", ["trinity-agent-base:latest"])
# What the first of them is made from where it is missing.
TRINITY_IMAGE_CONTEXT = BASE_DIR / "agents" / "image"
# Folders of agent templates; those that come with Trinity are found beside them.
TRINITY_TEMPLATES_DIR = Path(env.text("TRINITY_TEMPLATES_DIR", str(DATA_DIR / "agent-templates")))
# How agents may reach their git repositories; "http" is for tests and closed networks.
TRINITY_GIT_TRANSPORTS = env.words("TRINITY_GIT_TRANSPORTS", ["https", "ssh"])
# Hosts of repositories that may be on the host's own networks, by name or address.
TRINITY_GIT_ALLOWED_HOSTS = env.words("TRINITY_GIT_ALLOWED_HOSTS", [])
# Activities older than this are forgotten.
TRINITY_ACTIVITY_DAYS = env.number("TRINITY_ACTIVITY_DAYS", 90, least=1)
# How long a chat is waited for, before its answer must be fetched from its operation.
TRINITY_CHAT_SECONDS = env.number("TRINITY_CHAT_SECONDS", 300, least=1)
# How many operations may run at once: of one agent, of one person, on one host. More wait.
TRINITY_OPERATIONS_PER_AGENT = env.number("TRINITY_OPERATIONS_PER_AGENT", 50, least=1)
TRINITY_OPERATIONS_PER_USER = env.number("TRINITY_OPERATIONS_PER_USER", 100, least=1)
TRINITY_OPERATIONS_PER_HOST = env.number("TRINITY_OPERATIONS_PER_HOST", 200, least=1)
# How many of those on one host may have containers of their own.
TRINITY_ISOLATED_PER_HOST = env.number("TRINITY_ISOLATED_PER_HOST", 20, least=1)
# How many may wait on one host, and how many of them may be one person's.
TRINITY_QUEUE_PER_HOST = env.number("TRINITY_QUEUE_PER_HOST", 1000, least=1)
TRINITY_QUEUE_PER_USER = env.number("TRINITY_QUEUE_PER_USER", 250, least=1)
# What is kept of an agent's log, in bytes of text; the oldest lines go first.
TRINITY_AGENT_LOG_BYTES = env.number("TRINITY_AGENT_LOG_BYTES", 64 * 1024**2, least=1024**2)
# How often it is summed up what each agent takes of the disk; less often where that takes long.
TRINITY_DISK_SECONDS = env.number("TRINITY_DISK_SECONDS", 60, least=1)
# For how long a deleted agent's workspace and log can be restored; 0 keeps none.
TRINITY_KEEP_WORKSPACES_DAYS = env.number("TRINITY_KEEP_WORKSPACES_DAYS", 7)

# Where artifacts of operations lie; another backend of Django's storage API makes it S3.
ARTIFACT_STORAGE = {
    "BACKEND": env.text("TRINITY_ARTIFACT_STORAGE", "django.core.files.storage.FileSystemStorage"),
    "OPTIONS": env.mapping(
        "TRINITY_ARTIFACT_STORAGE_OPTIONS", {"location": str(DATA_DIR / "artifacts")}
    ),
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "artifacts": ARTIFACT_STORAGE,
}
# For how long finished operations are kept, and their artifacts; 0 keeps them for ever.
TRINITY_KEEP_OPERATIONS_DAYS = env.number("TRINITY_KEEP_OPERATIONS_DAYS", 90)
TRINITY_KEEP_ARTIFACTS_DAYS = env.number("TRINITY_KEEP_ARTIFACTS_DAYS", 30)
# What all artifacts may take together, in bytes; the oldest operations' go first. 0: no limit.
TRINITY_ARTIFACTS_BYTES = env.number("TRINITY_ARTIFACTS_BYTES", 20 * 1024**3)

UNFOLD = {
    "SITE_TITLE": "Trinity",
    "SITE_HEADER": "Trinity",
    "ENVIRONMENT": "trinity.admin.environment",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("favicon.svg")}
    ],
    "SHOW_HISTORY": True,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
    },
    "handlers": {"terminal": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["terminal"], "level": env.text("TRINITY_LOG_LEVEL", "WARNING")},
    "loggers": {"axes": {"level": "ERROR"}},
}
