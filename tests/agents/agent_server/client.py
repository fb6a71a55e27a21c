"""A small client of the agent server's protocol: plain blocking sockets."""

import hmac
import json
import os
import secrets
import socket
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path

HEADER = struct.Struct("!BdI")
STDOUT, STDERR, END = 1, 2, 9
IMAGE = Path(__file__).parents[3] / "agents" / "image"
DEADLINE_SECONDS = 20


def new_id():
    return str(uuid.uuid4())


class Client:
    def __init__(self, path, key):
        self.path = str(path)
        self.key = key

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE_SECONDS)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection

    def authenticated(self):
        """Return a file of a connection whose both ends have proved the key."""
        connection = self.connect()
        stream = connection.makefile("rwb")
        challenge = secrets.token_hex(32)
        send(stream, {"challenge": challenge})
        hello = receive(stream)
        assert hello["proof"] == self.prove(f"server:{challenge}")
        send(stream, {"proof": self.prove(f"client:{hello['challenge']}")})
        # The file holds the connection open.
        connection.close()
        return stream

    def prove(self, text):
        return hmac.new(self.key, text.encode(), "sha256").hexdigest()

    def ask(self, verb, **fields):
        with self.authenticated() as stream:
            send(stream, {"verb": verb, **fields})
            return receive(stream)

    def start(self, *command, id=None, epoch=1, **spec):
        """Start a command and return its id."""
        id = id or new_id()
        spec = {"command": list(command), "env": {}, "workdir": None, **spec}
        answer = self.ask("start", id=id, epoch=epoch, spec=spec)
        assert answer["ok"], answer
        return id

    def signal(self, id, name, **fields):
        return self.ask("signal", **{"id": id, "epoch": 1, "signal": name, **fields})

    def attach(self, id, offset=0):
        """Yield (kind, payload, size of the record); the last is the END."""
        with self.authenticated() as stream:
            send(stream, {"verb": "attach", "id": id, "offset": offset})
            answer = receive(stream)
            assert answer["ok"], answer
            while header := stream.read(HEADER.size):
                kind, _, length = HEADER.unpack(header)
                yield kind, stream.read(length), HEADER.size + length

    def finish(self, id):
        """Follow to the end; return stdout, stderr and the end's fields."""
        printed = {STDOUT: b"", STDERR: b"", END: b""}
        for kind, payload, _ in self.attach(id):
            printed[kind] += payload
        return printed[STDOUT], printed[STDERR], json.loads(printed[END])

    def run(self, *command, **spec):
        return self.finish(self.start(*command, **spec))


class Server:
    """The real server as a child process; can be killed and started again."""

    def __init__(self, root):
        self.run = root / "run"
        self.spool = root / "spool"
        self.workspace = root / "workspace"
        for folder in (self.run, self.spool, self.workspace):
            folder.mkdir()
        key = secrets.token_hex(32)
        (self.run / "key").write_text(f"{key}\n")
        self.client = Client(self.run / "agent.sock", key.encode())
        self.process = None

    def start(self, *, wrapper=(), **environment):
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, "-u", "-m", "agent_server"],
            cwd=IMAGE,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONDONTWRITEBYTECODE": "1",
                "TRINITY_GENERATION": "7",
                "TRINITY_RUN_DIR": str(self.run),
                "TRINITY_SPOOL_DIR": str(self.spool),
                "TRINITY_WORKSPACE": str(self.workspace),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        # What it found amiss in its spool comes before it is ready.
        for line in self.process.stdout:
            self.first_line = line.decode()
            if "ready" in self.first_line:
                break
        return self

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def terminate(self):
        """Send TERM; return the exit code and the rest of the log."""
        self.process.terminate()
        return self.wait()

    def wait(self):
        log, _ = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, log.decode()


def send(stream, message):
    stream.write(json.dumps(message).encode() + b"\n")
    stream.flush()


def receive(stream):
    return json.loads(stream.readline())


def eventually(condition):
    """Wait until the condition holds and return what it returned."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (met := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.01)
    return met


def is_running(pid):
    """Whether a process exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
