"""How often somebody may ask by a signature, and what he is told of it."""

import multiprocessing

import pytest
from django.core.cache import caches
from rest_framework.test import APIClient

from tests import servers
from tests.factories import make_grant
from tests.operations.signing import PATH, Account, ask, asking, signed
from tests.product import free_port
from trinity import rate_limits

pytestmark = pytest.mark.django_db
REDIS = "django.core.cache.backends.redis.RedisCache"


@pytest.fixture(autouse=True)
def one_window(monkeypatch):
    """No minute ends in the middle of a test."""
    monkeypatch.setattr(rate_limits.time, "time", lambda: 1_000_000_010.0)


def send_from(address, body):
    return APIClient(REMOTE_ADDR=address).post(PATH, body, format="json")


def headers(answer):
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
    return tuple(int(answer[name]) for name in names)


def test_every_answer_says_what_is_left(settings):
    settings.TRINITY_SIGNER_RATE, settings.TRINITY_ADDRESS_RATE = 5, 100
    account = Account()
    grant = make_grant(signers=[account.address])
    assert headers(ask(account, grant)) == (5, 4, 10)
    refused = ask(account, grant, command="no")
    assert (refused.status_code, headers(refused)) == (403, (5, 3, 10))
    invalid = send_from("127.0.0.1", {"app_signature": "0x"})
    assert (invalid.status_code, headers(invalid)) == (422, (100, 97, 10))


def test_a_signer_is_limited_wherever_he_comes_from(settings):
    settings.TRINITY_SIGNER_RATE = 2
    account, other = Account(), Account()
    grant = make_grant(signers=[account.address, other.address])
    for number in (1, 2):
        body = signed(account, asking(grant))
        assert send_from(f"192.0.2.{number}", body).status_code == 202
    answer = send_from("192.0.2.3", signed(account, asking(grant)))
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
    assert headers(answer) == (2, 0, 10)
    assert answer["Retry-After"] == "10"
    assert send_from("192.0.2.3", signed(other, asking(grant))).status_code == 202


def test_an_address_is_limited_whoever_signs(settings):
    settings.TRINITY_ADDRESS_RATE = 2
    grant = make_grant()
    assert [ask(Account(), grant).status_code for _ in range(3)] == [403, 403, 429]
    elsewhere = send_from("192.0.2.9", signed(Account(), asking(grant)))
    assert elsewhere.status_code == 403


def test_the_next_window_begins_anew(settings, monkeypatch):
    settings.TRINITY_ADDRESS_RATE = 1
    grant = make_grant()
    assert [ask(Account(), grant).status_code for _ in range(2)] == [403, 429]
    monkeypatch.setattr(rate_limits.time, "time", lambda: 1_000_000_021.0)
    assert ask(Account(), grant).status_code == 403


def test_other_requests_are_not_limited(settings):
    settings.TRINITY_ADDRESS_RATE = 1
    answers = [APIClient().post(PATH, {}, format="json") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert "RateLimit-Limit" not in answers[0]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:2:3:4:5", "2001:0db8:0000:0001::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        (None, "unknown"),
    ],
)
def test_an_address_of_ipv6_counts_as_its_network(address, network):
    assert rate_limits.network_of(address) == network


def _use_redis(url):
    caches.settings = {"default": {"BACKEND": REDIS, "LOCATION": url}}
    del caches["default"]


def _spend(url, times):
    _use_redis(url)
    return [rate_limits.spend("test", "somebody", 100).count for _ in range(times)]


@pytest.mark.redis
def test_processes_count_together():
    if servers.missing():
        pytest.skip("no Redis server is installed")
    with servers.redis() as url:
        spawned = multiprocessing.get_context("fork")
        with spawned.Pool(2) as processes:
            counts = processes.starmap(_spend, [(url, 50)] * 2, chunksize=1)
    assert sorted(counts[0] + counts[1]) == list(range(1, 101))


def test_without_the_shared_counters_nothing_is_taken(settings):
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    settings.CACHES = {"default": {"BACKEND": REDIS, "LOCATION": nowhere}}
    answer = ask(Account(), make_grant())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
