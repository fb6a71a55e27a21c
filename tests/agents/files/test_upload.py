"""A file is uploaded as the body of a PUT: whole, or nothing of it."""

import asyncio
import os

import pytest

from agents.database import read
from agents.models import Agent, Share
from tests.factories import make_agent, make_user, share
from tests.uploads import put, sending
from tests.workspaces import lying
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/agents/scribe/files"
LIMIT = 100 * 1024**2


async def refusal(user, *parts, path="file", **options):
    status, told = await put(PATH, user, *parts, query=f"path={path}", **options)
    return status, told["code"]


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def events():
    found = AuditEvent.objects.filter(verb="upload_file").order_by("pk")
    return [(event.actor_name, event.outcome, event.detail) for event in found]


@pytest.mark.parametrize("parts", [[], [b"one"], [b"one", b"", b"two"], [os.urandom(600_000)] * 3])
async def test_it_is_stored_to_the_byte(agent, workspace, parts):
    told = await put(PATH, agent.owner, *parts, query="path=/home/developer/new/file")
    content = b"".join(parts)
    assert told == (200, {"success": True, "path": "new/file", "size": len(content)})
    assert (workspace / "new" / "file").read_bytes() == content
    assert await read(events) == [(agent.owner.username, "done", "new/file")]


async def test_an_operator_may_upload(agent, workspace):
    operator = await read(make_user)
    await read(share, agent, operator, Share.Role.OPERATOR)
    assert (await put(PATH, operator, b"x", query="path=file"))[0] == 200


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("", (400, "wrong_kind")),
        ("directory", (400, "wrong_kind")),
        ("present/below", (400, "wrong_kind")),
        ("..", (403, "outside_workspace")),
        ("/etc/passwd", (403, "outside_workspace")),
        ("away/file", (403, "outside_workspace")),
        ("a%00b", (400, "invalid_path")),
        ("n" * 300, (400, "invalid_path")),
    ],
)
async def test_a_place_that_cannot_take_it_is_refused_before_the_body(
    agent, workspace, path, refused
):
    (workspace / "directory").mkdir()
    (workspace / "present").touch()
    (workspace / "away").symlink_to("/tmp")
    async with sending(PATH, agent.owner, query=f"path={path}") as sender:
        status, told = await sender.answer()
        assert (status, told["code"]) == refused
        assert sender.asked == 0


async def test_whoever_may_not_upload_is_refused_before_the_body(agent, workspace):
    viewer, stranger = await read(make_user), await read(make_user)
    await read(share, agent, viewer)
    for user, refused in [
        (viewer, (403, "may_not_operate")),
        (stranger, (404, "agent_not_found")),
        (None, (401, None)),
    ]:
        async with sending(PATH, user, query="path=file") as sender:
            status, told = await sender.answer()
            assert (status, told.get("code")) == refused
            assert sender.asked == 0
    assert not os.listdir(workspace)


async def test_an_agent_that_does_not_exist_looks_like_that_of_others():
    stranger = await read(make_user)
    for name in ("none", "no\0ne"):
        told = await put(f"/api/agents/{name}/files", stranger, query="path=file")
        assert told == (404, {"detail": "Agent not found", "code": "agent_not_found"})


async def test_a_cookie_counts_only_with_the_origin_of_a_page(agent, workspace, client):
    await read(client.force_login, agent.owner)
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = {"cookie": cookie, "host": "here"}
    assert await refusal(None, b"x", **headers) == (403, "csrf_failed")
    status, _ = await put(PATH, None, b"x", **headers, origin="https://elsewhere")
    assert status == 401
    told = await put(PATH, None, b"x", query="path=file", **headers, origin="https://here")
    assert told[0] == 200


async def test_what_is_announced_as_too_large_is_refused_before_the_body(agent, workspace):
    length = str(LIMIT + 1)
    async with sending(PATH, agent.owner, query="path=file", content_length=length) as sender:
        assert (await sender.answer())[0] == 413
        assert sender.asked == 0


async def test_what_turns_out_too_large_is_refused_and_leaves_nothing(agent, workspace):
    (workspace / "file").write_text("old")
    parts = [b"x" * 1024**2] * 101
    assert await refusal(agent.owner, *parts) == (413, "too_large")
    await until(lambda: os.listdir(workspace) == ["file"])
    assert (workspace / "file").read_text() == "old"
    [(_, outcome, detail)] = await read(events)
    assert (outcome, detail) == ("failed", "file: Files of more than 100 MB are not transferred")


async def test_as_much_as_the_limit_is_taken(agent, workspace):
    parts = [b"x" * 1024**2] * 100
    told = await put(PATH, agent.owner, *parts, query="path=file", content_length=str(LIMIT))
    assert told == (200, {"success": True, "path": "file", "size": LIMIT})
    assert (workspace / "file").stat().st_size == LIMIT


async def test_a_client_that_leaves_leaves_nothing(agent, workspace):
    async with sending(PATH, agent.owner, query="path=file") as sender:
        sender.part(b"half")
        await until(lambda: os.listdir(workspace))
        assert os.listdir(workspace) != ["file"]
        sender.leave()
        assert await sender.end() == []
    await until(lambda: not os.listdir(workspace))
    assert await read(events) == [(agent.owner.username, "failed", "file: interrupted")]


async def test_a_server_that_dies_in_the_middle_is_told(agent, workspace, containers):
    async with sending(PATH, agent.owner, query="path=file") as sender:
        sender.part(b"half")
        await until(lambda: os.listdir(workspace))
        containers.kill(agent.container_id)
        for _ in range(100):
            sender.part(b"x" * 1024**2)
        status, told = await sender.answer()
    assert (status, told["code"]) == (503, "agent_unavailable")


async def test_a_stopped_agent_takes_nothing():
    agent = await read(make_agent, name="scribe")
    assert await refusal(agent.owner, b"x") == (400, "agent_not_running")


async def test_a_server_that_does_not_answer_is_told(agent, containers):
    containers.kill(agent.container_id)
    await read(Agent.objects.filter(pk=agent.pk).update, status=Agent.Status.RUNNING)
    assert await refusal(agent.owner, b"x") == (503, "agent_unavailable")


async def test_a_refusal_in_the_middle_ends_the_upload(liar):
    full = b'{"ok": true}\n', b'{"ok": false, "code": "disk_full", "detail": ""}\n'
    with lying(liar, *full):
        async with sending(PATH, liar.owner, query="path=file") as sender:
            async with asyncio.timeout(20):
                while not sender._task.done():
                    sender.part(b"x" * 1000)
                    await asyncio.sleep(0.01)
            status, told = await sender.answer()
    assert (status, told["code"]) == (400, "disk_full")
