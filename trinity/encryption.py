"""Encrypting what must not be read from the database alone; its keys are kept apart from it.

The first of ``settings.ENCRYPTION_KEYS`` seals, and each of them unseals: so a key can be
replaced while what the one before has sealed is still there. ``manage.py rotate_keys`` ends that.
"""

import base64
import hashlib
import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """None of the keys at hand has sealed this, or it was changed since."""


@cache
def _fernet(key: str) -> Fernet:
    digest = hashlib.sha256(b"fields:" + key.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def _all() -> MultiFernet:
    return MultiFernet([_fernet(key) for key in settings.ENCRYPTION_KEYS])


def seal(value: Any) -> bytes:
    return _all().encrypt(json.dumps(value).encode())


def unseal(sealed: bytes | memoryview) -> Any:
    try:
        return json.loads(_all().decrypt(bytes(sealed)))
    except InvalidToken as error:
        raise Unreadable("No key in TRINITY_ENCRYPTION_KEY opens this value") from error


def seal_anew(sealed: bytes | memoryview) -> bytes | None:
    """Return the value sealed by the first key, None when it is already."""
    try:
        _fernet(settings.ENCRYPTION_KEYS[0]).decrypt(bytes(sealed))
    except InvalidToken:
        return seal(unseal(sealed))
    return None
