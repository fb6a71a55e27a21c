"""Who is calling, and by what: tokens, session cookies, tickets; the first administrator."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from importlib import import_module
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import get_user
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.http import HttpRequest, parse_cookie
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from trinity import audit, poll_tokens
from trinity.audit import Actor
from trinity.errors import Conflict, Forbidden, InsufficientScope
from trinity.models import ApiToken, Scope, User
from trinity.poll_tokens import Poller

TICKET_SECONDS = 30
# Where a request remembers its token: header names in META are upper case, so none collides.
_TOKEN = "trinity.token"  # noqa: S105  # the name of a key


# What whoever speaks by a poll token is told everywhere else.
POLLS_ONE = "A poll token opens the one operation that it was answered with, and nothing else"


class SetupCompleted(Forbidden):
    code = "setup_completed"

    def __init__(self) -> None:
        super().__init__("Setup already completed. Sign in with the administrator's password")


class AdministratorNameTaken(Conflict):
    code = "name_taken"


class AdministratorsOnly(Forbidden):
    code = "administrators_only"


class BearerAuthentication(BaseAuthentication):
    """Takes the Authorization header; where there is one, no cookie is looked at."""

    def authenticate(self, request: Request) -> tuple[User | Poller, ApiToken | None] | None:
        token = bearer_token(request.META)
        if isinstance(token, Poller):
            return token, None
        return (token.user, token) if token else None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class CookieAuthentication(SessionAuthentication):
    """Takes the session cookie, on anything that writes only with a CSRF token in a header."""

    def enforce_csrf(self, request: Request) -> None:
        # Of Django's request, because REST framework's would parse the body, which is read already.
        super().enforce_csrf(request._request)  # type: ignore[arg-type]  # noqa: SLF001


def bearer_token(meta: dict[str, Any]) -> ApiToken | Poller | None:
    """Return the token of a request's header, None without a header; look it up only once.

    Raises AuthenticationFailed for any header that does not name a valid token.
    """
    if "HTTP_AUTHORIZATION" not in meta:
        return None
    if _TOKEN not in meta:
        address = _address(meta.get("REMOTE_ADDR", ""))
        meta[_TOKEN] = _valid_token(meta["HTTP_AUTHORIZATION"], address)
    token: ApiToken | Poller = meta[_TOKEN]
    return token


def _valid_token(header: str, address: str | None) -> ApiToken | Poller:
    """Return the token, with a user who knows that he speaks by it."""
    scheme, _, text = header.strip().partition(" ")
    poller = poll_tokens.poller_by(text.strip(), address)
    if poller and scheme.lower() == "bearer":
        return poller
    now = timezone.now()
    token = _known_token(digest=ApiToken.hash(text.strip()))
    if token is None or scheme.lower() != "bearer" or not token.is_valid(now):
        _record_stale(token, address)
        raise AuthenticationFailed("Could not validate credentials")
    token.touch(now)
    return _spoken_by(token, address)


def _known_token(**identity: Any) -> ApiToken | None:
    try:
        return ApiToken.objects.select_related("user").get(**identity)
    except ApiToken.DoesNotExist:
        return None


def _spoken_by(token: ApiToken, address: str | None) -> ApiToken:
    token.user.token, token.user.address = token, address
    return token


def _record_stale(token: ApiToken | None, address: str | None) -> None:
    """Tell of a token that was good once; any other text is nobody's."""
    if token:
        actor = Actor(token.user, token, address)
        audit.record_denial(actor, "sign_in", "token", token.name, detail="Not valid any more")


def user_of(request: HttpRequest | Request) -> User:
    """Return the user, of whom a permission class has made sure that there is one."""
    user = request.user
    if not isinstance(user, User):
        raise TypeError(f"{user} passed as a signed-in user")
    user.address = address_of(request)
    return user


def caller_of(request: HttpRequest | Request) -> User | Poller:
    """Return who calls, for what a poll token opens too (``ApiView.takes_poll_tokens``)."""
    return request.user if isinstance(request.user, Poller) else user_of(request)


def as_of_now(user: User) -> User | None:
    """The same person by the same token, as they are now; None when either counts no more.

    For whatever stays open: rights may have changed since. Reads the database.
    """
    return _person(user.pk, user.token.pk if user.token else None, user.address)


def _person(user_id: int, token_id: int | None, address: str | None) -> User | None:
    if token_id is None:
        user = User.objects.filter(pk=user_id, is_active=True).first()
        if user:
            user.address = address
        return user
    token = _known_token(pk=token_id, user=user_id)
    if token is None or not token.is_valid(timezone.now()):
        return None
    return _spoken_by(token, address).user


