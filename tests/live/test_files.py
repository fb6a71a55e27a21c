"""Files of a real container over HTTP: whole, bounded, and never from outside the workspace."""

import http.client
import os
import socket
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.waiting import wait_until

pytestmark = pytest.mark.live

LIMIT = 100 * 1024**2
# What a download may cost beyond what is on its way in sockets and buffers.
GROWTH_BYTES = 16 * 1024**2

PREPARE = r"""
import os, socket
os.chdir(os.environ["TRINITY_WORKSPACE"])
os.makedirs("docs/old")
open("docs/old/a.txt", "w").write("12345")
open(b"odd-\xff\nname", "w").write("odd")
for name, target in {"key": "/run/trinity/key", "spool": "/var/lib/trinity", "proc": "/proc/1",
                     "up": "../..", "tmp": "/tmp"}.items():
    os.symlink(target, f"link-{name}")
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
with open("sparse", "wb") as file:
    file.truncate(2 * 1024**3)
os.makedirs("cache/module")
open("cache/module/source", "w").close()
os.chmod("cache/module", 0o555)
os.chmod("cache", 0o555)
os.makedirs("closed/below")
os.chmod("closed", 0)
for crowd in "crowd", "doomed":
    os.mkdir(crowd)
    for number in range(100_000):
        os.mknod(f"{crowd}/{number:06}")
here = os.open(".", os.O_RDONLY)
for _ in range(2000):
    os.mkdir("deep", dir_fd=here)
    below = os.open("deep", os.O_RDONLY, dir_fd=here)
    os.close(here)
    here = below
"""


@pytest.fixture(scope="module")
def prepared(agent, product):
    told = product.finished(product.run(agent, "python3", "-c", PREPARE), seconds=60)
    assert told["status"] == "succeeded", told["result"]["logs"]
    return agent


@pytest.fixture
def at(prepared, product):
    """A call on the files; the path goes as it is."""

    def call(method, path, *, to="files", **options):
        return product.call(
            method, f"/api/agents/{prepared}/{to}?path={quote(path, safe='/%')}", **options
        )

    return call


def refused(answer):
    return answer.status_code, answer.json()["code"]


def put(product, path, body, **headers):
    """Upload without a library that reads the body first or sends it whole."""
    headers["Authorization"] = f"Bearer {product.token}"
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=60)
    with closing(connection):
        connection.request("PUT", path, body, headers, encode_chunked=True)
        answer = connection.getresponse()
        return answer.status, answer.read()


def inside(product, agent, code):
    """Run a line of Python in the workspace and return what it prints."""
    program = f"import os; os.chdir(os.environ['TRINITY_WORKSPACE']); print({code})"
    told = product.finished(product.run(agent, "python3", "-c", program))
    return told["result"]["logs"][-1]


def test_the_tree_is_listed_and_cut_off_where_it_is_too_large(at):
    told = at("GET", "").json()
    assert told["base_path"] == "/home/developer"
    assert told["truncated"]
    nodes = {node["name"]: node for node in told["children"]}
    assert nodes["docs"]["children"][0]["children"][0]["size"] == 5
    assert nodes["sparse"]["size"] == 2 * 1024**3
    assert nodes["crowd"]["truncated"]
    assert nodes["closed"]["truncated"]
    assert {name for name in nodes if nodes[name].get("special")} == {
        *(f"link-{name}" for name in ("key", "spool", "proc", "up", "tmp")),
        "fifo",
        "socket",
    }


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "/run/trinity/key",
        "/proc/1/environ",
        "link-key",
        "link-spool/spool",
        "link-proc/environ",
        "link-up/run/trinity/key",
        "link-tmp/x",
    ],
)
def test_nothing_outside_is_reached(at, path):
    outside = (403, "outside_workspace")
    assert refused(at("GET", path)) == outside
    assert refused(at("GET", path, to="files/download")) == outside
    if "/" in path:
        assert refused(at("DELETE", path)) == outside
        assert refused(at("PUT", path, data=b"x")) == outside


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("sparse", (413, "too_large")),
        ("fifo", (400, "wrong_kind")),
        ("socket", (400, "wrong_kind")),
        ("docs", (400, "wrong_kind")),
        ("closed/below", (403, "not_permitted")),
        ("none", (404, "file_not_found")),
    ],
)
def test_what_is_not_handed_out_is_refused_with_a_word(at, path, refusal):
    assert refused(at("GET", path, to="files/download")) == refusal


