"""``Idempotency-Key``: a POST that creates something does so once, however often it is sent.

The claim of a key is committed before anything is done. Of equal requests at the same moment one
acts and the others wait for its answer. The claim of a process that died runs out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from rest_framework.request import Request
from rest_framework.response import Response

from trinity.api import ApiView
from trinity.error_answers import answer_to
from trinity.errors import Conflict, Contradiction, TrinityError
from trinity.identity import user_of
from trinity.models import IdempotentRequest, User
from trinity.shapes import Malformed

# A verb answers within 25 s, so a claim this old is of a process that died.
CLAIM = timedelta(seconds=90)
WAIT_SECONDS = 25.0
STEP_SECONDS = 0.05
KEY_LENGTH = 255
# These say that nothing was decided: the next request with the key is a new attempt.
UNDECIDED = {401, 422, 429}

View = TypeVar("View", bound=ApiView)
P = ParamSpec("P")


class KeyReused(Contradiction):
    code = "idempotency_key_reused"


class StillBusy(Conflict):
    code = "busy"


def creates(
    *, shown_once: Collection[str] = ()
) -> Callable[
    [Callable[Concatenate[View, Request, P], Response]],
    Callable[Concatenate[View, Request, P], Response],
]:
    """Do what the method does once for each key; a replay leaves out the values shown once."""

    def decorate(
        method: Callable[Concatenate[View, Request, P], Response],
    ) -> Callable[Concatenate[View, Request, P], Response]:
        @wraps(method)
        def once(view: View, request: Request, /, *args: P.args, **kwargs: P.kwargs) -> Response:
            key = request.headers.get("Idempotency-Key")
            if key is None:
                return method(view, request, *args, **kwargs)
            claim = _claim(user_of(request), _valid(key), _fingerprint(view, request))
            if claim.status is not None:
                headers = {"Idempotent-Replayed": "true"}
                return Response(claim.answer, status=claim.status, headers=headers)
            return _act(claim, lambda: method(view, request, *args, **kwargs), shown_once)

        # Read by trinity.schema; a function has no such attribute for the type checker.
        setattr(once, "creates", True)  # noqa: B010
        return once

    return decorate


def _valid(key: str) -> str:
    if 0 < len(key) <= KEY_LENGTH and key.isascii() and key.isprintable():
        return key
    problem = {
        "type": "invalid_key",
        "loc": ["header", "Idempotency-Key"],
        "msg": f"A key has 1 to {KEY_LENGTH} printable ASCII characters",
        "input": key,
    }
    raise Malformed([problem])


def _fingerprint(view: ApiView, request: Request) -> str:
    """Tell requests apart, without the order or the spaces in which a body happens to be written.

    What the token is limited to is part of it: a narrow one must not read the answer that was
    given to another.
    """
    user = user_of(request)
    limits = [user.token.scopes, user.agent_uids] if user.token else [None, None]
    asked = [request.method, request.get_full_path(), limits, view.parsed_body()]
    text = json.dumps(asked, sort_keys=True)
    return salted_hmac("trinity.idempotency", text, algorithm="sha256").hexdigest()


def _claim(user: User, key: str, fingerprint: str) -> IdempotentRequest:
    """Return a request that is now ours to act on, or one that has its answer."""
    _purge()
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        known = IdempotentRequest.objects.filter(user=user, key=key).first()
        if known is None:
            if made := _insert(user, key, fingerprint):
                return made
        elif not constant_time_compare(known.fingerprint, fingerprint):
            raise KeyReused("This Idempotency-Key was used for another request: take a new one")
        elif known.status is not None or _take_over(known):
            return known
        else:
            time.sleep(STEP_SECONDS)
    raise StillBusy("The first request with this Idempotency-Key is still under way")


def _purge() -> None:
    oldest = timezone.now() - IdempotentRequest.KEPT
    IdempotentRequest.objects.filter(created_at__lt=oldest).delete()


def _insert(user: User, key: str, fingerprint: str) -> IdempotentRequest | None:
    try:
        with transaction.atomic():
            return IdempotentRequest.objects.create(
                user=user,
                key=key,
                fingerprint=fingerprint,
                holder=uuid4(),
                claimed_until=timezone.now() + CLAIM,
            )
    except IntegrityError:
        return None


def _take_over(known: IdempotentRequest) -> bool:
    """Claim what was left by a process that died; of several that try, one does."""
    now, holder = timezone.now(), uuid4()
    abandoned = IdempotentRequest.objects.filter(
        pk=known.pk, holder=known.holder, status=None, claimed_until__lt=now
    )
    known.holder = holder
    return bool(abandoned.update(holder=holder, claimed_until=now + CLAIM))


def _act(
    claim: IdempotentRequest, act: Callable[[], Response], shown_once: Collection[str]
) -> Response:
    kept = False
    try:
        response = act()
        body = {name: value for name, value in response.data.items() if name not in shown_once}
        kept = _keep(claim, response.status_code, body)
    except TrinityError as error:
        answer = answer_to(error)
        kept = _keep(claim, answer.status, answer.body)
        raise
    finally:
        if not kept:
            _mine(claim).delete()
    return response


def _keep(claim: IdempotentRequest, status: int, answer: dict[str, Any]) -> bool:
    is_busy = status == 409 and answer.get("code") == "busy"
    if status >= 500 or status in UNDECIDED or is_busy:
        return False
    return bool(_mine(claim).update(status=status, answer=answer))


def _mine(claim: IdempotentRequest) -> Any:
    return IdempotentRequest.objects.filter(pk=claim.pk, holder=claim.holder)
