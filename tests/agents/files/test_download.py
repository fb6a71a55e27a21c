"""A file of the workspace as an attachment."""

import json
import os
from urllib.parse import quote

import pytest

from agents.database import read
from agents.errors import AgentUnavailable
from agents.models import Agent
from tests.factories import make_agent, make_user, share
from tests.streams import viewing
from tests.workspaces import lying

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/agents/scribe/files/download"


async def download(user, path, *, ends=True):
    async with viewing(PATH, user, query=f"path={quote(path)}") as viewer:
        status, headers = await viewer.status()
        if not ends:
            await viewer.task
        return status, headers, b"".join(await viewer.rest())


async def refusal(user, path):
    status, _, body = await download(user, path)
    return status, json.loads(body)["code"]


@pytest.mark.parametrize("content", [b"", b"text\n", os.urandom(3_000_000)])
async def test_it_comes_to_the_byte_and_is_never_shown(agent, workspace, content):
    (workspace / "file.html").write_bytes(content)
    status, headers, body = await download(agent.owner, "/home/developer/file.html")
    assert (status, body) == (200, content)
    assert headers == {
        b"content-type": b"application/octet-stream",
        b"content-length": str(len(content)).encode(),
        b"content-disposition": (b"attachment; filename=\"file.html\"; filename*=UTF-8''file.html"),
        b"x-content-type-options": b"nosniff",
        b"cache-control": b"private",
    }


NAMES = {
    b'a"b\\c.txt': b"attachment; filename=\"a_b_c.txt\"; filename*=UTF-8''a%22b%5Cc.txt",
    b"a\r\nSet-Cookie: x=1": (
        b'attachment; filename="a__Set-Cookie_ x_1"; '
        b"filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x%3D1"
    ),
    "é€😀".encode(): b"attachment; filename=\"___\"; filename*=UTF-8''%C3%A9%E2%82%AC%F0%9F%98%80",
    b"\xff": b"attachment; filename=\"_\"; filename*=UTF-8''%EF%BF%BD",
    b"..;x": b"attachment; filename=\".._x\"; filename*=UTF-8''..%3Bx",
}


@pytest.mark.parametrize(("name", "header"), NAMES.items())
async def test_every_name_makes_a_safe_header(agent, workspace, name, header):
    with open(os.path.join(os.fsencode(workspace), name), "wb") as file:
        file.write(b"odd")
    _, headers, body = await download(agent.owner, name)
    assert body == b"odd"
    assert headers[b"content-disposition"] == header


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("", (400, "wrong_kind")),
        ("directory", (400, "wrong_kind")),
        ("fifo", (400, "wrong_kind")),
        ("none", (404, "file_not_found")),
        ("..", (403, "outside_workspace")),
        ("/etc/passwd", (403, "outside_workspace")),
        ("link", (403, "outside_workspace")),
        ("away/passwd", (403, "outside_workspace")),
        ("sparse", (413, "too_large")),
        ("a\0b", (400, "invalid_path")),
    ],
)
async def test_what_is_not_handed_out_is_refused(agent, workspace, path, refused):
    (workspace / "directory").mkdir()
    (workspace / "link").symlink_to("/etc/passwd")
    (workspace / "away").symlink_to("/etc")
    os.mkfifo(workspace / "fifo")
    with (workspace / "sparse").open("wb") as file:
        file.truncate(2 * 1024**3)
    assert await refusal(agent.owner, path) == refused


async def test_a_viewer_may_download(agent, workspace):
    (workspace / "file").write_bytes(b"x")
    viewer = await read(make_user)
    await read(share, agent, viewer)
    assert (await download(viewer, "file"))[2] == b"x"


async def test_an_agent_of_others_and_one_that_does_not_exist_look_the_same(agent):
    stranger = await read(make_user)
    for name in ("scribe", "none", "no\0ne"):
        async with viewing(f"/api/agents/{name}/files/download", stranger) as viewer:
            assert (await viewer.status())[0] == 404
            told = json.loads((await viewer.next_message())["body"])
        assert told == {"detail": "Agent not found", "code": "agent_not_found"}


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
async def test_without_credentials_nothing_is_answered(agent, headers):
    async with viewing(PATH, query="path=file", **headers) as viewer:
        status, told = await viewer.status()
        await viewer.rest()
    assert status == 401
    assert told[b"www-authenticate"] == b"Bearer"


async def test_a_stopped_agent_is_told():
    agent = await read(make_agent, name="scribe")
    assert await refusal(agent.owner, "file") == (400, "agent_not_running")


async def test_a_server_that_does_not_answer_is_told(agent, containers):
    containers.kill(agent.container_id)
    running = Agent.objects.filter(pk=agent.pk).update
    await read(running, status=Agent.Status.RUNNING)
    status, headers, body = await download(agent.owner, "file")
    assert (status, json.loads(body)["code"]) == (503, "agent_unavailable")
    assert headers[b"retry-after"]


async def test_a_viewer_who_does_not_read_is_not_read_for(agent, workspace):
    (workspace / "large").write_bytes(b"x" * 50_000_000)
    async with viewing(PATH, agent.owner, query="path=large", ahead=1) as viewer:
        assert (await viewer.status())[0] == 200
        received = [await viewer.next_message() for _ in range(3)]
    assert sum(len(message["body"]) for message in received) < 2_000_000


@pytest.mark.parametrize("size", ["-1", '"5"', "null", str(2**40)])
async def test_a_size_that_is_none_is_not_believed(liar, size):
    with lying(liar, f'{{"ok": true, "size": {size}}}\n'.encode()):
        assert await refusal(liar.owner, "file") == (503, "agent_unavailable")


async def test_more_than_was_announced_is_cut_off(liar):
    with lying(liar, b'{"ok": true, "size": 3}\n', b"123456"):
        assert (await download(liar.owner, "file"))[2] == b"123"


async def test_a_file_that_is_cut_meanwhile_is_no_whole_answer(liar):
    short = lying(liar, b'{"ok": true, "size": 30}\n', b"123")
    # What an application raises makes the server cut the connection off.
    with short, pytest.raises(AgentUnavailable):
        await download(liar.owner, "file", ends=False)
