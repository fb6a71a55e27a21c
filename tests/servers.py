"""PostgreSQL, Redis and nginx: servers of the test's own, on loopback, in temporary folders."""

import os
import pwd
import shutil
import signal
import socket
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


NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/unused1;
    uwsgi_temp_path {folder}/unused2;
    scgi_temp_path {folder}/unused3;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {url};
        }}
    }}
}}
"""


def nginx_program():
    """Its path, or None; a package may put it where not everybody's programs are."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def nginx(url):
    """Run nginx before a server, with what it does by itself, and give its URL."""
    port = free_port()
    with _folder("trinity-nginx-") as folder:
        # Of root's folder its workers would see nothing.
        folder.chmod(0o755)
        settings = folder / "nginx.conf"
        settings.write_text(NGINX.format(folder=folder, port=port, url=url))
        command = [nginx_program(), "-c", settings, "-e", folder / "errors"]
        with _running(command, folder, stop=signal.SIGTERM):
            wait_until(lambda: _listens(port), seconds=30)
            yield f"http://127.0.0.1:{port}"


def _listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


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
