"""What every path of the API has in common: errors, credentials, bodies, times."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import wraps
from io import BytesIO
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string
from django.views import defaults
from rest_framework import exceptions, serializers
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from trinity import audit, errors
from trinity.error_answers import error_response
from trinity.identity import (
    POLLS_ONE,
    BearerAuthentication,
    CookieAuthentication,
    actor_of,
    bearer_token,
    require_scope,
)
from trinity.models import Scope, User
from trinity.poll_tokens import Poller
from trinity.shapes import MAX_BODY_BYTES, Body, JSONBodyParser, shaped

logger = logging.getLogger(__name__)

# Paths under /api/ that ask for no credentials; those ending in a slash with all below them.
PUBLIC_PATHS = ("/api/token", "/api/auth/mode", "/api/setup/")
OTHER_PATHS = {"/token", "/health", "/metrics"}
# So late may an answer tell that the engine went away, or is back.
ENGINE_STATE_SECONDS = 1.0

View = TypeVar("View", bound="ApiView")
Answered = TypeVar("Answered", bound=HttpResponseBase)
P = ParamSpec("P")


def json_time(at: datetime) -> str:
    """Return the form in which times go out: it sorts as text."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


# What is answered before any view


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django refuses before any view, as ``handler400`` of the URLs."""
    if is_api_path(request.path_info):
        return error_response(exception)
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what a page or the admin refuses, as ``handler403``, and record it."""
    told = getattr(exception.__cause__, "is_recorded", False)
    if isinstance(request.user, User) and not told:
        audit.record_denial(actor_of(request), str(request.method), "path", request.path)
    return defaults.permission_denied(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what fails outside any view, as ``handler500``."""
    error = sys.exc_info()[1]
    if is_api_path(request.path_info) and isinstance(error, Exception):
        return error_response(error)
    return defaults.server_error(request)


# Credentials and paths


def is_api_path(path: str) -> bool:
    return path.startswith("/api/") or path in OTHER_PATHS


def needs_credentials(path: str) -> bool:
    return path.startswith("/api/") and not any(
        path.startswith(public) if public.endswith("/") else path == public
        for public in PUBLIC_PATHS
    )


class ApiMiddleware:
    """Sees to it that nothing below /api/, known or not, is answered without credentials.

    The views authenticate too; here it comes before the question whether a path exists.
    The bearer token is looked up once for both.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_api_path(request.path_info):
            return self.get_response(request)
        if _is_preflight(request):
            return _allow_origin(request, HttpResponse(status=204))
        return _allow_origin(request, self._answer(request))

    def _answer(self, request: HttpRequest) -> HttpResponse:
        try:
            self._admit(request)
        except Exception as error:  # answer_to logs what it does not know
            return error_response(error)
        response = self.get_response(request)
        if needs_credentials(request.path_info) and response.status_code < 400:
            _tell_engine_state(response)
        return response

    @staticmethod
    def _admit(request: HttpRequest) -> None:
        path = request.path_info
        if needs_credentials(path) and not (_has_credentials(request) or _proves_itself(request)):
            raise exceptions.NotAuthenticated
        if "\0" in path:  # PostgreSQL takes no such text, not even to look for it
            raise Http404
        try:
            resolve(path)
        except Resolver404:
            raise errors.NotFound("No such path") from None


def _has_credentials(request: HttpRequest) -> bool:
    return bearer_token(request.META) is not None or request.user.is_authenticated


def _proves_itself(request: HttpRequest) -> bool:
    """Ask the view, of a request that has no credentials, whether it may come without."""
    if "HTTP_AUTHORIZATION" in request.META:
        return False
    try:
        view = getattr(resolve(request.path_info).func, "view_class", None)
    except Resolver404:
        return False
    return isinstance(view, type) and issubclass(view, ApiView) and view.proves_itself(request)


def engine_away_since() -> datetime | None:
    """Return since when the engine is recorded as away.

    ``settings.TRINITY_ENGINE_AWAY_SINCE`` names the function that knows, because the
    platform imports none of the apps built on it.
    """
    path = getattr(settings, "TRINITY_ENGINE_AWAY_SINCE", "")
    since: datetime | None = import_string(path)() if path else None
    return since


def _tell_engine_state(response: HttpResponse) -> None:
    # The answer is ready: a database that goes away only now must not undo it.
    with suppress(OperationalError, InterfaceError):
        if since := _lately_away_since():
            response["Trinity-Engine"] = f"away; since={json_time(since)}"


def _lately_away_since() -> datetime | None:
    """Ask once a second at most: every answer needs it, and some need no other query."""
    global _engine_state  # noqa: PLW0603  # of this process, whoever asks
    asked_at, since = _engine_state
    now = time.monotonic()
    if now - asked_at > ENGINE_STATE_SECONDS:
        since = engine_away_since()
        _engine_state = now, since
    return since


_engine_state: tuple[float, datetime | None] = (-math.inf, None)


def _is_preflight(request: HttpRequest) -> bool:
    asks = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META
    return request.method == "OPTIONS" and asks and _allowed_origin(request) is not None


def _allowed_origin(request: HttpRequest) -> str | None:
    origin: str | None = request.META.get("HTTP_ORIGIN")
    return origin if origin in getattr(settings, "TRINITY_ALLOWED_ORIGINS", []) else None


def _allow_origin(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Let pages of the listed origins read the answer; never with cookies."""
    origin = _allowed_origin(request)
    if origin is None:
        return response
    patch_vary_headers(response, ["Origin"])
    response["Access-Control-Allow-Origin"] = origin
    response["Access-Control-Expose-Headers"] = (
        "Idempotent-Replayed, Link, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, "
        "Retry-After, Trinity-Engine"
    )
    if _is_preflight(request):
        response["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE"
        response["Access-Control-Allow-Headers"] = (
            "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
        )
        response["Access-Control-Max-Age"] = "600"
    return response


# Bodies


class ApiView(APIView):
    """A view whose checks come in the order of the contract: credentials, shape, the rest.

    What a token is limited to belongs to the credentials. The scopes here are the least that a
    method needs, so that no view forgets them; ``agents.access`` asks for more where an agent's
    owner is needed.

    The methods name the shape of their body with ``@takes`` and get it as an argument.
    """

    authentication_classes = [BearerAuthentication, CookieAuthentication]
    parser_classes = [JSONBodyParser]
    #: What a token needs for a safe method, and for any other; None where any token will do.
    read_scope: Scope | None = Scope.READ
    write_scope: Scope | None = Scope.OPERATE
    #: Whether a poll token may come to it; what it finds there is for the view to say.
    takes_poll_tokens = False
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # Before the check of cookie sessions for CSRF, which would look for its token in a
        # form, and read a body of any length where no Content-Length is given.
        self.raw_body = _read_body(request)
        super().initial(request, *args, **kwargs)
        scope = self.read_scope if request.method in SAFE_METHODS else self.write_scope
        if isinstance(request.user, Poller) and not self.takes_poll_tokens:
            raise errors.InsufficientScope(POLLS_ONE)
        if scope and isinstance(request.user, User):
            require_scope(request.user, scope)

    @classmethod
    def proves_itself(cls, request: HttpRequest) -> bool:
        """Tell whether a request without credentials holds in its body what stands for them.

        The view must then ask for that, in the place of a signed-in user.
        """
        return False

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        # Whatever Accept asks for: an error in the wanted form helps no client.
        return JSONRenderer(), "application/json"

    def body(self, shape: type[serializers.Serializer[Any]]) -> Body:
        return shaped(shape, self.parsed_body(), "body")

    def parsed_body(self) -> Any:
        [parser] = self.get_parsers()
        context = self.get_parser_context(self.request)
        content_type = self.request.META.get("CONTENT_TYPE", "")
        return parser.parse(BytesIO(self.raw_body), content_type, context)

    def query(self, shape: type[serializers.Serializer[Any]]) -> Body:
        """Return the query's parameters; their fields may coerce, for all of them are text."""
        return shaped(shape, self.request.GET.dict(), "query")


def takes(
    shape: type[serializers.Serializer[Any]],
) -> Callable[
    [Callable[Concatenate[View, Request, Body, P], Answered]],
    Callable[Concatenate[View, Request, P], Answered],
]:
    """Give the decorated method a body of that shape; what has another is a 422 before it runs."""

    def decorate(
        method: Callable[Concatenate[View, Request, Body, P], Answered],
    ) -> Callable[Concatenate[View, Request, P], Answered]:
        @wraps(method)
        def with_body(
            view: View, request: Request, /, *args: P.args, **kwargs: P.kwargs
        ) -> Answered:
            return method(view, request, view.body(shape), *args, **kwargs)

        # Read by trinity.schema; a function has no such attribute for the type checker.
        setattr(with_body, "shape", shape)  # noqa: B010
        return with_body

    return decorate


def _read_body(request: Request) -> bytes:
    """Return the body; raise TooLarge before more than the limit of it is in memory."""
    # A chunked body announces no length, so one byte more than the limit tells.
    raw = request.read(MAX_BODY_BYTES + 1)
    if len(raw) > MAX_BODY_BYTES:
        raise errors.TooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes")
    return bytes(raw)
