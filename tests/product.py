"""The product as users run it: real processes, a real engine, HTTP and WebSockets."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path

import docker
import requests
from websockets.sync.client import connect

from agents.docker_runtime import networks
from agents.docker_runtime.verbs import engine_url
from tests import migrated
from tests.settled import rows
from tests.waiting import wait_until

# From the request for an operation's end to its record.
CANCEL_SECONDS = 12
ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "only for this test"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Product:
    """One installation; ``start`` may be called again after ``stop`` or ``kill``."""

    def __init__(self, *, engine=None, environment=None, split=False, wrapper=(), fresh=False):
        self.data_dir = Path(tempfile.mkdtemp(prefix="trinity-product-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_password = PASSWORD
        self.engine_url = engine or engine_url()
        self.split = split
        #: What each of its commands is run by.
        self.wrapper = wrapper
        self.processes = {}
        self.environment = {
            **os.environ,
            "DOCKER_HOST": self.engine_url,
            "TRINITY_DATA_DIR": str(self.data_dir),
            "TRINITY_PORT": str(self.port),
            "TRINITY_ADMIN_PASSWORD": PASSWORD,
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self._token = None
        # Migrations take most of a start.
        if not fresh and not self.environment.get("DATABASE_URL"):
            shutil.copy(migrated.database(), self.data_dir / "trinity.sqlite3")

    # Processes.

    def start(self):
        if self.split:
            self.manage("migrate", "-v0")
            self.start_half("serve")
            self.start_half("supervise")
        else:
            self.start_half("up")
        wait_until(self._answers, seconds=60)
        if self.split:
            # What ``up`` does by itself; refused, and rightly, at a second start.
            passwords = {"password": PASSWORD, "confirm_password": PASSWORD}
            requests.post(f"{self.url}/api/setup/admin-password", json=passwords, timeout=10)

    def start_half(self, command, *, name=None, **environment):
        """Start one process of the product; a second of its kind needs a name of its own."""
        name = name or command
        with (self.data_dir / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*self.wrapper, sys.executable, "manage.py", command],
                cwd=ROOT,
                env={**self.environment, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _answers(self):
        for command, process in self.processes.items():
            assert process.poll() is None, self.output(command)
        with suppress(requests.RequestException):
            return requests.get(f"{self.url}/health", timeout=5).status_code in {200, 503}

    def manage(self, *arguments):
        return subprocess.run(
            [*self.wrapper, sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout

    def output(self, command="up"):
        return (self.data_dir / f"{command}.log").read_text()

    def stop(self):
        self._signal(signal.SIGTERM)

    def kill(self):
        """As the kernel does when memory is short: at once, in the middle of anything."""
        self._signal(signal.SIGKILL)

    def _signal(self, name):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(name)
        for process in self.processes.values():
            process.wait(30)
        self.processes = {}

    def remove(self):
        """Stop it and take its containers and volumes off the engine."""
        self.stop()
        with closing(docker.DockerClient(self.engine_url, timeout=60)) as engine:
            for container in self.containers(engine):
                container.remove(force=True)
            for volume in engine.volumes.list(filters={"name": f"trinity-{self.instance}-"}):
                volume.remove(force=True)
            if not self.wrapper:
                networks.remove(engine.api, instance=self.instance)
        if self.wrapper:
            self.manage("remove_networks")
        shutil.rmtree(self.data_dir, ignore_errors=True)

    @cached_property
    def instance(self):
        [(instance,)] = rows(self, "SELECT instance FROM agents_host")
        return instance

    def containers(self, engine):
        """This installation's containers, whatever their state."""
        label = f"trinity.instance={self.instance}"
        return engine.containers.list(all=True, filters={"label": label})

    # A program that uses the API.

    @property
    def token(self):
        if self._token is None:
            form = {"username": "admin", "password": PASSWORD}
            answer = requests.post(f"{self.url}/token", data=form, timeout=10)
            self._token = answer.json()["access_token"]
        return self._token

    def call(self, method, path, body=None, *, token=None, timeout=40, **options):
        return requests.request(
            method,
            self.url + path,
            json=body,
            headers={"Authorization": f"Bearer {token or self.token}"},
            timeout=timeout,
            **options,
        )

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.call("POST", path, body, **options)

    def create_agent(self, name, **fields):
        answer = self.post("/api/agents", {"name": name, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def agent(self, name):
        return self.get(f"/api/agents/{name}").json()

    def run(self, agent, *command, **fields):
        """Start an operation and return its id."""
        answer = self.post(
            "/api/v1/operations", {"agent": agent, "command": list(command), **fields}
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def operation(self, operation_id, tail=100):
        return self.get(f"/api/v1/operations/{operation_id}?tail={tail}").json()

    def finished(self, operation_id, *, seconds=30):
        """Wait for the end and return the status object."""

        def ended():
            found = self.operation(operation_id, tail=1000)
            return found if found["status"] not in {"starting", "processing"} else None

        return wait_until(ended, seconds=seconds)

    def cancel(self, *operations):
        """Cancel them, and return their status objects; all have ended within the promised time."""
        asked = time.time()
        for operation in operations:
            answer = self.post(f"/api/v1/operations/{operation}/cancel")
            assert answer.status_code == 204, answer.text
        told = [self.finished(each, seconds=3 * CANCEL_SECONDS) for each in operations]
        ends = [datetime.fromisoformat(each["finished_at"]).timestamp() for each in told]
        print(f"canceled in {max(ends) - asked:.2f} s")
        assert max(ends) - asked <= CANCEL_SECONDS, told
        assert {each["status"] for each in told} == {"canceled"}, told
        return told

    def stream(self, operation_id, *, after=0):
        """Yield the events of an operation's stream as (id or None, data)."""
        path = f"/api/v1/operations/{operation_id}/stream?after={after}"
        with self.get(path, stream=True, timeout=60) as answer:
            assert answer.status_code == 200, answer.text
            seq = None
            for line in answer.iter_lines(chunk_size=None):
                name, _, value = line.decode().partition(": ")
                if name == "id":
                    seq = int(value)
                elif name == "data":
                    yield seq, json.loads(value)
                    seq = None

    @contextmanager
    def socket(self, *topics, **positions):
        """Open the live socket by a ticket and subscribe; frames are read with ``recv``."""
        ticket = self.post("/api/tickets", {"for": "/ws"}).json()["ticket"]
        with connect(f"ws://127.0.0.1:{self.port}/ws?ticket={ticket}", max_size=2**24) as live:
            for topic in topics:
                live.send(json.dumps({"subscribe": topic, **positions}))
            yield live


def next_frame(live, event, *, seconds=10, where=lambda _data: True):
    """Return the data of the next frame of an event; others are passed over."""

    def wanted():
        found = json.loads(live.recv(timeout=seconds))
        return found["data"] if found["event"] == event and where(found["data"]) else None

    return wait_until(wanted, seconds=seconds, step=0)
