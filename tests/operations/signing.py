"""Signing as wallets do, and sending what was signed."""

import json
from itertools import count

from coincurve import PrivateKey
from Crypto.Hash import keccak
from rest_framework.test import APIClient

PATH = "/api/v1/operations"
_nonces = count(1)


def keccak256(message):
    return keccak.new(digest_bits=256, data=message).digest()


class Account:
    def __init__(self, secret=None):
        self.key = PrivateKey(bytes.fromhex(secret)) if secret else PrivateKey()

    @property
    def address(self):
        return "0x" + keccak256(self.key.public_key.format(compressed=False)[1:])[-20:].hex()

    def raw(self, text):
        """r, s and the recovery id of ``personal_sign``."""
        message = text.encode()
        prefix = b"\x19Ethereum Signed Message:\n" + str(len(message)).encode()
        return self.key.sign_recoverable(keccak256(prefix + message), hasher=None)

    def sign(self, text, *, v_base=27):
        raw = self.raw(text)
        return "0x" + (raw[:64] + bytes([raw[64] + v_base])).hex()


def asking(grant, **keys):
    """The text of a request that was never made before."""
    return json.dumps({"permission_id": grant.permission_id, "nonce": str(next(_nonces)), **keys})


def signed(account, text):
    return {"app_signature": account.sign(text), "operation_request_json": text}


def send(body, client=None):
    return (client or APIClient()).post(PATH, body, format="json")


def ask(account, grant, **keys):
    return send(signed(account, asking(grant, **keys)))
