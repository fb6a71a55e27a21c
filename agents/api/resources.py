"""What an agent may use: what is recorded, what is applied now, what the host allows."""

from collections.abc import Mapping
from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, limiting
from agents.answers.figures import AppliedLimits, DiskReport, EffectiveLimits, Limits, LimitsChange
from agents.figures import disk
from agents.limits import check_disk, memory_text
from agents.models import Agent
from trinity.answers import answers
from trinity.api import ApiView, takes
from trinity.identity import actor_of, user_of
from trinity.shapes import Body, Text


class LimitsShape(serializers.Serializer[Any]):
    memory = Text(required=False, allow_null=True, default=None)
    cpu = Text(required=False, allow_null=True, default=None)
    # Absent is unchanged, unlike the others: programs were written before it was there.
    disk = Text(required=False, allow_null=True)


class ResourcesView(ApiView):
    @answers(Limits)
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        told: Limits = {
            "memory": agent.memory_limit,
            "cpu": agent.cpu_limit,
            **_current(agent),
            **_effective(agent),
            **_disk(agent),
        }
        return Response(told)

    @answers(LimitsChange, 400, 409)
    @takes(LimitsShape)
    def put(self, request: Request, body: Body, name: str) -> Response:
        agent = access.owned_agent(
            user_of(request), name, refusal="Only owners can change resource limits"
        )
        if body.get("disk") is not None:
            check_disk(body["disk"])  # Before anything is changed.
        actor = actor_of(request)
        change = limiting.set_limits(agent, actor, memory=body["memory"], cpu=body["cpu"])
        if "disk" in body:
            disk.set_limit(agent, actor, body["disk"])
        answer: LimitsChange = {
            "message": "Resource limits updated",
            "memory": agent.memory_limit,
            "cpu": agent.cpu_limit,
            "restart_needed": change.restart_needed,
            "applied_live": change.applied_live,
        }
        told = _effective(agent)
        disk_told: Mapping[str, Any] = _disk(agent) if "disk" in body else {}
        return Response({**answer, **disk_told, **(told if "warning" in told else {})})


def _disk(agent: Agent) -> DiskReport:
    return {
        "disk_limit": agent.disk_limit,
        "effective_disk": agent.disk,
        "disk_used_bytes": agent.disk_used_bytes,
    }


def _current(agent: Agent) -> AppliedLimits:
    applied = agent.applied_limits
    if applied is None:
        return {"current_memory": None, "current_cpu": None}
    return {
        "current_memory": memory_text(applied.memory_bytes),
        "current_cpu": f"{applied.cpus:g}",
    }


def _effective(agent: Agent) -> EffectiveLimits:
    limits, warning = agent.limits, limiting.warning(agent)
    told: EffectiveLimits = {
        "effective_memory": memory_text(limits.memory_bytes),
        "effective_cpu": f"{limits.cpus:g}",
    }
    if warning:
        told["warning"] = warning
    return told


urlpatterns = [path("api/agents/<str:name>/resources", ResourcesView.as_view())]
