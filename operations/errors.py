"""Errors about operations."""

from collections.abc import Sequence

from trinity.errors import Conflict, Invalid, NotFound, TooMany, Unavailable


class OperationNotFound(NotFound):
    code = "operation_not_found"

    def __init__(self) -> None:
        super().__init__("Operation not found")


class Finished(Conflict):
    code = "finished"

    def __init__(self) -> None:
        super().__init__("The operation has finished")


class EnvironmentNotKept(Conflict):
    """An environment is erased at the end of its operation: it may hold secrets."""

    code = "environment_not_kept"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"It ran with {', '.join(names)} in its environment, whose values are not kept: "
            "give them again as env, or an empty env to run without"
        )


class NotSupported(Invalid):
    """A form of operation that this version does not run yet."""

    code = "not_supported"


class ArtifactNotFound(NotFound):
    code = "artifact_not_found"

    def __init__(self) -> None:
        super().__init__("Artifact not found")


class ArtifactUnavailable(Unavailable):
    """It is recorded, and its bytes cannot be had."""

    code = "artifact_unavailable"

    def __init__(self) -> None:
        super().__init__("The storage of artifacts does not give this file: try again later")


class QueueFull(TooMany):
    """As many operations wait as may; ``Retry-After`` says when to ask again."""

    code = "queue_full"

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}: ask again later", retry_after_seconds=30)
