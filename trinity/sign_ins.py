"""Recording who signs in and out, by whichever door: API, page or admin."""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from trinity import audit
from trinity.identity import address_of
from trinity.models import User


@receiver(user_logged_in)
def record_sign_in(request: HttpRequest, user: User, **_: Any) -> None:
    actor = audit.Actor(user, address=address_of(request))
    audit.record(actor, "sign_in", "user", user.get_username())


@receiver(user_logged_out)
def record_sign_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user:  # None where somebody signs out who was not signed in
        actor = audit.Actor(user, address=address_of(request))
        audit.record(actor, "sign_out", "user", user.get_username())


@receiver(user_login_failed)
def record_failure(
    credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    stranger = audit.Actor(address=address_of(request) if request else None)
    audit.record_denial(stranger, "sign_in", "user", str(credentials.get("username", ""))[:100])
