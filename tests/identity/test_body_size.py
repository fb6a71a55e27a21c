import json

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application

from trinity.shapes import MAX_BODY_BYTES

TEN_MB = b'{"text": "' + b"a" * 10_000_000 + b'"}'


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_of_10_mb_is_413(api, content_type):
    response = api.post("/api/everything", TEN_MB, content_type=content_type)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_a_body_of_just_the_limit_is_read(api):
    text = "a" * (MAX_BODY_BYTES - len('{"text":""}'))
    response = api.post("/api/everything", f'{{"text":"{text}"}}', content_type="x/y")
    assert response.json() == {"text": text}


def test_credentials_come_before_size(client, db):
    assert client.post("/api/everything", TEN_MB, content_type="x/y").status_code == 401


def test_the_sign_in_form_is_bounded_too(client, db):
    form = "application/x-www-form-urlencoded"
    assert client.post("/token", b"username=" + TEN_MB, content_type=form).status_code == 413


@pytest.mark.django_db(transaction=True)
async def test_a_chunked_body_is_read_and_bounded(bearer):
    assert await post_chunks(bearer, b'{"te', b'xt": "a"}') == (200, {"text": "a"})
    status, body = await post_chunks(bearer, TEN_MB[:5_000_000], TEN_MB[5_000_000:])
    assert (status, body["code"]) == (413, "too_large")


async def post_chunks(bearer, first, second):
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/api/everything",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"authorization", bearer.encode())],
    }
    server = ApplicationCommunicator(get_asgi_application(), scope)
    await server.send_input({"type": "http.request", "body": first, "more_body": True})
    await server.send_input({"type": "http.request", "body": second, "more_body": False})
    start = await server.receive_output(10)
    body = b""
    while (part := await server.receive_output(10)).get("more_body"):
        body += part["body"]
    await server.wait()
    return start["status"], json.loads(body + part["body"])
