"""The operators' console; what is registered there is found when this is imported."""

from agents.admin import agents, remains

__all__ = ["agents", "remains"]
