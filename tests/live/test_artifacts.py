"""Results and artifacts of operations in real containers, to the end of their files."""

import time
from hashlib import sha256

import pytest

from tests.settled import change, rows
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

LEAVE = 'cd "$TRINITY_OUT"; mkdir sub; printf one > one.txt; head -c 5000000 /dev/zero > sub/zero'
TELL = 'echo \'{"status": "ok", "summary": "Wrote it", "notes": "two files"}\'; echo __AGENT_DONE__'
HOSTILE = """
import os, socket
os.chdir(os.environ["TRINITY_OUT"])
os.symlink("/etc/passwd", "link")
os.symlink("..", "up")
os.mkfifo("pipe")
socket.socket(socket.AF_UNIX).bind("socket")
with open("sparse", "wb") as file:
    file.truncate(2**40)
os.mkdir("shut")
open("shut/in", "w").close()
os.chmod("shut", 0)
open(b"odd\\xff\\n", "w").close()
for number in range(100_000):
    os.mknod(f"many{number:06}")
"""


def artifacts_of(product, operation):
    answer = product.get(f"/api/v1/operations/{operation}/artifacts").json()
    assert answer == product.post(f"/api/v1/artifacts/{operation}/list").json()
    return {each["path"]: each for each in answer["artifacts"]}


def downloads(product, operation, path):
    one = product.get(f"/api/v1/operations/{operation}/artifacts/{path}")
    body = {"operation_id": operation, "artifact_path": path}
    other = product.post("/api/v1/artifacts/download", body)
    assert one.content == other.content
    assert one.headers["Content-Disposition"].startswith("attachment")
    assert one.headers["X-Content-Type-Options"] == "nosniff"
    assert one.headers["Cache-Control"] == "private"
    return one.content


def files_of(product, operation):
    return list((product.data_dir / "artifacts" / operation).glob("*"))


def kept_by(container):
    """The operations that the agent's container still has something of."""
    found = container.exec_run(["sh", "-c", "ls /var/lib/trinity/spool/operations"])
    return found.output.decode().split()


def test_what_is_left_in_out_is_there_with_the_end(product, agent, container_of):
    operation = product.run(agent, "sh", "-c", f"{LEAVE}; {TELL}")
    result = product.finished(operation)["result"]
    assert (result["status"], result["summary"]) == ("ok", "Wrote it")
    assert result["notes"] == ["two files"]
    assert [each["path"] for each in result["artifacts"]] == ["one.txt", "sub/zero"]
    listed = artifacts_of(product, operation)
    for path, content in {"one.txt": b"one", "sub/zero": bytes(5_000_000)}.items():
        assert downloads(product, operation, path) == content
        assert listed[path]["sha256"] == sha256(content).hexdigest()
        assert listed[path]["size"] == len(content)
    container = container_of(product, agent)
    wait_until(lambda: operation not in kept_by(container))


def test_a_program_that_lingers_after_its_result_is_ended(product, agent, container_of):
    began = time.monotonic()
    operation = product.run(agent, "sh", "-c", f"{LEAVE}; {TELL}; sleep 86399")
    told = product.finished(operation)
    assert time.monotonic() - began < 60
    assert (told["status"], told["result"]["exit_code"]) == ("succeeded", None)
    processes = container_of(product, agent).exec_run(["ps", "ax"]).output.decode()
    assert "86399" not in processes
    assert len(artifacts_of(product, operation)) == 2


def test_a_result_that_says_error_is_a_failure(product, agent):
    line = '{"status": "error", "summary": "No luck"}'
    operation = product.run(agent, "sh", "-c", f"echo '{line}'; echo __AGENT_DONE__")
    told = product.finished(operation)
    assert (told["status"], told["result"]["status"]) == ("failed", "error")
    assert told["result"]["summary"] == "No luck"


