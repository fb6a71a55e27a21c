"""Asking the ASGI application as a server does, for the first message of its answer."""

import asyncio

from trinity.asgi import application


async def ask(method, path, *, query="", headers=(), body=b""):
    """Return the status, and the beginning of the body; then leave."""
    sent, gone = asyncio.Queue(), asyncio.Event()
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if parts:
            return parts.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "scheme": "http",
    }
    async with asyncio.timeout(20):
        task = asyncio.create_task(application(scope, receive, sent.put))
        start, first = await sent.get(), await sent.get()
        # A stream says first how a viewer comes back.
        if first.get("more_body") and start["status"] == 200:
            first = await sent.get()
        gone.set()
        await task
    return start["status"], first.get("body", b"").decode(errors="replace")
