"""A backup's file: taken apart only when it is as it was written, and never outside its place."""

import io
import json
import stat
import tarfile

import pytest

from trinity.management import databases
from trinity.management.archive import Damaged, unpack, writing
from trinity.management.restore import Unfitting, _check_fit


@pytest.fixture
def backup(tmp_path):
    (tmp_path / "file").write_bytes(b"content" * 10_000)
    path = tmp_path / "backup.tar"
    with writing(path) as archive:
        for name in ("database", "artifacts/ab/report.pdf", "workspaces/abc.tar"):
            archive.add(name, tmp_path / "file")
        archive.finish({"created_at": "now"})
    return path


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    return place


@pytest.fixture
def changed(backup, tmp_path):
    """Write the backup anew, each of its files as a function wants it; None leaves one out."""

    def write(change):
        path = tmp_path / "changed.tar"
        with tarfile.open(backup) as source, tarfile.open(path, "w") as target:
            for entry in source:
                content = change(entry, source.extractfile(entry).read())
                if content is not None:
                    entry.size = len(content)
                    target.addfile(entry, io.BytesIO(content))
        return path

    return write


def refused(path, place):
    with pytest.raises(Damaged) as error:
        unpack(path, place, without=("workspaces/",))
    return str(error.value)


def test_all_of_it_comes_back_but_what_is_not_wanted(backup, place):
    manifest = unpack(backup, place, without=("workspaces/",))
    assert manifest["created_at"] == "now"
    report = place / "artifacts" / "ab" / "report.pdf"
    assert report.read_bytes() == b"content" * 10_000
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert not (place / "workspaces").exists()


def test_the_workspaces_come_back_where_they_are_wanted(backup, place):
    unpack(backup, place)
    assert (place / "workspaces" / "abc.tar").read_bytes() == b"content" * 10_000
    assert (place / "database").exists()


@pytest.mark.parametrize("name", ["database", "artifacts/ab/report.pdf", "workspaces/abc.tar"])
def test_a_file_that_is_not_as_it_was_written_is_refused(changed, place, name):
    path = changed(lambda entry, text: text[:-1] + b"?" if entry.name == name else text)
    assert f"{name} in" in refused(path, place)


@pytest.mark.parametrize("name", ["database", "manifest.json"])
def test_a_missing_part_is_refused(changed, place, name):
    path = changed(lambda entry, text: None if entry.name == name else text)
    assert name in refused(path, place)


def test_a_file_more_is_refused(changed, place):
    def change(entry, text):
        if entry.name == "database":
            entry.name = "keys/secret.key"
        return text

    refused(changed(change), place)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused(backup, place, share):
    content = backup.read_bytes()
    backup.write_bytes(content[: int(len(content) * share)])
    refused(backup, place)


def test_another_file_is_refused(tmp_path, place):
    (tmp_path / "other").write_bytes(b"PK" * 9999)
    assert "is no backup" in refused(tmp_path / "other", place)


@pytest.mark.parametrize("name", ["../outside", "artifacts/../../outside", "/tmp/trinity-outside"])
def test_nothing_is_written_outside(changed, place, name):
    def change(entry, text):
        if entry.name.startswith("artifacts"):
            entry.name = name
        return text

    assert "is nothing that a backup holds" in refused(changed(change), place)
    assert not (place.parent / "outside").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(changed, place, kind):
    def change(entry, text):
        if not entry.name.startswith("artifacts"):
            return text
        entry.type, entry.linkname = kind, "/etc/passwd"
        return b""

    assert "is nothing that a backup holds" in refused(changed(change), place)
    assert [path.name for path in place.rglob("*pdf")] == []


def test_a_later_version_is_refused_with_what_to_do(changed, place):
    def change(entry, text):
        if entry.name != "manifest.json":
            return text
        return json.dumps({**json.loads(text), "version": 2}).encode()

    assert "the Trinity that made it" in refused(changed(change), place)


def test_a_backup_that_cannot_be_finished_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError), writing(tmp_path / "backup.tar") as archive:
        archive.add("database", tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"migrations": [["agents", "9999_future"]]}, "a newer Trinity"),
        ({"database": "oracle"}, "is of oracle"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(tmp_path, fields, told):
    fitting = {"database": databases.kind(), "migrations": [], "keys": {}}
    databases.dump(tmp_path / "database")
    _check_fit(fitting, tmp_path)
    with pytest.raises(Unfitting, match=told):
        _check_fit({**fitting, **fields}, tmp_path)
