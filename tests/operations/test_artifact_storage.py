"""Artifacts lie in any storage of Django's, by settings alone."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from agents.database import read
from tests.factories import client_of
from tests.operations.artifacts import contents, stored
from tests.operations.driving import run
from trinity import env

NAME = "TRINITY_ARTIFACT_STORAGE_OPTIONS"


@pytest.mark.django_db(transaction=True)
async def test_a_storage_without_directories_will_do(agent, settings):
    elsewhere = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = settings.STORAGES | {"artifacts": elsewhere}
    operation = await run(agent, "sh", "-c", 'printf one > "$TRINITY_OUT/one"')
    assert await read(contents, operation) == {"one": b"one"}
    path = f"/api/v1/operations/{operation.pk}/artifacts/one"
    answer = await read(lambda: client_of(agent.owner).get(path))
    assert b"".join([part async for part in answer.streaming_content]) == b"one"
    await read(operation.delete)
    await read(call_command, "prune")
    assert await read(stored, operation) == set()


@pytest.mark.parametrize("text", ["rubbish", "[]", '"text"', "5"])
def test_options_that_are_no_object_are_refused_and_not_repeated(monkeypatch, text):
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=f"^{NAME} is not a JSON object$"):
        env.mapping(NAME, {})


def test_options_are_read_as_they_are(monkeypatch):
    assert env.mapping(NAME, {"location": "here"}) == {"location": "here"}
    monkeypatch.setenv(NAME, '{"bucket_name": "b", "file_overwrite": false}')
    assert env.mapping(NAME, {}) == {"bucket_name": "b", "file_overwrite": False}
