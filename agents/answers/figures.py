"""Figures, logs and limits."""

from typing import Annotated, NotRequired, TypedDict

from agents.answers.agents import AgentObject
from agents.models import Agent
from trinity.answers import Time

Status = Annotated[str, Agent.Status]


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
