"""What was seen of agents: their logs and figures, from what is recorded."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, logs
from agents.errors import AgentNotRunning
from agents.models import Agent
from agents.reports import stats_object
from trinity.api import ApiView
from trinity.identity import user_of


class TailShape(serializers.Serializer[Any]):
    tail = serializers.IntegerField(required=False, min_value=1, max_value=10_000)
    lines = serializers.IntegerField(required=False, min_value=1, max_value=10_000)


class LogsView(ApiView):
    def get(self, request: Request, name: str) -> Response:
        query = self.query(TailShape)
        agent = access.visible_agent(user_of(request), name)
        count = query.get("tail") or query.get("lines") or 100
        lines, last_seq = logs.tail(agent.log_id, count)
        text = "".join(f"{line}\n" for line in lines)
        return Response({"logs": text, "next": last_seq, "truncated": last_seq > len(lines)})


class StatsView(ApiView):
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        if agent.status != Agent.Status.RUNNING:
            raise AgentNotRunning("Agent is not running")
        return Response(stats_object(agent) or NO_SAMPLE)


# Of an agent that runs for less than two seconds nothing is known yet: null, never 0.
NO_SAMPLE = {
    "cpu_percent": None,
    "memory_used_bytes": None,
    "memory_limit_bytes": None,
    "memory_percent": None,
    "network_rx_bytes": None,
    "network_tx_bytes": None,
    "uptime_seconds": None,
    "status": Agent.Status.RUNNING,
    "sampled_at": None,
}


urlpatterns = [
    path("api/agents/<str:name>/logs", LogsView.as_view()),
    path("api/agents/<str:name>/stats", StatsView.as_view()),
]
