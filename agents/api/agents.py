"""Agents themselves: list, create, change, delete, and the verbs on them."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, lifecycle
from agents.answers.agents import AgentDetail, AgentObject, Verb
from agents.answers.figures import ListedAgent
from agents.lifecycle import NewAgent
from agents.models import Agent, Host
from agents.reports import (
    agent_detail,
    agent_object,
    agent_objects,
    listed_with_stats,
    stats_object,
)
from agents.retention import Keep
from trinity.answers import Message, answers
from trinity.api import ApiView, takes
from trinity.audit import recorded
from trinity.idempotency import creates
from trinity.identity import actor_of, require_all_agents, user_of
from trinity.models import Scope, User
from trinity.pagination import page
from trinity.shapes import Body, Choice, Text, Whole, texts


class WantedResources(serializers.Serializer[Any]):
    cpu = Text(required=False, allow_null=True)
    memory = Text(required=False, allow_null=True)


class NewAgentShape(serializers.Serializer[Any]):
    name = Text()
    type = Text(required=False, max_length=63)
    template = Text(required=False, max_length=100)
    base_image = Text(required=False, max_length=255)
    resources = WantedResources(required=False, allow_null=True)
    github_repo = Text(required=False, allow_null=True, max_length=255)
    description = Text(required=False, max_length=4000)
    tags = texts(required=False, max_length=50)


class ListShape(serializers.Serializer[Any]):
    stats = Text(required=False)
    # Without it there is one page, with all that the caller may see.
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000)
    cursor = Text(required=False)


def _told(agents: Iterable[Agent], user: User) -> list[AgentObject]:
    return [agent_object(agent, user) for agent in agents]


def _with_stats(agents: Iterable[Agent], user: User) -> list[ListedAgent]:
    return [{**agent_object(agent, user), "stats": stats_object(agent)} for agent in agents]


class AgentsView(ApiView):
    """The list asks the engine for nothing, whatever it holds."""

    write_scope = Scope.MANAGE

    @answers(list[ListedAgent], query=ListShape)
    def get(self, request: Request) -> Response:
        user, query = user_of(request), self.query(ListShape)
        agents = Agent.objects.for_list(user).visible_to(user)
        told: Callable[[Iterable[Agent]], list[Any]] = partial(_told, user=user)
        if with_stats := query.get("stats") == "1":
            agents, told = agents.select_related("stats"), partial(_with_stats, user=user)
        if "limit" in query or "cursor" in query:
            return page(request, agents, {"limit": 100, **query}, told, "name")
        listed = listed_with_stats if with_stats else agent_objects
        return Response(listed(agents, user))

    @answers(AgentObject, 400)
    @creates()
    @takes(NewAgentShape)
    def post(self, request: Request, body: Body) -> Response:
        user = user_of(request)
        require_all_agents(user)
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


class RemainsShape(serializers.Serializer[Any]):
    """What becomes of a deleted agent's own."""

    workspace = Choice(choices=["keep", "remove"], required=False, default="keep")
    log = Choice(choices=["keep", "remove"], required=False, default="keep")


class AgentView(ApiView):
    @answers(AgentDetail)
    def get(self, request: Request, name: str) -> Response:
        user = user_of(request)
        return Response(agent_detail(access.visible_agent(user, name), user))

    @answers(AgentObject)
    @takes(Changes)
    def patch(self, request: Request, body: Body, name: str) -> Response:
        user = user_of(request)
        agent = access.owned_agent(user, name, refusal="Only owners can change an agent")
        with recorded(actor_of(request), "change", "agent", name):
            agent.record(**body)
        return Response(agent_object(agent, user))

    @answers(Message, 400, query=RemainsShape)
    def delete(self, request: Request, name: str) -> Response:
        query = self.query(RemainsShape)
        keep = Keep(**{what: query[what] == "keep" for what in ("workspace", "log")})
        agent = access.owned_agent(
            user_of(request), name, refusal="Only owners can delete an agent"
        )
        lifecycle.delete(agent, actor_of(request), keep)
        told: Message = {"message": f"Agent {name} deleted"}
        return Response(told)


class Grace(serializers.Serializer[Any]):
    # A verb answers within 25 s, a kill and a start included.
    timeout_seconds = Whole(required=False, default=10, min_value=0, max_value=15)


class StartView(ApiView):
    @answers(Verb, 400, 409)
    @takes(Grace)
    def post(self, request: Request, body: Body, name: str) -> Response:
        agent = access.operable_agent(user_of(request), name)
        lifecycle.start(agent, actor_of(request))
        told: Verb = {"message": f"Agent {name} started", "status": agent.status}
        return Response(told)


class StopView(ApiView):
    @answers(Verb, 400, 409)
    @takes(Grace)
    def post(self, request: Request, body: Body, name: str) -> Response:
        agent = access.operable_agent(user_of(request), name)
        lifecycle.stop(agent, actor_of(request), grace_seconds=body["timeout_seconds"])
        told: Verb = {"message": f"Agent {name} stopped", "status": agent.status}
        return Response(told)


class RestartView(ApiView):
    @answers(Verb, 400, 409)
    @takes(Grace)
    def post(self, request: Request, body: Body, name: str) -> Response:
        agent = access.operable_agent(user_of(request), name)
        lifecycle.restart(agent, actor_of(request), grace_seconds=body["timeout_seconds"])
        told: Verb = {"message": f"Agent {name} restarted", "status": agent.status}
        return Response(told)


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
