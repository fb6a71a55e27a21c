"""Deploy checks: what runs on a laptop but must not serve others."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


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
