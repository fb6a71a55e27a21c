"""What is wrong with a request is said clearly, and nothing is left of it."""

import socket

import pytest
import requests

from tests.settled import rows

pytestmark = pytest.mark.live

HUGE = 10 * 1024**2


@pytest.fixture(autouse=True)
def _nothing_left_behind(embedded, engine):
    def present():
        return (
            rows(embedded, "SELECT count(*) FROM agents_agent"),
            rows(embedded, "SELECT count(*) FROM agents_log"),
            rows(embedded, "SELECT count(*) FROM operations_operation"),
            len(embedded.containers(engine)),
            len(engine.volumes.list(filters={"name": f"trinity-{embedded.instance}-"})),
        )

    before = present()
    yield
    assert present() == before


def post(product, body, *, path="/api/agents"):
    headers = {
        "Authorization": f"Bearer {product.token}",
        "Content-Type": "application/json",
    }
    return requests.post(product.url + path, data=body, headers=headers, timeout=30)


def test_a_body_of_ten_megabytes_is_too_large(embedded):
    body = b'{"name": "' + b"x" * HUGE + b'"}'
    answer = post(embedded, body)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_so_it_is_when_its_length_is_not_told(embedded):
    def parts():
        yield b'{"name": "'
        for _ in range(HUGE // 65536):
            yield b"x" * 65536
        yield b'"}'

    answer = post(embedded, parts())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_length_that_is_never_delivered_holds_up_nobody(embedded):
    with socket.create_connection(("127.0.0.1", embedded.port)) as liar:
        head = f"POST /api/agents HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {HUGE}\r\n\r\n"
        liar.sendall(head.encode() + b"{")
        assert embedded.get("/api/agents").status_code == 200


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff\xfe", b'{"name": NaN', b"null"])
def test_a_body_that_is_no_object(embedded, body):
    answer = post(embedded, body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("name", None),
        ("name", ["a"]),
        ("tags", "one"),
        ("tags", [1]),
        ("resources", []),
        ("resources", {"memory": 4}),
        ("description", {}),
    ],
)
def test_a_field_of_another_type_is_named(embedded, field, value):
    answer = embedded.post("/api/agents", {"name": "wrong", field: value})
    assert answer.status_code == 422
    problem = answer.json()["detail"][0]
    assert problem["loc"][:2] == ["body", field]
    assert problem.keys() == {"type", "loc", "msg", "input"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"base_image": "debian:latest"}, "image_not_allowed"),
        ({"template": "local:none"}, "unknown_template"),
        ({"resources": {"memory": "3g"}}, "invalid_limit"),
        ({"resources": {"memory": "-1"}}, "invalid_limit"),
        ({"resources": {"cpu": "0"}}, "invalid_limit"),
        ({"name": ""}, "invalid_name"),
        ({"name": "../.."}, "invalid_name"),
        ({"name": "\u65e5\u672c"}, "invalid_name"),
    ],
)
def test_a_value_that_cannot_be(embedded, fields, code):
    answer = embedded.post("/api/agents", {"name": "wrong", **fields})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    "fields",
    [
        {"command": "text"},
        {"command": []},
        {"command": [1]},
        {"command": ["true"], "env": {"A": 1}},
        {"command": ["true"], "timeout_seconds": 0},
        {"command": ["true"], "timeout_seconds": "1"},
    ],
)
def test_an_operation_that_cannot_be(embedded, fields):
    answer = embedded.post("/api/v1/operations", {"agent": "nobody", **fields})
    assert answer.status_code == 422, answer.text


def test_the_contents_of_an_error_are_for_people(embedded):
    answer = embedded.post("/api/v1/operations", {"agent": "nobody", "command": ["true"]})
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": "Agent not found", "code": "agent_not_found"},
    )
