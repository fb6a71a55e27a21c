"""Who is calling: bearer tokens, session cookies, single-use tickets, the first administrator."""

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

from trinity.audit import Actor
from trinity.errors import Conflict, Forbidden
from trinity.models import ApiToken, User

TICKET_SECONDS = 30
# Where a request remembers its token: header names in META are upper case, so none collides.
_TOKEN = "trinity.token"  # noqa: S105  # the name of a key


class SetupCompleted(Forbidden):
    code = "setup_completed"

    def __init__(self) -> None:
        super().__init__("Setup already completed. Sign in with the administrator's password")


class AdministratorNameTaken(Conflict):
    code = "name_taken"


class BearerAuthentication(BaseAuthentication):
    """Takes the Authorization header; where there is one, no cookie is looked at."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        token = bearer_token(request.META)
        return (token.user, token) if token else None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class CookieAuthentication(SessionAuthentication):
    """Takes the session cookie, on anything that writes only with a CSRF token in a header."""

    def enforce_csrf(self, request: Request) -> None:
        # Of Django's request, because REST framework's would parse the body, which is read already.
        super().enforce_csrf(request._request)  # type: ignore[arg-type]  # noqa: SLF001


def bearer_token(meta: dict[str, Any]) -> ApiToken | None:
    """Return the token of a request's header, None without a header; look it up only once.

    Raises AuthenticationFailed for any header that does not name a valid token.
    """
    if "HTTP_AUTHORIZATION" not in meta:
        return None
    if _TOKEN not in meta:
        meta[_TOKEN] = _valid_token(meta["HTTP_AUTHORIZATION"])
    token: ApiToken = meta[_TOKEN]
    return token


def _valid_token(header: str) -> ApiToken:
    scheme, _, text = header.strip().partition(" ")
    now = timezone.now()
    known = ApiToken.objects.valid(now).select_related("user")
    token = known.filter(digest=ApiToken.hash(text.strip())).first()
    if token is None or scheme.lower() != "bearer":
        raise AuthenticationFailed("Could not validate credentials")
    token.touch(now)
    return token


def user_of(request: HttpRequest | Request) -> User:
    """Return the user, of whom a permission class has made sure that there is one."""
    user = request.user
    if not isinstance(user, User):
        raise TypeError(f"{user} passed as a signed-in user")
    return user


def actor_of(request: HttpRequest | Request) -> Actor:
    """Return who asks, for the audit trail."""
    user = request.user if isinstance(request.user, User) else None
    return Actor(user=user, token=request.META.get(_TOKEN), address=address_of(request))


def address_of(request: HttpRequest | Request) -> str | None:
    # A server on a unix socket knows no address; one with a zone is none for PostgreSQL.
    try:
        return str(ip_address(request.META.get("REMOTE_ADDR", "").partition("%")[0]))
    except ValueError:
        return None


def authenticate_scope(scope: Mapping[str, Any]) -> User | None:
    """Return the user of a WebSocket's or stream's ASGI scope, None for nobody.

    An Authorization header alone decides; else a ``?ticket=`` does; else the session
    cookie, which counts only on a page of this site. Reads the database: call it from
    a thread.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if "authorization" in headers:
        try:
            return _valid_token(headers["authorization"]).user
        except AuthenticationFailed:
            return None
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    if tickets := query.get("ticket"):
        return redeem_ticket(tickets[0], scope["path"])
    return _session_user(headers) if _is_same_origin(headers) else None


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
    """Return a text that opens ``path`` as ``user`` once, within TICKET_SECONDS."""
    ticket = secrets.token_urlsafe(32)
    cache.set(_ticket_key(ticket), (user.pk, path), TICKET_SECONDS)
    return ticket


def redeem_ticket(ticket: str, path: str) -> User | None:
    key = _ticket_key(ticket)
    issued = cache.get(key)
    # Of several that read it at once, the one whose deletion finds it has it.
    if issued is None or not cache.delete(key):
        return None
    user_id, issued_path = issued
    if issued_path != path:
        return None
    return User.objects.filter(pk=user_id, is_active=True).first()


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
