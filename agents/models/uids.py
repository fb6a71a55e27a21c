"""Names that are never given again."""

from uuid import uuid4


def new_uid() -> str:
    return uuid4().hex[:12]
