"""What an operation leaves in ``out/`` is kept, once, and its working directory is not."""

import asyncio
import tracemalloc
from hashlib import sha256

import pytest
from django.core.files.storage import FileSystemStorage

from agents import engine, lifecycle
from agents.database import Writer, read
from agents.errors import LeaseLost
from agents.wire import AgentServer
from operations import collecting, retention
from operations.models import Artifact, LeftFolder
from tests.operations.artifacts import contents, stored
from tests.operations.driving import begin, executing, finished, run, until
from trinity.audit import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)


def shell(text):
    return ["sh", "-c", text]


LEAVE_TWO = shell('cd "$TRINITY_OUT"; mkdir sub; printf one > one.txt; printf two > sub/two.json')
TWO = {"one.txt": b"one", "sub/two.json": b"two"}


def described(operation):
    fields = ("path", "size", "content_type", "sha256")
    return list(Artifact.objects.filter(operation=operation).values_list(*fields))


def spool_of(containers):
    """What the agent server still keeps of any operation."""
    return list(containers.folder.glob("*/spool/operations/*")) + list(
        containers.folder.glob("*/operations/*")
    )


async def test_files_are_there_with_the_end(agent, containers):
    operation = await run(agent, *LEAVE_TWO)
    assert await read(described, operation) == [
        ("one.txt", 3, "text/plain", sha256(b"one").hexdigest()),
        ("sub/two.json", 3, "application/json", sha256(b"two").hexdigest()),
    ]
    assert await read(contents, operation) == TWO
    assert (operation.artifact_count, operation.notes) == (2, [])


async def test_nothing_of_it_stays_with_the_agent(agent, containers):
    operation = await begin(agent, *LEAVE_TWO)
    async with executing(agent):
        await finished(operation)
        await until(lambda: not spool_of(containers))


@pytest.mark.parametrize("ending", ["exit 3", "kill -9 $$", "sleep 100"])
async def test_they_are_kept_however_it_ended(agent, ending):
    operation = await run(agent, *shell(f"{LEAVE_TWO[2]}; {ending}"), timeout_seconds=2)
    assert operation.status == "failed"
    assert await read(contents, operation) == TWO


async def test_what_is_left_out_is_told(agent):
    operation = await run(
        agent, *shell('cd "$TRINITY_OUT"; ln -s /etc/passwd link; truncate -s 1T huge; echo > file')
    )
    assert await read(contents, operation) == {"file": b"\n"}
    assert operation.notes == [
        "Not among the artifacts: 1 (above the limit of 100 MB in all)",
        "Not among the artifacts: 1 (neither file nor directory; links are not followed)",
    ]


async def test_its_own_notes_come_before_them(agent):
    line = '{"status": "ok", "summary": "s", "notes": ["own"]}'
    operation = await run(
        agent, *shell(f"echo '{line}'; echo __AGENT_DONE__; ln -s x $TRINITY_OUT/link")
    )
    assert [note.split(":")[0] for note in operation.notes] == ["own", "Not among the artifacts"]


async def test_odd_names_are_made_safe(agent):
    operation = await run(
        agent, *shell('cd "$TRINITY_OUT"; touch "$(printf \'a\\nb\')" "$(printf \'\\377\')" %41 é')
    )
    assert set(await read(contents, operation)) == {"a%0Ab", "%FF", "%2541", "é"}


class Failing(FileSystemStorage):
    """A storage that fails at the second file."""

    saved = 0

    def _save(self, name, content):
        type(self).saved += 1
        if type(self).saved == 2:
            raise OSError("no space left")
        return super()._save(name, content)


def use(settings, backend):
    artifacts = settings.STORAGES["artifacts"] | {"BACKEND": backend}
    settings.STORAGES = settings.STORAGES | {"artifacts": artifacts}


async def test_a_storage_that_fails_once_is_asked_again(agent, settings):
    Failing.saved = 0
    use(settings, "tests.operations.test_artifacts.Failing")
    operation = await run(agent, *LEAVE_TWO)
    assert await read(contents, operation) == TWO
    assert len(await read(stored, operation)) == 2


class Stuck(Failing):
    """One that cannot delete either."""

    def delete(self, name):
        raise OSError("read-only")


class Away(FileSystemStorage):
    def _save(self, name, content):
        raise OSError("/secret/path")


async def test_a_storage_that_stays_away_does_not_hold_up_the_end(agent, settings, monkeypatch):
    monkeypatch.setattr(collecting, "GIVE_UP_SECONDS", 0.5)
    use(settings, "tests.operations.test_artifacts.Away")
    operation = await run(agent, *LEAVE_TWO)
    assert operation.status == "succeeded"
    assert operation.notes == ["No artifacts were taken: their storage did not work"]
    assert await read(described, operation) == []


async def die_before_the_end_is_recorded(agent):
    """Its files are stored; the process is gone before the transaction."""
    operation = await begin(agent, *LEAVE_TWO)
    collect, reached = collecting._collect, asyncio.Event()

    async def and_stand_still(*args):
        collection = await collect(*args)
        if not reached.is_set():
            reached.set()
            await asyncio.Event().wait()
        return collection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collecting, "_collect", and_stand_still)
        async with executing(agent):
            await asyncio.wait_for(reached.wait(), 20)
    assert len(await read(stored, operation)) == 2
    return operation


async def test_one_that_dies_before_the_end_is_recorded_leaves_no_second_copy(agent):
    operation = await die_before_the_end_is_recorded(agent)
    async with executing(agent):
        await finished(operation)
        await until(lambda: len(stored(operation)) == 2)
    assert await read(contents, operation) == TWO


