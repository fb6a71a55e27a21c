"""From an error to its answer: the status, the code and the text that people read."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from trinity import audit, errors
from trinity.identity import actor_of
from trinity.shapes import Malformed, problems_of

logger = logging.getLogger(__name__)

STATUS = {
    errors.Invalid: 400,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.Contradiction: 422,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}
OF_DJANGO = {
    Http404: (404, "not_found", "Not found"),
    PermissionDenied: (403, "forbidden", "You may not do this"),
    RequestDataTooBig: (413, "too_large", "The request is too large"),
    SuspiciousOperation: (400, "bad_request", "The request is not one that can be answered"),
}
# What a path is about, for the audit trail.
OBJECT_PATH = re.compile(r"/api/(?:v1/)?(agent|operation|token|pool)s/([^/]+)/?(.*)")
CODES = {400: "invalid", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, status: int, code: str, detail: str, *, retry_after: int | None = None
    ) -> ErrorAnswer:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return cls(status, {"detail": detail, "code": code}, headers)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Answer every error as JSON; what nobody foresaw is logged, and answered without detail."""
    set_rollback()
    if isinstance(error, errors.Forbidden):
        request = context["request"]
        record_refusal(error, actor_of(request), request.method, request.path)
    answer = answer_to(error)
    return Response(answer.body, status=answer.status, headers=answer.headers)


def record_refusal(error: errors.Forbidden, actor: audit.Actor, method: str, path: str) -> None:
    """Tell the audit trail, unless something nearer to the object has told it."""
    if error.is_recorded:
        return
    found = OBJECT_PATH.fullmatch(path)
    kind, name, rest = found.groups() if found else ("path", path, "")
    audit.denied(actor, f"{method} {rest}".strip()[:40], kind, name, error)


def error_response(error: Exception) -> JsonResponse:
    answer = answer_to(error)
    return JsonResponse(answer.body, status=answer.status, headers=answer.headers)


def answer_to(error: Exception) -> ErrorAnswer:
    match error:
        case errors.TrinityError():
            return _answer_to_domain(error)
        case Malformed():
            return ErrorAnswer(422, {"detail": error.problems})
        case exceptions.APIException():
            return _answer_to_rest(error)
        case OperationalError() | InterfaceError():
            logger.warning("The database does not answer: %s", error)
            detail = "The database does not answer: try again"
            return ErrorAnswer.of(503, "database_unavailable", detail, retry_after=5)
    for kind, answer in OF_DJANGO.items():
        if isinstance(error, kind):
            return ErrorAnswer.of(*answer)
    logger.error("Unforeseen error", exc_info=error)
    return ErrorAnswer.of(500, "internal_error", "An error of the server: its log says more")


def _answer_to_domain(error: errors.TrinityError) -> ErrorAnswer:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)
    retry_after = getattr(error, "retry_after_seconds", None)
    return ErrorAnswer.of(status, error.code, str(error), retry_after=retry_after)


def _answer_to_rest(error: exceptions.APIException) -> ErrorAnswer:
    match error:
        case exceptions.NotAuthenticated():
            return _unauthorized("Not authenticated")
        case exceptions.AuthenticationFailed():
            return _unauthorized(str(error.detail))
        case exceptions.ParseError():
            return answer_to(Malformed.whole("json_invalid", str(error.detail)))
        case exceptions.ValidationError():
            return ErrorAnswer(422, {"detail": list(problems_of(error.detail, None, ["body"]))})
        case exceptions.Throttled():
            wait = math.ceil(getattr(error, "wait", None) or 60)
            return ErrorAnswer.of(429, "too_many", "Too many requests", retry_after=wait)
    text = str(error.detail)
    code = (
        "csrf_failed" if text.startswith("CSRF Failed") else CODES.get(error.status_code, "error")
    )
    return ErrorAnswer.of(error.status_code, code, text)


def _unauthorized(detail: str) -> ErrorAnswer:
    return ErrorAnswer(401, {"detail": detail}, {"WWW-Authenticate": "Bearer"})
