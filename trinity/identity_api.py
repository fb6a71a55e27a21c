"""The calls about people: health of the service, signing in, setup, tokens, tickets."""

from __future__ import annotations

import math
from typing import Any, Literal, TypedDict

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
from trinity.answers import Error, Time, answers
from trinity.api import ApiView, engine_away_since, json_time, takes
from trinity.errors import Forbidden, Invalid, TooMany
from trinity.identity import (
    TICKET_SECONDS,
    address_of,
    create_first_administrator,
    is_set_up,
    issue_ticket,
    user_of,
)
from trinity.models import ApiToken, Scope, User
from trinity.shapes import Body, Malformed, Text


class SetupRequired(Forbidden):
    code = "setup_required"


class InvalidPassword(Invalid):
    code = "invalid_password"


class InvalidPath(Invalid):
    code = "invalid_path"


class PublicView(ApiView):
    """Answers anyone; it does not even look at credentials, which may be stale."""

    authentication_classes = []
    permission_classes = [AllowAny]


class Healthy(TypedDict):
    status: Literal["healthy"]
    timestamp: Time


class Unhealthy(TypedDict):
    status: Literal["unhealthy"]
    timestamp: Time
    failing: str
    detail: str
    code: str


class Mode(TypedDict):
    dev_mode_enabled: bool
    auth0_configured: bool
    email_auth_enabled: bool
    allowed_domain: str | None
    setup_completed: bool


class SignedIn(TypedDict):
    access_token: str
    token_type: Literal["bearer"]


class Validity(TypedDict):
    status: Literal["valid"]
    user: str


class SetupStatus(TypedDict):
    setup_completed: bool


class Success(TypedDict):
    success: bool


class Me(TypedDict):
    username: str
    email: str
    name: str
    picture: str | None
    role: Literal["admin", "user"]


class Ticket(TypedDict):
    ticket: str
    expires_in_seconds: int


class HealthView(PublicView):
    """Tells from recorded state, without asking the engine."""

    @answers(Healthy, also={503: Unhealthy})
    def get(self, _request: Request) -> Response:
        now = json_time(timezone.now())
        failing = _failing_part()
        if failing is None:
            told: Healthy = {"status": "healthy", "timestamp": now}
            return Response(told)
        body: Unhealthy = {
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
    @answers(Mode)
    def get(self, _request: Request) -> Response:
        told: Mode = {
            "dev_mode_enabled": settings.DEBUG,
            "auth0_configured": False,
            "email_auth_enabled": False,
            "allowed_domain": None,
            "setup_completed": is_set_up(),
        }
        return Response(told)


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

    @answers(SignedIn, 403, 429, also={401: Error})
    @takes(Credentials)
    def post(self, request: Request, body: Body) -> Response:
        if not is_set_up():
            raise SetupRequired("setup_required")
        user = _sign_in(request, body["username"], body["password"])
        if user is None:
            headers = {"WWW-Authenticate": "Bearer"}
            refusal: Error = {
                "detail": "Incorrect username or password",
                "code": "incorrect_credentials",
            }
            return Response(refusal, status=401, headers=headers)
        expires_at = timezone.now() + ApiToken.SIGN_IN_LIFETIME
        _token, text = ApiToken.issue(user, "Sign-in", expires_at=expires_at)
        told: SignedIn = {"access_token": text, "token_type": "bearer"}
        return Response(told)


def _sign_in(request: Request, username: str, password: str) -> User | None:
    """Return the user; raise TooMany for a pair of user and address with too many failures."""
    # A request of its own for axes, whose middleware would answer for us if it marked ours.
    attempt = HttpRequest()
    attempt.META, attempt.path, attempt.method = request.META, request.path, "POST"
    user = authenticate(attempt, username=username, password=password)
    if isinstance(user, User):
        # Resets the failures of the pair, and is recorded (trinity.sign_ins) as a page's is.
        user_logged_in.send(sender=User, request=attempt, user=user)
        return user
    if getattr(attempt, "axes_locked_out", False):
        raise TooMany(
            "Too many failed sign-ins of this user from this address: try again later",
            retry_after_seconds=math.ceil(get_cool_off(attempt).total_seconds()),
        )
    return None


class ValidateView(ApiView):
    read_scope = None

    @answers(Validity)
    def get(self, request: Request) -> Response:
        told: Validity = {"status": "valid", "user": request.user.get_username()}
        return Response(told)


class SetupStatusView(PublicView):
    @answers(SetupStatus)
    def get(self, _request: Request) -> Response:
        told: SetupStatus = {"setup_completed": is_set_up()}
        return Response(told)


class NewPassword(serializers.Serializer[Any]):
    password = Text(max_length=4096)
    confirm_password = Text(max_length=4096)


class SetupView(PublicView):
    @answers(Success, 400, 403, 409)
    @takes(NewPassword)
    def post(self, request: Request, body: Body) -> Response:
        if not is_set_up():
            _check_password(body["password"], body["confirm_password"])
        user = create_first_administrator(body["password"])
        actor = audit.Actor(user, None, address_of(request))
        audit.record(actor, "setup", "user", user.get_username())
        told: Success = {"success": True}
        return Response(told)


def _check_password(password: str, confirmed: str) -> None:
    if len(password) < 8:
        raise InvalidPassword("Password must be at least 8 characters")
    if password != confirmed:
        raise InvalidPassword("Passwords do not match")


class MeView(ApiView):
    read_scope = None

    @answers(Me)
    def get(self, request: Request) -> Response:
        user = user_of(request)
        told: Me = {
            "username": user.get_username(),
            "email": user.email,
            "name": user.get_full_name() or user.get_username(),
            "picture": None,
            "role": "admin" if user.is_superuser else "user",
        }
        return Response(told)


class NewTicket(serializers.Serializer[Any]):
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # A keyword of Python can be no attribute of a class.
        return {"for": Text(max_length=2000)}


class TicketsView(ApiView):
    # It opens what the token itself may read.
    write_scope = Scope.READ

    @answers(Ticket, 400)
    @takes(NewTicket)
    def post(self, request: Request, body: Body) -> Response:
        opened = body["for"].partition("?")[0]
        if not opened.startswith("/"):
            raise InvalidPath("A ticket is for a path, which begins with a slash")
        ticket = issue_ticket(user_of(request), opened)
        told: Ticket = {"ticket": ticket, "expires_in_seconds": TICKET_SECONDS}
        return Response(told)


urlpatterns = [
    path("health", HealthView.as_view()),
    path("token", SignInView.as_view()),
    path("api/token", SignInView.as_view()),
    path("api/auth/mode", ModeView.as_view()),
    path("api/auth/validate", ValidateView.as_view()),
    path("api/setup/status", SetupStatusView.as_view()),
    path("api/setup/admin-password", SetupView.as_view()),
    path("api/users/me", MeView.as_view()),
    path("api/tickets", TicketsView.as_view()),
]
