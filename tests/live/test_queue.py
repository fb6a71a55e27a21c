"""More operations than an agent may run: they wait in order, and by turns of those who ask."""

import json
from uuid import uuid4

import pytest
import requests

from tests.operations.signing import PATH, Account, signed
from tests.waiting import wait_until

pytestmark = pytest.mark.live

UNTIL_LET_GO = ["sh", "-c", 'while [ ! -e "$TRINITY_WORKSPACE/go" ]; do sleep 0.05; done']
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