def test_an_odd_name_can_be_downloaded_and_deleted(at):
    [node] = [node for node in at("GET", "").json()["children"] if "path_encoded" in node]
    answer = at("GET", node["path_encoded"], to="files/download")
    assert answer.content == b"odd"
    assert "\n" not in answer.headers["Content-Disposition"]
    assert at("DELETE", node["path_encoded"]).status_code == 200
    assert at("GET", node["path_encoded"], to="files/download").status_code == 404


@pytest.mark.parametrize("tree", ["cache", "doomed", "deep"])
def test_a_tree_is_deleted_however_it_was_made(at, prepared, product, tree):
    assert at("DELETE", tree).json() == {"success": True, "deleted": tree, "type": "directory"}
    assert inside(product, prepared, f"os.path.lexists({tree!r})") == "False"


def test_what_the_agent_itself_may_not_delete_stays(at, prepared, product):
    assert refused(at("DELETE", "closed")) == (403, "not_permitted")
    assert inside(product, prepared, "os.path.lexists('closed')") == "True"


def test_an_upload_is_the_agents_own_and_comes_back_to_the_byte(at, prepared, product):
    content = os.urandom(20_000_000)
    told = at("PUT", "up/loaded.bin", data=content).json()
    assert told == {"success": True, "path": "up/loaded.bin", "size": len(content)}
    owner = inside(product, prepared, "os.stat('up/loaded.bin').st_uid, os.listdir('up')")
    assert owner == "1000 ['loaded.bin']"
    answer = at("GET", "up/loaded.bin", to="files/download")
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private"
    assert answer.content == content


@pytest.mark.parametrize("chunked", [True, False])
def test_more_than_the_limit_is_refused_to_who_sends_all_of_it(prepared, product, chunked):
    path = f"/api/agents/{prepared}/files?path=too-large"
    parts = (b"x" * 1024**2 for _ in range(101))
    headers = {} if chunked else {"Content-Length": str(101 * 1024**2)}
    status, body = put(product, path, parts, **headers)
    assert status == 413, body
    left = "[name for name in os.listdir() if name.startswith(('.trinity', 'too-large'))]"
    wait_until(lambda: inside(product, prepared, left) == "[]")


def test_an_upload_that_breaks_off_leaves_nothing(prepared, product):
    inside(product, prepared, "os.mkdir('broken')")
    with socket.create_connection(("127.0.0.1", product.port), timeout=20) as client:
        head = [
            f"PUT /api/agents/{prepared}/files?path=broken/file HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {product.token}",
            "Content-Length: 10000000",
        ]
        client.sendall("\r\n".join([*head, "", ""]).encode() + b"x" * 1_000_000)
        wait_until(lambda: ".trinity-upload-" in inside(product, prepared, "os.listdir('broken')"))
    wait_until(lambda: inside(product, prepared, "os.listdir('broken')") == "[]")


def test_a_stranger_to_the_api_sends_no_body(prepared, product):
    with socket.create_connection(("127.0.0.1", product.port), timeout=20) as client:
        head = [
            f"PUT /api/agents/{prepared}/files?path=x HTTP/1.1",
            "Host: 127.0.0.1",
            "Content-Length: 10000000",
            "Expect: 100-continue",
        ]
        client.sendall("\r\n".join([*head, "", ""]).encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 401 ")


def rss(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(pid)


def web_process(product):
    return (product.processes.get("up") or product.processes["serve"]).pid


def test_a_large_file_costs_no_memory_up_or_down_to_a_slow_reader(at, prepared, product):
    pid = web_process(product)
    path = f"/api/agents/{prepared}/files?path=large"
    # The first ones warm up what stays.
    assert put(product, path, (b"x" * 1024**2 for _ in range(10)))[0] == 200
    assert len(at("GET", "large", to="files/download").content) == 10 * 1024**2
    before, peak = rss(pid), 0
    assert put(product, path, (b"x" * 1024**2 for _ in range(100)))[0] == 200
    up = rss(pid)
    with at("GET", "large", to="files/download", stream=True) as answer:
        received = 0
        while part := answer.raw.read(2 * 1024**2):
            received += len(part)
            peak = max(peak, rss(pid))
            # A reader at 20 MiB/s: the server is faster, and has to wait.
            time.sleep(0.1)
    assert received == LIMIT
    print(f"RSS before {before}, after an upload of 100 MiB {up}, peak of its download {peak}")
    assert max(up, peak) - before < GROWTH_BYTES
