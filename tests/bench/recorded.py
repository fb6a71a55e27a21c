"""Agents that are only rows; imported inside the product's own environment."""

from agents.models import Agent, Host, Log, Share
from tests.factories import make_user, token_of


def record(count):
    """Add stopped agents of ten owners, all shared with one viewer; return his token."""
    viewer, owners = make_user(), [make_user() for _ in range(10)]
    logs = Log.objects.bulk_create([Log() for _ in range(count)])
    host = Host.objects.local()
    agents = Agent.objects.bulk_create(
        Agent(
            name=f"recorded-{number:04}",
            description="An agent that is only recorded",
            tags=["bench"],
            owner=owners[number % len(owners)],
            host=host,
            log=log,
            status=Agent.Status.STOPPED,
            status_reason="exit code 0",
            desired=Agent.Desired.STOPPED,
        )
        for number, log in enumerate(logs)
    )
    Share.objects.bulk_create(Share(agent=agent, email=viewer.email) for agent in agents)
    return token_of(viewer)
