"""What agents did, newest first: of one, and of all that the caller may see."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access
from agents.activities import activity_objects
from agents.answers.activities import ActiveTool, Activities, AgentActivities, Doing, Totals
from agents.models import Activity, Agent
from trinity.answers import answers
from trinity.api import ApiView, json_time
from trinity.identity import user_of
from trinity.pagination import PageShape, page
from trinity.shapes import Moment

NEWEST_FIRST = ("-started_at", "-pk")
FILTERS = ("activity_type", "activity_state")
RECENT = 50
TOTALS_SPAN = timedelta(hours=24)


class ActivityView(ApiView):
    """What the agent does now, and what it did last."""

    @answers(Doing)
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        activities = Activity.objects.filter(agent=agent).select_related("agent")
        active = activities.filter(activity_state=Activity.State.STARTED).first()
        told: Doing = {
            "status": "running" if active else "idle",
            "active_tool": _tool(active) if active else None,
            "timeline": activity_objects(activities[:RECENT]),
            "totals": _totals(activities, since=timezone.now() - TOTALS_SPAN),
        }
        return Response(told)


def _tool(active: Activity) -> ActiveTool:
    told = active.details
    return {
        "name": told.get("tool") or told.get("verb") or active.activity_type,
        "activity_id": str(active.pk),
        "started_at": json_time(active.started_at),
    }


def _totals(activities: QuerySet[Activity], since: datetime) -> Totals:
    state = Activity.State
    sums = activities.filter(started_at__gte=since).aggregate(
        count=Count("pk"),
        completed=Count("pk", filter=Q(activity_state=state.COMPLETED)),
        failed=Count("pk", filter=Q(activity_state=state.FAILED)),
        duration_ms=Sum("duration_ms"),
    )
    return {
        "count": sums["count"],
        "completed": sums["completed"],
        "failed": sums["failed"],
        "duration_ms": sums["duration_ms"] or 0,
        "since": json_time(since),
    }


def _listed(activities: Sequence[Activity]) -> Activities:
    return {"count": len(activities), "activities": activity_objects(activities)}


class OfAgentShape(PageShape):
    activity_type = serializers.ChoiceField(Activity.Type.choices, required=False)
    activity_state = serializers.ChoiceField(Activity.State.choices, required=False)


class ActivitiesView(ApiView):
    @answers(AgentActivities, query=OfAgentShape)
    def get(self, request: Request, name: str) -> Response:
        query = self.query(OfAgentShape)
        agent = access.visible_agent(user_of(request), name)
        wanted = {name: query[name] for name in FILTERS if name in query}
        found = Activity.objects.filter(agent=agent, **wanted).select_related("agent")

        def told(activities: Sequence[Activity]) -> AgentActivities:
            return {"agent_name": agent.name, **_listed(activities)}

        return page(request, found, query, told, *NEWEST_FIRST)


class Types(serializers.CharField):
    """Types with commas between them."""

    default_error_messages = {
        "unknown": "{name} is no type of activity: they are {types}",
    }

    def to_internal_value(self, data: Any) -> Any:
        names = [name.strip() for name in super().to_internal_value(data).split(",")]
        known = Activity.Type.values
        for name in names:
            if name not in known:
                self.fail("unknown", name=name[:40], types=", ".join(known))
        return names


class TimelineShape(PageShape):
    start_time = Moment(required=False)
    end_time = Moment(required=False)
    activity_types = Types(required=False)


class TimelineView(ApiView):
    @answers(Activities, query=TimelineShape)
    def get(self, request: Request) -> Response:
        query = self.query(TimelineShape)
        # Exists and not ``in``: read along the index of time, the newest are found at once.
        agents = Agent.objects.visible_to(user_of(request)).filter(pk=OuterRef("agent"))
        found = Activity.objects.filter(Exists(agents)).select_related("agent")
        if "start_time" in query:
            found = found.filter(started_at__gte=query["start_time"])
        if "end_time" in query:
            found = found.filter(started_at__lte=query["end_time"])
        if "activity_types" in query:
            found = found.filter(activity_type__in=query["activity_types"])
        return page(request, found, query, _listed, *NEWEST_FIRST)


urlpatterns = [
    path("api/activities/timeline", TimelineView.as_view()),
    path("api/agents/<str:name>/activity", ActivityView.as_view()),
    path("api/agents/<str:name>/activities", ActivitiesView.as_view()),
]
