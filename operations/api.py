"""Operations over REST; their stream is in ``operations.events``."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.urls import path
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access
from agents.api.observations import PositionShape
from agents.models import Agent
from agents.output import logs
from operations import again, chat, queue, requests
from operations.access import cancelable_operation, repeatable_operation, visible_operation
from operations.errors import NotSupported
from operations.models import Operation
from operations.reports import (
    ChatAccepted,
    ChatAnswer,
    ChatFailed,
    Lines,
    OperationCreated,
    OperationStatus,
    created,
    for_list,
    status_object,
)
from operations.requests import NewOperation
from operations.signed import SignedView, or_signed
from trinity.answers import answers
from trinity.api import ApiView, takes
from trinity.idempotency import creates
from trinity.identity import actor_of, caller_of, user_of
from trinity.pagination import PageShape, page
from trinity.shapes import Body, Flag, Malformed, Text, Whole, text_map, texts

DAY_SECONDS = 86_400
PAGE_LINES = 1000


class NewOperationShape(serializers.Serializer[Any]):
    agent = Text(required=False)
    pool = Text(required=False, allow_null=True)
    command = texts(required=False, min_length=1, max_length=1000)
    prompt = Text(required=False, allow_null=True)
    env = text_map(required=False, allow_null=True)
    workdir = Text(required=False, allow_null=True, max_length=500)
    timeout_seconds = Whole(required=False, allow_null=True, min_value=1, max_value=7 * DAY_SECONDS)
    isolated = Flag(required=False)
    memory = Text(required=False, allow_null=True)
    cpu = Text(required=False, allow_null=True)
    network = Text(required=False, allow_null=True)


# What only a container of the operation's own can be given.
OF_ISOLATED = ("memory", "cpu", "network")


class ListShape(PageShape):
    agent = Text(required=False)
    status = serializers.ChoiceField(Operation.Status.choices, required=False)


class OperationsView(SignedView):
    @answers(list[OperationStatus], query=ListShape)
    def get(self, request: Request) -> Response:
        query = self.query(ListShape)
        found = for_list(Operation.objects.visible_to(user_of(request)))
        if "agent" in query:
            found = found.filter(agent__name=query["agent"])
        if "status" in query:
            found = found.filter(status=query["status"])
        return page(request, found, query, _told, "-created_at", "-pk")

    @answers(OperationCreated, 400, 404, 429, status=202)
    @or_signed
    @creates()
    @takes(NewOperationShape)
    def post(self, request: Request, body: Body) -> Response:
        if body.get("pool"):
            raise NotSupported("Operations with 'pool' are not supported by this version")
        has_prompt = body.get("prompt") is not None
        for name in ("agent",) if has_prompt else ("agent", "command"):
            if name not in body:
                raise Malformed([_missing(name)])
        agent = access.operable_agent(user_of(request), body["agent"])
        if has_prompt:
            body["command"] = _command_of_prompt(agent, body)
        operation = requests.request_operation(agent, actor_of(request), _new(agent, body))
        return Response(created(operation), status=202)


def _missing(name: str) -> dict[str, Any]:
    return {
        "type": "missing",
        "loc": ["body", name],
        "msg": "This field is required.",
        "input": None,
    }


def _command_of_prompt(agent: Agent, body: Body) -> list[str]:
    if "command" in body:
        raise requests.InvalidRequest("An operation takes a prompt or a command, not both")
    return requests.prompt_command(agent, body["prompt"])


def _new(agent: Agent, body: Body) -> NewOperation:
    return NewOperation(
        command=body["command"],
        env=body.get("env") or {},
        workdir=body.get("workdir") or "",
        timeout_seconds=body.get("timeout_seconds"),
        isolation=_isolation(agent, body),
    )


def _isolation(agent: Agent, body: Body) -> requests.Isolation | None:
    wanted = {name: body.get(name) for name in OF_ISOLATED}
    if body.get("isolated"):
        return requests.isolation(agent, **wanted)
    if given := [name for name, value in wanted.items() if value is not None]:
        raise requests.InvalidRequest(
            f"{' and '.join(given)} can be chosen only for isolated operations, which have a "
            'container of their own: add "isolated": true, or leave it out'
        )
    return None


def _told(operations: Sequence[Operation]) -> list[OperationStatus]:
    places = queue.positions(operations)
    return [status_object(each, queue_position=places.get(each.pk)) for each in operations]


def _told_one(operation: Operation, *, tail: int) -> OperationStatus:
    place = queue.positions([operation]).get(operation.pk)
    return status_object(operation, tail=tail, queue_position=place)


class TailShape(serializers.Serializer[Any]):
    tail = serializers.IntegerField(required=False, default=100, min_value=1, max_value=1000)


class AfterShape(serializers.Serializer[Any]):
    q = Text(required=False, max_length=200)
    after = serializers.IntegerField(required=False, default=0, min_value=0)
    limit = serializers.IntegerField(
        required=False, default=PAGE_LINES, min_value=1, max_value=PAGE_LINES
    )


class OperationView(ApiView):
    takes_poll_tokens = True

    @answers(OperationStatus, query=TailShape)
    def get(self, request: Request, operation_id: UUID) -> Response:
        query = self.query(TailShape)
        operation = visible_operation(caller_of(request), operation_id)
        return Response(_told_one(operation, tail=query["tail"]))


class CancelView(ApiView):
    takes_poll_tokens = True

    @answers(None, 400, 409, status=204)
    def post(self, request: Request, operation_id: UUID) -> Response:
        operation = cancelable_operation(caller_of(request), operation_id)
        requests.cancel(operation, actor_of(request))
        return Response(status=204)


class AgainShape(serializers.Serializer[Any]):
    env = text_map(required=False, allow_null=True)


class AgainView(ApiView):
    @answers(OperationCreated, 400, 409, 429, status=202)
    @creates()
    @takes(AgainShape)
    def post(self, request: Request, body: Body, operation_id: UUID) -> Response:
        """A new operation with the same request, asked for by who calls."""
        operation = repeatable_operation(user_of(request), operation_id)
        made = again.run_again(operation, actor_of(request), body.get("env"))
        return Response(created(made), status=202)


class ChatShape(serializers.Serializer[Any]):
    message = Text()
    model = Text(required=False, allow_null=True, max_length=200)


class ChatView(ApiView):
    """Answers at once; ``operations.chat`` waits for what the agent says."""

    @answers(ChatAnswer, 400, 429, also={202: ChatAccepted, 503: ChatFailed})
    @creates()
    @takes(ChatShape)
    def post(self, request: Request, body: Body, name: str) -> Response:
        agent = access.operable_agent(user_of(request), name)
        model = body.get("model") or ""
        operation = chat.begin(agent, actor_of(request), body["message"], model)
        return Response(chat.accepted(operation), status=202)


class LogsView(ApiView):
    takes_poll_tokens = True

    @answers(Lines, query=AfterShape)
    def get(self, request: Request, operation_id: UUID) -> Response:
        query = self.query(AfterShape)
        operation = visible_operation(caller_of(request), operation_id)
        after, limit, wanted = query["after"], query["limit"], query.get("q")
        if wanted:
            lines, last_seq = logs.search_after(operation.log_id, wanted, after, limit)
        else:
            lines = logs.lines_after(operation.log_id, after, limit)
            last_seq = lines[-1][0] if lines else after
        told: Lines = {
            "lines": [{"seq": seq, "text": text} for seq, text in lines],
            "next": last_seq,
            "truncated": operation.log.truncated,
        }
        return Response(told)


class LogFileView(ApiView):
    takes_poll_tokens = True

    @answers(str, media_type="text/plain")
    def get(self, request: Request, operation_id: UUID) -> Response:
        """The whole log as an attachment."""
        raise MethodNotAllowed("GET")  # Never here: ``operations.log_file`` answers it.


class StreamView(ApiView):
    takes_poll_tokens = True

    @answers(str, 400, also={204: None}, media_type="text/event-stream", query=PositionShape)
    def get(self, request: Request, operation_id: UUID) -> Response:
        """Lines, states and the end as server-sent events; 204 where the end was seen."""
        raise MethodNotAllowed("GET")  # Never here: ``operations.events`` answers it.


urlpatterns = [
    path("api/agents/<str:name>/chat", ChatView.as_view()),
    path("api/v1/operations", OperationsView.as_view()),
    path("api/v1/operations/<uuid:operation_id>", OperationView.as_view()),
    path("api/v1/operations/<uuid:operation_id>/cancel", CancelView.as_view()),
    path("api/v1/operations/<uuid:operation_id>/run-again", AgainView.as_view()),
    path("api/v1/operations/<uuid:operation_id>/logs", LogsView.as_view()),
    path("api/v1/operations/<uuid:operation_id>/logs/download", LogFileView.as_view()),
    path("api/v1/operations/<uuid:operation_id>/stream", StreamView.as_view()),
]
