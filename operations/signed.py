"""The signed form of asking for an operation: its body holds a signature, not credentials.

Everything else of it is as with the other form, and the rules are in ``operations.grants``.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from operations import grants
from operations.grants import Signed
from operations.reports import OperationCreated, created
from operations.signatures import SIGNATURE
from trinity.api import ApiView
from trinity.identity import address_of
from trinity.rate_limits import Spent, network_of, spend
from trinity.shapes import Text

# Of a whole body: what somebody without credentials may make us read.
LARGEST = 64 * 1024
KEYS = {"app_signature", "operation_request_json"}

Post = Callable[..., Response]


class SignedShape(serializers.Serializer[Any]):
    app_signature = serializers.RegexField(
        rf"^{SIGNATURE.pattern}\Z",
        trim_whitespace=False,
        error_messages={"invalid": "0x and 130 hexadecimal digits"},
    )
    operation_request_json = Text()


def is_signed(body: bytes) -> bool:
    """Tell whether a body has the signed form, right or wrong."""
    if len(body) > LARGEST:
        return False
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(sent, dict) and not KEYS.isdisjoint(sent)


class SignedInOrSigned(IsAuthenticated):
    def has_permission(self, request: Request, view: Any) -> bool:
        return super().has_permission(request, view) or (
            request.method == "POST" and is_signed(view.raw_body)
        )


class SignedView(ApiView):
    """A view whose POST takes the signed form too, by ``@or_signed``."""

    permission_classes = [SignedInOrSigned]
    #: The limit that has the least left, told with every answer to the signed form.
    spent: Spent | None = None

    @classmethod
    def proves_itself(cls, request: HttpRequest) -> bool:
        length = request.META.get("CONTENT_LENGTH") or "0"
        # Only now, and so only a short one, is the body looked at.
        is_short = length.isdecimal() and int(length) <= LARGEST
        return request.method == "POST" and is_short and is_signed(request.body)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        for name, value in self.spent.headers.items() if self.spent else ():
            final[name] = value
        return final

    def limit(self, what: str, who: str, at_most: int) -> None:
        """Count the request; raise TooMany when there were enough."""
        spent = spend(what, who, at_most)
        if self.spent is None or spent.remaining < self.spent.remaining:
            self.spent = spent
        spent.check("Too many signed requests: wait as long as Retry-After says")


def or_signed(method: Post) -> Post:
    """Take the signed form, whoever sends it; leave any other to the method."""

    @wraps(method)
    def post(view: SignedView, request: Request) -> Response:
        return _answer(view, request) if is_signed(view.raw_body) else method(view, request)

    # Read by trinity.schema; a function has no such attribute for the type checker.
    setattr(post, "shape", (getattr(method, "shape"), SignedShape))  # noqa: B009, B010
    return post


def _answer(view: SignedView, request: Request) -> Response:
    address = address_of(request)
    view.limit("address", network_of(address), settings.TRINITY_ADDRESS_RATE)
    body = view.body(SignedShape)
    signed = Signed.by(body["operation_request_json"], body["app_signature"])
    view.limit("signer", signed.signer, settings.TRINITY_SIGNER_RATE)
    operation, token = grants.run(signed, address)
    told: OperationCreated = {**created(operation), "poll_token": token}
    return Response(told, status=202, headers={"Cache-Control": "no-store"})
