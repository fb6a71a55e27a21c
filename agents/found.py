"""What lies on the engine without a row: noted for people to see, adopted or removed by them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from django.db import IntegrityError, transaction

from agents import lifecycle, live, templates
from agents.errors import BrokenTemplate, NameTaken, NotFoundAnyMore, TemplateNotFound
from agents.limits import CPU_CHOICES, MEMORY_CHOICES
from agents.models import Agent, Found, Host, Log, RetainedWorkspace, clean_name
from agents.runtime import Container, ContainerStatus, get_runtime
from agents.template_file import Content
from trinity.audit import Actor, recorded
from trinity.models import User

Kind = Found.Kind
VOLUMES = {"workspace": Kind.WORKSPACE, "spool": Kind.SPOOL}
LABEL_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Rows:
    """What the database accounts for at one moment."""

    uids: frozenset[str]
    #: Of agents that a verb is at work on, which may not have recorded its container yet.
    moving: frozenset[str]
    containers: frozenset[str]
    retained: frozenset[str] = field(default=frozenset())

    @classmethod
    def now(cls, host: Host) -> Self:
        fields = ("uid", "verb", "deleting", "container_id", "old_container_id")
        agents = list(Agent.objects.filter(host=host).values_list(*fields))
        return cls(
            uids=frozenset(uid for uid, *_ in agents),
            moving=frozenset(uid for uid, verb, deleting, *_ in agents if verb or deleting),
            containers=frozenset(each for *_, new, old in agents for each in (new, old)),
            retained=frozenset(
                RetainedWorkspace.objects.filter(host=host).values_list("uid", flat=True)
            ),
        )

    def account_for(self, thing: Found) -> bool:
        if thing.kind != Kind.CONTAINER:
            return thing.uid in self.uids | self.retained
        return thing.reference in self.containers or thing.uid in self.moving


def note(host: Host) -> None:
    """Record what is there and accounted for by nobody: two calls of the engine.

    Rows are read before and after: what was made or erased meanwhile is in one of the two.
    """
    before = Rows.now(host)
    there = [*_containers(host), *_volumes(host)]
    after = Rows.now(host)
    found = [each for each in there if not (before.account_for(each) or after.account_for(each))]
    with transaction.atomic():
        known = {each.reference: each for each in Found.objects.filter(host=host)}
        gone = known.keys() - {each.reference for each in found}
        Found.objects.filter(host=host, reference__in=gone).delete()
        for each in found:
            Found.objects.update_or_create(
                host=host,
                kind=each.kind,
                reference=each.reference,
                defaults={"name": each.name, "uid": each.uid, "runs": each.runs}
                | {"labels": each.labels},
            )


def _containers(host: Host) -> Iterator[Found]:
    for container in get_runtime().containers(instance=host.instance):
        if container.labels.get("trinity.platform") == "agent":
            yield _of_container(host, container)


def _of_container(host: Host, container: Container) -> Found:
    ours = {
        name: value[:LABEL_CHARACTERS]
        for name, value in container.labels.items()
        if name.startswith("trinity.")
    }
    return Found(
        host=host,
        kind=Kind.CONTAINER,
        reference=container.id,
        name=container.name[:255],
        uid=_uid(ours.get("trinity.agent-uid", "")),
        runs=container.status is ContainerStatus.RUNNING,
        labels=ours,
    )


def _uid(text: str) -> str:
    return text if len(text) == 12 and set(text) <= set("0123456789abcdef") else ""


def _volumes(host: Host) -> Iterator[Found]:
    prefix = f"trinity-{host.instance}-"
    for name in get_runtime().volumes(prefix=prefix):
        uid, _, purpose = name.removeprefix(prefix).partition("-")
        if purpose in VOLUMES and _uid(uid):
            yield Found(host=host, kind=VOLUMES[purpose], reference=name, name=name, uid=uid)


def adopt(found: Found, actor: Actor, *, name: str, owner: User, image: str) -> Agent:
    """Make an agent of a container or a workspace, and bring it up in a container of its own.

    Raises InvalidName, NameTaken, ImageNotAllowed, NotFoundAnyMore; and what a start raises,
    after which the agent is there, with the reason at its status.
    """
    name = clean_name(name)
    with recorded(actor, "adopt", "agent", name, detail=str(found)):
        lifecycle.check_image(image)
        lifecycle.check_engine()
        _check_still_there(found)
        if found.kind == Kind.SPOOL or not found.uid:
            raise NotFoundAnyMore("There is no workspace that an agent could be made of: remove it")
        agent = _insert(found, name, owner, image)
    live.announce_from_thread(agent, "agent_created")
    # Not merely started: what runs was made by another configuration.
    lifecycle.restart(agent, actor)
    return agent


def _check_still_there(found: Found) -> None:
    there = Found.objects.filter(pk=found.pk).exists()
    if not there or Rows.now(found.host).account_for(found):
        raise NotFoundAnyMore(f"{found} is gone, or belongs to an agent by now")


def _insert(found: Found, name: str, owner: User, image: str) -> Agent:
    try:
        with transaction.atomic():
            agent = Agent(name=name, uid=found.uid, owner=owner, image=image, host=found.host)
            for field_name, value in _told(found.labels).items():
                setattr(agent, field_name, value)
            if found.kind == Kind.CONTAINER:
                agent.container_id = found.reference
            agent.log = Log.objects.create()
            agent.status = Agent.Status.STOPPED
            agent.save()
            Found.objects.filter(host=found.host, uid=found.uid).delete()
    except IntegrityError as error:
        if Agent.objects.filter(uid=found.uid).exists():
            raise NotFoundAnyMore(
                f"{found} was made for an agent that has another container: remove it"
            ) from error
        raise NameTaken("Agent already exists") from error
    return agent


def _told(labels: dict[str, Any]) -> dict[str, Any]:
    """What the labels say of the agent, as far as it is something that an agent may have."""
    told: dict[str, Any] = {}
    if labels.get("trinity.memory") in MEMORY_CHOICES:
        told["memory_limit"] = labels["trinity.memory"]
    if labels.get("trinity.cpu") in CPU_CHOICES:
        told["cpu_limit"] = labels["trinity.cpu"]
    if labels.get("trinity.agent-type"):
        told["type"] = labels["trinity.agent-type"][:63]
    generation = labels.get("trinity.generation", "")
    if generation.isdecimal() and 0 < int(generation) < 2**31:
        told["generation"] = int(generation)
    return told | _of_template(labels.get("trinity.template", ""))


def _of_template(template: str) -> dict[str, Any]:
    try:
        content: Content = templates.find(template).usable
    except (TemplateNotFound, BrokenTemplate):
        return {}
    return {
        "template": template,
        "command": content.command,
        "prompt_command": content.prompt_command,
        "template_memory": content.memory,
        "template_cpu": content.cpu,
        "template_disk": content.disk,
    }


def remove(found: Found, actor: Actor) -> None:
    """Take it off the engine; a volume only when no container has it any more."""
    with recorded(actor, "remove", found.kind, found.name):
        lifecycle.check_engine()
        _check_still_there(found)
        if found.kind == Kind.CONTAINER:
            get_runtime().remove(found.reference)
        else:
            get_runtime().remove_volume(found.reference)
        found.delete()
