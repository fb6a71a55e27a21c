"""The calls about people: health of the service, signing in, setup, tokens, tickets."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from axes.helpers import get_cool_off
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_in
from django.db import DatabaseError
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from trinity import audit
from trinity.api import ApiView, engine_away_since, json_time, takes
from trinity.errors import Forbidden, Invalid, NotFound, TooMany
from trinity.identity import (
    TICKET_SECONDS,
    actor_of,
    address_of,
    create_first_administrator,
    is_set_up,
    issue_ticket,
    user_of,
)
from trinity.models import ApiToken, AuditEvent, User
from trinity.shapes import Body, Malformed, Moment, Text, texts


class NotSupported(Invalid):
    code = "not_supported"


class SetupRequired(Forbidden):
    code = "setup_required"


class InvalidPassword(Invalid):
    code = "invalid_password"


class InvalidToken(Invalid):
    code = "invalid_token"


class InvalidPath(Invalid):
    code = "invalid_path"


class TokenNotFound(NotFound):
    code = "token_not_found"


class PublicView(ApiView):
    """Answers anyone; it does not even look at credentials, which may be stale."""

    authentication_classes = []
    permission_classes = [AllowAny]


class HealthView(PublicView):
    """Tells from recorded state, without asking the engine."""

    def get(self, _request: Request) -> Response:
        now = json_time(timezone.now())
        failing = _failing_part()
        if failing is None:
            return Response({"status": "healthy", "timestamp": now})
        body = {
            "status": "unhealthy",
            "timestamp": now,
            "failing": failing,
            "detail": f"The {failing} does not answer",
            "code": f"{failing}_unavailable",
        }
        return Response(body, status=503, headers={"Retry-After": "5"})


def _failing_part() -> str | None:
    try:
        # A table is read, because SQLite answers SELECT 1 without opening its file.
        User.objects.exists()
        return "engine" if engine_away_since() else None
    except DatabaseError:
        return "database"


class ModeView(PublicView):
    def get(self, _request: Request) -> Response:
        return Response(
            {
                "dev_mode_enabled": settings.DEBUG,
                "auth0_configured": False,
                "email_auth_enabled": False,
                "allowed_domain": None,
                "setup_completed": is_set_up(),
            }
        )


class FormParser(BaseParser):
    """Reads a form in either encoding."""

    media_type = "application/x-www-form-urlencoded"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Body:
        raw = stream.read()
        if not (media_type or "").startswith("multipart/"):
            return QueryDict(raw, encoding="utf-8").dict()
        # Chunked bodies have no length of their own.
        meta = {"CONTENT_TYPE": media_type, "CONTENT_LENGTH": len(raw)}
        stream.seek(0)
        try:
            form, _files = MultiPartParser(meta, stream, [], "utf-8").parse()
        except MultiPartParserError:
            raise Malformed.whole("form_invalid", "The body is not a valid form") from None
        return form.dict()


class Credentials(serializers.Serializer[Any]):
    username = Text(max_length=150)
    password = Text(max_length=4096)


class SignInView(PublicView):
    parser_classes = [FormParser]

    @takes(Credentials)
    def post(self, request: Request, body: Body) -> Response:
        if not is_set_up():
            raise SetupRequired("setup_required")
        user = _sign_in(request, body["username"], body["password"])
        if user is None:
            headers = {"WWW-Authenticate": "Bearer"}
            detail = {"detail": "Incorrect username or password", "code": "incorrect_credentials"}
            return Response(detail, status=401, headers=headers)
        expires_at = timezone.now() + ApiToken.SIGN_IN_LIFETIME
        _token, text = ApiToken.issue(user, "Sign-in", expires_at=expires_at)
        return Response({"access_token": text, "token_type": "bearer"})


def _sign_in(request: Request, username: str, password: str) -> User | None:
    """Return the user; raise TooMany for a pair of user and address with too many failures."""
    # A request of its own for axes, whose middleware would answer for us if it marked ours.
    attempt = HttpRequest()
    attempt.META, attempt.path, attempt.method = request.META, request.path, "POST"
    user = authenticate(attempt, username=username, password=password)
    if isinstance(user, User):
        # Resets the failures of the pair.
        user_logged_in.send(sender=User, request=attempt, user=user)
        actor = audit.Actor(user, None, address_of(request))
        audit.record(actor, "sign_in", "user", username[:100])
        return user
    if getattr(attempt, "axes_locked_out", False):
        raise TooMany(
            "Too many failed sign-ins of this user from this address: try again later",
            retry_after_seconds=math.ceil(get_cool_off(attempt).total_seconds()),
        )
    stranger = audit.Actor(address=address_of(request))
    denied = AuditEvent.Outcome.DENIED
    audit.record(stranger, "sign_in", "user", username[:100], outcome=denied)
    return None


class ValidateView(ApiView):
    def get(self, request: Request) -> Response:
        return Response({"status": "valid", "user": request.user.get_username()})


class SetupStatusView(PublicView):
    def get(self, _request: Request) -> Response:
        return Response({"setup_completed": is_set_up()})


class NewPassword(serializers.Serializer[Any]):
    password = Text(max_length=4096)
    confirm_password = Text(max_length=4096)


class SetupView(PublicView):
    @takes(NewPassword)
    def post(self, request: Request, body: Body) -> Response:
        if not is_set_up():
            _check_password(body["password"], body["confirm_password"])
        user = create_first_administrator(body["password"])
        actor = audit.Actor(user, None, address_of(request))
        audit.record(actor, "setup", "user", user.get_username())
        return Response({"success": True})


def _check_password(password: str, confirmed: str) -> None:
    if len(password) < 8:
        raise InvalidPassword("Password must be at least 8 characters")
    if password != confirmed:
        raise InvalidPassword("Passwords do not match")


class MeView(ApiView):
    def get(self, request: Request) -> Response:
        user = user_of(request)
        return Response(
            {
                "username": user.get_username(),
                "email": user.email,
                "name": user.get_full_name() or user.get_username(),
                "picture": None,
                "role": "admin" if user.is_superuser else "user",
            }
        )


class NewToken(serializers.Serializer[Any]):
    name = Text()
    scopes = texts(required=False, allow_null=True)
    agents = texts(required=False, allow_null=True)
    expires_at = Moment(required=False, allow_null=True, default=None)


class TokensView(ApiView):
    def get(self, request: Request) -> Response:
        tokens = ApiToken.objects.filter(user=user_of(request))
        return Response([_token_json(token) for token in tokens])

    @takes(NewToken)
    def post(self, request: Request, body: Body) -> Response:
        for right in ("scopes", "agents"):
            if body.get(right) is not None:
                raise NotSupported(f"Tokens cannot be limited by {right} yet")
        name = _token_name(body["name"])
        expires_at = _future(body["expires_at"])
        token, text = ApiToken.issue(user_of(request), name, expires_at=expires_at)
        audit.record(actor_of(request), "create", "token", token.name)
        return Response({**_token_json(token), "token": text}, status=201)


class TokenView(ApiView):
    def delete(self, request: Request, token_id: int) -> Response:
        token = ApiToken.objects.filter(user=user_of(request), pk=token_id).first()
        if token is None:
            raise TokenNotFound("Token not found")
        # Recorded first: the event may be about the very token that asks for its own end.
        audit.record(actor_of(request), "delete", "token", token.name)
        token.delete()
        return Response(status=204)


def _token_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= 100:
        raise InvalidToken("A token's name has 1 to 100 characters")
    return name


def _future(at: datetime | None) -> datetime | None:
    if at is not None and at <= timezone.now():
        raise InvalidToken("expires_at lies in the past")
    return at


def _token_json(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.pk,
        "name": token.name,
        "prefix": token.prefix,
        # No token is limited yet: all that its user may, for all of his agents.
        "scopes": [],
        "agents": None,
        "created_at": json_time(token.created_at),
        "expires_at": json_time(token.expires_at) if token.expires_at else None,
        "last_used_at": json_time(token.last_used_at) if token.last_used_at else None,
    }


class NewTicket(serializers.Serializer[Any]):
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # A keyword of Python can be no attribute of a class.
        return {"for": Text(max_length=2000)}


class TicketsView(ApiView):
    @takes(NewTicket)
    def post(self, request: Request, body: Body) -> Response:
        opened = body["for"].partition("?")[0]
        if not opened.startswith("/"):
            raise InvalidPath("A ticket is for a path, which begins with a slash")
        ticket = issue_ticket(user_of(request), opened)
        return Response({"ticket": ticket, "expires_in_seconds": TICKET_SECONDS})


urlpatterns = [
    path("health", HealthView.as_view()),
    path("token", SignInView.as_view()),
    path("api/token", SignInView.as_view()),
    path("api/auth/mode", ModeView.as_view()),
    path("api/auth/validate", ValidateView.as_view()),
    path("api/setup/status", SetupStatusView.as_view()),
    path("api/setup/admin-password", SetupView.as_view()),
    path("api/users/me", MeView.as_view()),
    path("api/tokens", TokensView.as_view()),
    path("api/tokens/<int:token_id>", TokenView.as_view()),
    path("api/tickets", TicketsView.as_view()),
]
