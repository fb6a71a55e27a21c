"""From an agent's record to what the runtime is asked for; the container contract."""

import hmac
from hashlib import sha256
from pathlib import Path

from django.conf import settings

from agents import sockets
from agents.models import Agent
from agents.runtime import ContainerSpec, get_runtime
from agents.wire import AgentServer


def run_directory(agent: Agent) -> Path:
    """A directory of this generation's own: the next one must not meet what it left."""
    return sockets.run_directory(f"{agent.uid}-{agent.generation}")


def server_key(agent: Agent) -> str:
    """The key by which the agent's server proves that it is this generation of this agent.

    Derived and not stored: nothing to keep, nothing to read back from where an agent writes.
    """
    identity = f"agent-server:{agent.uid}:{agent.generation}"
    return hmac.new(settings.ENCRYPTION_KEY.encode(), identity.encode(), sha256).hexdigest()


def server_of(agent: Agent) -> AgentServer:
    runtime, container, directory = get_runtime(), agent.container_id, run_directory(agent)
    return AgentServer(lambda: runtime.connect(container, directory), server_key(agent))


def volume_name(agent: Agent, purpose: str) -> str:
    return f"trinity-{agent.host.instance}-{agent.uid}-{purpose}"


def spec_of(agent: Agent) -> ContainerSpec:
    environment = {"TRINITY_GENERATION": str(agent.generation)}
    return ContainerSpec(
        name=f"agent-{agent.name}",
        image=agent.image,
        limits=agent.limits,
        run_directory=run_directory(agent),
        workspace_volume=volume_name(agent, "workspace"),
        spool_volume=volume_name(agent, "spool"),
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
        "trinity.base-image-version": "1",
        "trinity.is-system": str(agent.is_system).lower(),
        "trinity.generation": str(agent.generation),
        "trinity.agent-uid": agent.uid,
        "trinity.spec": _spec_hash(agent),
    }


def _spec_hash(agent: Agent) -> str:
    """A hash of everything that only a new container can change."""
    what = "\0".join([agent.host.instance, agent.uid, str(agent.generation), agent.image])
    return sha256(what.encode()).hexdigest()[:16]
