"""The end of what finished operations leave: by age, and for artifacts by their size in all.

Rows go first. Their files follow, by what ``LeftFolder`` says in the same transaction.
"""

import asyncio
import logging
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet, Sum
from django.utils import timezone

from agents.database import Writer, read
from agents.models import Host, Log
from operations import artifacts
from operations.artifacts import Unstorable, apart
from operations.models import Artifact, LeftFolder, Operation

logger = logging.getLogger(__name__)

SECONDS = 60.0
# A transaction takes no more of them: a log may have ten megabytes.
BATCH = 20
# Who was about to store a file of an operation that is gone has done so by then.
LEFT_SECONDS = 3600
NOTE = "Its artifacts were removed, for their age or to make room"


async def keep_tidy(host: Host, writer: Writer) -> None:
    """Prune and erase, again and again; the writer sees to it that the lease is still held."""
    while True:
        # A restored copy must not remove what the original still has.
        if not await read(_is_report_only, host):
            while await writer.write(prune):
                pass
            await erase_left()
        await asyncio.sleep(SECONDS)


def _is_report_only(host: Host) -> bool:
    return Host.objects.filter(pk=host.pk, report_only_since__isnull=False).exists()


def prune() -> int:
    """Delete some of what is due, in a transaction; return of how many operations."""
    return _prune_operations() or _prune_artifacts() or _make_room()


def _prune_operations() -> int:
    due = _finished_before(settings.TRINITY_KEEP_OPERATIONS_DAYS)[:BATCH]
    found = dict(due.values_list("pk", "log_id"))
    Operation.objects.filter(pk__in=found).delete()
    Log.objects.filter(pk__in=found.values()).delete()
    return len(found)


def _prune_artifacts() -> int:
    due = _finished_before(settings.TRINITY_KEEP_ARTIFACTS_DAYS).filter(artifact_count__gt=0)
    return sum(_remove_artifacts(operation) for operation in due[:BATCH])


def _make_room() -> int:
    limit = settings.TRINITY_ARTIFACTS_BYTES
    excess = _bytes_of(Artifact.objects.all()) - limit if limit else 0
    removed = 0
    if excess > 0:
        oldest = Operation.objects.filter(artifact_count__gt=0).order_by("finished_at", "pk")
        for operation in oldest[:BATCH]:
            if excess > 0:
                excess -= _bytes_of(operation.artifacts.all())
                removed += _remove_artifacts(operation)
    return removed


def _bytes_of(some: QuerySet[Artifact]) -> int:
    return some.aggregate(size=Sum("size"))["size"] or 0


def _finished_before(days: int) -> QuerySet[Operation]:
    if not days:
        return Operation.objects.none()
    then = timezone.now() - timedelta(days=days)
    return Operation.objects.filter(finished_at__lt=then).order_by("finished_at", "pk")


def _remove_artifacts(operation: Operation) -> int:
    Artifact.objects.filter(operation=operation).delete()
    LeftFolder.objects.get_or_create(operation_id=operation.pk)
    notes = [*operation.notes, NOTE]
    Operation.objects.filter(pk=operation.pk).update(artifact_count=0, notes=notes)
    return 1


async def erase_left() -> None:
    """Delete the files whose rows are gone; what cannot be deleted now is tried again."""
    for left in await read(lambda: list(LeftFolder.objects.order_by("left_at"))):
        try:
            await apart(artifacts.erase, left.operation_id)
        except Unstorable as error:
            logger.warning("Artifacts of operation %s stay for now: %s", left, error)
        else:
            await read(_forget, left)


def _forget(left: LeftFolder) -> None:
    if left.left_at < timezone.now() - timedelta(seconds=LEFT_SECONDS):
        left.delete()
