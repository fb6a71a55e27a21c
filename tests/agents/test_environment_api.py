"""The environment of an agent over the API: set, listed, removed, and secrets never told."""

import pytest

from agents.models import EnvironmentValue, Share
from tests.factories import client_of, make_agent, make_user, share
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

PATH = "/api/agents/scribe/environment"
SECRET = "hush-hush-hush"


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def put(client, *variables):
    answer = client.put(PATH, {"variables": list(variables)})
    return answer.status_code, answer.json()


def secret(name="TOKEN", value=SECRET):
    return {"name": name, "value": value}


def plain(name="COLOUR", value="blue"):
    return {"name": name, "value": value, "is_secret": False}


def listed(client):
    answer = client.get(PATH).json()
    return {each["name"]: (each["is_secret"], each["value"]) for each in answer["variables"]}


def test_what_is_set_is_listed_without_its_secrets(client):
    status, body = put(client, plain(), secret())
    assert status == 200
    assert body["message"] == "Environment updated"
    assert listed(client) == {"COLOUR": (False, "blue"), "TOKEN": (True, None)}
    assert SECRET not in str(body)


def test_an_agent_without_any_has_an_empty_list(client):
    assert client.get(PATH).json() == {
        "agent_name": "scribe",
        "variables": [],
        "recreate_needed": False,
    }


def test_one_is_replaced_and_others_stay(client):
    put(client, plain(), secret())
    put(client, plain(value="red"))
    assert listed(client) == {"COLOUR": (False, "red"), "TOKEN": (True, None)}


def test_a_secret_becomes_plain_only_with_a_value_of_its_own(client):
    put(client, secret())
    assert (
        client.put(PATH, {"variables": [{"name": "TOKEN", "is_secret": False}]}).status_code == 422
    )
    put(client, plain("TOKEN", "shown"))
    assert listed(client) == {"TOKEN": (False, "shown")}


def test_a_secret_is_sealed_in_the_database(client):
    put(client, secret(), plain())
    assert SECRET not in str(list(EnvironmentValue.objects.values()))
    assert EnvironmentValue.objects.get(name="COLOUR").value == "blue"


def test_one_is_removed(client):
    put(client, plain(), secret())
    answer = client.delete(f"{PATH}/TOKEN")
    assert (answer.status_code, answer.json()) == (200, {"message": "Variable TOKEN removed"})
    assert listed(client) == {"COLOUR": (False, "blue")}


def test_one_that_is_not_there_cannot_be_removed(client):
    answer = client.delete(f"{PATH}/TOKEN")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_variable")


@pytest.mark.parametrize(
    ("variable", "word"),
    [
        (secret(""), "cannot be the name"),
        (secret("1ST"), "cannot be the name"),
        (secret("WITH-DASH"), "cannot be the name"),
        (secret("A=B"), "cannot be the name"),
        (secret("ÄRGER"), "cannot be the name"),
        (secret("NEWLINE\n"), "cannot be the name"),
        (secret("N" * 201), "cannot be the name"),
        (secret("TRINITY_COMMAND"), "Trinity's own"),
        (secret(value="x" * 32 * 1024 + "x"), "32 KiB"),
    ],
)
def test_what_cannot_be_set_is_refused_and_nothing_is_set(client, variable, word):
    status, body = put(client, plain(), variable)
    assert (status, body["code"]) == (400, "invalid_variable")
    assert word in body["detail"]
    assert not EnvironmentValue.objects.exists()


def test_names_and_values_up_to_their_limits_are_taken(client):
    assert put(client, secret("_" * 200, "x" * 32 * 1024))[0] == 200
    assert put(client, secret("PATH", ""))[0] == 200


def test_two_of_one_name_are_refused(client):
    status, body = put(client, plain(), plain(value="red"))
    assert (status, body["detail"]) == (400, "Named twice: COLOUR")


def test_all_together_have_a_limit(client):
    large = [secret(f"LARGE_{number}", "x" * 32_000) for number in range(9)]
    assert put(client, *large[:8])[0] == 200
    status, body = put(client, large[8])
    assert (status, body["code"]) == (400, "invalid_variable")
    assert len(listed(client)) == 8


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"variables": []},
        {"variables": SECRET},
        {"variables": [SECRET]},
        {"variables": [{"value": SECRET}]},
        {"variables": [{"name": "TOKEN"}]},
        {"variables": [{"name": [SECRET], "value": SECRET}]},
        {"variables": [{"name": "TOKEN", "value": [SECRET]}]},
        {"variables": [{"name": "TOKEN", "value": SECRET, "is_secret": "no"}]},
        {"variables": [{"name": "TOKEN", "value": SECRET + "\0"}]},
        {"variables": [secret(f"NAME_{number}") for number in range(201)]},
    ],
)
def test_another_shape_is_refused_without_repeating_a_value(client, body):
    answer = client.put(PATH, body)
    assert answer.status_code == 422
    assert SECRET not in answer.content.decode()


def test_a_change_is_recorded_by_name(agent, client):
    put(client, plain(), secret())
    client.delete(f"{PATH}/COLOUR")
    put(client, secret("TRINITY_X"))
    failed, removed, changed = AuditEvent.objects.filter(object_name="scribe")
    assert (changed.verb, changed.outcome) == ("set_environment", "done")
    assert changed.detail == "COLOUR, TOKEN (secret)"
    assert (removed.verb, removed.detail) == ("remove_environment", "COLOUR")
    assert failed.outcome == "failed"
    assert SECRET not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    ("role", "shown"), [(Share.Role.OPERATOR, "blue"), (Share.Role.VIEWER, None)]
)
def test_plain_values_are_shown_to_those_who_could_print_them(agent, client, role, shown):
    put(client, plain(), secret())
    person = make_user()
    share(agent, person, role)
    assert listed(client_of(person)) == {"COLOUR": (False, shown), "TOKEN": (True, None)}


@pytest.mark.parametrize("role", Share.Role.values)
def test_only_owners_change_it(agent, client, role):
    put(client, plain())
    person = make_user()
    share(agent, person, role)
    answers = [
        client_of(person).put(PATH, {"variables": [plain()]}),
        client_of(person).delete(f"{PATH}/COLOUR"),
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert {answer.json()["detail"] for answer in answers} == {
        "Only owners can change the environment"
    }


def test_for_strangers_the_agent_does_not_exist(agent, client):
    stranger = client_of(make_user())
    answers = [
        stranger.get(PATH),
        stranger.put(PATH, {"variables": [plain()]}),
        stranger.delete(f"{PATH}/COLOUR"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert {answer.json()["detail"] for answer in answers} == {"Agent not found"}


def test_nobody_gets_in_without_credentials(agent, client):
    client.credentials()
    answers = [client.get(PATH), client.put(PATH, {}), client.delete(f"{PATH}/COLOUR")]
    assert [answer.status_code for answer in answers] == [401] * 3
