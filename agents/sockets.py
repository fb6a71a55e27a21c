"""The directories that agents' servers listen in, and opening a socket there safely.

A container can write to its directory, so the host never follows a path inside it: a link in
place of the socket would lead to a neighbour's socket, or to the engine's.
"""

import errno
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from django.conf import settings

from agents.errors import AgentUnavailable

SOCKET_NAME = "agent.sock"
KEY_NAME = "key"
CONNECT_SECONDS = 2.0


def run_directory(name: str) -> Path:
    return Path(settings.DATA_DIR) / "sockets" / name


def make_run_directory(path: Path, key: str) -> None:
    """Make the directory that a container will own, with its key; harmless when it is there.

    The parent is closed to everybody else, so that 0777 reaches only as far as the mount does;
    the agent's user has an id of the image's choosing and no capability to pass a 0755.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    # Moved into place whole: a process that is killed here leaves no directory without its key.
    draft = Path(tempfile.mkdtemp(dir=path.parent))
    key_file = draft / KEY_NAME
    key_file.write_text(key + "\n")
    key_file.chmod(0o444)
    draft.chmod(0o777)
    try:
        draft.rename(path)
    except OSError as error:
        shutil.rmtree(draft)
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise


def remove_run_directory(path: Path) -> None:
    # rmtree unlinks links and never enters them.
    shutil.rmtree(path, ignore_errors=True)


def connect(path: Path) -> socket.socket:
    """Connect to the server in a run directory; raise AgentUnavailable.

    Only to a socket that lies there itself. Which process listens is still to be proved.
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
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_SECONDS)
        try:
            # Through the descriptor: what was looked at is what is connected to, and the
            # path stays below the 108 bytes that a socket's address may have.
            connection.connect(f"/proc/self/fd/{entry}")
        except OSError:
            connection.close()
            raise
        return connection
    finally:
        os.close(entry)


def peer_pid(connection: socket.socket) -> int:
    """The process that listens, in our namespace; 0 where it cannot be seen from here."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], "little", signed=True)
