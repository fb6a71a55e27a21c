"""The only door to one agent: by its name, for a user, for a purpose."""

from django.contrib.auth.models import AnonymousUser

from agents.errors import AgentNotFound, MayNotOperate, MayNotOwn
from agents.models import Agent
from trinity.models import User


def visible_agent(user: User | AnonymousUser, name: str) -> Agent:
    agent = Agent.objects.for_list(user).visible_to(user).filter(name=name).first()
    if agent is None:
        raise AgentNotFound
    return agent


def operable_agent(user: User | AnonymousUser, name: str) -> Agent:
    agent = visible_agent(user, name)
    if not Agent.objects.operable_by(user).contains(agent):
        raise MayNotOperate
    return agent


def owned_agent(
    user: User | AnonymousUser, name: str, *, refusal: str = "Only owners can do this"
) -> Agent:
    agent = visible_agent(user, name)
    if not Agent.objects.owned_by(user).contains(agent):
        raise MayNotOwn(refusal)
    return agent
