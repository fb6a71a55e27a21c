"""PostgreSQL and Redis for tests: servers of the test's own, on loopback, in temporary folders."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis as redis_client

from tests.product import free_port
from tests.waiting import wait_until


def missing():
    """Name what must be installed; empty when both servers can be run."""
    tools = {"PostgreSQL": _postgres_folder(), "Redis": shutil.which("redis-server")}
    return " and ".join(name for name, found in tools.items() if not found)


def _postgres_folder():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if found and (found[-1] / "initdb").exists():
        return found[-1]
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


@contextmanager
def postgres():
    """Run a PostgreSQL server and give the URL of its database."""
    programs, port = _postgres_folder(), free_port()
    with _folder("trinity-postgres-") as folder:
        # It refuses to run as root.
        as_user = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
            as_user.append("--clear-groups")
        data = folder / "data"
        make = [programs / "initdb", "-D", data, "-U", "trinity", "-A", "trust", "--no-sync"]
        subprocess.run(
            [*as_user, *make, "--encoding=UTF8", "--locale=C"],
            check=True,
            capture_output=True,
            cwd=folder,
            timeout=60,
        )
        serve = [programs / "postgres", "-D", data, "-p", str(port), "-F"]
        serve += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
        url = f"postgres://trinity@127.0.0.1:{port}/postgres"
        with _running([*as_user, *serve], folder, stop=signal.SIGINT):
            wait_until(lambda: _accepts(url), seconds=30)
            yield url


def _accepts(url):
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def redis():
    """Run a Redis server and give its URL."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
    url = f"redis://127.0.0.1:{port}/0"
    with (
        _folder("trinity-redis-") as folder,
        _running([*command, "--save", "", "--appendonly", "no"], folder, stop=signal.SIGTERM),
    ):
        with redis_client.Redis.from_url(url) as client:
            wait_until(lambda: _pings(client), seconds=30)
        yield url


def _pings(client):
    try:
        return client.ping()
    except redis_client.ConnectionError:
        return False


@contextmanager
def _folder(prefix):
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(command, folder, *, stop):
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
