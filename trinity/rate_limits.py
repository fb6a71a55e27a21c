"""How often somebody may do something, counted in the cache that all processes share.

By fixed windows: one counter that the cache itself increments, so no two processes can both
take the last place. Twice the number may pass in one window's length, around its border.
"""

import math
import time
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from django.core.cache import cache
from redis.exceptions import RedisError

from trinity.errors import TooMany, Unavailable

WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Spent:
    """What is left of a limit after one more time."""

    limit: int
    count: int
    reset_seconds: int

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.count)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }

    def check(self, message: str) -> None:
        """Raise TooMany when it was one time too many."""
        if self.count > self.limit:
            raise TooMany(message, retry_after_seconds=self.reset_seconds)


def spend(what: str, who: str, limit: int) -> Spent:
    """Count one more time; raises Unavailable without the cache, for then nothing is limited."""
    now = time.time()
    window = int(now // WINDOW_SECONDS)
    key = f"rate:{what}:{who}:{window}"
    try:
        # Kept longer than it counts: clocks of other machines may be behind.
        cache.add(key, 0, 2 * WINDOW_SECONDS)
        count = cache.incr(key)
    except ValueError:  # pushed out of a full cache between the two
        count = 1
    except RedisError as error:
        raise Unavailable("Redis does not answer: try again") from error
    return Spent(limit, count, math.ceil((window + 1) * WINDOW_SECONDS - now))


def network_of(address: str | None) -> str:
    """What counts as one caller: with IPv6 each has 2**64 addresses to choose from."""
    if address is None:
        return "unknown"
    parsed = ip_address(address)
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or f"{parsed.exploded[:19]}::/64")
