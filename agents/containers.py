"""From an agent's record to what the runtime is asked for; the container contract."""

import hmac
import json
from hashlib import sha256
from pathlib import Path

from django.conf import settings

from agents import environment, network, sockets
from agents.image_source import version_of
from agents.models import Agent, RetainedWorkspace
from agents.runtime import ContainerSpec, get_runtime
from agents.spares import Spares
from agents.wire import AgentServer

# What a container is made of, and what it was given, are each so much of its hash.
HALF = 16


def run_directory(agent: Agent, generation: int | None = None) -> Path:
    """A directory of a generation's own: the next one must not meet what it left."""
    return sockets.run_directory(f"{agent.uid}-{generation or agent.generation}")


def run_directories(agent: Agent) -> list[Path]:
    """All it may have: that of an old container is there until it has been removed."""
    generations = range(max(1, agent.generation - 1), agent.generation + 1)
    return [run_directory(agent, generation) for generation in generations]


def server_key(agent: Agent) -> str:
    """The key by which the agent's server proves that it is this generation of this agent.

    Derived and not stored: nothing to keep, nothing to read back from where an agent writes.
    """
    return derived_key(f"agent-server:{agent.uid}:{agent.generation}")


def derived_key(identity: str) -> str:
    return hmac.new(settings.AGENT_KEY.encode(), identity.encode(), sha256).hexdigest()


def server_of(agent: Agent, spares: Spares | None = None) -> AgentServer:
    runtime, container, directory = get_runtime(), agent.container_id, run_directory(agent)
    return AgentServer(lambda: runtime.connect(container, directory), server_key(agent), spares)


def volume_name(agent: Agent | RetainedWorkspace, purpose: str) -> str:
    return f"trinity-{agent.host.instance}-{agent.uid}-{purpose}"


def final_name(agent: Agent) -> str:
    return f"agent-{agent.name}"


def _name(agent: Agent) -> str:
    """The name to make a container with: the final one is the old container's until it stops."""
    name = final_name(agent)
    return f"{name}.new-{agent.generation}" if agent.recreation else name


def spec_of(agent: Agent) -> ContainerSpec:
    environment = {"TRINITY_GENERATION": str(agent.generation)}
    if agent.command:
        # The agent server runs it; its end is the container's.
        environment["TRINITY_COMMAND"] = json.dumps(agent.command)
    return ContainerSpec(
        name=_name(agent),
        image=agent.image,
        limits=agent.limits,
        run_directory=run_directory(agent),
        workspace_volume=volume_name(agent, "workspace"),
        spool_volume=volume_name(agent, "spool"),
        network=network.given_to(agent),
        labels=labels_of(agent),
        environment=environment,
    )


def labels_of(agent: Agent) -> dict[str, str]:
    """Hints for finding things; the database decides what is so."""
    return {
        "trinity.platform": "agent",
        "trinity.instance": agent.host.instance,
        "trinity.agent-name": agent.name,
        "trinity.agent-type": agent.type,
        "trinity.memory": agent.memory,
        "trinity.cpu": agent.cpu,
        "trinity.created": agent.created_at.isoformat(),
        "trinity.template": agent.template,
        "trinity.ssh-port": "",
        "trinity.base-image-version": version_of(agent.image),
        "trinity.is-system": str(agent.is_system).lower(),
        "trinity.generation": str(agent.generation),
        "trinity.agent-uid": agent.uid,
        "trinity.spec": spec_hash(agent),
    }


def spec_hash(agent: Agent) -> str:
    """A hash of everything that only a new container can change; raises UnreadableSecret."""
    made_of = {
        # One that is made here keeps its name when Trinity, and with it the agent server, changes.
        "image": [agent.image, version_of(agent.image)],
        "command": agent.command,
        "network": network.given_to(agent),
        "volumes": [volume_name(agent, "workspace"), volume_name(agent, "spool")],
        # Another one after a restore elsewhere; each generation has its own below it.
        "run_directories": str(run_directory(agent).parent),
    }
    return given(_keyed_hash(made_of), environment.values_of(agent))


def given(spec: str, values: dict[str, str]) -> str:
    """The hash of a container that is otherwise the same, with this environment."""
    return spec[:HALF] + _keyed_hash(values)


def _keyed_hash(value: object) -> str:
    """Keyed, because the engine shows it, and nobody shall try secrets against it."""
    what = b"agent-spec:" + json.dumps(value, sort_keys=True).encode()
    return hmac.new(settings.AGENT_KEY.encode(), what, sha256).hexdigest()[:HALF]
