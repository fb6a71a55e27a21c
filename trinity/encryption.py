"""Encrypting what must not be read from the database alone; its key is kept apart from it."""

import base64
import hashlib
import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings


@cache
def _cipher() -> Fernet:
    digest = hashlib.sha256(b"fields:" + settings.ENCRYPTION_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def seal(value: Any) -> bytes:
    return _cipher().encrypt(json.dumps(value).encode())


def unseal(sealed: bytes | memoryview) -> Any:
    return json.loads(_cipher().decrypt(bytes(sealed)))
