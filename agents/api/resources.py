"""What an agent may use: what is recorded, what is applied now, what the host allows."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, limiting
from agents.limits import memory_text
from agents.models import Agent
from trinity.api import ApiView, takes
from trinity.identity import actor_of, user_of
from trinity.shapes import Body, Text


class LimitsShape(serializers.Serializer[Any]):
    memory = Text(required=False, allow_null=True, default=None)
    cpu = Text(required=False, allow_null=True, default=None)


class ResourcesView(ApiView):
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        return Response({**_recorded(agent), **_current(agent), **_effective(agent)})

    @takes(LimitsShape)
    def put(self, request: Request, body: Body, name: str) -> Response:
        agent = access.owned_agent(
            user_of(request), name, refusal="Only owners can change resource limits"
        )
        change = limiting.set_limits(
            agent, actor_of(request), memory=body["memory"], cpu=body["cpu"]
        )
        answer = {
            "message": "Resource limits updated",
            **_recorded(agent),
            "restart_needed": change.restart_needed,
            "applied_live": change.applied_live,
        }
        told = _effective(agent)
        return Response(answer | told if "warning" in told else answer)


def _recorded(agent: Agent) -> dict[str, str | None]:
    return {"memory": agent.memory_limit, "cpu": agent.cpu_limit}


def _current(agent: Agent) -> dict[str, str | None]:
    applied = agent.applied_limits
    if applied is None:
        return {"current_memory": None, "current_cpu": None}
    return {
        "current_memory": memory_text(applied.memory_bytes),
        "current_cpu": f"{applied.cpus:g}",
    }


def _effective(agent: Agent) -> dict[str, str]:
    limits, warning = agent.limits, limiting.warning(agent)
    told = {
        "effective_memory": memory_text(limits.memory_bytes),
        "effective_cpu": f"{limits.cpus:g}",
    }
    return told | {"warning": warning} if warning else told


urlpatterns = [path("api/agents/<str:name>/resources", ResourcesView.as_view())]
