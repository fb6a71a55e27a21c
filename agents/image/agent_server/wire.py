"""What goes over the socket: lines of JSON, the handshake, refusals."""

import asyncio
import hmac
import json
import re
import secrets
from typing import Any

PROTOCOL = 1
REQUEST_BYTES = 1024 * 1024
# Before a peer has proved the key it may make us keep no more than this.
HANDSHAKE_BYTES = 4096
HANDSHAKE_SECONDS = 5
CHUNK_BYTES = 64 * 1024

CHALLENGE = re.compile(r"[0-9a-f]{64}")


class Refused(Exception):
    """A request that is answered with ``ok: false``; ``code`` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Rubbish(Exception):
    """The peer does not speak this protocol; the connection is closed."""


async def read_line(reader: asyncio.StreamReader, limit: int) -> bytes:
    """Read up to a newline and at most ``limit`` bytes.

    ``readline`` will not do: its limit is the reader's, which would have to be
    that of the largest request also for peers that have proved nothing yet.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        try:
            line += await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            line += await reader.readexactly(error.consumed)
        except asyncio.IncompleteReadError as error:
            raise Rubbish("the line has no end") from error
        if len(line) > limit:
            raise Rubbish("the line is too long")
    return bytes(line)


def parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    # Brackets nested a few thousand deep end in a RecursionError.
    except (ValueError, RecursionError) as error:
        raise Rubbish("the line is not JSON") from error
    if not isinstance(message, dict):
        raise Rubbish("the line is not a JSON object")
    return message


async def send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")
    await writer.drain()


async def refuse(writer: asyncio.StreamWriter, refusal: Refused) -> None:
    await send(writer, {"ok": False, "code": refusal.code, "detail": str(refusal)})


async def read_away(reader: asyncio.StreamReader) -> None:
    """Read until the peer goes, whatever it sends."""
    while await reader.read(CHUNK_BYTES):
        pass


async def authenticate(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    key: bytes,
    generation: int,
) -> None:
    """Prove the key to the peer, then let it prove the same; else raise Rubbish."""
    theirs = parse(await read_line(reader, HANDSHAKE_BYTES)).get("challenge")
    if not isinstance(theirs, str) or not CHALLENGE.fullmatch(theirs):
        raise Rubbish("the challenge is not 64 hex digits")
    ours = secrets.token_hex(32)
    hello = {"protocol": PROTOCOL, "generation": generation, "challenge": ours}
    # Tells that a connection may be kept open before something is asked for by it.
    hello["refuses_late"] = True
    await send(writer, hello | {"proof": prove(key, f"server:{theirs}")})
    proof = parse(await read_line(reader, HANDSHAKE_BYTES)).get("proof")
    # Bytes: compare_digest raises for text that is not ASCII.
    expected = prove(key, f"client:{ours}").encode()
    if not hmac.compare_digest(str(proof).encode(errors="replace"), expected):
        raise Rubbish("the proof is wrong")


def prove(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), "sha256").hexdigest()
