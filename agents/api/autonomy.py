"""The gate that an agent's schedules have to pass; it changes none of them."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access
from agents.answers.agents import Gate
from agents.errors import SystemAgent
from agents.models import Agent
from trinity.answers import answers
from trinity.api import ApiView, takes
from trinity.audit import recorded
from trinity.identity import actor_of, user_of
from trinity.shapes import Body, Flag

MESSAGE = (
    "This version runs no schedules yet: the gate is recorded, and schedules will obey it "
    "when there are any"
)


class GateShape(serializers.Serializer[Any]):
    enabled = Flag()


class AutonomyView(ApiView):
    @answers(Gate)
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        _refuse_system(agent)
        return Response(_gate(agent))

    @answers(Gate)
    @takes(GateShape)
    def put(self, request: Request, body: Body, name: str) -> Response:
        agent = access.owned_agent(
            user_of(request), name, refusal="Only owners can change an agent's autonomy"
        )
        verb = "enable_autonomy" if body["enabled"] else "disable_autonomy"
        with recorded(actor_of(request), verb, "agent", agent.name):
            _refuse_system(agent)
            agent.record(autonomy_enabled=body["enabled"])
        return Response(_gate(agent))


def _refuse_system(agent: Agent) -> None:
    if agent.is_system:
        raise SystemAgent("A system agent has no autonomy to switch: Trinity runs it")


def _gate(agent: Agent) -> Gate:
    return {
        "agent_name": agent.name,
        "autonomy_enabled": agent.autonomy_enabled,
        "total_schedules": 0,
        "enabled_schedules": 0,
        "status": agent.status,
        "message": MESSAGE,
    }


urlpatterns = [path("api/agents/<str:name>/autonomy", AutonomyView.as_view())]
