"""Real engines for tests: the one of the environment, and private ones that may be stopped."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import docker
import requests

from agents.docker_runtime.verbs import API_VERSION, engine_url
from tests.waiting import wait_until

IMAGE = "trinity-agent-base:latest"


@cache
def answers():
    return _answers(engine_url())


def _answers(url):
    # docker-py leaks its socket when the connection is refused.
    if url.startswith("unix://") and not _accepts(url.removeprefix("unix://")):
        return False
    try:
        # With a version it asks for nothing before it can be closed.
        with closing(docker.APIClient(url, version=API_VERSION, timeout=5)) as api:
            return api.ping()
    except (docker.errors.DockerException, requests.RequestException):
        return False


def _accepts(path):
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(path) == 0


def client():
    return docker.DockerClient(engine_url(), timeout=60)


WITHOUT_NETWORK = (
    *("--iptables=false", "--ip6tables=false", "--ip-forward=false"),
    *("--ip-masq=false", "--bridge=none"),
)


class PrivateEngine:
    """A dockerd of the test's own, with its own directories; the test may stop or kill it."""

    def __init__(self, folder, *, wrapper=(), options=WITHOUT_NETWORK):
        self.folder = Path(folder)
        self.wrapper = wrapper
        self.options = options
        self.url = f"unix://{self.folder}/docker.sock"
        self.process = None

    def start(self):
        if not self._configuration.exists():
            self._configuration.write_text("{}")
        # Left behind by a kill, either keeps the next one from starting.
        for stale in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / stale).unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self.wrapper,
                    "dockerd",
                    *("--data-root", f"{self.folder}/root", "--exec-root", f"{self.folder}/exec"),
                    *("-p", f"{self.folder}/pid", "-H", self.url),
                    *("--config-file", str(self._configuration)),
                    *self.options,
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: _answers(self.url), seconds=30)

    def load(self, image=IMAGE):
        """Take the agent image over from the engine of the environment."""
        with (
            closing(docker.DockerClient(self.url, timeout=120)) as target,
            closing(client()) as source,
        ):
            target.images.load(source.images.get(image).save(named=True))

    @property
    def _configuration(self):
        return self.folder / "daemon.json"

    def keep_containers(self, *, keep):
        """Have containers go on, or not, while the engine is stopped."""
        self._configuration.write_text(json.dumps({"live-restore": keep}))
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self._info()["LiveRestoreEnabled"] == keep)

    def _info(self):
        with closing(docker.APIClient(self.url, version=API_VERSION, timeout=10)) as api:
            return api.info()

    def stop(self, *, seconds=60):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(seconds)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def private_engine(**options):
    folder = tempfile.mkdtemp(prefix="trinity-engine-")
    engine = PrivateEngine(folder, **options)
    engine.start()
    try:
        engine.load()
        yield engine
    finally:
        if engine.process.poll() is None:
            engine.thaw()
            engine.stop()
        # One that has kept its containers once leaves its directory mounted.
        subprocess.run(["umount", "-q", f"{folder}/root"], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def is_root():
    return os.geteuid() == 0
