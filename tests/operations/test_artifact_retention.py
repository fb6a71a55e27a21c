"""Operations and artifacts go when they are due, with their files; nothing else does."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError, call_command
from django.utils import timezone

from agents import control
from agents.models import Host, Log
from operations import retention
from operations.models import Artifact, LeftFolder, Operation
from tests.factories import make_operation
from tests.operations.artifacts import make_ended, stored
from trinity import data_directory
from trinity.audit import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _limits(settings):
    settings.TRINITY_KEEP_OPERATIONS_DAYS = 90
    settings.TRINITY_KEEP_ARTIFACTS_DAYS = 30
    settings.TRINITY_ARTIFACTS_BYTES = 1000


def days_ago(days):
    return timezone.now() - timedelta(days=days)


def prune():
    said = StringIO()
    call_command("prune", stdout=said)
    return said.getvalue()


def test_what_is_young_and_small_stays():
    operation, running = make_ended("a"), make_operation(created_at=days_ago(1000))
    prune()
    assert len(stored(operation)) == 1
    assert set(Operation.objects.all()) == {operation, running}


def test_an_old_operation_goes_with_its_log_and_its_files():
    old = make_ended("a", "b", at=days_ago(91))
    assert "Pruned 1 " in prune()
    assert not Operation.objects.exists()
    assert not Log.objects.filter(pk=old.log_id).exists()
    assert stored(old) == set()


def test_many_old_ones_go():
    for _ in range(2 * retention.BATCH + 1):
        make_ended(at=days_ago(91))
    prune()
    assert not Operation.objects.exists()


def test_old_artifacts_go_before_their_operation_and_that_is_told():
    old = make_ended("a", at=days_ago(31))
    prune()
    old.refresh_from_db()
    assert (old.artifact_count, old.notes) == (0, [retention.NOTE])
    assert stored(old) == set()


def test_the_oldest_go_until_the_rest_fits(settings):
    # Seven bytes each.
    settings.TRINITY_ARTIFACTS_BYTES = 20
    operations = [make_ended("a", at=days_ago(days)) for days in (1, 3, 2)]
    prune()
    assert [len(stored(operation)) for operation in operations] == [1, 0, 1]


def test_0_keeps_everything(settings):
    settings.TRINITY_KEEP_OPERATIONS_DAYS = 0
    settings.TRINITY_KEEP_ARTIFACTS_DAYS = 0
    settings.TRINITY_ARTIFACTS_BYTES = 0
    operation = make_ended("a", at=days_ago(1000))
    prune()
    assert len(stored(operation)) == 1


def delete(operation):
    # It would forget its own number, and so where its files are.
    Operation.objects.filter(pk=operation.pk).delete()


@pytest.mark.parametrize("delete", [delete, lambda operation: operation.agent.delete()])
def test_files_go_with_their_operation_and_with_the_agent(delete):
    operation, other = make_ended("a"), make_ended("b")
    delete(operation)
    assert not Artifact.objects.filter(operation=operation.pk).exists()
    prune()
    assert stored(operation) == set()
    assert len(stored(other)) == 1


def test_what_is_stored_for_one_that_was_deleted_meanwhile_goes_too():
    operation = make_ended("a", status=Operation.Status.PROCESSING)
    Operation.objects.filter(pk=operation.pk).delete()
    prune()
    late = make_ended("b", pk=operation.pk)
    Artifact.objects.all().delete()
    prune()
    assert stored(late) == set()


def test_a_folder_is_looked_at_for_an_hour_and_then_forgotten():
    make_ended("a").delete()
    prune()
    assert LeftFolder.objects.count() == 1
    LeftFolder.objects.update(left_at=timezone.now() - timedelta(hours=2))
    prune()
    assert not LeftFolder.objects.exists()


class Stuck(FileSystemStorage):
    def delete(self, name):
        raise OSError("read-only")


def test_a_storage_that_is_away_keeps_its_files_in_mind(settings):
    gone, backend = make_ended("a"), settings.STORAGES["artifacts"]
    stuck = backend | {"BACKEND": "tests.operations.test_artifact_retention.Stuck"}
    settings.STORAGES = settings.STORAGES | {"artifacts": stuck}
    delete(gone)
    LeftFolder.objects.update(left_at=timezone.now() - timedelta(hours=2))
    prune()
    settings.STORAGES = settings.STORAGES | {"artifacts": backend}
    prune()
    assert stored(gone) == set()
    assert not LeftFolder.objects.exists()


def is_restored(host):
    host.record_report_only("The database was restored")


def is_older_than_its_directory(host):
    """As somebody put it back by himself; no supervisor has looked yet."""
    data_directory.note_beat(host.beat + 1)


@pytest.mark.parametrize("is_a_copy", [is_restored, is_older_than_its_directory])
def test_a_copy_removes_nothing_that_the_original_still_has(is_a_copy):
    old, gone = make_ended("a", at=days_ago(91)), make_ended("b")
    delete(gone)
    is_a_copy(Host.objects.local())
    with pytest.raises(CommandError, match=r"^Nothing is pruned\. .*manage\.py take_control$"):
        prune()
    assert (len(stored(old)), len(stored(gone))) == (1, 1)
    control.take(SYSTEM)
    assert "Pruned 1 " in prune()
