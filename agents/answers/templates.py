"""Environment, templates, and what an agent reports of itself."""

from typing import Annotated, Any, NotRequired, TypedDict

from agents.answers.agents import Resources
from agents.models import Agent
from trinity.answers import Time

Status = Annotated[str, Agent.Status]


class VariableObject(TypedDict):
    """The value of a secret is null, and any other for those who may not operate the agent."""

    name: str
    is_secret: bool
    value: str | None
    changed_at: Time


class Environment(TypedDict):
    message: NotRequired[str]
    agent_name: str
    variables: list[VariableObject]
    recreate_needed: bool


class TemplateResources(Resources):
    disk: str


class TemplateObject(TypedDict):
    id: str
    display_name: str
    description: str
    source: str
    image: str | None
    resources: TemplateResources | None
    required_credentials: list[str]
    error: str | None


class EnvironmentTemplate(TypedDict):
    template_id: str
    template_name: str
    content: str
    credential_count: int


class Refreshed(TypedDict):
    message: str
    count: int
    broken_count: int


class TemplateSays(TypedDict):
    display_name: str
    description: str
    version: str | None
    author: str | None
    capabilities: list[str]
    required_credentials: list[str]


class Info(TypedDict):
    agent_name: str
    status: Status
    has_template: bool
    template_name: str
    type: str
    resources: Resources
    image: str
    command: list[str]
    can_chat: bool
    message: NotRequired[str]
    display_name: NotRequired[str]
    description: NotRequired[str]
    version: NotRequired[str | None]
    author: NotRequired[str | None]
    capabilities: NotRequired[list[str]]
    required_credentials: NotRequired[list[str]]


class MetricDefinition(TypedDict):
    name: str
    type: str
    label: str


class Metrics(TypedDict):
    agent_name: str
    status: Status
    has_metrics: bool
    message: NotRequired[str]
    definitions: NotRequired[list[MetricDefinition]]
    values: NotRequired[dict[str, Any]]
    last_updated: NotRequired[Time | None]
