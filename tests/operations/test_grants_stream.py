"""The stream by a poll token; the other streams and the live socket do not open to it."""

import pytest
from channels.testing import WebsocketCommunicator

from agents.database import read
from agents.output import logs
from operations.grant_models import Grant
from operations.models import Operation
from tests.access import routes
from tests.factories import bearer_client, make_grant, make_operation
from tests.operations.driving import executing, until
from tests.operations.signing import PATH, Account, ask
from tests.operations.streams import viewing
from tests.streams import viewing as viewing_path
from trinity import asgi

pytestmark = pytest.mark.django_db(transaction=True)


def asked(**fields):
    account = Account()
    return ask(account, make_grant(signers=[account.address], **fields)).json()


def bearer(told):
    return {"authorization": f"Bearer {told['poll_token']}"}


async def test_a_signed_command_runs_and_is_followed_to_its_end(agent):
    command = ["sh", "-c", 'echo "$1 and $WHO"', "sh", "{text}"]
    parameters = {"text": {"type": "text"}, "who": {"type": "text", "env": "WHO"}}
    account = Account()
    grant = await read(
        lambda: make_grant(
            agent=agent, command=command, parameters=parameters, signers=[account.address]
        )
    )
    answer = await read(lambda: ask(account, grant, text="$(id); 'x'", who="`you`"))
    told = answer.json()
    async with executing(agent), viewing(told["id"], **bearer(told)) as viewer:
        assert (await viewer.status())[0] == 200
        events = await viewer.events()
    assert (1, {"type": "log", "content": "$(id); 'x' and `you`"}) in events
    assert events[-1][1] == {"type": "end", "status": "succeeded", "exit_code": 0}


async def test_it_cancels_what_it_started(agent):
    told = await read(lambda: asked(agent=agent, command=["sleep", "60"]))
    client = bearer_client(told["poll_token"])

    def status():
        return client.get(f"{PATH}/{told['id']}").json()["status"]

    async with executing(agent) as executions:
        await until(lambda: status() == "processing")
        assert (await read(client.post, f"{PATH}/{told['id']}/cancel")).status_code == 204
        executions.wake()
        await until(lambda: status() == "canceled")


async def test_the_stream_ends_when_the_grant_is_disabled():
    told = await read(asked)
    operation = await read(Operation.objects.get, pk=told["id"])
    await read(logs.append, operation.log_id, [(False, "before")], {})
    async with viewing(told["id"], **bearer(told)) as viewer:
        assert (await viewer.status())[0] == 200
        await viewer.next_event()
        assert await viewer.next_event() == (1, {"type": "log", "content": "before"})
        await read(Grant.objects.update, is_enabled=False)
        assert await viewer.next_event() is None


async def test_the_stream_of_another_operation_does_not_exist():
    told, other = await read(asked), await read(make_operation)
    async with viewing(other.pk, **bearer(told)) as viewer:
        assert (await viewer.status())[0] == 404


async def test_the_file_of_its_log_opens_and_that_of_another_does_not_exist():
    told, other = await read(asked), await read(make_operation)
    operation = await read(Operation.objects.get, pk=told["id"])
    await read(logs.append, operation.log_id, [(False, "a line")], {})
    for identifier, right in ((told["id"], (200, b"a line\n")), (other.pk, (404, b""))):
        path = f"{PATH}/{identifier}/logs/download"
        async with viewing_path(path, **bearer(told)) as viewer:
            status, _ = await viewer.status()
            text = b"".join(await viewer.rest()) if status == 200 else b""
        assert (status, text) == right


@pytest.mark.parametrize("wrong", ["poll_x", "nothing"])
async def test_a_text_that_is_no_token_is_refused(wrong):
    told = await read(asked)
    async with viewing(told["id"], authorization=f"Bearer {wrong}") as viewer:
        assert (await viewer.status())[0] == 401


async def test_everything_else_beside_django_is_closed():
    told = await read(asked)
    operation = await read(Operation.objects.select_related("agent").get, pk=told["id"])
    others = [path for method, path in routes.beside() if method == "GET"]
    others = [path for path in others if "{operation_id}" not in path]
    assert len(others) >= 5
    for path in others:
        async with viewing_path(path.format(name=operation.agent.name), **bearer(told)) as viewer:
            assert (await viewer.status())[0] == 403, path


async def test_the_live_socket_does_not_open():
    headers = [(name.encode(), value.encode()) for name, value in bearer(await read(asked)).items()]
    socket = WebsocketCommunicator(asgi.application, "/ws", headers=headers)
    is_open, _ = await socket.connect()
    assert not is_open
