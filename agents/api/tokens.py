"""A person's tokens: all that he may, or limited to scopes, to agents and to a time.

By a token that is limited he sees, makes and deletes only what may no more than it. This is
beside the other calls about people because a token can name agents.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access
from agents.answers.tokens import NewTokenObject, TokenObject
from trinity import audit
from trinity.answers import answers
from trinity.api import ApiView, json_time, takes
from trinity.errors import Forbidden, InsufficientScope, Invalid, NotFound
from trinity.idempotency import creates
from trinity.identity import actor_of, user_of
from trinity.models import ApiToken, Scope, User
from trinity.pagination import PageShape, page
from trinity.shapes import Body, Choice, Moment, Text, texts

AGENTS_AT_MOST = 100


class InvalidToken(Invalid):
    code = "invalid_token"


class MayNotMeasure(Forbidden):
    code = "administrators_only"


class TokenNotFound(NotFound):
    code = "token_not_found"


class NewToken(serializers.Serializer[Any]):
    name = Text()
    scopes = serializers.ListField(
        child=Choice(choices=Scope.choices), required=False, allow_null=True, default=None
    )
    agents = texts(required=False, allow_null=True, default=None, max_length=AGENTS_AT_MOST)
    expires_at = Moment(required=False, allow_null=True, default=None)


class TokensView(ApiView):
    write_scope = Scope.MANAGE

    @answers(list[TokenObject], query=PageShape)
    def get(self, request: Request) -> Response:
        user, query = user_of(request), self.query(PageShape)

        def told(tokens: Sequence[ApiToken]) -> list[TokenObject]:
            return [_token_json(token) for token in tokens if _covers(user, token)]

        tokens = ApiToken.objects.filter(user=user)
        return page(request, tokens, query, told, "-created_at", "-pk")

    @answers(NewTokenObject, 400, 404, status=201)
    @creates(shown_once=["token"])
    @takes(NewToken)
    def post(self, request: Request, body: Body) -> Response:
        user = user_of(request)
        wanted = _wanted(user, body)
        with audit.recorded(actor_of(request), "create", "token", wanted.name):
            _refuse_more(user, wanted)
            token, text = ApiToken.issue(
                user,
                wanted.name,
                scopes=wanted.scopes,
                agents=wanted.agents,
                expires_at=wanted.expires_at,
            )
        told: NewTokenObject = {**_token_json(token), "token": text}
        return Response(told, status=201)


class TokenView(ApiView):
    write_scope = Scope.MANAGE

    @answers(None, status=204)
    def delete(self, request: Request, token_id: int) -> Response:
        user = user_of(request)
        token = ApiToken.objects.filter(user=user, pk=token_id).first()
        if token is None or not _covers(user, token):
            raise TokenNotFound("Token not found")
        # Recorded first: the event may be about the very token that asks for its own end.
        audit.record(actor_of(request), "delete", "token", token.name)
        token.delete()
        return Response(status=204)


def _covers(user: User, token: ApiToken) -> bool:
    return user.token is None or user.token.covers(token)


def _wanted(user: User, body: Body) -> ApiToken:
    """Return the token as asked for; what is left out, a limited token hands on from itself."""
    wanted = ApiToken(
        user=user,
        name=_name(body["name"]),
        expires_at=_future(body["expires_at"]),
        scopes=_scopes(body["scopes"]),
        agents=_agents(user, body["agents"]),
    )
    own = user.token
    if own and own.is_narrow:
        wanted.scopes = wanted.scopes or own.scopes
        wanted.agents = wanted.agents or own.agents
        wanted.expires_at = wanted.expires_at or own.expires_at
    return wanted


def _name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= 100:
        raise InvalidToken("A token's name has 1 to 100 characters")
    return name


def _future(at: datetime | None) -> datetime | None:
    if at is not None and at <= timezone.now():
        raise InvalidToken("expires_at lies in the past")
    return at


def _scopes(scopes: list[str] | None) -> list[str] | None:
    if scopes == []:
        raise InvalidToken("A token without any scope could do nothing: name one, or leave it out")
    return scopes and [scope for scope in Scope.values if scope in scopes]


def _agents(user: User, names: list[str] | None) -> list[dict[str, str]] | None:
    if names == []:
        raise InvalidToken("A token for no agent could do nothing: name one, or leave it out")
    found = [access.visible_agent(user, name) for name in sorted(set(names or []))]
    return [{"uid": agent.uid, "name": agent.name} for agent in found] or None


def _refuse_more(user: User, wanted: ApiToken) -> None:
    """Raise when the token would be more than its user, or than the one that asks for it."""
    if Scope.METRICS in (wanted.scopes or []) and not user.is_superuser:
        raise MayNotMeasure("Metrics tell of all agents: only administrators can let them be read")
    own = user.token
    if own is None or not own.is_narrow:
        return
    outlives = own.expires_at and (not wanted.expires_at or wanted.expires_at > own.expires_at)
    if outlives or not own.covers(wanted):
        raise InsufficientScope("A limited token cannot make one that may more or lives longer")


def _token_json(token: ApiToken) -> TokenObject:
    return {
        "id": token.pk,
        "name": token.name,
        "prefix": token.prefix,
        "scopes": token.scopes,
        "agents": None if token.agents is None else [agent["name"] for agent in token.agents],
        "created_at": json_time(token.created_at),
        "expires_at": json_time(token.expires_at) if token.expires_at else None,
        "last_used_at": json_time(token.last_used_at) if token.last_used_at else None,
    }


urlpatterns = [
    path("api/tokens", TokensView.as_view()),
    path("api/tokens/<int:token_id>", TokenView.as_view()),
]
