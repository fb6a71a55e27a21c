"""Tokens."""

from typing import NotRequired, TypedDict

from trinity.answers import Time


class TokenObject(TypedDict):
    id: int
    name: str
    prefix: str
    scopes: list[str] | None
    agents: list[str] | None
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None


class NewTokenObject(TokenObject):
    """``token`` is shown once: an answer that is given again leaves it out."""

    token: NotRequired[str]