async def test_what_was_stored_of_one_that_is_lost_then_goes(agent):
    operation = await die_before_the_end_is_recorded(agent)
    await engine.do(lifecycle.stop, agent, SYSTEM)
    async with executing(agent):
        await finished(operation)
    assert (operation.error, operation.artifact_count) == ("lost", 0)
    await retention.erase_left()
    assert await read(stored, operation) == set()


async def test_what_was_stored_of_one_that_ends_without_artifacts_then_goes(
    agent, settings, monkeypatch
):
    operation = await die_before_the_end_is_recorded(agent)
    monkeypatch.setattr(collecting, "GIVE_UP_SECONDS", 0)
    use(settings, "tests.operations.test_artifacts.Away")
    async with executing(agent):
        await finished(operation)
    assert (operation.status, operation.artifact_count) == ("succeeded", 0)
    await retention.erase_left()
    assert await read(stored, operation) == set()


async def test_what_cannot_be_taken_back_at_once_goes_later(agent, settings, monkeypatch):
    monkeypatch.setattr(collecting, "GIVE_UP_SECONDS", 0)
    Failing.saved = 0
    use(settings, "tests.operations.test_artifacts.Stuck")
    operation = await run(agent, *LEAVE_TWO)
    assert len(await read(stored, operation)) == 1
    use(settings, "django.core.files.storage.FileSystemStorage")
    await retention.erase_left()
    assert await read(stored, operation) == set()


async def test_for_one_that_leaves_nothing_the_storage_is_not_asked(agent):
    await run(agent, "true")
    assert not await read(LeftFolder.objects.exists)


async def test_one_that_lost_the_lease_takes_back_what_it_stored(agent):
    def lost():
        raise LeaseLost

    writers = Writer(), Writer(lost)
    operation = await begin(agent, *LEAVE_TWO)
    try:
        async with executing(agent):
            await finished(operation)
        kept = await read(stored, operation)
        with pytest.raises(LeaseLost):
            await _collect_and_write(operation, writers[1])
    finally:
        for writer in writers:
            await asyncio.to_thread(writer.close)
    assert await read(stored, operation) == kept
    assert await read(contents, operation) == TWO


async def _collect_and_write(operation, writer):
    before = await read(stored, operation)
    async with collecting.collected(_Giving(file("other", b"x") + END), operation):
        assert await read(stored, operation) > before
        await writer.write(lambda: None)


# An agent server that is none


class _Giving(AgentServer):
    """Gives what it is told to, to the byte."""

    def __init__(self, given):
        self.given = given

    def conversation(self, **_request):
        return _Conversation(self.given)


class _Conversation:
    def __init__(self, given):
        self.reader = asyncio.StreamReader(limit=1024**2)
        self.reader.feed_data(given)
        self.reader.feed_eof()

    async def __aenter__(self):
        return {"ok": True}, self.reader, None

    async def __aexit__(self, *_):
        return None


def length(number):
    return collecting.LENGTH.pack(number)


def file(path, content):
    return b'{"ok": true, "path": "%s"}\n' % path.encode() + (
        length(len(content)) + content + length(0) if content else length(0)
    )


END = b'{"ok": true, "left_out": {}}\n'
LIES = {
    "nothing at all": b"",
    "rubbish": b"rubbish\n",
    "no end": file("a", b"x"),
    "cut in a file": file("a", b"x" * 100)[:-50],
    "a path twice": file("a", b"x") + file("a", b"y") + END,
    "a part too long": b'{"ok": true, "path": "a"}\n' + length(2**30) + b"x",
    "too many files": b"".join(file(f"{n}", b"") for n in range(1001)) + END,
    "too many bytes": b'{"ok": true, "path": "a"}\n'
    + (length(2**18) + b"x" * 2**18) * 401
    + length(0)
    + END,
}


@pytest.mark.parametrize("given", LIES.values(), ids=LIES.keys())
async def test_an_agent_server_that_lies_gets_nothing_stored(agent, monkeypatch, given):
    monkeypatch.setattr(collecting, "GIVE_UP_SECONDS", 0)
    monkeypatch.setattr(collecting, "RETRY_SECONDS", 0)
    operation = await begin(agent, "true")
    async with collecting.collected(_Giving(given), operation) as taken:
        assert taken["artifacts"] == []
        assert taken["notes"] == ["No artifacts were taken: the agent did not give them"]
    assert await read(stored, operation) == set()


@pytest.mark.parametrize("path", ["..", "a/../../b", "/etc/passwd", "a//b", ".", "", "n" * 300])
async def test_a_path_that_leads_elsewhere_is_left_out(agent, path):
    operation = await begin(agent, "true")
    given = file(path, b"x") + file("fine", b"y") + END
    async with collecting.collected(_Giving(given), operation) as taken:
        assert [artifact.path for artifact in taken["artifacts"]] == ["fine"]
        assert taken["notes"] == ["Not among the artifacts: 1 (with too long a name)"]


@pytest.mark.parametrize("told", ["5", "[]", '{"x": 1}', '{"too_many": "5"}', '{"too_many": -1}'])
async def test_reasons_that_are_none_are_not_told(agent, told):
    operation = await begin(agent, "true")
    given = b'{"ok": true, "left_out": %s}\n' % told.encode()
    async with collecting.collected(_Giving(given), operation) as taken:
        assert taken["notes"] == []


async def test_the_memory_of_a_full_hundred_megabytes_is_bounded(agent):
    operation = await begin(agent, *shell('head -c 104857600 /dev/zero > "$TRINITY_OUT/full"'))
    tracemalloc.start()
    try:
        async with executing(agent):
            await finished(operation)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    [(_, size, _, digest)] = await read(described, operation)
    assert (size, digest) == (100 * 1024**2, sha256(bytes(100 * 1024**2)).hexdigest())
    assert peak < 20 * 1024**2
