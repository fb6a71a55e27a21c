"""Functions that build valid objects; name in the call only what the test is about."""

from itertools import count

from django.utils import timezone
from rest_framework.test import APIClient

from agents.models import Agent, Host, Log, Share
from operations.grant_models import Grant
from operations.models import Operation
from trinity.models import ApiToken, User

_numbers = count(1)
PASSWORD = "correct horse battery"


def make_user(**fields):
    number = next(_numbers)
    fields.setdefault("username", f"user{number}")
    fields.setdefault("email", f"user{number}@example.org")
    fields.setdefault("email_verified_at", timezone.now())
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


def make_grant(**fields):
    """A grant for an agent that is recorded as running."""
    if "agent" not in fields:
        fields["agent"] = make_running_agent()
    fields.setdefault("command", ["true"])
    fields.setdefault("signers", ["0x" + "1" * 40])
    return Grant.objects.create(**fields)


def make_token(user, *, scopes=None, agents=None, name="test", expires_at=None):
    """A token and its text; ``agents`` are the only ones it is for."""
    only = None if agents is None else [{"uid": each.uid, "name": each.name} for each in agents]
    return ApiToken.issue(user, name, expires_at=expires_at, scopes=scopes, agents=only)


def token_of(user, **limits):
    return make_token(user, **limits)[1]


def client_of(user, **limits):
    """A program that speaks for the user by a bearer token, limited or not."""
    return bearer_client(token_of(user, **limits))


def bearer_client(text):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    client.default_format = "json"
    return client
