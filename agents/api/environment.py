"""The environment of an agent's programs: who may see which values, and who sets them."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, activities, environment, recreation
from agents.answers.templates import Environment, VariableObject
from agents.environment import Variable
from agents.models import Activity, Agent, EnvironmentValue
from trinity.answers import Message, answers
from trinity.api import ApiView, json_time, takes
from trinity.identity import actor_of, user_of
from trinity.shapes import Body, Flag, Text

MAX_AT_ONCE = 200
RELOAD = Activity.Type.CREDENTIAL_RELOAD
MAY_NOT = "Only owners can change the environment"


class VariableShape(serializers.Serializer[Any]):
    name = Text()
    value = Text()
    is_secret = Flag(required=False, default=True)


class VariablesShape(serializers.Serializer[Any]):
    is_confidential = True

    variables = serializers.ListField(
        child=VariableShape(), allow_empty=False, max_length=MAX_AT_ONCE
    )


class EnvironmentView(ApiView):
    """Secrets are never shown again; plain values to those who could print them in the agent."""

    @answers(Environment)
    def get(self, request: Request, name: str) -> Response:
        user = user_of(request)
        agent = access.visible_agent(user, name)
        shows_values = Agent.objects.operable_by(user).contains(agent)
        return Response(_report(agent, shows_values=shows_values))

    @answers(Environment, 400)
    @takes(VariablesShape)
    def put(self, request: Request, body: Body, name: str) -> Response:
        agent = access.owned_agent(user_of(request), name, refusal=MAY_NOT)
        variables = [Variable(**each) for each in body["variables"]]
        names = [variable.name for variable in variables]
        with activities.recorded(agent, RELOAD, actor_of(request), details={"set": names}):
            environment.set_variables(agent, actor_of(request), variables)
        told: Environment = {
            "message": "Environment updated",
            **_report(agent, shows_values=True),
        }
        return Response(told)


class VariableView(ApiView):
    @answers(Message)
    def delete(self, request: Request, name: str, variable: str) -> Response:
        agent = access.owned_agent(user_of(request), name, refusal=MAY_NOT)
        details = {"removed": [variable]}
        with activities.recorded(agent, RELOAD, actor_of(request), details=details):
            environment.remove_variable(agent, actor_of(request), variable)
        told: Message = {"message": f"Variable {variable} removed"}
        return Response(told)


def _report(agent: Agent, *, shows_values: bool) -> Environment:
    found = EnvironmentValue.objects.filter(agent=agent)
    return {
        "agent_name": agent.name,
        "variables": [_variable(each, shows_value=shows_values) for each in found],
        "recreate_needed": recreation.is_needed(agent),
    }


def _variable(each: EnvironmentValue, *, shows_value: bool) -> VariableObject:
    return {
        "name": each.name,
        "is_secret": each.is_secret,
        "value": each.value if shows_value and not each.is_secret else None,
        "changed_at": json_time(each.changed_at),
    }


urlpatterns = [
    path("api/agents/<str:name>/environment", EnvironmentView.as_view()),
    path("api/agents/<str:name>/environment/<str:variable>", VariableView.as_view()),
]
