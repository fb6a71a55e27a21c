"""Functions that build valid objects; name in the call only what the test is about."""

from itertools import count

from rest_framework.test import APIClient

from agents.models import Agent, Host, Log, Share
from operations.models import Operation
from trinity.models import ApiToken, User

_numbers = count(1)
PASSWORD = "correct horse battery"


def make_user(**fields):
    number = next(_numbers)
    fields.setdefault("username", f"user{number}")
    fields.setdefault("email", f"user{number}@example.org")
    user = User(**fields)
    user.set_unusable_password()
    user.save()
    return user


def make_administrator(**fields):
    return make_user(is_superuser=True, is_staff=True, **fields)


def make_agent(**fields):
    """A stopped agent without a container, as it is after a restart of the host."""
    fields.setdefault("name", f"agent{next(_numbers)}")
    fields.setdefault("status", Agent.Status.STOPPED)
    fields.setdefault("desired", Agent.Desired.STOPPED)
    if "owner" not in fields:
        fields["owner"] = make_user()
    return Agent.objects.create(host=Host.objects.local(), log=Log.objects.create(), **fields)


def make_running_agent(**fields):
    """An agent that is recorded as running; no container stands behind it."""
    fields.setdefault("container_id", f"container{next(_numbers)}")
    return make_agent(status=Agent.Status.RUNNING, desired=Agent.Desired.RUNNING, **fields)


def share(agent, user, role=Share.Role.VIEWER, **fields):
    return Share.objects.create(
        agent=agent, email=user.email, role=role, shared_by=agent.owner, **fields
    )


def make_operation(**fields):
    if "agent" not in fields:
        fields["agent"] = make_running_agent()
    fields.setdefault("command", ["true"])
    return Operation.objects.create(log=Log.objects.create(), **fields)


def token_of(user):
    return ApiToken.issue(user, "test", expires_at=None)[1]


def client_of(user):
    """A program that speaks for the user by a bearer token."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token_of(user)}")
    client.default_format = "json"
    return client
