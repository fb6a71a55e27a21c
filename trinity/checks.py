"""What runs on a laptop but must not serve others."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

ZERO_SIGNATURE = (
    "TRINITY_ACCEPT_ZERO_SIGNATURE is set: whoever reaches the port can run, without any key, "
    "whatever grants allow"
)


@register(Tags.security)
def check_zero_signature(**_kwargs: Any) -> list[CheckMessage]:
    """Warn at every start of what is meant for development alone."""
    if not settings.TRINITY_ACCEPT_ZERO_SIGNATURE:
        return []
    return [Warning(ZERO_SIGNATURE, hint="Unset it before others can reach it", id="trinity.W002")]


@register(Tags.compatibility, deploy=True)
def check_shared_layers(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of several processes that could not tell one another what happens."""
    if settings.REDIS_URL or settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return []
    return [
        Warning(
            "PostgreSQL is set but no Redis: events stay within the process they arise in",
            hint="Set REDIS_URL to run more than one process, or leave DATABASE_URL unset",
            id="trinity.W001",
        )
    ]
