"""Grants: operations for somebody without an account, who signs what he asks for.

What is run is the grant's; the signed text sets its parameters, and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed

from operations import requests, signatures
from operations.grant_models import Grant, SignedText
from operations.models import Operation
from operations.parameters import RESERVED, BadParameter, Parameter, filled
from operations.requests import NewOperation
from trinity import audit, poll_tokens
from trinity.audit import Actor
from trinity.errors import Forbidden, NotFound, TrinityError
from trinity.shapes import Body, JSONBodyParser, Malformed, Moment, Text, Whole, shaped

TEXT_KEY = "operation_request_json"


class GrantNotFound(NotFound):
    code = "grant_not_found"

    def __init__(self, permission_id: int) -> None:
        super().__init__(f"There is no permission {permission_id}")


class NotGranted(Forbidden):
    """The signature is good, and the grant does not cover what it asks for."""

    code = "not_granted"


class SignatureUsed(NotGranted):
    code = "signature_used"

    def __init__(self) -> None:
        super().__init__(
            "This request was acted on already: sign one with another nonce to ask again"
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """A text and whose signature it bears."""

    text: str
    signer: str

    @classmethod
    def by(cls, text: str, signature: str) -> Signed:
        """Raises AuthenticationFailed for a signature that no key has made over this text."""
        if settings.TRINITY_ACCEPT_ZERO_SIGNATURE and signature == signatures.ZERO_SIGNATURE:
            return cls(text, signatures.ZERO_ADDRESS)
        try:
            return cls(text, signatures.signer_of(text, signature))
        except signatures.BadSignature as error:
            raise AuthenticationFailed(f"The signature does not verify: {error}") from error

    @property
    def is_proven(self) -> bool:
        return self.signer != signatures.ZERO_ADDRESS

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.signer} {self.text}".encode()).hexdigest()


class AskedShape(serializers.Serializer[Any]):
    """What every signed text may hold; its other keys are parameters."""

    permission_id = Whole(min_value=0)
    nonce = Text(required=False, max_length=200)
    expires_at = Moment(required=False)


@dataclass(frozen=True, slots=True)
class Asked:
    permission_id: int
    expires_at: datetime | None
    parameters: dict[str, Any]

    @classmethod
    def read(cls, text: str) -> Asked:
        """Raises Malformed, which says where in the text."""
        try:
            sent = JSONBodyParser().parse(BytesIO(text.encode()))
            known = shaped(AskedShape, sent, "body")
        except Malformed as error:
            raise Malformed([_inside(problem) for problem in error.problems]) from None
        rest = {name: value for name, value in sent.items() if name not in RESERVED}
        return cls(known["permission_id"], known.get("expires_at"), rest)


def _inside(problem: dict[str, Any]) -> dict[str, Any]:
    [_body, *where] = problem["loc"]
    return {**problem, "loc": ["body", TEXT_KEY, *where]}


def run(signed: Signed, address: str | None) -> tuple[Operation, str]:
    """Ask for the grant's operation; return it and the text of its poll token.

    Raises Malformed, GrantNotFound, NotGranted, and what asking for an operation raises.
    """
    asked = Asked.read(signed.text)
    grant = _grant(asked.permission_id)
    actor = Actor(address=address, signer=signed.signer)
    try:
        described = _covered(grant, signed, asked)
        new = _operation(grant, _texts(described, asked.parameters))
        token, poll_digest = poll_tokens.issue()
        new = replace(new, poll_digest=poll_digest)
        with _once(grant, signed, asked, poll_digest):
            return requests.request_operation(grant.agent, actor, new), token
    except NotGranted as error:
        raise audit.denied(actor, "run", "grant", str(grant.permission_id), error) from error


def _grant(permission_id: int) -> Grant:
    known = Grant.objects.select_related("agent__host")
    grant = known.filter(permission_id=permission_id, agent__deleting=False).first()
    if grant is None:
        raise GrantNotFound(permission_id)
    return grant


def _covered(grant: Grant, signed: Signed, asked: Asked) -> dict[str, Parameter]:
    """Return the grant's parameters; raise NotGranted unless it covers all that is asked for."""
    now = timezone.now()
    if signed.is_proven and signed.signer not in grant.signers:
        raise NotGranted(f"{signed.signer} may not sign for this permission")
    if not grant.is_enabled:
        raise NotGranted("The permission is disabled")
    if grant.is_over(now):
        raise NotGranted("The permission has expired")
    if asked.expires_at and asked.expires_at <= now:
        raise NotGranted("The signed request has expired: sign a new one")
    described = grant.described()
    for name in sorted(asked.parameters.keys() - described.keys()):
        raise NotGranted(f"The permission does not allow to set {name[:100]!r}")
    return described


def _texts(described: dict[str, Parameter], sent: Body) -> dict[str, tuple[Parameter, str]]:
    """Return each parameter as it is put in; raise Malformed for all that do not fit."""
    texts, problems = {}, []
    for name, parameter in described.items():
        where = ["body", TEXT_KEY, name]
        if name not in sent and parameter.default is None:
            told = f"{name} is required"
            problems.append({"type": "missing", "loc": where, "msg": told, "input": None})
            continue
        value = sent.get(name, parameter.default)
        try:
            texts[name] = parameter, parameter.text_of(name, value)
        except BadParameter as error:
            told = str(error)
            problems.append({"type": "parameter", "loc": where, "msg": told, "input": value})
    if problems:
        raise Malformed(problems)
    return texts


def _operation(grant: Grant, texts: dict[str, tuple[Parameter, str]]) -> NewOperation:
    put_in = {name: text for name, (_, text) in texts.items()}
    if grant.prompt:
        command = requests.prompt_command(grant.agent, filled(grant.prompt, put_in))
    else:
        command = [filled(argument, put_in) for argument in grant.command]
    return NewOperation(
        command=command,
        env={parameter.env: text for parameter, text in texts.values() if parameter.env},
        timeout_seconds=grant.timeout_seconds,
        grant=grant,
    )


@contextmanager
def _once(grant: Grant, signed: Signed, asked: Asked, poll_digest: str) -> Iterator[None]:
    """Act on a text one time; what is refused inside, or fails, has not been acted on.

    The claim is committed before anything is done. A process that dies in between leaves it,
    and so does a database that stays away; the caller signs anew. Zeros prove nothing, so there
    is nothing to be protected.
    """
    if grant.allows_repeats or not signed.is_proven:
        yield
        return
    SignedText.objects.filter(expires_at__lt=timezone.now()).delete()
    try:
        with transaction.atomic():
            claim = SignedText.objects.create(
                grant=grant, digest=signed.digest, expires_at=asked.expires_at
            )
    except IntegrityError:
        raise SignatureUsed from None
    try:
        yield
    except (TrinityError, DatabaseError):
        # What a database could not answer it may have done.
        if not Operation.objects.filter(poll_digest=poll_digest).exists():
            claim.delete()
        raise


def polled(digest: str) -> tuple[UUID, str] | None:
    """Return what a poll token is for, and who signed; named in ``TRINITY_POLL_TOKENS``.

    It counts as long as the operation is kept and the grant is there and enabled.
    """
    known = Operation.objects.filter(poll_digest=digest, grant__is_enabled=True)
    return known.values_list("pk", "signer").first()
