"""Operations over REST; their stream is in ``operations.events``."""

from typing import Any
from uuid import UUID

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, logs
from operations import requests
from operations.errors import NotSupported, OperationNotFound
from operations.models import Operation
from operations.reports import status_object
from operations.requests import NewOperation
from trinity.api import ApiView, json_time, takes
from trinity.errors import Forbidden
from trinity.identity import actor_of, user_of
from trinity.models import User
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
    network = Flag(required=False)


# Forms of the contract that come with the issues about operations and sandboxes.
LATER = ("pool", "prompt", "isolated", "memory", "cpu", "network")


class OperationsView(ApiView):
    def get(self, request: Request) -> Response:
        query = self.query(ListShape)
        found = Operation.objects.visible_to(user_of(request)).select_related("agent", "log")
        if "agent" in query:
            found = found.filter(agent__name=query["agent"])
        if "status" in query:
            found = found.filter(status=query["status"])
        return Response([status_object(each) for each in found[: query["limit"]]])

    @takes(NewOperationShape)
    def post(self, request: Request, body: Body) -> Response:
        for name in LATER:
            if body.get(name):
                raise NotSupported(f"Operations with {name!r} are not supported by this version")
        for name in ("agent", "command"):
            if name not in body:
                raise Malformed([_missing(name)])
        agent = access.operable_agent(user_of(request), body["agent"])
        operation = requests.request_operation(agent, actor_of(request), _new(body))
        return Response(
            {
                "kind": "OperationCreated",
                "id": str(operation.pk),
                "created_at": json_time(operation.created_at),
            },
            status=202,
        )


def _missing(name: str) -> dict[str, Any]:
    return {
        "type": "missing",
        "loc": ["body", name],
        "msg": "This field is required.",
        "input": None,
    }


def _new(body: Body) -> NewOperation:
    return NewOperation(
        command=body["command"],
        env=body.get("env") or {},
        workdir=body.get("workdir") or "",
        timeout_seconds=body.get("timeout_seconds"),
    )


class ListShape(serializers.Serializer[Any]):
    agent = serializers.CharField(required=False)
    status = serializers.ChoiceField(Operation.Status.choices, required=False)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=1000)


class TailShape(serializers.Serializer[Any]):
    tail = serializers.IntegerField(required=False, default=100, min_value=1, max_value=1000)


class AfterShape(serializers.Serializer[Any]):
    after = serializers.IntegerField(required=False, default=0, min_value=0)
    limit = serializers.IntegerField(
        required=False, default=PAGE_LINES, min_value=1, max_value=PAGE_LINES
    )


def visible_operation(user: User, operation_id: UUID) -> Operation:
    visible = Operation.objects.visible_to(user).select_related("agent", "log")
    operation = visible.filter(pk=operation_id).first()
    if operation is None:
        raise OperationNotFound
    return operation


class OperationView(ApiView):
    def get(self, request: Request, operation_id: UUID) -> Response:
        query = self.query(TailShape)
        operation = visible_operation(user_of(request), operation_id)
        return Response(status_object(operation, tail=query["tail"]))


class CancelView(ApiView):
    def post(self, request: Request, operation_id: UUID) -> Response:
        user = user_of(request)
        operation = visible_operation(user, operation_id)
        if not Operation.objects.cancelable_by(user).contains(operation):
            raise Forbidden("Only its requester and those who operate the agent can cancel it")
        requests.cancel(operation, actor_of(request))
        return Response(status=204)


class LogsView(ApiView):
    def get(self, request: Request, operation_id: UUID) -> Response:
        query = self.query(AfterShape)
        operation = visible_operation(user_of(request), operation_id)
        lines = logs.lines_after(operation.log_id, query["after"], query["limit"])
        return Response(
            {
                "lines": [{"seq": seq, "text": text} for seq, text in lines],
                "next": lines[-1][0] if lines else query["after"],
                "truncated": operation.log.truncated,
            }
        )


class StreamView(ApiView):
    """What any other method than GET is answered; that one is ``operations.events``."""


urlpatterns = [
    path("api/v1/operations", OperationsView.as_view()),
    path("api/v1/operations/<uuid:operation_id>", OperationView.as_view()),
    path("api/v1/operations/<uuid:operation_id>/cancel", CancelView.as_view()),
    path("api/v1/operations/<uuid:operation_id>/logs", LogsView.as_view()),
    path("api/v1/operations/<uuid:operation_id>/stream", StreamView.as_view()),
]