def test_hostile_leavings_are_left_out(product, agent):
    operation = product.run(agent, "python3", "-c", HOSTILE)
    result = product.finished(operation, seconds=120)["result"]
    assert (result["status"], result["artifact_count"]) == ("ok", 1000)
    listed = artifacts_of(product, operation)
    assert all(path.startswith("many") for path in listed)
    notes = " ".join(result["notes"])
    for words in ("1000 files", "neither file nor directory", "unreadable"):
        assert words in notes


def test_a_sparse_terabyte_and_an_odd_name(product, agent):
    script = 'cd "$TRINITY_OUT"; truncate -s 1T sparse; touch "$(printf \'odd\\377\\n.\')"'
    operation = product.run(agent, "sh", "-c", script)
    result = product.finished(operation)["result"]
    assert [each["path"] for each in result["artifacts"]] == ["odd%FF%0A."]
    assert result["notes"] == ["Not among the artifacts: 1 (above the limit of 100 MB in all)"]


def test_an_isolated_operation_leaves_them_too(product, agent):
    operation = product.run(agent, "sh", "-c", LEAVE, isolated=True)
    assert product.finished(operation, seconds=60)["status"] == "succeeded"
    assert downloads(product, operation, "one.txt") == b"one"


def test_files_go_with_their_agent(embedded):
    embedded.create_agent("leaver")
    operation = embedded.run("leaver", "sh", "-c", LEAVE)
    embedded.finished(operation)
    assert len(files_of(embedded, operation)) == 2
    assert embedded.call("DELETE", "/api/agents/leaver").status_code == 200
    assert embedded.get(f"/api/v1/operations/{operation}/artifacts").status_code == 404
    wait_until(lambda: not erased(embedded, operation), seconds=30)


def erased(product, operation):
    product.manage("prune")
    return files_of(product, operation)


def make_older(product, operation, days):
    """As if it had ended so many days earlier."""
    older = "UPDATE operations_operation SET finished_at = datetime(finished_at, ?) WHERE id = ?"
    change(product, older, f"-{days} days", operation.replace("-", ""))


def test_a_supervisor_killed_while_it_collects_collects_again_and_removes_what_is_due(own_product):
    own_product.create_agent("busy")
    leave = ("sh", "-c", 'echo left | tee "$TRINITY_OUT/left"')
    young, past_artifacts, past_all = [own_product.run("busy", *leave) for _ in range(3)]
    for operation in (young, past_artifacts, past_all):
        assert own_product.finished(operation)["result"]["artifact_count"] == 1
    script = 'cd "$TRINITY_OUT"; for n in $(seq 900); do head -c 100000 /dev/urandom > $n; done'
    operation = own_product.run("busy", "sh", "-c", script)
    wait_until(lambda: len(files_of(own_product, operation)) > 20, seconds=60, step=0.002)
    own_product.kill()
    assert own_product.data_dir.joinpath("artifacts", operation).is_dir()
    half = {path.name for path in files_of(own_product, operation)}
    make_older(own_product, past_artifacts, days=31)
    make_older(own_product, past_all, days=91)
    own_product.start()
    result = own_product.finished(operation, seconds=90)["result"]
    assert (result["status"], result["artifact_count"]) == ("ok", 900)
    print(f"{len(half)} files were stored when it was killed")
    wait_until(lambda: len(files_of(own_product, operation)) == 900, seconds=30)
    if len(half) < 900:
        assert not half & {path.name for path in files_of(own_product, operation)}
    for path, each in list(artifacts_of(own_product, operation).items())[:20]:
        content = downloads(own_product, operation, path)
        assert sha256(content).hexdigest() == each["sha256"]
    # That it did by itself as soon as it began.
    wait_until(lambda: own_product.get(f"/api/v1/operations/{past_all}").status_code == 404)
    wait_until(lambda: not files_of(own_product, past_all) + files_of(own_product, past_artifacts))
    kept = own_product.operation(past_artifacts)["result"]
    assert (kept["artifacts"], kept["logs"]) == ([], ["left"])
    assert "removed, for their age" in " ".join(kept["notes"])
    assert downloads(own_product, young, "left") == b"left\n"
    assert rows(own_product, "SELECT count(*) FROM agents_logchunk WHERE text = 'left'") == [(2,)]
