"""Artifacts over REST: which an operation left, and their bytes."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any
from uuid import UUID

from django.http import StreamingHttpResponse
from django.urls import path
from django.utils.http import content_disposition_header
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from operations import artifacts
from operations.access import visible_operation
from operations.errors import ArtifactNotFound, ArtifactUnavailable
from operations.models import Artifact, Operation
from operations.reports import ArtifactList, artifact_list
from trinity.answers import answers
from trinity.api import ApiView, takes
from trinity.identity import caller_of
from trinity.models import Scope
from trinity.shapes import UNSTORABLE, Body, Text

PART_BYTES = 256 * 1024
BYTES = "application/octet-stream"
# Downloads must not keep the supervisor of the same process from storing.
_threads = ThreadPoolExecutor(4, "artifact-download")


class ArtifactsView(ApiView):
    takes_poll_tokens = True

    @answers(ArtifactList)
    def get(self, request: Request, operation_id: UUID) -> Response:
        return Response(artifact_list(visible_operation(caller_of(request), operation_id)))


class ArtifactListView(ApiView):
    # It changes nothing, for all that it is a POST.
    write_scope = Scope.READ
    takes_poll_tokens = True

    @answers(ArtifactList)
    def post(self, request: Request, operation_id: UUID) -> Response:
        return Response(artifact_list(visible_operation(caller_of(request), operation_id)))


class ArtifactView(ApiView):
    takes_poll_tokens = True

    @answers(bytes, media_type=BYTES)
    def get(self, request: Request, operation_id: UUID, path: str) -> StreamingHttpResponse:
        return _download(visible_operation(caller_of(request), operation_id), path)


class DownloadShape(serializers.Serializer[Any]):
    operation_id = serializers.UUIDField()
    artifact_path = Text()


class DownloadView(ApiView):
    # It changes nothing, for all that it is a POST.
    write_scope = Scope.READ
    takes_poll_tokens = True

    @answers(bytes, 404, media_type=BYTES)
    @takes(DownloadShape)
    def post(self, request: Request, body: Body) -> StreamingHttpResponse:
        operation = visible_operation(caller_of(request), body["operation_id"])
        return _download(operation, body["artifact_path"])


def _download(operation: Operation, asked: str) -> StreamingHttpResponse:
    found = None if UNSTORABLE.search(asked) else operation.artifacts.filter(path=asked).first()
    if found is None:
        raise ArtifactNotFound
    # Whatever it is, no browser takes it for a page of ours.
    response = StreamingHttpResponse(_Parts(_open(found)), content_type=BYTES)
    name = found.path.rpartition("/")[2]
    response["Content-Disposition"] = content_disposition_header(True, name)
    response["Content-Length"] = str(found.size)
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private"
    return response


def _open(artifact: Artifact) -> IO[bytes]:
    try:
        return artifacts.opened(artifact)
    # What a service's library raises, only that library knows.
    except Exception as error:
        raise ArtifactUnavailable from error


class _Parts:
    """A file's bytes as they are taken; closed with the response, also when none were."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.close = file.close

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        loop = asyncio.get_running_loop()
        while part := await loop.run_in_executor(_threads, self._file.read, PART_BYTES):
            yield part


urlpatterns = [
    path("api/v1/artifacts/download", DownloadView.as_view()),
    path("api/v1/artifacts/<uuid:operation_id>/list", ArtifactListView.as_view()),
    path("api/v1/operations/<uuid:operation_id>/artifacts", ArtifactsView.as_view()),
    path("api/v1/operations/<uuid:operation_id>/artifacts/<path:path>", ArtifactView.as_view()),
]
