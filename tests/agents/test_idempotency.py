"""A POST with an ``Idempotency-Key`` creates once, and is answered the same again."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from agents import lifecycle
from agents.errors import EngineUnavailable
from agents.models import Agent, Share
from operations.models import Operation
from tests.factories import client_of, make_agent, make_running_agent, make_user
from trinity.models import ApiToken, IdempotentRequest

pytestmark = pytest.mark.django_db

KEY = "5f7c0a"


@pytest.fixture
def owner():
    return make_user()


@pytest.fixture
def scribe(owner):
    return make_running_agent(name="scribe", owner=owner)


def post(client, path, body=None, *, key=KEY, **options):
    return client.post(path, body, headers={"Idempotency-Key": key}, **options)


def answered(answer):
    return answer.status_code, answer.json()


CREATIONS = {
    "/api/agents": ({"name": "new"}, Agent),
    "/api/agents/scribe/share": ({"email": "ada@example.org"}, Share),
    "/api/v1/operations": ({"agent": "scribe", "command": ["true"]}, Operation),
    "/api/tokens": ({"name": "new"}, ApiToken),
}


@pytest.mark.parametrize("path", CREATIONS)
def test_the_first_answer_is_given_again_and_nothing_is_made_twice(owner, scribe, path):
    body, made = CREATIONS[path]
    client = client_of(owner)
    first = post(client, path, body)
    count = made.objects.count()
    again = post(client, path, body)
    shown_once = {"token"} if made is ApiToken else set()
    expected = {name: told for name, told in first.json().items() if name not in shown_once}
    assert answered(again) == (first.status_code, expected)
    assert first.headers.get("Idempotent-Replayed") is None
    assert again.headers["Idempotent-Replayed"] == "true"
    assert made.objects.count() == count


def test_a_tokens_text_is_shown_in_the_first_answer_only_and_not_kept(owner):
    client = client_of(owner)
    text = post(client, "/api/tokens", {"name": "new"}).json()["token"]
    assert text not in str(IdempotentRequest.objects.values())
    assert "token" not in post(client, "/api/tokens", {"name": "new"}).json()


def test_the_body_is_kept_as_a_keyed_hash(owner):
    post(client_of(owner), "/api/tokens", {"name": "confidential"})
    kept = IdempotentRequest.objects.get()
    assert len(kept.fingerprint) == 64
    kept.answer = None
    assert "confidential" not in str(vars(kept))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tokens", {"name": "other"}),
        ("/api/tokens", {"name": "new", "scopes": ["read"]}),
        ("/api/agents", {"name": "new"}),
        ("/api/tokens?x=1", {"name": "new"}),
    ],
)
def test_a_key_is_for_one_request(owner, path, body):
    client = client_of(owner)
    post(client, "/api/tokens", {"name": "new"})
    answer = post(client, path, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert (ApiToken.objects.count(), Agent.objects.count()) == (2, 0)


def test_how_a_body_is_written_does_not_matter(owner):
    client = client_of(owner)
    as_json = {"content_type": "application/json"}
    post(client, "/api/tokens", '{"name": "new", "scopes": null}', **as_json)
    answer = post(client, "/api/tokens", '{"scopes":null,  "name":"new"}', **as_json)
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (201, "true")


def test_keys_of_two_people_have_nothing_to_do_with_each_other(owner):
    for user in (owner, make_user()):
        assert "token" in post(client_of(user), "/api/tokens", {"name": "new"}).json()


def test_another_token_of_the_person_hears_the_same_unless_it_is_limited(owner, scribe):
    body = {"name": "new"}
    first = post(client_of(owner), "/api/agents", body).json()
    assert post(client_of(owner), "/api/agents", body).json() == first
    limited = client_of(owner, scopes=["manage"])
    assert post(limited, "/api/agents", body).json()["code"] == "idempotency_key_reused"


def test_without_a_key_each_request_is_one(owner):
    client = client_of(owner)
    made = [client.post("/api/tokens", {"name": "new"}).json()["id"] for _ in range(2)]
    assert len(set(made)) == 2
    assert not IdempotentRequest.objects.exists()


def test_a_refusal_is_an_answer_too(owner):
    make_agent(name="new")
    client = client_of(owner)
    first = post(client, "/api/agents", {"name": "new"})
    Agent.objects.update(deleting=True)
    assert first.status_code == 409
    assert answered(post(client, "/api/agents", {"name": "new"})) == answered(first)
    assert post(client, "/api/agents", {"name": "new"}, key="other").status_code == 200


def test_what_decided_nothing_leaves_the_key_free(owner, monkeypatch):
    client = client_of(owner)
    assert post(client, "/api/agents", {"name": 5}).status_code == 422
    with monkeypatch.context() as patched:

        def away(*_):
            raise EngineUnavailable("The engine does not answer")

        patched.setattr(lifecycle, "create", away)
        assert post(client, "/api/agents", {"name": "new"}).status_code == 503
    assert not IdempotentRequest.objects.exists()
    assert post(client, "/api/agents", {"name": "new"}).status_code == 200


def test_an_error_that_nobody_foresaw_leaves_the_key_free(owner, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    client = client_of(owner)
    monkeypatch.setattr(ApiToken, "issue", broken)
    assert post(client, "/api/tokens", {"name": "new"}).status_code == 500
    assert not IdempotentRequest.objects.exists()


def test_the_rights_are_looked_at_before_a_first_answer(scribe):
    stranger = make_user()
    body = {"email": "ada@example.org"}
    assert post(client_of(stranger), "/api/agents/scribe/share", body).status_code == 404
    reader = client_of(scribe.owner, scopes=["read"])
    answer = post(reader, "/api/agents/scribe/share", body)
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert post(client_of(scribe.owner), "/api/agents/scribe/share", body).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9", "a\tb"])
def test_a_key_has_a_form(owner, key):
    answer = post(client_of(owner), "/api/tokens", {"name": "new"}, key=key)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


def test_after_a_day_a_key_is_a_new_one(owner):
    client = client_of(owner)
    post(client, "/api/tokens", {"name": "new"})
    post(client, "/api/tokens", {"name": "new"}, key="other")
    age(timedelta(hours=23, minutes=59))
    assert "token" not in post(client, "/api/tokens", {"name": "new"}).json()
    age(timedelta(minutes=2))
    assert "token" in post(client, "/api/tokens", {"name": "new"}).json()
    assert [each.key for each in IdempotentRequest.objects.all()] == [KEY]


def age(by):
    for kept in IdempotentRequest.objects.all():
        kept.created_at -= by
        kept.save()


def test_the_key_of_a_process_that_died_is_free_again_after_a_while(owner, monkeypatch):
    client = client_of(owner)
    post(client, "/api/tokens", {"name": "new"})
    left = {"status": None, "answer": None, "holder": uuid4()}
    until = timezone.now() + timedelta(seconds=60)
    IdempotentRequest.objects.update(claimed_until=until, **left)
    monkeypatch.setattr("trinity.idempotency.WAIT_SECONDS", 0.1)
    answer = post(client, "/api/tokens", {"name": "new"})
    assert (answer.status_code, answer.json()["code"]) == (409, "busy")
    IdempotentRequest.objects.update(claimed_until=timezone.now())
    assert "token" in post(client, "/api/tokens", {"name": "new"}).json()
    assert "token" not in post(client, "/api/tokens", {"name": "new"}).json()


def test_who_was_taken_for_dead_writes_no_answer(owner, monkeypatch):
    client = client_of(owner)
    other, issue = uuid4(), ApiToken.issue

    def slow(*args, **fields):
        IdempotentRequest.objects.update(holder=other)
        return issue(*args, **fields)

    monkeypatch.setattr(ApiToken, "issue", slow)
    assert post(client, "/api/tokens", {"name": "new"}).status_code == 201
    kept = IdempotentRequest.objects.get()
    assert (kept.holder, kept.status) == (other, None)


@pytest.mark.parametrize("path", ["/api/tickets", "/token"])
def test_what_is_not_kept_takes_no_notice_of_a_key(owner, path):
    client = client_of(owner)
    answers = [post(client, path, {"for": "/ws"}).content for _ in range(2)]
    assert not IdempotentRequest.objects.exists()
    assert path == "/token" or answers[0] != answers[1]


def test_a_share_that_is_withdrawn_meanwhile_does_not_come_back(scribe):
    client = client_of(scribe.owner)
    body = {"email": "ada@example.org"}
    post(client, "/api/agents/scribe/share", body)
    client.delete("/api/agents/scribe/share/ada@example.org")
    assert post(client, "/api/agents/scribe/share", body).status_code == 200
    assert not Share.objects.exists()
