"""Agents, as lists and their own detail show them."""

from typing import Annotated, TypedDict

from agents.models import Agent, Share
from trinity.answers import Time

Status = Annotated[str, Agent.Status]
Role = Annotated[str, Share.Role]


class Resources(TypedDict):
    cpu: str
    memory: str


class AgentObject(TypedDict):
    name: str
    description: str
    tags: list[str]
    type: str
    status: Status
    status_reason: str
    port: int | None
    created: Time
    resources: Resources
    container_id: str
    template: str
    image: str
    owner: str
    is_owner: bool
    is_shared: bool
    is_system: bool
    github_repo: str | None
    autonomy_enabled: bool
    memory_limit: str | None
    cpu_limit: str | None
    base_image_version: str


class ShareObject(TypedDict):
    id: int
    agent_name: str
    shared_with_email: str
    shared_by_id: int | None
    shared_by_email: str | None
    role: Role
    created_at: Time


class AgentDetail(AgentObject):
    network: Annotated[str, Agent.Network]
    network_notice: str
    can_share: bool
    can_delete: bool
    can_operate: bool
    shares: list[ShareObject]
    recreate_needed: bool


class Verb(TypedDict):
    message: str
    status: Status


class Gate(TypedDict):
    agent_name: str
    autonomy_enabled: bool
    total_schedules: int
    enabled_schedules: int
    status: Status
    message: str
