"""What the host hands over after its proof: the agent's environment, secrets among it."""

import asyncio
from typing import Any

from . import requests


class Configuration:
    """Kept in memory only: never written, never shown, and gone with the process."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        #: The agent's own program waits for this; whatever else is asked does not.
        self.received = asyncio.Event()

    def take(self, request: dict[str, Any]) -> bool:
        """Use this environment from now on, for whatever is started later, if it is wanted."""
        environment = requests.environment(request, "environment")
        is_wanted = not (request.get("unless_configured") and self.received.is_set())
        if is_wanted:
            self.environment = environment
            self.received.set()
        return is_wanted
