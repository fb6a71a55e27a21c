"""More operations than may run: they wait in order, and by turns of those who ask."""

import json
from uuid import uuid4

import pytest
import requests

from tests.operations.signing import PATH, Account, signed
from tests.product import PASSWORD
from tests.waiting import wait_until

pytestmark = pytest.mark.live

UNTIL_LET_GO = ["sh", "-c", 'while [ ! -e "$TRINITY_WORKSPACE/go" ]; do sleep 0.05; done']
ONE_BY_ONE = 'while [ ! -e "$TRINITY_WORKSPACE/go-$TRINITY_OPERATION" ]; do sleep 0.05; done'
MAKE_PERSON = (
    "from django.utils import timezone; from trinity.models import User; "
    "User.objects.create_user('ada', 'ada@example.org', '{}', email_verified_at=timezone.now())"
)
MAKE_GRANT = (
    "from agents.models import Agent; from operations.models import Grant; "
    "Grant.objects.create(permission_id=77, agent=Agent.objects.get(name='narrow'), "
    "command=['echo', 'signed'], signers=['{}'])"
)


@pytest.fixture
def agent(limited):
    """One that runs two operations at once."""
    limited.create_agent("narrow", resources={"memory": "1g", "cpu": "1"})
    yield "narrow"
    limited.call("DELETE", "/api/agents/narrow")


@pytest.fixture
def signer(limited, agent):
    account = Account()
    limited.manage("shell", "-v0", "-c", MAKE_GRANT.format(account.address))
    return account


def ask_signed(product, signer):
    text = json.dumps({"permission_id": 77, "nonce": uuid4().hex})
    answer = requests.post(product.url + PATH, json=signed(signer, text), timeout=20)
    assert answer.status_code == 202, answer.text
    return answer.json()


def places(product, operations):
    found = [product.operation(operation) for operation in operations]
    return [(each["status"], each["queue_position"]) for each in found]


def test_what_is_too_much_waits_its_turn_or_is_refused(limited, agent, signer):
    mine = [limited.run(agent, *UNTIL_LET_GO) for _ in range(6)]
    running, waiting = [("processing", None)] * 2, [("starting", place) for place in range(1, 5)]
    wait_until(lambda: places(limited, mine) == running + waiting, seconds=20)

    refused = limited.post("/api/v1/operations", {"agent": agent, "command": ["true"]})
    assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
    assert int(refused.headers["Retry-After"]) > 0

    # Whoever signs asks for the first time, and so is next.
    theirs = ask_signed(limited, signer)
    own = {"Authorization": f"Bearer {theirs['poll_token']}"}
    told = requests.get(f"{limited.url}{PATH}/{theirs['id']}", headers=own, timeout=20).json()
    assert (told["status"], told["queue_position"]) == ("starting", 1)
    assert places(limited, mine[2:3]) == [("starting", 2)]

    *others, last = mine
    assert limited.post(f"/api/v1/operations/{last}/cancel").status_code == 204
    assert places(limited, [last]) == [("canceled", None)]

    limited.call("PUT", f"/api/agents/{agent}/files?path=go").raise_for_status()
    ended = [limited.finished(operation) for operation in (*others[:2], theirs["id"], *others[2:])]
    assert {each["status"] for each in ended} == {"succeeded"}
    *_, late, latest = begun = [each["started_at"] for each in ended]
    assert begun[2] < min(late, latest)
    assert limited.operation(theirs["id"])["result"]["logs"] == ["signed"]


@pytest.fixture
def shared(split):
    """An agent of two people, on a host that runs three operations, two of them of one person."""
    begin_anew(split, TRINITY_OPERATIONS_PER_USER="2", TRINITY_OPERATIONS_PER_HOST="3")
    split.create_agent("shared", resources={"memory": "1g", "cpu": "1"})
    split.manage("shell", "-v0", "-c", MAKE_PERSON.format(PASSWORD))
    with_ada = {"email": "ada@example.org", "role": "operator"}
    split.post("/api/agents/shared/share", with_ada).raise_for_status()
    yield "shared"
    split.call("DELETE", "/api/agents/shared")
    begin_anew(split)


def begin_anew(product, **environment):
    """Give the product another supervisor: it alone knows how many may run."""
    supervisor = product.processes.pop("supervise")
    supervisor.terminate()
    supervisor.wait(20)
    product.start_half("supervise", **environment)


def ask(product, agent, token):
    body = {"agent": agent, "command": ["sh", "-c", ONE_BY_ONE]}
    answer = product.post("/api/v1/operations", body, token=token)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def test_two_people_get_the_places_of_a_host_by_turns(split, shared):
    form = {"username": "ada", "password": PASSWORD}
    adas = requests.post(f"{split.url}/token", data=form, timeout=20).json()["access_token"]

    def stand(running, line):
        wanted = [("processing", None)] * len(running)
        wanted += [("starting", place) for place, _ in enumerate(line, 1)]
        wait_until(lambda: places(split, [*running, *line]) == wanted, seconds=20)

    def end(operation):
        path = f"/api/agents/{shared}/files?path=go-{operation}"
        split.call("PUT", path).raise_for_status()
        assert split.finished(operation)["status"] == "succeeded"

    a1, a2, a3, a4 = [ask(split, shared, split.token) for _ in range(4)]
    # The host would have room for one more.
    stand([a1, a2], [a3, a4])
    b1, b2, b3, b4 = [ask(split, shared, adas) for _ in range(4)]
    # Who was served longest ago is next, and then the other.
    stand([a1, a2, b1], [a3, b2, a4, b3, b4])
    assert split.get(f"{PATH}/{b2}", token=adas).json()["queue_position"] == 2
    end(a1)
    stand([a2, b1, a3], [b2, a4, b3, b4])
    end(a2)
    stand([b1, a3, b2], [a4, b3, b4])
    end(a3)
    stand([b1, b2, a4], [b3, b4])
    end(a4)
    # Again there would be room.
    stand([b1, b2], [b3, b4])
    end(b1)
    stand([b2, b3], [b4])
    end(b2)
    stand([b3, b4], [])
    end(b3)
    end(b4)
    made_room = {a3: a1, b2: a2, a4: a3, b3: b1, b4: b2}
    for late, early in made_room.items():
        began, ended = split.operation(late)["started_at"], split.operation(early)["finished_at"]
        assert began >= ended
