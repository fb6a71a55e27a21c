"""The figures that an agent reports in a file of its own workspace."""

import asyncio

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, templates
from agents.answers.templates import Metrics
from agents.api.files import one_of_few
from agents.errors import (
    AgentUnavailable,
    FileMissing,
    NotPermitted,
    OutsideWorkspace,
    TemplateNotFound,
    WrongKind,
)
from agents.figures import reported_metrics
from agents.figures.reported_metrics import FILE, FILE_BYTES, Unusable
from agents.models import Agent
from agents.workspace import files
from agents.workspace.files import FilePath
from trinity.answers import answers
from trinity.api import ApiView
from trinity.errors import TooLarge
from trinity.identity import user_of

READ_SECONDS = 10.0


class MetricsView(ApiView):
    @answers(Metrics, 400, 409, 429)
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        return Response(_metrics(agent))


def _metrics(agent: Agent) -> Metrics:
    if agent.status != Agent.Status.RUNNING:
        return _none(agent, "Agent is not running: it reports metrics while it runs")
    try:
        with one_of_few(agent):
            raw = asyncio.run(_read(agent))
        found = reported_metrics.parse(raw, _definitions(agent))
    except FileMissing:
        return _none(agent, f"The agent has no {FILE} in its workspace")
    except (OutsideWorkspace, WrongKind, NotPermitted, TooLarge) as error:
        return _none(agent, f"{FILE} cannot be read. {error}")
    except Unusable as error:
        return _none(agent, f"{FILE} cannot be used: {error}")
    return {
        "agent_name": agent.name,
        "status": agent.status,
        "has_metrics": True,
        "definitions": found.definitions,
        "values": found.values,
        "last_updated": found.last_updated,
    }


def _none(agent: Agent, message: str) -> Metrics:
    return {
        "agent_name": agent.name,
        "status": agent.status,
        "has_metrics": False,
        "message": message,
    }


async def _read(agent: Agent) -> bytes:
    try:
        async with (
            asyncio.timeout(READ_SECONDS),
            files.opened(agent, FilePath((FILE.encode(),))) as (size, parts),
        ):
            if size > FILE_BYTES:
                raise Unusable(f"it is larger than {FILE_BYTES} bytes")
            return b"".join([part async for part in parts])
    except TimeoutError as error:
        raise AgentUnavailable("The agent server does not answer") from error


def _definitions(agent: Agent) -> list[dict[str, str]]:
    """Those of its template, for a file that names none."""
    try:
        content = templates.find(agent.template).content
    except TemplateNotFound:
        return []
    return content.metrics if content else []


urlpatterns = [path("api/agents/<str:name>/metrics", MetricsView.as_view())]
