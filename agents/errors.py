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


class TemplateNotFound(NotFound):
    code = "template_not_found"

    def __init__(self, template_id: str) -> None:
        super().__init__(f"No template {template_id!r}: GET /api/templates lists them")


class BrokenTemplate(Invalid):
    """Its ``template.yaml`` cannot be used; the text says why."""

    code = "broken_template"


class SystemAgent(Forbidden):
    """Refused for system agents, whoever asks."""

    code = "system_agent"


class ImageNotAllowed(Invalid):
    code = "image_not_allowed"


class InvalidLimit(Invalid):
    code = "invalid_limit"


class LimitBelowUse(Invalid):
    """The agent uses more memory now than it would be allowed."""

    code = "limit_below_use"


class InvalidVariable(Invalid):
    code = "invalid_variable"


class UnknownVariable(NotFound):
    code = "unknown_variable"


class UnreadableSecret(Invalid):
    """It was sealed with a key that is not there any more."""

    code = "unreadable_secret"


class AgentNotRunning(Invalid):
    code = "agent_not_running"


class AgentPaused(AgentNotRunning):
    """Somebody has paused its container on the engine, behind Trinity's back."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Agent {name} is paused on its engine: resume it there, or restart the agent"
        )


class InvalidRepository(Invalid):
    code = "invalid_repository"


class InvalidBranch(Invalid):
    code = "invalid_branch"


class GitNotConfigured(Invalid):
    code = "git_not_configured"

    def __init__(self) -> None:
        super().__init__("No git repository is configured for this agent: its owner can set one")


class SyncDisabled(Invalid):
    code = "sync_disabled"

    def __init__(self) -> None:
        super().__init__("Sync is switched off for this agent: set sync_enabled in git/config")


class GitDiverged(Invalid):
    """Both sides have commits that the other lacks; nothing is overwritten."""

    code = "git_diverged"


class GitUnsettled(Invalid):
    """The agent itself is in the middle of something with its repository."""

    code = "git_unsettled"


class GitFailed(Invalid):
    """Git, or the other end of its connection, refused; the text is git's own."""

    code = "git_failed"


class DiskLow(Invalid):
    """So little of a disk that all agents share is free that nothing new may begin."""

    code = "disk_low"


class ReportOnly(Invalid):
    """This installation looks at its engine and changes nothing there until it is told to."""

    code = "report_only"


class NotRestorable(Invalid):
    """What was kept of a deleted agent is gone, is about to go, or is not free yet."""

    code = "not_restorable"


class NotFoundAnyMore(Conflict):
    """What was found on the engine is no longer there, or belongs to an agent by now."""

    code = "not_found_any_more"


class NameTaken(Conflict):
    code = "name_taken"


class Busy(Conflict):
    """Another verb is under way on the agent."""

    code = "busy"


class InvalidPath(Invalid):
    code = "invalid_path"


class OutsideWorkspace(Forbidden):
    code = "outside_workspace"


class NotPermitted(Forbidden):
    """The agent's own user may not do it to the file."""

    code = "not_permitted"


class FileMissing(NotFound):
    code = "file_not_found"


class WrongKind(Invalid):
    """A directory where a file is needed, or the other way round."""

    code = "wrong_kind"


class DiskFull(Invalid):
    code = "disk_full"


class ClaimLost(Busy):
    """Another process has taken the verb over; whoever gets this must stop acting."""


class EngineUnavailable(Unavailable):
    code = "engine_unavailable"


class EngineRefused(Unavailable):
    """The engine answers, but not with what was asked for; its reason is in the log."""

    code = "engine_refused"


class AgentUnavailable(Unavailable):
    """The server inside the agent's container does not answer, or is not the one it should be."""

    code = "agent_unavailable"


class AgentBusy(AgentUnavailable):
    """So many wait to be let in by the server that there is no place for one more."""


class StartFailed(Unavailable):
    """The container was made but its agent server did not come up."""

    code = "start_failed"


class ImageMissing(Invalid):
    code = "image_missing"


class ContainerMissing(Conflict):
    """The container was removed behind our back; the reconciler will notice."""

    code = "container_missing"


class VolumeMissing(Conflict):
    code = "volume_missing"


class LeaseLost(Exception):
    """Another supervisor acts on this engine now; whoever gets this must stop writing."""