def require_scope(user: User, scope: Scope) -> None:
    """Raise InsufficientScope when the user's token is limited to less."""
    if not user.may(scope):
        raise InsufficientScope(f"This needs a token with the scope {scope.value}")


def require_all_agents(user: User) -> None:
    """Raise InsufficientScope when the token is limited to certain agents: this is about more."""
    if user.agent_uids is not None:
        raise InsufficientScope("This needs a token that is not limited to certain agents")


def require_administrator(
    user: User, scope: Scope, *, refusal: str = "Only administrators can do this"
) -> None:
    """Raise AdministratorsOnly or InsufficientScope; for what concerns the whole installation."""
    if not user.is_superuser:
        raise AdministratorsOnly(refusal)
    require_scope(user, scope)
    require_all_agents(user)


def actor_of(request: HttpRequest | Request) -> Actor:
    """Return who asks, for the audit trail."""
    if isinstance(request.user, Poller):
        return Actor.of(request.user)
    user = request.user if isinstance(request.user, User) else None
    return Actor(user=user, token=request.META.get(_TOKEN), address=address_of(request))


def address_of(request: HttpRequest | Request) -> str | None:
    return _address(request.META.get("REMOTE_ADDR", ""))


def _address(text: str) -> str | None:
    # A server on a unix socket knows no address; one with a zone is none for PostgreSQL.
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def authenticate_scope(scope: Mapping[str, Any]) -> User | Poller | None:
    """Return the caller of a WebSocket's or stream's ASGI scope, None for nobody.

    An Authorization header alone decides; else a ``?ticket=`` does; else the session
    cookie, which counts only on a page of this site. Reads the database: call it from
    a thread.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    address = _address((scope.get("client") or [""])[0] or "")
    if "authorization" in headers:
        try:
            token = _valid_token(headers["authorization"], address)
        except AuthenticationFailed:
            return None
        return token if isinstance(token, Poller) else token.user
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    if tickets := query.get("ticket"):
        return redeem_ticket(tickets[0], scope["path"], address=address)
    user = _session_user(headers) if _is_same_origin(headers) else None
    if user:
        user.address = address
    return user


def _is_same_origin(headers: Mapping[str, str]) -> bool:
    # Browsers send no Origin with a plain GET of the same site, and always one with a WebSocket.
    origin = headers.get("origin")
    if origin is None or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    return origin.partition("://")[2] == headers.get("host")


def _session_user(headers: Mapping[str, str]) -> User | None:
    key = parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
    if not key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    # Django's own look-up: it refuses inactive users and sessions older than the password.
    user = get_user(request)
    return user if isinstance(user, User) else None


def issue_ticket(user: User, path: str) -> str:
    """Return a text that opens ``path`` as ``user`` once, within TICKET_SECONDS.

    It may no more than the token by which he asks for it, and ends with it.
    """
    ticket = secrets.token_urlsafe(32)
    token_id = user.token.pk if user.token else None
    cache.set(_ticket_key(ticket), (user.pk, token_id, path), TICKET_SECONDS)
    return ticket


def redeem_ticket(ticket: str, path: str, *, address: str | None = None) -> User | None:
    key = _ticket_key(ticket)
    issued = cache.get(key)
    # Of several that read it at once, the one whose deletion finds it has it.
    if issued is None or not cache.delete(key):
        return None
    user_id, token_id, issued_path = issued
    return _person(user_id, token_id, address) if issued_path == path else None


def _ticket_key(ticket: str) -> str:
    return f"ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"


def is_set_up() -> bool:
    """Whether an active administrator exists, however made."""
    return User.objects.filter(is_superuser=True, is_active=True).exists()


def create_first_administrator(password: str) -> User:
    """Make the user ``admin``; raise SetupCompleted when there is an administrator already.

    The unique name decides between two that do this at once, not the query before it.
    """
    if is_set_up():
        raise SetupCompleted
    try:
        with transaction.atomic():
            return User.objects.create_superuser("admin", settings.ADMIN_EMAIL, password)
    except IntegrityError as error:
        if is_set_up():
            raise SetupCompleted from error
        raise AdministratorNameTaken(
            f"A user with the name admin or the address {settings.ADMIN_EMAIL} exists and is no "
            "active administrator: run manage.py createsuperuser"
        ) from error
