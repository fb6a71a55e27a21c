"""Connections to agents' servers that are made before they are needed.

To connect, and to prove each other, takes as long as a short program. What begins next in an
agent finds that done.
"""

import asyncio
from collections.abc import Collection

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Spares:
    """One connection for each server, by the server's key; for one event loop."""

    def __init__(self) -> None:
        self._spares: dict[str, Connection] = {}

    def has(self, key: str) -> bool:
        """Tell whether there is one that still stands."""
        spare = self._spares.get(key)
        return spare is not None and not spare[0].at_eof()

    def take(self, key: str) -> Connection | None:
        """Return the one that stands; it is the caller's to close from now on."""
        if self.has(key):
            return self._spares.pop(key)
        self._drop(key)
        return None

    def keep(self, key: str, connection: Connection) -> None:
        self._drop(key)
        self._spares[key] = connection

    def keep_only(self, keys: Collection[str]) -> None:
        """Close those of servers that are no more."""
        for key in self._spares.keys() - set(keys):
            self._drop(key)

    def _drop(self, key: str) -> None:
        if spare := self._spares.pop(key, None):
            spare[1].close()
