"""Agents themselves: list, create, change, delete, and the verbs on them."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, lifecycle
from agents.lifecycle import NewAgent
from agents.models import Agent, Host
from agents.reports import agent_detail, agent_object, agent_objects, stats_object
from trinity.api import ApiView, takes
from trinity.audit import recorded
from trinity.identity import actor_of, user_of
from trinity.shapes import Body, Text, Whole, texts


class Resources(serializers.Serializer[Any]):
    cpu = Text(required=False, allow_null=True)
    memory = Text(required=False, allow_null=True)


class NewAgentShape(serializers.Serializer[Any]):
    name = Text()
    type = Text(required=False, max_length=63)
    template = Text(required=False, max_length=100)
    base_image = Text(required=False, max_length=255)
    resources = Resources(required=False, allow_null=True)
    github_repo = Text(required=False, allow_null=True, max_length=255)
    description = Text(required=False, max_length=4000)
    tags = texts(required=False, max_length=50)


class AgentsView(ApiView):
    """The list asks the engine for nothing, whatever it holds."""

    def get(self, request: Request) -> Response:
        user = user_of(request)
        agents = Agent.objects.for_list(user).visible_to(user)
        if request.query_params.get("stats") != "1":
            return Response(agent_objects(agents, user))
        with_stats = agents.select_related("stats")
        return Response(
            [{**agent_object(agent, user), "stats": stats_object(agent)} for agent in with_stats]
        )

    @takes(NewAgentShape)
    def post(self, request: Request, body: Body) -> Response:
        user = user_of(request)
        agent = lifecycle.create(actor_of(request), _new_agent(request, body))
        return Response(agent_object(access.visible_agent(user, agent.name), user))


def _new_agent(request: Request, body: Body) -> NewAgent:
    resources = body.pop("resources", None) or {}
    fields = {"image": body.pop("base_image", None), **body, **resources}
    given = {name: value for name, value in fields.items() if value is not None}
    return NewAgent(owner=user_of(request), **given)


class Changes(serializers.Serializer[Any]):
    type = Text(required=False, max_length=63)
    description = Text(required=False, max_length=4000)
    tags = texts(required=False, max_length=50)


class AgentView(ApiView):
    def get(self, request: Request, name: str) -> Response:
        user = user_of(request)
        return Response(agent_detail(access.visible_agent(user, name), user))

    @takes(Changes)
    def patch(self, request: Request, body: Body, name: str) -> Response:
        user = user_of(request)
        agent = access.owned_agent(user, name, refusal="Only owners can change an agent")
        with recorded(actor_of(request), "change", "agent", name):
            agent.record(**body)
        return Response(agent_object(agent, user))

    def delete(self, request: Request, name: str) -> Response:
        agent = access.owned_agent(
            user_of(request), name, refusal="Only owners can delete an agent"
        )
        lifecycle.delete(agent, actor_of(request))
        return Response({"message": f"Agent {name} deleted"})


class Grace(serializers.Serializer[Any]):
    # A verb answers within 25 s, a kill and a start included.
    timeout_seconds = Whole(required=False, default=10, min_value=0, max_value=15)


class StartView(ApiView):
    @takes(Grace)
    def post(self, request: Request, body: Body, name: str) -> Response:
        agent = access.operable_agent(user_of(request), name)
        lifecycle.start(agent, actor_of(request))
        return Response({"message": f"Agent {name} started", "status": agent.status})


class StopView(ApiView):
    @takes(Grace)
    def post(self, request: Request, body: Body, name: str) -> Response:
        agent = access.operable_agent(user_of(request), name)
        lifecycle.stop(agent, actor_of(request), grace_seconds=body["timeout_seconds"])
        return Response({"message": f"Agent {name} stopped", "status": agent.status})


class RestartView(ApiView):
    @takes(Grace)
    def post(self, request: Request, body: Body, name: str) -> Response:
        agent = access.operable_agent(user_of(request), name)
        lifecycle.restart(agent, actor_of(request), grace_seconds=body["timeout_seconds"])
        return Response({"message": f"Agent {name} restarted", "status": agent.status})


def engine_away_since() -> Any:
    """What ``settings.TRINITY_ENGINE_AWAY_SINCE`` names: recorded, not asked."""
    return Host.objects.filter(name="local").values_list("away_since", flat=True).first()


urlpatterns = [
    path("api/agents", AgentsView.as_view()),
    path("api/agents/<str:name>", AgentView.as_view()),
    path("api/agents/<str:name>/start", StartView.as_view()),
    path("api/agents/<str:name>/stop", StopView.as_view()),
    path("api/agents/<str:name>/restart", RestartView.as_view()),
]
