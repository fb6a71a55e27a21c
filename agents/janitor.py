"""What the holder of the lease does every minute, whatever happens: counts, looks, tidies."""

import asyncio
import logging

from agents import control, engine, found, retention
from agents.database import read
from agents.models import Host
from trinity.errors import Unavailable

logger = logging.getLogger(__name__)

SECONDS = 60.0


class Janitor:
    def __init__(self, host: Host, epoch: int) -> None:
        self._host = host
        self._epoch = epoch

    async def run(self) -> None:
        while True:
            await read(control.beat, self._host, self._epoch)
            try:
                await engine.do(self._tidy)
            except Unavailable as error:
                logger.info("Tidying waits: %s", error)
            await asyncio.sleep(SECONDS)

    def _tidy(self) -> None:
        found.note(self._host)
        held = Host.objects.filter(pk=self._host.pk, lease_epoch=self._epoch)
        if held.filter(report_only_since=None).exists():
            retention.purge_due(self._host)
