"""A body that nobody takes must not fill the memory of the process."""

import http.client

import pytest

from tests.web.apps import serving

KEPT_BYTES = 4 * 1024**2


def blocks(count):
    return (b"x" * 65536 for _ in range(count))


@pytest.mark.parametrize("chunked", [True, False])
def test_what_is_beyond_the_limit_is_not_kept(chunked):
    headers = {} if chunked else {"Content-Length": str(160 * 65536)}
    with serving() as process:
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=20)
        connection.request("POST", "/measure", blocks(160), headers=headers, encode_chunked=chunked)
        assert int(connection.getresponse().read()) == KEPT_BYTES
        connection.close()


def test_a_body_below_the_limit_arrives_whole():
    with serving() as process:
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=20)
        connection.request("POST", "/measure", b"x" * 1_500_000)
        assert int(connection.getresponse().read()) == 1_500_000
        connection.close()
