"""The verbs on files: two that are answered at once, two that bytes follow."""

import asyncio
import os
import struct
from typing import Any

from . import wire
from .files import Workspace, open_file, parts_of, refusing
from .listing import Listing
from .removal import remove
from .upload import Upload, uploading
from .wire import Refused, Rubbish

CHUNK_BYTES = 256 * 1024
LENGTH = struct.Struct("!I")
# No set: a verb comes from outside, and may be of any type.
VERBS = ("files.list", "files.delete", "files.read", "files.write")
# For a client that still sends, to find the word why it need not.
FAREWELL_SECONDS = 5


async def obey(
    workspace: Workspace,
    request: dict[str, Any],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    match request["verb"]:
        case "files.read":
            await _read(workspace, request, writer)
        case "files.write":
            await _write(workspace, request, reader, writer)
        case _:
            await wire.send(writer, {"ok": True} | await _answer(workspace, request))


async def _answer(workspace: Workspace, request: dict[str, Any]) -> dict[str, Any]:
    parts = parts_of(request)
    with refusing():
        if request["verb"] == "files.list":
            return await asyncio.to_thread(Listing(workspace).of, parts)
        return {"kind": await asyncio.to_thread(remove, workspace, parts)}


async def _read(
    workspace: Workspace, request: dict[str, Any], writer: asyncio.StreamWriter
) -> None:
    """Answer the size, then so many bytes; fewer if the file was cut meanwhile."""
    with refusing():
        descriptor = open_file(workspace, parts_of(request))
    try:
        left = os.fstat(descriptor).st_size
        await wire.send(writer, {"ok": True, "size": left})
        while left > 0:
            chunk = await asyncio.to_thread(os.read, descriptor, min(CHUNK_BYTES, left))
            if not chunk:
                return
            left -= len(chunk)
            writer.write(chunk)
            await writer.drain()
    finally:
        os.close(descriptor)


async def _write(
    workspace: Workspace,
    request: dict[str, Any],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Answer that it begins; take parts, each with its length, until an empty one; answer."""
    parts = parts_of(request)
    try:
        with refusing(), uploading(workspace, parts) as upload:
            await wire.send(writer, {"ok": True})
            await _receive(upload, reader)
            await asyncio.to_thread(upload.finish)
    except Refused as refusal:
        await wire.refuse(writer, refusal)
        async with asyncio.timeout(FAREWELL_SECONDS):
            await wire.read_away(reader)
    else:
        await wire.send(writer, {"ok": True, "size": upload.size})


async def _receive(upload: Upload, reader: asyncio.StreamReader) -> None:
    try:
        while length := LENGTH.unpack(await reader.readexactly(LENGTH.size))[0]:
            if length > CHUNK_BYTES:
                raise Rubbish("the part is too long")
            part = await reader.readexactly(length)
            await asyncio.to_thread(upload.write, part)
    except asyncio.IncompleteReadError as error:
        raise Rubbish("the upload has no end") from error
