"""Activities."""

from typing import Annotated, Any, Literal, TypedDict

from agents.models import Activity
from trinity.answers import Id, Time


class ActivityObject(TypedDict):
    id: Id
    agent_name: str
    activity_type: Annotated[str, Activity.Type]
    activity_state: Annotated[str, Activity.State]
    parent_activity_id: Id | None
    started_at: Time
    completed_at: Time | None
    duration_ms: int | None
    user_id: int | None
    triggered_by: Annotated[str, Activity.Trigger]
    related_execution_id: str | None
    details: dict[str, Any]
    error: str | None
    created_at: Time


class Activities(TypedDict):
    count: int
    activities: list[ActivityObject]


class AgentActivities(Activities):
    agent_name: str


class ActiveTool(TypedDict):
    name: str
    activity_id: Id
    started_at: Time


class Totals(TypedDict):
    count: int
    completed: int
    failed: int
    duration_ms: int
    since: Time


class Doing(TypedDict):
    status: Literal["idle", "running"]
    active_tool: ActiveTool | None
    timeline: list[ActivityObject]
    totals: Totals
