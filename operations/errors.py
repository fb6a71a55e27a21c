"""Errors about operations."""

from trinity.errors import Conflict, Invalid, NotFound


class OperationNotFound(NotFound):
    code = "operation_not_found"

    def __init__(self) -> None:
        super().__init__("Operation not found")


class Finished(Conflict):
    code = "finished"

    def __init__(self) -> None:
        super().__init__("The operation has finished")


class NotSupported(Invalid):
    """A form of operation that this version does not run yet."""

    code = "not_supported"
