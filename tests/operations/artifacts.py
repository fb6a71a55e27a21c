"""Artifacts as tests make them and look at them."""

from hashlib import sha256
from io import BytesIO

from django.core.files.storage import storages
from django.utils import timezone

from operations import artifacts
from operations.models import Artifact, Operation
from tests.factories import make_operation


def make_artifact(operation, path, content=b"content"):
    artifact = artifacts.new(operation.pk, path, len(content), sha256(content).hexdigest())
    artifacts.store(artifact, BytesIO(content))
    artifact.save()
    operation.artifact_count += 1
    operation.save(update_fields=["artifact_count"])
    return artifact


def make_ended(*paths, at=None, **fields):
    """A finished operation with artifacts."""
    fields.setdefault("status", Operation.Status.SUCCEEDED)
    operation = make_operation(finished_at=at or timezone.now(), **fields)
    for path in paths:
        make_artifact(operation, path)
    return operation


def stored(operation):
    """The names of an operation's files in the storage."""
    try:
        return set(storages["artifacts"].listdir(str(operation.pk))[1])
    except FileNotFoundError:
        return set()


def contents(operation):
    """What its artifacts hold, by their paths; read from the storage."""
    found = {}
    for artifact in Artifact.objects.filter(operation=operation):
        with artifacts.opened(artifact) as file:
            found[artifact.path] = file.read()
    return found
