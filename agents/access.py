"""The only door to one agent: by its name, for a user, for a purpose.

Whom it stays closed to is told to the audit trail here, whichever path he came by.
"""

from django.contrib.auth.models import AnonymousUser

from agents.errors import AgentNotFound, MayNotOperate, MayNotOwn
from agents.models import Agent
from trinity import audit
from trinity.errors import Forbidden, InsufficientScope, TrinityError
from trinity.identity import require_scope
from trinity.models import Scope, User

Someone = User | AnonymousUser


def visible_agent(user: Someone, name: str) -> Agent:
    agent = Agent.objects.visible_to(user).for_list(user).filter(name=name).first()
    if agent is None:
        # Of a name that nobody uses there is nothing to tell.
        exists = Agent.objects.present().filter(name=name).exists()
        raise _denied(user, "see", name, AgentNotFound()) if exists else AgentNotFound
    return agent


def operable_agent(user: Someone, name: str) -> Agent:
    """Return it to be acted on, and not to be shown: with its host alone."""
    agent = Agent.objects.operable_by(user).select_related("host").filter(name=name).first()
    if agent is None:
        raise _refused(user, Scope.OPERATE, name, MayNotOperate())
    return agent


def owned_agent(
    user: Someone,
    name: str,
    *,
    refusal: str = "Only owners can do this",
    scope: Scope = Scope.MANAGE,
) -> Agent:
    agent = Agent.objects.owned_by(user, scope).for_list(user).filter(name=name).first()
    if agent is None:
        raise _refused(user, scope, name, MayNotOwn(refusal))
    return agent


def _refused(user: Someone, scope: Scope, name: str, error: Forbidden) -> TrinityError:
    """Return the error, or another where it is not the person but his token that may not.

    Raises AgentNotFound for whom there is no such agent.
    """
    visible_agent(user, name)
    try:
        if isinstance(user, User):
            require_scope(user, scope)
    except InsufficientScope as lacking:
        return _denied(user, scope.value, name, lacking)
    return _denied(user, scope.value, name, error)


def _denied(user: Someone, verb: str, name: str, error: TrinityError) -> TrinityError:
    if not isinstance(user, User):
        return error
    return audit.denied(audit.Actor.of(user), verb, "agent", name, error)
