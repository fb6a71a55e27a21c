"""Docker behind ``agents.runtime``: the only package that knows it."""

from agents.docker_runtime.verbs import DockerRuntime

__all__ = ["DockerRuntime"]
