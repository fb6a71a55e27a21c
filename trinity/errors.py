"""What can go wrong in the domain, by category; no HTTP, no Django.

Apps subclass these categories. ``trinity.error_answers`` maps each category
to a status once, so a new error needs no change there.
"""


class TrinityError(Exception):
    """Base of every error that a user may read; ``code`` is stable, the text is not."""

    code = "error"
    #: Whether the audit trail tells of it already.
    is_recorded = False


class Invalid(TrinityError):
    """A rule of the domain is broken by what was asked for."""

    code = "invalid"


class NotFound(TrinityError):
    """It does not exist, or the caller may not know that it does."""

    code = "not_found"


class Forbidden(TrinityError):
    """The caller sees the object but may not do this to it."""

    code = "forbidden"


class InsufficientScope(Forbidden):
    """The caller's token is limited to less than this; another of his might do."""

    code = "insufficient_scope"


class Conflict(TrinityError):
    """The object's present state, or one that exists already, does not allow the action."""

    code = "conflict"


class Contradiction(TrinityError):
    """What is asked for does not go with what was asked for before."""

    code = "contradiction"


class TooLarge(TrinityError):
    """The caller sent more than is taken."""

    code = "too_large"


class TooMany(TrinityError):
    """The caller must wait before trying again."""

    code = "too_many"

    def __init__(self, message: str, *, retry_after_seconds: int = 60) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(TrinityError):
    """Something this depends on does not answer; trying again may help."""

    code = "unavailable"
    retry_after_seconds = 5
