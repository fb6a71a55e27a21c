"""What an agent's programs find in their environment: set, removed, and read to be handed over.

A secret is sealed when it comes and opened only for the agent's own server. No answer, record
or error holds its value.
"""

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import transaction

from agents.errors import InvalidVariable, UnknownVariable, UnreadableSecret
from agents.models import Agent, EnvironmentValue
from agents.wire import encode
from trinity.audit import Actor, recorded
from trinity.encryption import Unreadable, seal, unseal

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NAME_LENGTH = 200
VALUE_BYTES = 32 * 1024
# As it goes over the wire: far below its longest line, and below what a program can be given.
TOTAL_BYTES = 256 * 1024
# The platform's own.
RESERVED = "TRINITY_"


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    value: str = field(repr=False)
    is_secret: bool = True


def set_variables(agent: Agent, actor: Actor, variables: Collection[Variable]) -> None:
    """Set all of them or none; others stay as they are. Raises InvalidVariable.

    What runs keeps what it has: a new container gets them, with the next start.
    """
    named = ", ".join(
        f"{each.name} (secret)" if each.is_secret else each.name for each in variables
    )
    with recorded(actor, "set_environment", "agent", agent.name, detail=named):
        check(variables)
        with transaction.atomic():
            # One at a time: two that each fit could be too much together.
            Agent.objects.select_for_update().get(pk=agent.pk)
            for variable in variables:
                _store(agent, variable)
            check_total(readable_values_of(agent))


def remove_variable(agent: Agent, actor: Actor, name: str) -> None:
    """Raises UnknownVariable."""
    with recorded(actor, "remove_environment", "agent", agent.name, detail=name[:NAME_LENGTH]):
        removed, _ = EnvironmentValue.objects.filter(agent=agent, name=name).delete()
        if not removed:
            raise UnknownVariable(f"{agent.name} has no variable {name[:NAME_LENGTH]!r}")


def values_of(agent: Agent) -> dict[str, str]:
    """All of them as its programs are to find them; raises UnreadableSecret."""
    found = EnvironmentValue.objects.filter(agent=agent)
    return {each.name: value_of(each) for each in found}


def readable_values_of(agent: Agent) -> dict[str, str]:
    """Without secrets that no key opens: when keys are lost, they are set again one by one."""
    found = {}
    for variable in EnvironmentValue.objects.filter(agent=agent):
        with suppress(UnreadableSecret):
            found[variable.name] = value_of(variable)
    return found


def value_of(variable: EnvironmentValue) -> str:
    if not variable.is_secret:
        return variable.value
    try:
        return str(unseal(variable.value.encode()))
    except Unreadable as error:
        raise UnreadableSecret(
            f"The secret {variable.name} cannot be read with the encryption keys there are: "
            "set it again"
        ) from error


def check(variables: Collection[Variable]) -> None:
    """Raise InvalidVariable unless each of them may be set."""
    for variable in variables:
        _check_name(variable.name)
        if "\0" in variable.value:
            raise InvalidVariable(f"The value of {variable.name} may not hold NUL")
        if len(variable.value.encode()) > VALUE_BYTES:
            raise InvalidVariable(f"The value of {variable.name} takes more than 32 KiB")
    names = [variable.name for variable in variables]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidVariable(f"Named twice: {', '.join(sorted(twice))}")


def check_total(values: dict[str, str]) -> None:
    """Raise InvalidVariable where they are too much together."""
    total = len(encode(values))
    if total > TOTAL_BYTES:
        raise InvalidVariable(
            f"All variables of the agent together would take {total:,} bytes: "
            f"at most {TOTAL_BYTES:,} are possible. Put large values into files"
        )


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > NAME_LENGTH:
        raise InvalidVariable(
            f"{name[:NAME_LENGTH]!r} cannot be the name of a variable: use letters, digits and _, "
            f"no digit first, at most {NAME_LENGTH}"
        )
    if name.startswith(RESERVED):
        raise InvalidVariable(f"{name} cannot be set: names with {RESERVED} are Trinity's own")


def _store(agent: Agent, variable: Variable) -> None:
    value = seal(variable.value).decode() if variable.is_secret else variable.value
    EnvironmentValue.objects.update_or_create(
        agent=agent,
        name=variable.name,
        defaults={"value": value, "is_secret": variable.is_secret},
    )
