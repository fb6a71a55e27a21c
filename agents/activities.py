"""What really happens to agents, recorded as it begins and as it ends.

Who does something records it with ``recorded``. What another process ends, such as an
operation, is begun with ``begin`` and ended with ``end_execution``.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from agents import live, process
from agents.answers.activities import ActivityObject
from agents.database import Writer, read
from agents.models import Activity, Agent
from trinity.api import json_time
from trinity.audit import Actor
from trinity.errors import TrinityError

Type, State = Activity.Type, Activity.State

# What a process of another machine began is given up after this time: no activity takes longer.
LONGEST = timedelta(hours=1)
# What one round does at most: it shares the writer with the logs. The next one goes on.
PURGED = 5_000
TIDY_SECONDS = 5.0
BROKEN_OFF = "Broken off: the client left, or the server failed and its log says why"
ABANDONED = "The process that did this ended before it was done"


@contextmanager
def recorded(
    agent: Agent,
    activity_type: Activity.Type,
    actor: Actor,
    *,
    details: dict[str, Any] | None = None,
) -> Iterator[Activity]:
    """Record what is done inside: as started, then as completed or failed, with its duration.

    What is learnt on the way is put into the activity's ``details``.
    """
    activity = begin(agent, activity_type, actor, details=details, holder=process.HOLDER)
    announce(activity)
    try:
        yield activity
    except TrinityError as error:
        _end(activity, State.FAILED, str(error))
        raise
    except BaseException:
        _end(activity, State.FAILED, BROKEN_OFF)
        raise
    _end(activity, State.COMPLETED)


@asynccontextmanager
async def recorded_beside(
    agent: Agent, activity_type: Activity.Type, actor: Actor, *, details: dict[str, Any]
) -> AsyncIterator[None]:
    """Record as ``recorded`` does, for what is answered beside Django."""
    activity = await read(
        begin, agent, activity_type, actor, details=details, holder=process.HOLDER
    )
    await announce_all([activity])
    state, error = State.FAILED, BROKEN_OFF
    try:
        yield
        state, error = State.COMPLETED, ""
    except TrinityError as refusal:
        error = str(refusal)
        raise
    finally:
        if await read(close, activity, state, error=error):
            await announce_all([activity])


def begin(
    agent: Agent,
    activity_type: Activity.Type,
    actor: Actor,
    *,
    details: dict[str, Any] | None = None,
    parent: Activity | None = None,
    execution: UUID | str = "",
    holder: str = "",
) -> Activity:
    """Record that something has begun. May be part of the transaction that begins it."""
    by_user = Activity.Trigger.USER if actor.user else Activity.Trigger.SYSTEM
    return Activity.objects.create(
        agent=agent,
        activity_type=activity_type,
        user=actor.user,
        triggered_by=by_user,
        details=details or {},
        parent=parent,
        related_execution_id=str(execution),
        holder=holder,
    )


def leave_to_execution(activity: Activity, execution: UUID) -> None:
    """Have the end of an operation end the activity, and no longer this process."""
    activity.related_execution_id, activity.holder = str(execution), ""
    activity.save(update_fields=["related_execution_id", "holder"])


def _end(activity: Activity, state: Activity.State, error: str = "") -> None:
    if close(activity, state, error=error):
        announce(activity)


def close(activity: Activity, state: Activity.State, *, error: str = "") -> bool:
    """Record the one end; False when another came first, or its agent is gone."""
    now = timezone.now()
    ended = {
        "activity_state": state,
        "completed_at": now,
        "duration_ms": max(0, round((now - activity.started_at) / timedelta(milliseconds=1))),
        "error": error[:500],
        "details": activity.details,
    }
    started = Activity.objects.filter(pk=activity.pk, activity_state=State.STARTED)
    is_ours = bool(started.update(**ended))
    for name, value in ended.items():
        setattr(activity, name, value)
    return is_ours


def end_execution(
    execution: UUID, state: Activity.State, *, error: str = "", details: dict[str, Any]
) -> list[Activity]:
    """End all that an operation is the work of; the end of a chat is an activity too.

    For the transaction that records the operation's end; the caller announces them after it.
    """
    ended = []
    for activity in _under_way().filter(related_execution_id=str(execution)):
        activity.details |= details
        if close(activity, state, error=error):
            ended.append(activity)
            if activity.activity_type == Type.CHAT_START:
                ended.append(_chat_end(activity))
    return ended


def _chat_end(start: Activity) -> Activity:
    ended_at = start.completed_at or timezone.now()
    return Activity.objects.create(
        agent=start.agent,
        activity_type=Type.CHAT_END,
        activity_state=start.activity_state,
        parent=start,
        started_at=ended_at,
        completed_at=ended_at,
        duration_ms=0,
        user_id=start.user_id,
        triggered_by=start.triggered_by,
        related_execution_id=start.related_execution_id,
        details={"chat_duration_ms": start.duration_ms},
        error=start.error,
    )


def _under_way() -> QuerySet[Activity]:
    return Activity.objects.filter(activity_state=State.STARTED).select_related("agent")


def close_abandoned() -> list[Activity]:
    """Record as failed what no process will end any more."""
    held = list(_under_way().exclude(holder=""))
    since = timezone.now() - LONGEST
    left = [each for each in held if process.is_gone(each.holder) or each.started_at < since]
    return [each for each in left if close(each, State.FAILED, error=ABANDONED)]


def purge(now: datetime) -> None:
    """Forget what is older than TRINITY_ACTIVITY_DAYS, unless it goes on."""
    kept_since = now - timedelta(days=settings.TRINITY_ACTIVITY_DAYS)
    old = Activity.objects.filter(started_at__lt=kept_since).exclude(activity_state=State.STARTED)
    oldest = old.order_by("started_at").values_list("pk", flat=True)[:PURGED]
    Activity.objects.filter(pk__in=list(oldest)).delete()


def announce(activity: Activity) -> None:
    """Tell those who watch the agent, unless it is hidden from them; from a thread."""
    if not activity.agent.deleting:
        live.announce_activity_from_thread(activity.agent_id, activity_object(activity))


async def announce_all(activities: Iterable[Activity]) -> None:
    for activity in activities:
        await live.announce(activity.agent_id, "activity", activity_object(activity))


async def keep_tidy(writer: Writer) -> None:
    """End what nobody else ends, forget what is old, again and again; for the supervisor."""
    while True:
        await announce_all(await writer.write(close_abandoned))
        await writer.write(lambda: purge(timezone.now()))
        await asyncio.sleep(TIDY_SECONDS)


def activity_object(activity: Activity) -> ActivityObject:
    """``Activity`` as the API answers it; its agent is loaded."""
    return {
        "id": str(activity.pk),
        "agent_name": activity.agent.name,
        "activity_type": activity.activity_type,
        "activity_state": activity.activity_state,
        "parent_activity_id": str(activity.parent_id) if activity.parent_id else None,
        "started_at": json_time(activity.started_at),
        "completed_at": json_time(activity.completed_at) if activity.completed_at else None,
        "duration_ms": activity.duration_ms,
        "user_id": activity.user_id,
        "triggered_by": activity.triggered_by,
        "related_execution_id": activity.related_execution_id or None,
        "details": activity.details,
        "error": activity.error or None,
        "created_at": json_time(activity.created_at),
    }


def activity_objects(activities: Iterable[Activity]) -> list[ActivityObject]:
    return [activity_object(activity) for activity in activities]
