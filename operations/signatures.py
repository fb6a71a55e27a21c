"""Signatures of Ethereum accounts: EIP-191 ``personal_sign`` over a text, by its exact bytes."""

import re

from coincurve import PublicKey
from Crypto.Hash import keccak

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")
#: Whose signature of zeros is, where ``settings.TRINITY_ACCEPT_ZERO_SIGNATURE`` accepts it.
ZERO_ADDRESS = "0x" + "0" * 40
ZERO_SIGNATURE = "0x" + "0" * 130

# Of the curve secp256k1. Each signature has a twin with the other s, which anybody can compute:
# only the lower one is taken, as Ethereum does since EIP-2.
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
# Wallets write 27 and 28; some that are devices write 0 and 1.
RECOVERY_IDS = {0: 0, 1: 1, 27: 0, 28: 1}


class BadSignature(ValueError):
    """No key has made this signature."""


def signer_of(text: str, signature: str) -> str:
    """Return the lower-case address whose key signed the text; raise BadSignature for none.

    Whoever changes the text or the signature gets the address of a key that nobody has, or none.
    """
    raw = bytes.fromhex(signature.removeprefix("0x"))
    r_and_s, v = raw[:64], raw[64]
    if v not in RECOVERY_IDS:
        raise BadSignature("v must be 27 or 28")
    if int.from_bytes(r_and_s[32:]) > HALF_ORDER:
        raise BadSignature("s is not in the lower half, as EIP-2 asks")
    recoverable = r_and_s + bytes([RECOVERY_IDS[v]])
    try:
        key = PublicKey.from_signature_and_message(recoverable, _digest(text), hasher=None)
    except ValueError as error:
        raise BadSignature("No key made it") from error
    return f"0x{_keccak(key.format(compressed=False)[1:])[-20:].hex()}"


def _digest(text: str) -> bytes:
    message = text.encode()
    return _keccak(b"\x19Ethereum Signed Message:\n%d%s" % (len(message), message))


def _keccak(message: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=message).digest()


def is_mistyped(address: str) -> bool:
    """Tell whether the upper and lower case of the letters, a checksum by EIP-55, is wrong.

    An address in one case has no checksum.
    """
    letters = address[2:]
    if letters in {letters.lower(), letters.upper()}:
        return False
    digits = _keccak(letters.lower().encode()).hex()
    return any(
        letter.isalpha() and letter.isupper() != (int(digit, 16) >= 8)
        for letter, digit in zip(letters, digits, strict=False)
    )
