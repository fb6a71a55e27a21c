"""What holds every answer of a test against the document does find what differs."""

import json

import pytest

from tests import answered

ME = {"username": "ada", "email": "a@example.org", "name": "Ada", "picture": None, "role": "user"}


@pytest.fixture(autouse=True)
def seen(monkeypatch):
    monkeypatch.setattr(answered, "seen", set())
    yield answered.seen
    answered.problems.clear()


def problems_of(status, body, path="/api/users/me"):
    answered.note("GET", path, status, json.dumps(body).encode())
    return answered.problems


def test_what_the_document_says_is_no_problem(seen):
    assert problems_of(200, ME) == []
    assert seen == {("get", "/api/users/me", 200)}


@pytest.mark.parametrize(
    "body",
    [ME | {"secret": 1}, ME | {"role": "king"}, ME | {"name": None}, {"username": "ada"}, [], 1],
)
def test_another_shape_is_found(body):
    assert problems_of(200, body)


@pytest.mark.parametrize("status", [201, 404, 500])
def test_another_status_is_found(status):
    assert problems_of(status, {"detail": "x", "code": "y"})


def test_a_fixed_path_wins_over_a_name(seen):
    problems_of(401, {"detail": "x"}, "/api/templates/env-template")
    problems_of(401, {"detail": "x"}, "/api/templates/local:default")
    assert seen == {
        ("get", "/api/templates/env-template", 401),
        ("get", "/api/templates/{template_id}", 401),
    }


def test_paths_of_nobody_are_left_alone(seen):
    assert problems_of(418, {}, "/api/made-up") == []
    assert seen == set()
