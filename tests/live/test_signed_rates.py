"""Signed requests are counted by all web processes together."""

from contextlib import suppress

import pytest
import requests

from tests.operations.signing import PATH, Account, signed
from tests.product import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.live

LIMIT = 60  # TRINITY_SIGNER_RATE


@pytest.fixture
def second_url(split):
    """Where another web process of the same installation answers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    split.start_half("serve", name="second-web", TRINITY_PORT=str(port))

    def answers():
        with suppress(requests.ConnectionError):
            return requests.get(f"{url}/health", timeout=5).ok

    try:
        wait_until(answers, seconds=60)
        yield url
    finally:
        process = split.processes.pop("second-web")
        process.terminate()
        process.wait(20)


def test_who_asks_now_here_now_there_is_limited_as_if_there_were_one(split, second_url):
    account, answers = Account(), []
    with requests.Session() as session:
        # A minute may end in the middle; the count then begins anew.
        while len(answers) < 2 * LIMIT:
            body = signed(account, '{"permission_id": 4000000000}')
            url = (split.url, second_url)[len(answers) % 2]
            answers.append(session.post(url + PATH, json=body, timeout=10))
            if answers[-1].status_code == 429:
                break
    *before, refused = answers[-LIMIT - 1 :]
    assert {answer.status_code for answer in before} == {404}
    left = [int(answer.headers["RateLimit-Remaining"]) for answer in before]
    assert left == list(range(LIMIT - 1, -1, -1))
    assert refused.json()["code"] == "too_many"
    assert refused.headers["RateLimit-Limit"] == str(LIMIT)
    assert refused.headers["Retry-After"] == refused.headers["RateLimit-Reset"]
    assert 0 < int(refused.headers["Retry-After"]) <= 60
