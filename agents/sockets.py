"""The directories that agents' servers listen in, and opening a socket there safely.

A container can write to its directory, so the host never follows a path inside it: a link in
place of the socket would lead to a neighbour's socket, or to the engine's.
"""

import os
import secrets
import socket
import stat
import subprocess
from pathlib import Path

from django.conf import settings

from agents.errors import AgentBusy, AgentUnavailable, StartFailed

SOCKET_NAME = "agent.sock"
KEY_NAME = "key"


def run_directory(name: str) -> Path:
    return Path(settings.DATA_DIR) / "sockets" / name


def remake_run_directory(path: Path, key: str) -> None:
    """Make the directory that a container will own, with its key and nothing else.

    Only for one whose container does not run. Raises StartFailed when the disk does not take
    it. The parent is closed to everybody else, so that 0777 reaches only as far as the mount
    does; the agent's user has no capability to pass a 0755.
    """
    remove_run_directory(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        path.mkdir()
        key_file = path / KEY_NAME
        key_file.write_text(key + "\n")
        key_file.chmod(0o444)
        path.chmod(0o777)
    except OSError as error:
        raise StartFailed(f"The data directory cannot be written: {error.strerror}") from error


def make_run_directory(path: Path, key: str) -> None:
    """Make sure of the directory and its key, and leave whatever else is there.

    For one whose container may run already, because somebody else has started it meanwhile.
    Raises StartFailed when the disk does not take it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        path.mkdir(exist_ok=True)
        path.chmod(0o777)
        directory = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _give_key(directory, key)
        finally:
            os.close(directory)
    except OSError as error:
        raise StartFailed(f"The data directory cannot be written: {error.strerror}") from error


def _give_key(directory: int, key: str) -> None:
    """Put the whole key in its place at once; it is the same as any that was there."""
    draft = f"{KEY_NAME}.{secrets.token_hex(8)}"
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, dir_fd=directory)
    try:
        os.write(file, f"{key}\n".encode())
        os.fchmod(file, 0o444)
        # Follows no link, whatever a container has put there.
        os.replace(draft, KEY_NAME, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(file)


def remove_run_directory(path: Path) -> None:
    # It never follows links; and shutil's would fail on a few thousand nested directories.
    subprocess.run(["rm", "-rf", "--", str(path)], check=False)  # noqa: S603, S607


def connect(path: Path) -> socket.socket:
    """Connect to the server in a run directory at once; raise AgentUnavailable, AgentBusy.

    Only to a socket that lies there itself. Which process listens is still to be proved. Never
    waits, so that an agent cannot hold anybody up by a socket that it lets nobody through.
    """
    try:
        directory = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise AgentUnavailable("The agent has no run directory") from error
    try:
        return _connect_below(directory)
    except OSError as error:
        raise AgentUnavailable("The agent server does not answer") from error
    finally:
        os.close(directory)


def _connect_below(directory: int) -> socket.socket:
    entry = os.open(SOCKET_NAME, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)
    try:
        if not stat.S_ISSOCK(os.fstat(entry).st_mode):
            raise AgentUnavailable("The agent replaced its socket by something else")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # Through the descriptor: what was looked at is what is connected to, and the
            # path stays below the 108 bytes that a socket's address may have.
            connection.connect(f"/proc/self/fd/{entry}")
        except BlockingIOError as error:
            connection.close()
            raise AgentBusy("The agent server takes no more connections at present") from error
        except OSError:
            connection.close()
            raise
        connection.setblocking(True)
        return connection
    finally:
        os.close(entry)


def peer_pid(connection: socket.socket) -> int:
    """The process that listens, in our namespace; 0 where it cannot be seen from here."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], "little", signed=True)
