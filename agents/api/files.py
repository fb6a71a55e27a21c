"""The files of an agent's workspace: list and delete; bytes go beside Django's handler."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access, activities
from agents.answers.files import Deleted, FileTree, Uploaded
from agents.models import Activity, Agent
from agents.workspace import file_tree, files
from agents.workspace.files import FilePath
from trinity.answers import answers
from trinity.api import ApiView
from trinity.audit import recorded
from trinity.errors import TooMany
from trinity.identity import actor_of, user_of
from trinity.shapes import Text

# A thread waits for each, and an agent can take its time: none may have them all.
AT_ONCE = 4
FILE_ACCESS = Activity.Type.FILE_ACCESS

_under_way: Counter[int] = Counter()
_lock = Lock()


class PathShape(serializers.Serializer[Any]):
    """A place in the workspace, below ``/home/developer``; relative to that, or absolute."""

    # ``FilePath`` reads it byte for byte, because names of files need be no text.
    is_lenient = True

    path = Text(required=False)


class FilesView(ApiView):
    """A PUT, whose body is a file, is ``agents.workspace.file_streams``."""

    @answers(FileTree, 400, 409, 413, 429, query=PathShape)
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        asked = _asked(request)
        with one_of_few(agent):
            told = asyncio.run(files.listing(agent, asked))
        return Response(file_tree.as_json(told, asked))

    @answers(Deleted, 400, 409, 413, 429, query=PathShape)
    def delete(self, request: Request, name: str) -> Response:
        agent = access.operable_agent(user_of(request), name)
        asked = _asked(request)
        actor = actor_of(request)
        with (
            one_of_few(agent),
            recorded(actor, "delete_file", "agent", name, detail=asked.relative),
            activities.recorded(
                agent, FILE_ACCESS, actor, details={"action": "delete", "path": asked.relative}
            ),
        ):
            kind = asyncio.run(files.delete(agent, asked))
        told: Deleted = {"success": True, "deleted": asked.relative, "type": kind}
        return Response(told)

    @answers(Uploaded, 400, 409, 413, query=PathShape, takes_bytes=True)
    def put(self, request: Request, name: str) -> Response:
        """The body is the file: it is there whole or not at all."""
        raise MethodNotAllowed("PUT")  # Never here: ``agents.workspace.file_streams`` answers it.


class DownloadView(ApiView):
    @answers(bytes, 400, 409, 413, media_type="application/octet-stream", query=PathShape)
    def get(self, request: Request, name: str) -> Response:
        """The file as an attachment."""
        raise MethodNotAllowed("GET")  # Never here: ``agents.workspace.file_streams`` answers it.


def _asked(request: Request) -> FilePath:
    return FilePath.asked_for(request.META.get("QUERY_STRING", ""))


@contextmanager
def one_of_few(agent: Agent) -> Iterator[None]:
    with _lock:
        if _under_way[agent.pk] >= AT_ONCE:
            raise TooMany("The agent is still busy with its files", retry_after_seconds=1)
        _under_way[agent.pk] += 1
    try:
        yield
    finally:
        with _lock:
            _under_way[agent.pk] -= 1
            if not _under_way[agent.pk]:
                del _under_way[agent.pk]


urlpatterns = [
    path("api/agents/<str:name>/files", FilesView.as_view()),
    path("api/agents/<str:name>/files/download", DownloadView.as_view()),
]
