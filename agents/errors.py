"""Errors about agents and the runtime that carries them."""

from trinity.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable


class AgentNotFound(NotFound):
    """The same for an agent that does not exist and one that the caller may not see."""

    code = "agent_not_found"

    def __init__(self) -> None:
        super().__init__("Agent not found")


class MayNotOperate(Forbidden):
    code = "may_not_operate"

    def __init__(self) -> None:
        super().__init__(
            "You can see this agent but not operate it: ask its owner for the operator role"
        )


class MayNotOwn(Forbidden):
    code = "may_not_own"


class InvalidName(Invalid):
    code = "invalid_name"


class UnknownTemplate(Invalid):
    code = "unknown_template"


class ImageNotAllowed(Invalid):
    code = "image_not_allowed"


class InvalidLimit(Invalid):
    code = "invalid_limit"


class LimitBelowUse(Invalid):
    """The agent uses more memory now than it would be allowed."""

    code = "limit_below_use"


class AgentNotRunning(Invalid):
    code = "agent_not_running"


class NameTaken(Conflict):
    code = "name_taken"


class Busy(Conflict):
    """Another verb is under way on the agent."""

    code = "busy"


class EngineUnavailable(Unavailable):
    code = "engine_unavailable"


class EngineRefused(Unavailable):
    """The engine answers, but not with what was asked for; its reason is in the log."""

    code = "engine_refused"


class AgentUnavailable(Unavailable):
    """The server inside the agent's container does not answer, or is not the one it should be."""

    code = "agent_unavailable"


class StartFailed(Unavailable):
    """The container was made but its agent server did not come up."""

    code = "start_failed"


class ImageMissing(Invalid):
    code = "image_missing"


class ContainerMissing(Conflict):
    """The container was removed behind our back; the reconciler will notice."""

    code = "container_missing"


class LeaseLost(Exception):
    """Another supervisor acts on this engine now; whoever gets this must stop writing."""
