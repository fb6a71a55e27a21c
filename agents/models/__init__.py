"""The tables of agents, a module for each subject."""

from agents.models.activities import Activity
from agents.models.agents import (
    RESERVED_NAMES,
    Agent,
    AgentQuerySet,
    clean_name,
)
from agents.models.environment import EnvironmentValue
from agents.models.found import Found
from agents.models.git import GitConfig
from agents.models.hosts import Host
from agents.models.logs import Log, LogChunk
from agents.models.retained import RetainedWorkspace
from agents.models.shares import Share, ShareQuerySet
from agents.models.stats import Sample, Stats
from agents.models.uids import new_uid

__all__ = [
    "RESERVED_NAMES",
    "Activity",
    "Agent",
    "AgentQuerySet",
    "EnvironmentValue",
    "Found",
    "GitConfig",
    "Host",
    "Log",
    "LogChunk",
    "RetainedWorkspace",
    "Sample",
    "Share",
    "ShareQuerySet",
    "Stats",
    "clean_name",
    "new_uid",
]
