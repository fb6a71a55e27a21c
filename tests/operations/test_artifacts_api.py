"""Artifacts over REST: listed, downloaded, and for nobody else."""

import asyncio
import json
from urllib.parse import quote
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from agents.database import read
from operations.artifacts import storage
from tests.factories import (
    client_of,
    make_administrator,
    make_operation,
    make_running_agent,
    make_user,
    share,
    token_of,
)
from tests.operations.artifacts import make_artifact, make_ended
from trinity.asgi import application

in_database = pytest.mark.django_db
in_transactions = pytest.mark.django_db(transaction=True)


def listed(client, operation_id):
    """Both ways to ask, which answer the same."""
    answers = [
        client.get(f"/api/v1/operations/{operation_id}/artifacts"),
        client.post(f"/api/v1/artifacts/{operation_id}/list"),
    ]
    assert answers[0].json() == answers[1].json()
    assert answers[0].status_code == answers[1].status_code
    return answers[0]


def by_path(client, operation_id, path):
    return client.get(f"/api/v1/operations/{operation_id}/artifacts/{quote(path)}")


def by_body(client, operation_id, path):
    body = {"operation_id": str(operation_id), "artifact_path": path}
    return client.post("/api/v1/artifacts/download", body)


both = pytest.mark.parametrize("download", [by_path, by_body])


@in_database
def test_the_list_has_all_that_is_known_of_them():
    user = make_user()
    operation = make_ended("b.txt", "a/c.json", requester=user)
    hashed = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    answer = listed(client_of(user), operation.pk)
    assert answer.json() == {
        "kind": "ArtifactList",
        "operation_id": str(operation.pk),
        "artifacts": [
            {"path": "a/c.json", "size": 7, "content_type": "application/json", "sha256": hashed},
            {"path": "b.txt", "size": 7, "content_type": "text/plain", "sha256": hashed},
        ],
    }


@in_database
def test_an_operation_that_runs_has_none_yet():
    user = make_user()
    answer = listed(client_of(user), make_operation(requester=user).pk)
    assert (answer.status_code, answer.json()["artifacts"]) == (200, [])


@in_database
def test_the_status_names_them():
    user = make_user()
    operation = make_ended("a.txt", requester=user)
    result = client_of(user).get(f"/api/v1/operations/{operation.pk}").json()["result"]
    assert result["artifacts"] == [{"path": "a.txt", "size": 7, "content_type": "text/plain"}]
    assert result["artifact_count"] == 1


@in_database
def test_a_list_of_operations_names_some_of_each():
    user = make_user()
    client = client_of(user)
    for count in (25, 2):
        make_ended(*(f"{number:03}" for number in range(count)), requester=user)
    told = client.get("/api/v1/operations").json()
    assert [len(each["result"]["artifacts"]) for each in told] == [2, 20]
    assert [each["result"]["artifact_count"] for each in told] == [2, 25]


@in_database
@both
def test_nobody_without_credentials_gets_anything(download):
    operation = make_ended("a.txt")
    assert download(APIClient(), operation.pk, "a.txt").status_code == 401
    assert listed(APIClient(), operation.pk).status_code == 401


@in_database
@both
def test_a_stranger_hears_what_he_hears_of_no_operation(download):
    operation, client = make_ended("a.txt"), client_of(make_user())
    unknown = {"detail": "Operation not found", "code": "operation_not_found"}
    for operation_id in (operation.pk, uuid4()):
        for answer in (listed(client, operation_id), download(client, operation_id, "a.txt")):
            assert (answer.status_code, answer.json()) == (404, unknown)


@in_database
@both
def test_a_token_for_another_agent_opens_nothing(download):
    user = make_user()
    operation, other = make_ended("a.txt", requester=user), make_running_agent(owner=user)
    client = client_of(user, agents=[other])
    assert download(client, operation.pk, "a.txt").status_code == 404
    assert listed(client, operation.pk).status_code == 404


@in_database
@both
@pytest.mark.parametrize("path", ["none", "a.txt/", "../a.txt", "a%2Etxt", "x" * 5000])
def test_a_file_that_is_not_there_is_told(download, path):
    operation = make_ended("a.txt")
    answer = download(client_of(make_administrator()), operation.pk, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "artifact_not_found")


@in_database
@both
def test_a_file_of_another_operation_is_not_there(download):
    user = make_user()
    make_ended("a.txt", requester=user)
    other = make_ended("b.txt", requester=user)
    assert download(client_of(user), other.pk, "a.txt").status_code == 404


@in_database
@both
def test_a_file_that_the_storage_lost_is_unavailable(download):
    operation = make_ended("a.txt")
    storage().delete(operation.artifacts.get().stored_as)
    answer = download(client_of(make_administrator()), operation.pk, "a.txt")
    assert (answer.status_code, answer.json()["code"]) == (503, "artifact_unavailable")
    assert answer["Retry-After"]


@in_database
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "operation_id"),
        ({"operation_id": "rubbish", "artifact_path": "a"}, "operation_id"),
        ({"operation_id": str(uuid4())}, "artifact_path"),
        ({"operation_id": str(uuid4()), "artifact_path": 5}, "artifact_path"),
    ],
)
def test_a_body_of_another_shape_is_refused(body, field):
    answer = client_of(make_user()).post("/api/v1/artifacts/download", body)
    assert answer.status_code == 422
    assert ["body", field] in [problem["loc"] for problem in answer.json()["detail"]]


# What is streamed, through the application as it is served


async def requested(method, path, token, body=b""):
    """Return status, headers and body."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-length", str(len(body)).encode()),
            (b"host", b"localhost"),
        ],
        "client": ("127.0.0.1", 1),
    }
    sent, messages = [], [{"type": "http.request", "body": body}]

    async def receive():
        # The client stays.
        await asyncio.sleep(0 if messages else 60)
        return messages.pop()

    async def send(message):
        sent.append(message)

    await application(scope, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, [message.get("body", b"") for message in sent[1:]]


def prepared(path, content):
    user = make_user()
    operation = make_ended(requester=user, agent=make_running_agent())
    make_artifact(operation, path, content)
    return operation, token_of(user, scopes=["read"])


def viewed(operation):
    viewer = make_user()
    share(operation.agent, viewer)
    return token_of(viewer, scopes=["read"])


@in_transactions
@pytest.mark.parametrize("way", ["path", "body"])
async def test_the_bytes_come_in_parts_as_an_attachment(way):
    content = bytes(range(256)) * 4096
    path = 'odd "name" %41 é/<b>.html'
    operation, own = await read(prepared, path, content)
    for token in (own, await read(viewed, operation)):
        if way == "path":
            place = f"/api/v1/operations/{operation.pk}/artifacts/{path}"
            status, headers, parts = await requested("GET", place, token)
        else:
            body = {"operation_id": str(operation.pk), "artifact_path": path}
            place = "/api/v1/artifacts/download"
            asked = json.dumps(body).encode()
            status, headers, parts = await requested("POST", place, token, asked)
        assert (status, b"".join(parts)) == (200, content)
        assert max(map(len, parts)) <= 256 * 1024
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-length"] == str(len(content))
        assert headers["content-disposition"] == 'attachment; filename="<b>.html"'
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "private"
