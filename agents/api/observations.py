"""What was seen of agents: their logs and figures, from what is recorded."""

from datetime import timedelta
from typing import Any

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access
from agents.answers.figures import History, LogText, StatsObject
from agents.errors import AgentNotRunning
from agents.figures import history
from agents.models import Agent
from agents.output import logs
from agents.reports import stats_object
from trinity.answers import answers
from trinity.api import ApiView
from trinity.identity import user_of
from trinity.shapes import Text


class TailShape(serializers.Serializer[Any]):
    q = Text(required=False, max_length=200)
    tail = serializers.IntegerField(required=False, min_value=1, max_value=10_000)
    lines = serializers.IntegerField(required=False, min_value=1, max_value=10_000)


class LogsView(ApiView):
    @answers(LogText, query=TailShape)
    def get(self, request: Request, name: str) -> Response:
        query = self.query(TailShape)
        agent = access.visible_agent(user_of(request), name)
        count = query.get("tail") or query.get("lines") or 100
        if wanted := query.get("q"):
            lines, last_seq, is_whole = logs.search(agent.log_id, wanted, count)
        else:
            lines, last_seq = logs.tail(agent.log_id, count)
            is_whole = last_seq == len(lines)
        text = "".join(f"{line}\n" for line in lines)
        told: LogText = {"logs": text, "next": last_seq, "truncated": not is_whole}
        return Response(told)


class PositionShape(serializers.Serializer[Any]):
    """Where a stream goes on; Last-Event-ID says the same and comes first."""

    # ``agents.events`` reads it.
    is_lenient = True

    after = serializers.IntegerField(required=False, min_value=0, max_value=10**18 - 1)


class StreamView(ApiView):
    @answers(str, 400, media_type="text/event-stream", query=PositionShape)
    def get(self, request: Request, name: str) -> Response:
        """Lines as server-sent events, `{"type": "log", "content": …}`, without an end."""
        raise MethodNotAllowed("GET")  # Never here: ``agents.output.log_streams`` answers it.


class DownloadView(ApiView):
    @answers(str, media_type="text/plain")
    def get(self, request: Request, name: str) -> Response:
        """The whole log as an attachment."""
        raise MethodNotAllowed("GET")  # Never here: ``agents.output.log_streams`` answers it.


class StatsView(ApiView):
    @answers(StatsObject, 400)
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        if agent.status != Agent.Status.RUNNING:
            raise AgentNotRunning("Agent is not running")
        return Response(stats_object(agent) or NO_SAMPLE)


class HistoryShape(serializers.Serializer[Any]):
    minutes = serializers.IntegerField(
        required=False, default=15, min_value=1, max_value=history.LONGEST_MINUTES
    )


class HistoryView(ApiView):
    @answers(History, query=HistoryShape)
    def get(self, request: Request, name: str) -> Response:
        query = self.query(HistoryShape)
        agent = access.visible_agent(user_of(request), name)
        span = timedelta(minutes=query["minutes"])
        return Response(history.as_json(agent, span, until=timezone.now()))


# Of an agent that runs for less than two seconds nothing is known yet: null, never 0.
NO_SAMPLE: StatsObject = {
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
    path("api/agents/<str:name>/logs/stream", StreamView.as_view()),
    path("api/agents/<str:name>/logs/download", DownloadView.as_view()),
    path("api/agents/<str:name>/stats", StatsView.as_view()),
    path("api/agents/<str:name>/stats/history", HistoryView.as_view()),
]
