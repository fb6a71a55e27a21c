"""One installation of each kind of database, its backup, and copies of it to try things on."""

import os
import shutil

import pytest

from tests import servers
from tests.backup.installations import Place


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def place(request, tmp_path_factory):
    """Make installations of one kind of database, empty or as copies of another."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield Place(folder)
        return
    if lacking := servers.missing() or ("" if shutil.which("pg_dump") else "pg_dump"):
        assert os.environ.get("TRINITY_REQUIRE_ENGINE") != "1", f"{lacking} cannot be run here"
        pytest.skip(f"{lacking} cannot be run here")
    with servers.postgres() as url:
        yield Place(folder, url)


@pytest.fixture(scope="session")
def original(place):
    """Shared by all tests: none of them changes it."""
    installation = place.make()
    installation.fill()
    return installation


@pytest.fixture(scope="session")
def backup(original):
    path = original.folder.parent / "backup.tar"
    original.manage("backup", str(path))
    return path


@pytest.fixture(scope="session")
def before(original):
    return original.told()


@pytest.fixture
def used(place, original, backup):
    """An installation that is not empty: one like the original, and one artifact more."""
    installation = place.make(like=original)
    (installation.folder / "artifacts" / "later").write_text("later")
    return installation
