"""Volumes: what they take, what they hold as archives, and how they go."""

import gc
import io
import tarfile
from uuid import uuid4

import pytest

from agents.errors import EngineUnavailable, VolumeMissing
from tests.contract.containers import start
from tests.waiting import wait_until


@pytest.fixture
def prefix(runtime):
    """Begins the names of volumes that are removed after the test."""
    prefix = f"contract-{uuid4().hex[:8]}-"
    yield prefix
    for name in runtime.volumes(prefix=prefix):
        runtime.remove_volume(name)


def archive(**files):
    """An archive as another engine might have written it, of an agent's own files."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as content:
        root = tarfile.TarInfo("./")
        root.type, root.mode, root.uid, root.gid = tarfile.DIRTYPE, 0o750, 1000, 1000
        content.addfile(root)
        for name, text in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size, entry.mode, entry.uid, entry.gid = len(text), 0o640, 1000, 1000
            content.addfile(entry, io.BytesIO(text))
    written.seek(0)
    return written


def content_of(content, entry):
    return content.extractfile(entry).read() if entry.isfile() else None


def exported(runtime, name):
    """The entries of an exported volume by their path, with what the files hold."""
    written = io.BytesIO()
    runtime.export_volume(name, written)
    written.seek(0)
    with tarfile.open(fileobj=written) as content:
        entries = content.getmembers()
        return {
            entry.name: (entry.mode & 0o7777, entry.uid, content_of(content, entry))
            for entry in entries
        }


def test_a_volume_comes_back_as_it_was_with_owners_and_modes(runtime, prefix):
    runtime.import_volume(f"{prefix}one", archive(notes=b"written", empty=b""))
    first = exported(runtime, f"{prefix}one")
    assert first["."] == (0o750, 1000, None)
    assert first["./notes"] == (0o640, 1000, b"written")
    again = io.BytesIO()
    runtime.export_volume(f"{prefix}one", again)
    again.seek(0)
    runtime.import_volume(f"{prefix}two", again)
    assert exported(runtime, f"{prefix}two") == first


def test_volumes_are_found_by_how_their_names_begin(runtime, prefix):
    for name in ("b", "a"):
        runtime.import_volume(f"{prefix}{name}", archive())
    runtime.import_volume(f"{prefix}x-{prefix}a", archive())
    assert runtime.volumes(prefix=f"{prefix}a") == [f"{prefix}a"]
    assert len(runtime.volumes(prefix=prefix)) == 3
    assert runtime.volumes(prefix=f"{prefix}none") == []


def test_a_volume_that_is_not_there_is_not_exported(runtime, prefix):
    with pytest.raises(VolumeMissing):
        runtime.export_volume(f"{prefix}none", io.BytesIO())
    assert runtime.volumes(prefix=prefix) == []


def test_an_archive_writes_nothing_beside_its_volume(runtime, prefix, tmp_path):
    outside = tmp_path / "outside"
    paths = {f"../{uuid4().hex}": b"x", f"..{outside}": b"x"}
    try:
        runtime.import_volume(f"{prefix}bad", archive(**paths))
    except Exception as error:  # refusing it is as good
        print(error)
    assert not outside.exists()


def test_a_removed_volume_is_gone_and_removing_it_again_is_nothing(runtime, prefix):
    runtime.import_volume(f"{prefix}one", archive(notes=b"x"))
    for _ in range(2):
        runtime.remove_volume(f"{prefix}one")
        assert runtime.volumes(prefix=prefix) == []


def test_a_volume_is_removed_once_or_twice(runtime, make_spec):
    spec = make_spec()
    runtime.remove(runtime.create(spec))
    for _ in range(2):
        runtime.remove_volume(spec.workspace_volume)


def test_volumes_are_as_large_as_the_files_in_them(runtime, make_spec):
    spec = make_spec(main="head -c 1000000 /dev/zero > large; ln -s /etc link; exec sleep 60")
    start(runtime, spec)

    def written():
        sizes = runtime.volume_sizes(prefix=spec.name)
        return sizes if sizes[spec.workspace_volume] >= 1_000_000 else None

    sizes = wait_until(written, seconds=20)
    assert set(sizes) == {spec.workspace_volume, spec.spool_volume}
    assert sizes[spec.workspace_volume] < 1_010_000
    assert runtime.volume_sizes(prefix="no-such-volume") == {}


# docker-py leaves the socket open on which nobody answered.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_without_an_engine_each_says_so(away):
    with pytest.raises(EngineUnavailable):
        away.volumes(prefix="x")
    with pytest.raises(EngineUnavailable):
        away.export_volume("x", io.BytesIO())
    with pytest.raises(EngineUnavailable):
        away.import_volume("x", archive())
    gc.collect()
