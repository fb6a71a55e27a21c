"""No path leads out of the workspace, whatever the agent's programs put in its way."""

import ctypes
import os
import socket
import threading

import pytest

from tests.agents.agent_server.client import receive, send
from tests.agents.agent_server.file_client import deleted, listed, names, read, written

RENAME_EXCHANGE = 2
VERBS = [listed, deleted, lambda *args: read(*args)[0], lambda *args: written(*args, b"x")]
verbs = pytest.mark.parametrize("verb", VERBS, ids=["list", "delete", "read", "write"])


@pytest.fixture
def outside(server):
    """A directory beside the workspace, with a file in it."""
    directory = server.workspace.parent / "outside"
    directory.mkdir()
    (directory / "secret").write_text("secret")
    return directory


@pytest.fixture
def unharmed(outside):
    yield
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"secret": "secret"}


@verbs
@pytest.mark.parametrize(
    "path", ["..", "../outside/secret", "a/../../outside", ".", "a//b", "/etc"]
)
@pytest.mark.usefixtures("unharmed")
def test_a_path_that_is_not_plain_is_refused(client, verb, path):
    assert verb(client, path)["code"] == "bad_request"


@verbs
@pytest.mark.parametrize("path", [None, 5, "a%00b", ["a"], "a" * 20_000])
def test_a_path_that_is_none_is_refused(client, verb, path):
    name = ["files.list", "files.delete", "files.read", "files.write"][VERBS.index(verb)]
    with client.authenticated() as stream:
        send(stream, {"verb": name, "path": path})
        assert receive(stream)["code"] == "bad_request"


@verbs
@pytest.mark.parametrize("target", ["../outside", "/proc/self", "inside"])
@pytest.mark.usefixtures("unharmed")
def test_a_link_to_a_directory_is_not_entered(server, client, verb, target):
    (server.workspace / "inside").mkdir()
    (server.workspace / "link").symlink_to(target)
    assert verb(client, "link/secret")["code"] == "outside_workspace"
    assert os.readlink(server.workspace / "link") == target


@pytest.mark.usefixtures("unharmed")
def test_a_link_itself_is_neither_listed_nor_read_through(server, client):
    (server.workspace / "link").symlink_to("../outside/secret")
    assert listed(client, "link")["code"] == "outside_workspace"
    assert read(client, "link")[0]["code"] == "outside_workspace"


@pytest.mark.parametrize("target", ["../outside", "../outside/secret", "nowhere"])
@pytest.mark.usefixtures("unharmed")
def test_a_link_is_shown_and_deleted_as_what_it_is(server, client, target):
    link = server.workspace / "link"
    link.symlink_to(target)
    [node] = listed(client)["children"]
    assert (node["name"], node["kind"]) == ("link", "link")
    assert deleted(client, "link")["kind"] == "link"
    assert not link.is_symlink()


@pytest.mark.usefixtures("unharmed")
def test_an_upload_takes_the_place_of_a_link_and_not_of_what_it_names(server, client):
    link = server.workspace / "link"
    link.symlink_to("../outside/secret")
    assert written(client, "link", b"new")["ok"]
    assert not link.is_symlink()
    assert link.read_text() == "new"


@pytest.mark.usefixtures("unharmed")
def test_a_directory_is_deleted_without_what_its_links_name(server, client):
    tree = server.workspace / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "link").symlink_to(server.workspace.parent / "outside")
    (tree / "link").symlink_to("../../outside")
    assert deleted(client, "tree")["kind"] == "directory"
    assert not tree.exists()


def test_the_workspace_itself_is_not_deleted(server, client):
    (server.workspace / "kept").write_text("")
    assert deleted(client, "")["code"] == "is_workspace"
    assert names(listed(client)) == [b"kept"]


def fifo(path):
    os.mkfifo(path)


def unix_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def device(path):
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize("make", [fifo, unix_socket, device])
def test_what_is_no_file_is_shown_and_deleted_and_never_opened(server, client, make):
    make(server.workspace / "special")
    [node] = listed(client)["children"]
    assert node["kind"] == make.__name__.removeprefix("unix_")
    answer, _ = read(client, "special")
    assert (answer["code"], answer["detail"]) == ("not_a_file", f"it is a {node['kind']}")
    assert deleted(client, "special")["ok"]
    assert not list(server.workspace.iterdir())


def exchange(one, other):
    path = [os.fsencode(one), os.fsencode(other)]
    ctypes.CDLL(None).renameat2(-100, path[0], -100, path[1], RENAME_EXCHANGE)


@pytest.mark.usefixtures("unharmed")
def test_a_link_that_changes_places_with_a_directory_never_leads_out(server, client, outside):
    door, link = server.workspace / "door", server.workspace / "link"
    door.mkdir()
    link.symlink_to(outside)
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            exchange(door, link)

    spinner = threading.Thread(target=spin)
    spinner.start()
    try:
        seen = set()
        for number in range(300):
            answer, content = read(client, "door/secret")
            seen.add(answer.get("code"))
            assert content == b""
            seen.add(written(client, f"door/{number}", b"x").get("code"))
            deleted(client, "door/secret")
            assert b"secret" not in names(listed(client, "door") | {"children": []})
    finally:
        stop.set()
        spinner.join()
    # Both were met: the link, and the directory in which there is no such file.
    assert {"outside_workspace", "not_found"} <= seen
