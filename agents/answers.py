"""What clients are told of agents: the types of the contract's objects.

Each is what one function builds; ``trinity.schema`` makes the OpenAPI document of them.
"""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from agents.models import Activity, Agent, Share
from trinity.answers import Id, Time

Status = Annotated[str, Agent.Status]
Role = Annotated[str, Share.Role]


# Agents


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


# Figures


class Figures(TypedDict):
    """A figure that is not known is null, never 0."""

    cpu_percent: float | None
    memory_used_bytes: int | None
    memory_limit_bytes: int | None
    network_rx_bytes: int | None
    network_tx_bytes: int | None


class SampleObject(Figures):
    at: Time


class History(TypedDict):
    interval_seconds: int
    samples: list[SampleObject]


class LastFigures(Figures):
    memory_percent: float | None
    sampled_at: Time | None


class StatsObject(LastFigures):
    uptime_seconds: float | None
    status: Status


class ListedAgent(AgentObject):
    stats: NotRequired[StatsObject | None]


class LogText(TypedDict):
    logs: str
    next: int
    truncated: bool


class DiskReport(TypedDict):
    disk_limit: str | None
    effective_disk: str
    disk_used_bytes: int | None


class RecordedLimits(TypedDict):
    memory: str | None
    cpu: str | None


class AppliedLimits(TypedDict):
    current_memory: str | None
    current_cpu: str | None


class EffectiveLimits(TypedDict):
    effective_memory: str
    effective_cpu: str
    warning: NotRequired[str]


class Limits(RecordedLimits, AppliedLimits, EffectiveLimits, DiskReport):
    pass


class LimitsChange(RecordedLimits):
    """What the host allows is told where that is less, the disk where it was asked for."""

    message: str
    restart_needed: bool
    applied_live: bool
    effective_memory: NotRequired[str]
    effective_cpu: NotRequired[str]
    warning: NotRequired[str]
    disk_limit: NotRequired[str | None]
    effective_disk: NotRequired[str]
    disk_used_bytes: NotRequired[int | None]


# Activities


class ActivityObject(TypedDict):
    id: Id
    agent_name: str
    activity_type: Annotated[str, Activity.Type]
    activity_state: Annotated[str, Activity.State]
    parent_activity_id: Id | None
    started_at: Time
    completed_at: Time | None
    duration_ms: int | None
    user_id: int | None
    triggered_by: Annotated[str, Activity.Trigger]
    related_execution_id: str | None
    details: dict[str, Any]
    error: str | None
    created_at: Time


class Activities(TypedDict):
    count: int
    activities: list[ActivityObject]


class AgentActivities(Activities):
    agent_name: str


class ActiveTool(TypedDict):
    name: str
    activity_id: Id
    started_at: Time


class Totals(TypedDict):
    count: int
    completed: int
    failed: int
    duration_ms: int
    since: Time


class Doing(TypedDict):
    status: Literal["idle", "running"]
    active_tool: ActiveTool | None
    timeline: list[ActivityObject]
    totals: Totals


# Environment, templates, reported figures


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


# Git


class NoGit(TypedDict):
    git_enabled: Literal[False]
    message: str


class GitConfigObject(TypedDict):
    git_enabled: Literal[True]
    github_repo: str
    working_branch: str
    instance_id: str
    created_at: Time
    last_sync_at: Time | None
    last_commit_sha: str | None
    sync_enabled: bool


class GitStopped(TypedDict):
    git_enabled: Literal[True]
    agent_running: Literal[False]
    config: GitConfigObject
    message: str


class GitCommit(TypedDict):
    sha: str
    short_sha: str
    message: str
    author: str
    date: Time | None


class GitChange(TypedDict):
    status: str
    path: str


class GitStatus(TypedDict):
    """``behind`` is null where the other end could not be asked; ``message`` says why."""

    git_enabled: Literal[True]
    branch: str | None
    remote_url: str
    last_commit: GitCommit | None
    changes: list[GitChange]
    changes_count: int
    ahead: int
    behind: int | None
    sync_status: Literal["up_to_date", "pending_sync"]
    message: NotRequired[str]


class GitLog(TypedDict):
    commits: list[GitCommit]
    count: int


class GitSync(TypedDict):
    success: bool
    commit_sha: str | None
    files_changed: int
    branch: str
    message: str
    sync_time: Time | None


class GitPull(TypedDict):
    success: bool
    message: str
    output: str


# Files


class Place(TypedDict):
    """``path_encoded`` stands where the path is no text, to ask for it by."""

    name: str
    path: str
    path_encoded: NotRequired[str]
    modified: Time | None


class FileNode(Place):
    type: Literal["file"]
    size: int
    special: NotRequired[bool]


class DirectoryNode(Place):
    type: Literal["directory"]
    children: list["DirectoryNode | FileNode"]
    file_count: int
    truncated: NotRequired[bool]


class FileTree(TypedDict):
    base_path: str
    requested_path: str
    name: str
    type: Literal["directory"]
    tree: list[DirectoryNode | FileNode]
    children: list[DirectoryNode | FileNode]
    total_files: int
    truncated: bool


class Deleted(TypedDict):
    success: bool
    deleted: str
    type: Literal["file", "directory"]


class Uploaded(TypedDict):
    success: bool
    path: str
    size: int


# Tokens


class TokenObject(TypedDict):
    id: int
    name: str
    prefix: str
    scopes: list[str] | None
    agents: list[str] | None
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None


class NewTokenObject(TokenObject):
    """``token`` is shown once: an answer that is given again leaves it out."""

    token: NotRequired[str]
