"""The host reaches the agent's own socket, and follows nothing that an agent put in its place."""

import os
import shutil
import socket
import stat
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agents import sockets
from agents.errors import AgentBusy, AgentUnavailable, StartFailed
from tests.agents.peers import agent_listening, listening


@pytest.fixture
def folder():
    """Below a short path, as sockets demand."""
    folder = Path(tempfile.mkdtemp(prefix="sockets-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def directory(folder):
    path = folder / "sockets" / "1-1"
    sockets.remake_run_directory(path, "5" * 64)
    return path


@contextmanager
def neighbour(folder):
    """Another agent's server; gives who has come to it."""
    with listening(folder / "neighbour.sock") as seen:
        yield seen


def test_a_socket_that_lies_there_is_connected_to(directory):
    with (
        agent_listening(directory, lambda connection: connection.sendall(b"hello")),
        sockets.connect(directory) as connection,
    ):
        assert connection.recv(5) == b"hello"
        assert sockets.peer_pid(connection) == os.getpid()


def test_the_path_may_be_longer_than_a_sockets_address(folder):
    directory = folder / ("long" * 30) / "1-1"
    sockets.remake_run_directory(directory, "5" * 64)
    here = os.open(directory, os.O_PATH)
    try:
        with listening(f"/proc/self/fd/{here}/agent.sock"):
            sockets.connect(directory).close()
    finally:
        os.close(here)


def test_a_link_to_a_neighbours_socket_is_not_followed(folder, directory):
    with neighbour(folder) as seen:
        (directory / "agent.sock").symlink_to(folder / "neighbour.sock")
        with pytest.raises(AgentUnavailable):
            sockets.connect(directory)
    assert seen == []


def test_a_link_in_place_of_the_whole_directory_is_not_followed(folder, directory):
    with listening(folder / "agent.sock") as seen:
        shutil.rmtree(directory)
        directory.symlink_to(folder)
        with pytest.raises(AgentUnavailable):
            sockets.connect(directory)
    assert seen == []


def as_fifo(path):
    os.mkfifo(path)


def as_device(path):
    os.mknod(path, 0o666 | 0o020000, os.makedev(1, 3))


def as_directory(path):
    path.mkdir()


def as_file(path):
    path.write_text("not a socket")


def as_dangling_link(path):
    path.symlink_to("nowhere")


def as_loop(path):
    path.symlink_to(path)


@pytest.mark.parametrize(
    "put", [as_fifo, as_device, as_directory, as_file, as_dangling_link, as_loop]
)
def test_anything_else_in_its_place_is_refused_at_once(directory, put):
    if put is as_device and os.geteuid():
        pytest.skip("only root makes devices")
    put(directory / "agent.sock")
    with pytest.raises(AgentUnavailable):
        sockets.connect(directory)


def test_no_server_no_socket_and_no_directory_are_the_same_kind_of_error(folder, directory):
    with pytest.raises(AgentUnavailable):
        sockets.connect(directory)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(directory / "agent.sock"))
    with pytest.raises(AgentUnavailable):
        sockets.connect(directory)
    with pytest.raises(AgentUnavailable):
        sockets.connect(folder / "none")


def test_a_server_that_lets_nobody_in_holds_nobody_up(directory):
    with socket.socket(socket.AF_UNIX) as server, ExitStack() as waiting:
        server.bind(str(directory / "agent.sock"))
        server.listen(0)
        # One waits in the line of none.
        waiting.enter_context(sockets.connect(directory))
        with pytest.raises(AgentBusy):
            sockets.connect(directory)


def test_a_failed_connection_leaves_no_descriptor_open(directory):
    as_fifo(directory / "agent.sock")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(AgentUnavailable):
            sockets.connect(directory)
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_a_run_directory_is_open_to_the_agent_and_its_parent_to_nobody(directory):
    assert directory.stat().st_mode & 0o777 == 0o777
    assert directory.parent.stat().st_mode & 0o777 == 0o700
    key = directory / "key"
    assert key.read_text() == "5" * 64 + "\n"
    assert key.stat().st_mode & 0o777 == 0o444


def test_a_directory_that_was_used_is_as_good_as_new_for_the_next_container(folder, directory):
    (directory / "key").unlink()
    (directory / "key").symlink_to(folder / "elsewhere")
    (directory / "agent.sock").touch()
    deep = directory.joinpath(*["d"] * 100)
    deep.mkdir(parents=True)
    sockets.remake_run_directory(directory, "6" * 64)
    assert [path.name for path in directory.iterdir()] == ["key"]
    assert (directory / "key").read_text() == "6" * 64 + "\n"
    assert not (folder / "elsewhere").exists()


def test_removing_a_run_directory_follows_no_link(folder, directory):
    kept = folder / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (directory / "link").symlink_to(kept)
    sockets.remove_run_directory(directory)
    assert not directory.exists()
    assert (kept / "file").exists()
    sockets.remove_run_directory(directory)


def test_a_directory_that_is_in_use_is_made_again_without_harm(directory):
    with agent_listening(directory, lambda connection: connection.sendall(b"hello")):
        sockets.make_run_directory(directory, "5" * 64)
        with sockets.connect(directory) as connection:
            assert connection.recv(5) == b"hello"
    assert (directory / "key").read_text() == "5" * 64 + "\n"
    assert sorted(path.name for path in directory.iterdir()) == ["agent.sock", "key"]


def test_a_directory_is_made_with_what_it_needs(folder):
    directory = folder / "sockets" / "new"
    sockets.make_run_directory(directory, "7" * 64)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o777
    assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o700
    key = directory / "key"
    assert (key.read_text(), stat.S_IMODE(key.stat().st_mode)) == ("7" * 64 + "\n", 0o444)


def test_a_link_in_the_place_of_the_key_is_not_followed(folder, directory):
    elsewhere = folder / "elsewhere"
    elsewhere.write_text("theirs")
    (directory / "key").unlink()
    (directory / "key").symlink_to(elsewhere)
    sockets.make_run_directory(directory, "8" * 64)
    assert elsewhere.read_text() == "theirs"
    assert (directory / "key").read_text() == "8" * 64 + "\n"


def test_a_directory_that_cannot_be_made_says_so(folder):
    (folder / "sockets").write_text("a file")
    with pytest.raises(StartFailed):
        sockets.make_run_directory(folder / "sockets" / "new", "9" * 64)
